"""Print every lower bound of pyproject.toml as a pin: what ``make oldest`` installs."""

import re
import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
for requirement in sum(project["optional-dependencies"].values(), project["dependencies"]):
    if bound := re.match(r"([\w-]+)>=([\d.]+)", requirement):
        print(f"{bound[1]}=={bound[2]}")
