# make demo, make test, make doc, make lint, make clean. Each makes .venv and installs what it needs, once.
# make oldest: the tests on the lower bounds of all dependencies, in .venv-oldest.
# make package: wheel and sdist, checked and run from an empty environment; files of the repository, checked.
# make coverage: the tests, and at least 95 % of all lines met; make mutation: do tests notice changed lines?
#
#   make PYTHON=python3.12 test                                   another Python (3.11 or newer)
#   make TORCH_INDEX=https://download.pytorch.org/whl/cpu test    where torch comes from
#   make PYTEST_ARGS="-k windows" test                            some of the tests

PYTHON ?= python3
TORCH_INDEX ?=
PYTEST_ARGS ?=
SPHINXOPTS ?= -n -W --keep-going
OUT ?= demo_output

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
INSTALLED := $(VENV)/.installed-dev
INSTALLED_DOC := $(VENV)/.installed-doc

# One BLAS and OpenMP thread per process: tests run in two processes, and results stay the same.
export OMP_NUM_THREADS ?= 1
export OPENBLAS_NUM_THREADS ?= 1
export MKL_NUM_THREADS ?= 1
export NUMEXPR_NUM_THREADS ?= 1
export MPLBACKEND ?= Agg

.PHONY: help install demo test oldest coverage mutation lint doc package clean

help:
	@sed -n 's/^# make/make/p; s/^#   /  /p' Makefile

install: $(INSTALLED)

# Some systems ship venv without ensurepip; the outer pip then fills the environment.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "mne_samba needs Python 3.11 or newer; $(PYTHON) is older. Try: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV) || { $(PYTHON) -m venv --clear --without-pip $(VENV) && \
	  $(PYTHON) -m pip --python $(BIN)/python install pip; }

# torch first and pinned: without the pin, pip may fetch a build with gigabytes of CUDA libraries.
$(INSTALLED): pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install -c constraints.txt $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) \
	  "$$(grep '^torch==' constraints.txt)"
	$(PIP) install -c constraints.txt -e ".[dev]"
	@touch $@

$(INSTALLED_DOC): $(INSTALLED)
	$(PIP) install -c constraints.txt -e ".[doc]"
	@touch $@

demo: $(INSTALLED)
	$(BIN)/python -m mne_samba demo --out $(OUT)

test: $(INSTALLED)
	$(BIN)/python -m pytest -q -n 2 --dist worksteal $(PYTEST_ARGS)

# Every lower bound of pyproject.toml as a pin. The oldest torch brings CUDA libraries, some 5 GB,
# unless TORCH_INDEX names a place with builds without them.
OLDEST := .venv-oldest
OLDEST_PIP := $(OLDEST)/bin/python -m pip --disable-pip-version-check install
$(OLDEST)/.installed: pyproject.toml .ci/lower_bounds.py
	$(PYTHON) -m venv --clear $(OLDEST)
	$(PYTHON) .ci/lower_bounds.py > $(OLDEST)/constraints.txt
	$(OLDEST_PIP) -c $(OLDEST)/constraints.txt \
	  $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) torch
	$(OLDEST_PIP) -c $(OLDEST)/constraints.txt -e ".[test]"
	@touch $@

oldest: $(OLDEST)/.installed
	$(OLDEST)/bin/python -m pytest -q -n 2 $(PYTEST_ARGS)

coverage: $(INSTALLED)
	$(BIN)/python -m pytest -q -n 2 --cov=mne_samba --cov-report=term-missing:skip-covered \
	  --cov-fail-under=95 $(PYTEST_ARGS)

mutation: $(INSTALLED)
	$(PIP) install -c constraints.txt -e ".[mutation]"
	$(BIN)/python benchmarks/mutation.py

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/codespell
	$(BIN)/mypy
	$(BIN)/pyright

# Run elsewhere, from the wheel alone: nothing of the repository may be needed.
EMPTY := .venv-empty
package: $(INSTALLED)
	$(PIP) install -c constraints.txt -e ".[package]"
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/twine check --strict dist/*
	$(BIN)/hadolint Containerfile
	$(BIN)/zizmor --offline .github
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-issue-forms \
	  .github/ISSUE_TEMPLATE/bug.yml .github/ISSUE_TEMPLATE/feature.yml
	$(PYTHON) -m venv --clear $(EMPTY)
	$(EMPTY)/bin/python -m pip install -c constraints.txt \
	  $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) "$$(grep '^torch==' constraints.txt)" dist/*.whl
	cd $(EMPTY) && bin/python -m mne_samba demo --quick --quiet --out demo_output

# Pages of names that no longer exist would be warnings, so the reference is always made anew; times
# of the gallery would load scripts of other sites.
doc: $(INSTALLED_DOC)
	rm -rf doc/generated
	find doc -name "sg_execution_times.*" -delete
	$(BIN)/python -m sphinx -b html $(SPHINXOPTS) doc doc/_build/html
	$(BIN)/python doc/check_links.py doc/_build/html
	@echo "Open doc/_build/html/index.html"

clean:
	rm -rf $(OUT) dist $(EMPTY) doc/_build doc/auto_examples doc/generated
	rm -rf .pytest_cache .ruff_cache .mypy_cache .hypothesis .import_linter_cache htmlcov .coverage
	find mne_samba tests -name __pycache__ -type d -prune -exec rm -rf {} +
