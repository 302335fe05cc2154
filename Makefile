# Everything runs in .venv, which the first target that needs it creates. Another Python: make PYTHON=python3.12 …
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint format build clean

demo: $(VENV)/installed
	$(BIN)/tagger train configs/sample.yaml
	$(BIN)/tagger eval
	$(BIN)/tagger predict < data/sample/test.conll | head -n 20

test: $(VENV)/installed-dev
	$(BIN)/python -m pytest

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

build: $(VENV)/installed-dev
	rm -rf dist
	$(BIN)/python -m build

clean:
	rm -rf $(VENV) build dist models .tagger-model *.egg-info

# The stamps make a second `make` skip the installation until pyproject.toml changes.
$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@
