# Everything runs in .venv, which the first target that needs it creates. For another Python: make PYTHON=python3.12 …
PYTHON ?= python3
VENV := .venv
PREDICT_VENV := .venv-predict
LOWEST_VENV := .venv-lowest
SBOM_VENV := .venv-sbom
DOCS_VENV := .venv-docs
BIN := $(VENV)/bin
# Two processes more than there are cores, because many tests wait for other processes; but four at most, because each
# one that imports TensorFlow takes a gigabyte. The tests of a file stay in one process, because the documented commands in
# tests/docs/test_commands.py need the commands before them. tests/conftest.py puts the files in order.
PROCESSES = $(shell $(PYTHON) -c 'import os; print(min(4, 2 + (os.cpu_count() or 1)))')
SIDE_BY_SIDE = --numprocesses $(PROCESSES) --dist loadfile --no-loadscope-reorder

.PHONY: demo predict-only test quick coverage mutation test-lowest lint format docs man build sbom clean

demo: $(VENV)/installed
	$(BIN)/tagger train configs/sample.yaml
	$(BIN)/tagger eval
	$(BIN)/tagger predict < data/sample/test.conll | head -n 20

# Check an environment without TensorFlow, with the model of `make demo`.
predict-only: $(PREDICT_VENV)/installed models/sample
	$(PREDICT_VENV)/bin/python scripts/checks/check_prediction_only.py models/sample data/sample/test.conll

models/sample:
	$(MAKE) demo

test: $(VENV)/installed-dev
	$(BIN)/python -m pytest $(SIDE_BY_SIDE)

# All tests that need neither TensorFlow, nor Ray, nor a package index: two minutes on two cores.
quick: $(VENV)/installed-dev
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) -m 'not tensorflow and not index and not ray'

# Show the lines that no test runs, in the code that reads files and decides what to accept; fails below 95 %.
coverage: $(VENV)/installed-dev
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) --cov --cov-report term

# Mutation tests: a small error in the schemes, the batches or the decoder should make a test fail.
mutation: $(VENV)/installed-dev
	$(BIN)/python -m pip install --quiet 'mutmut>=3.8,<4'
	$(BIN)/mutmut run
	$(BIN)/mutmut results

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --platform win32 --cache-dir .mypy_cache/windows

format: $(VENV)/installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Build the website in site/; fails for a broken link or anchor.
docs: $(DOCS_VENV)/installed
	$(DOCS_VENV)/bin/zensical build --clean --strict

# Write the man pages, which the wheel has too: man -l dist/man/man1/tagger.1
man: $(VENV)/installed
	$(BIN)/python scripts/make_man_pages.py dist/man/man1

# Build the archives twice and compare them.
build: $(VENV)/installed-dev
	$(BIN)/python scripts/checks/build_twice.py

# All tests with the lowest version of each dependency that pyproject.toml allows.
test-lowest: $(LOWEST_VENV)/installed
	$(LOWEST_VENV)/bin/python -m pytest $(SIDE_BY_SIDE)

# The packages of an installation, as CycloneDX JSON.
sbom: $(VENV)/installed $(SBOM_VENV)/installed
	$(SBOM_VENV)/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible --output-file sbom.json $(BIN)/python

clean:
	rm -rf $(VENV) $(PREDICT_VENV) $(LOWEST_VENV) $(SBOM_VENV) $(DOCS_VENV) dist site .cache models mutants .coverage .tagger-model sbom.json

# The stamp files let a second `make` skip the installation until pyproject.toml changes.
$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(PREDICT_VENV)/installed: pyproject.toml requirements/predict.txt
	$(PYTHON) -m venv $(PREDICT_VENV)
	$(PREDICT_VENV)/bin/python -m pip install --quiet --requirement requirements/predict.txt
	$(PREDICT_VENV)/bin/python -m pip install --quiet --no-deps --editable .
	touch $@

$(LOWEST_VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(LOWEST_VENV)
	$(LOWEST_VENV)/bin/python -m pip install --quiet uv
	$(LOWEST_VENV)/bin/uv pip install --quiet --python $(LOWEST_VENV)/bin/python --resolution lowest-direct --editable '.[dev]'
	touch $@

$(SBOM_VENV)/installed:
	$(PYTHON) -m venv $(SBOM_VENV)
	$(SBOM_VENV)/bin/python -m pip install --quiet 'cyclonedx-bom>=6,<8'
	touch $@

$(DOCS_VENV)/installed:
	$(PYTHON) -m venv $(DOCS_VENV)
	$(DOCS_VENV)/bin/python -m pip install --quiet 'zensical>=0.0.70,<0.2'
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@
