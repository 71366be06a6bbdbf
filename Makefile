# Everything that a fresh clone needs is Python (3.11 or newer) with venv, make and git.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help demo test lint types layers unit figures clean

help:  ## Show these commands
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(STAMP)  ## Run the main job on the embedded sandbox: two syncs with a day between them
	@$(BIN)/cargo-source demo

test: lint types layers unit  ## Pass all checks: lint, types, layers, tests

lint: $(STAMP)  ## Check style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)  ## Check types
	$(BIN)/mypy

layers: $(STAMP)  ## Check that imports point down the layers
	$(BIN)/lint-imports

unit: $(STAMP)  ## Run the tests with coverage
	$(BIN)/pytest -n 2 --dist loadscope --cov --cov-report=

figures: $(STAMP)  ## Measure requests, seconds and memory of a first and a second sync
	$(BIN)/python benchmarks/figures.py

clean:  ## Remove what these commands made
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage*
