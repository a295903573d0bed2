"""Sphinx configuration."""

import os
from pathlib import Path

from docutils import nodes

import mne_samba

HERE = Path(__file__).parent
EXAMPLES = HERE.parent / "examples"

project = "mne_samba"
author = "mne_samba developers"
copyright = author
release = mne_samba.__version__
version = release

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.viewcode",
    "numpydoc",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "sphinxcontrib.bibtex",
]
bibtex_bibfiles = ["references.bib"]
bibtex_default_style = "plain"

templates_path = ["_templates"]
exclude_patterns = ["_build", "changes/devel", "**/GALLERY_HEADER.rst"]
nitpicky = True
# Types that docstrings of other projects name, and that no inventory resolves when offline.
nitpick_ignore_regex = [
    (
        "py:.*",
        r"(mne|nibabel|nilearn|sklearn|skorch|torch|pywt|numpy|pandas|scipy|matplotlib)(\..*)?",
    ),
    ("py:.*", r"(collections|typing|pathlib|os)(\..*)?"),
    ("py:.*", r"mne_samba\..*\._.*"),
    ("py:obj", r"[a-z_]+"),  # modules of a package, which share its page
    ("py:data", r".*"),  # constants are named in docstrings, and explained where they are defined
]

# The gallery's settings hold a function, which is not kept between builds.
suppress_warnings = ["config.cache"]

# `Names` of docstrings are links where they have a page.
default_role = "autolink"
autosummary_generate = True
autodoc_typehints = "none"
autodoc_member_order = "bysource"
toc_object_entries_show_parents = "hide"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

# Inventories come over the network; a build without them lacks only links to other projects.
intersphinx_mapping = {}
if os.environ.get("MNE_SAMBA_DOC_ONLINE"):
    intersphinx_mapping = {
        "python": ("https://docs.python.org/3", None),
        "numpy": ("https://numpy.org/doc/stable", None),
        "sklearn": ("https://scikit-learn.org/stable", None),
        "mne": ("https://mne.tools/stable", None),
        "nilearn": ("https://nilearn.github.io/stable", None),
        "torch": ("https://docs.pytorch.org/docs/stable", None),
    }


def _quiet(gallery_conf, fname):
    """Keep progress messages out of examples' output."""
    import mne
    import torch

    mne.set_log_level("WARNING")
    # Matrices are small: more threads wait for each other longer than they compute.
    torch.set_num_threads(1)


# Sections of the gallery, in order.
_SECTIONS = ("start", "scores", "parts", "ways", "practice")
sphinx_gallery_conf = {
    "examples_dirs": str(EXAMPLES),
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"plot_",
    "abort_on_example_error": True,
    "plot_gallery": "True",
    "remove_config_comments": True,
    "image_scrapers": ("matplotlib",),
    "reset_modules": ("matplotlib", _quiet),
    "subsection_order": [f"../examples/{name}" for name in _SECTIONS],
    "within_subsection_order": "FileNameSortKey",
    "download_all_examples": False,
    "doc_module": ("mne_samba",),
    "reference_url": {"mne_samba": None},
    "backreferences_dir": "generated/backreferences",
    "show_memory": False,
    # That page would load scripts of other sites.
    "write_computation_times": False,
    # A figure is shown: its name says no more.
    "ignore_repr_types": "matplotlib",
}

# Prompts are not copied.
copybutton_prompt_text = "$ "

# Browsers set formulas themselves: no script of another site is loaded.
html_math_renderer = "mathml"
html_theme = "pydata_sphinx_theme"
html_title = f"mne_samba {release}"
html_theme_options = {
    "show_toc_level": 2,
    "show_prev_next": False,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
}
html_show_sourcelink = False
html_static_path = ["_static"]
html_css_files = ["phone.css"]
# Beside their own contents, pages of prose have room for code of 70 columns, and for no more.
_PLAIN = (
    "index", "install", "changes/log", "data", "formats", "choosing", "evaluation", "recipes",
    "peers", "paper", "sharing", "coming_from", "troubleshooting", "glossary", "references",
)  # fmt: skip
html_sidebars = {page: [] for page in _PLAIN}
# scikit-learn writes the methods, whose text points into its own user guide; the page of a model
# says what its trainer is.
_LEFT_OUT = ("get_metadata_routing", "set_output", "published_trainer")
_MIXIN_SCORES = ("ClassifierMixin.score", "RegressorMixin.score")


def _skip(app, what, name, obj, skip, options):
    routed = name.startswith("set_") and name.endswith("_request")
    inherited = getattr(obj, "__qualname__", "") in _MIXIN_SCORES
    return True if routed or inherited or name in _LEFT_OUT else skip


def unreleased(folder: Path) -> str:
    """Changes that no release holds yet, as the change log's first section."""
    lines = ["Not yet released", "----------------", ""]
    for kind, name in (("feature", "New"), ("change", "Changed"), ("fix", "Fixed")):
        found = [" ".join(p.read_text().split()) for p in sorted(folder.glob(f"*.{kind}.rst"))]
        lines += [f"**{name}**", "", *[f"- {text}" for text in found], ""] if found else []
    return "\n".join(lines)


def _add_changes(app, docname, source):
    if docname == "changes/log":
        mark = ".. towncrier release notes start"
        news = unreleased(HERE / "changes" / "devel")
        source[0] = source[0].replace(mark, f"{news}\n{mark}")


def _formula(translator, node):
    from latex2mathml.converter import convert

    display = "inline" if isinstance(node, nodes.math) else "block"
    translator.body.append(convert(node.astext(), display=display))
    raise nodes.SkipNode


def setup(app):
    """Formulas as MathML, no methods that scikit-learn generates, unreleased changes."""
    app.add_html_math_renderer("mathml", (_formula, None), (_formula, None))
    app.connect("autodoc-skip-member", _skip)
    app.connect("source-read", _add_changes)
