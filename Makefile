# Everything runs in .venv, which the first target that needs it creates. Another Python: make PYTHON=python3.12 …
PYTHON ?= python3
VENV := .venv
PREDICT_VENV := .venv-predict
BIN := $(VENV)/bin

.PHONY: demo predict-only test lint format build clean

demo: $(VENV)/installed
	$(BIN)/tagger train configs/sample.yaml
	$(BIN)/tagger eval
	$(BIN)/tagger predict < data/sample/test.conll | head -n 20

# An environment without TensorFlow, beside the model of `make demo`.
predict-only: $(PREDICT_VENV)/installed models/sample
	$(PREDICT_VENV)/bin/python scripts/check_prediction_only.py models/sample data/sample/test.conll

models/sample:
	$(MAKE) demo

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
	rm -rf $(VENV) $(PREDICT_VENV) build dist models .tagger-model *.egg-info

# The stamps make a second `make` skip the installation until pyproject.toml changes.
$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(PREDICT_VENV)/installed: pyproject.toml requirements/predict.txt
	$(PYTHON) -m venv $(PREDICT_VENV)
	$(PREDICT_VENV)/bin/python -m pip install --quiet --requirement requirements/predict.txt
	$(PREDICT_VENV)/bin/python -m pip install --quiet --no-deps --editable .
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@
