# Everything that a fresh clone needs is Python (3.11 or newer) with venv, make and git; test-all and witness also take
# node (18 or newer) with npm, Debian's chromium, and Java (17 or newer).
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
ALL := $(VENV)/.installed-all
WITNESS := tests/witness
CLIENT := $(WITNESS)/node_modules/.installed
ORCHESTRATORS := $(patsubst %,.venv-%/.installed,airflow dagster prefect)
PYTEST := $(BIN)/pytest -n 4 --dist worksteal

.DEFAULT_GOAL := help
.PHONY: help demo docs test test-all test-ci lint types layers unit witness notebooks airflow dagster prefect spark needs soak figures bench bench-all clean

help:  ## Show these commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

$(ALL): $(STAMP)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,all-tests,notebooks]'
	@touch $@

demo: $(STAMP)  ## Run the main job on the embedded sandbox: two syncs with a day between them
	@$(BIN)/cargo-source demo

test: lint types layers unit  ## Pass the checks that need only Python: lint, types, layers, tests but for those marked long

test-all: needs lint types layers $(ALL) $(CLIENT) $(ORCHESTRATORS)  ## Pass all checks, with coverage, tests that take long, the orchestrators, Spark (java), the notebooks, the vendor's own client (node, npm) and a browser (chromium)
	$(PYTEST) --cov --cov-report= -m ""

test-ci: needs lint types layers $(ALL) $(CLIENT) $(ORCHESTRATORS)  ## The same but for Airflow's real scheduler, which takes many minutes
	$(PYTEST) --cov --cov-report= -m "not (airflow and long)"

lint: $(STAMP)  ## Check style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)  ## Check types
	$(BIN)/mypy

layers: $(STAMP)  ## Check that imports point down the layers
	$(BIN)/lint-imports

unit: $(STAMP)  ## Run the tests
	$(PYTEST)

docs: $(STAMP)  ## Write what is generated in README.md and docs/ anew, the demo's output too
	UPDATE_DOCS=1 $(BIN)/pytest -q -n 0 -m "" tests/docs/test_parts.py

witness: needs $(STAMP) $(CLIENT)  ## Let the vendor's own client read the sandbox (node, npm)
	$(BIN)/pytest -m node $(WITNESS)

notebooks: $(ALL)  ## Run the notebooks, and hold what they show against what is committed and what is so
	$(BIN)/pytest -m notebooks tests/notebooks

spark: $(ALL)  ## Read and push with Spark, on a cluster of this machine too (java)
	$(BIN)/pytest -m spark tests/spark

soak: $(STAMP)  ## Play the properties at length: of syncs and of pushes; goes on where it was stopped
	$(BIN)/python -m tests.soak

$(CLIENT): $(WITNESS)/package.json $(WITNESS)/.npmrc | needs
	cd $(WITNESS) && npm install >/dev/null
	@touch $@

airflow: $(STAMP) .venv-airflow/.installed  ## Run the story of Airflow, in an environment of its own
	$(BIN)/pytest -m airflow tests/orchestrators

dagster: $(STAMP) .venv-dagster/.installed  ## Run the story of Dagster, in an environment of its own
	$(BIN)/pytest -m dagster tests/orchestrators

prefect: $(STAMP) .venv-prefect/.installed  ## Run the story of Prefect, in an environment of its own
	$(BIN)/pytest -m prefect tests/orchestrators

.venv-%/.installed: tests/orchestrators/%.txt pyproject.toml
	$(PYTHON) -m venv .venv-$*
	.venv-$*/bin/pip install --quiet --disable-pip-version-check -r $< -e .
	@touch $@

needs:
	@missing=; for each in node npm chromium java; do command -v $$each >/dev/null || missing="$$missing $$each"; done; \
	case "$$missing" in *node*) ;; *) node -e 'process.exit(+(parseInt(process.versions.node) < 18))' || missing="$$missing node-18";; esac; \
	case "$$missing" in *java*) ;; *) test "$$(java -version 2>&1 | sed -nE 's/.*version "([0-9]+).*/\1/p')" -ge 17 || missing="$$missing java-17";; esac; \
	if [ -n "$$missing" ]; then echo "This machine lacks:$$missing. \`make test\` needs only Python." >&2; exit 2; fi

figures: $(STAMP)  ## Measure requests, seconds and memory of a first and a second sync
	$(BIN)/python benchmarks/figures.py

bench: $(STAMP)  ## Race the connector against dlt's rest_api and the physical limits (BENCH="--scale 0.1" for a quick look)
	$(BIN)/python benchmarks/bench.py $(BENCH)

bench-all: $(STAMP)  ## The same with Singer and PyAirbyte, each installed in an environment of its own
	$(BIN)/python benchmarks/bench.py --all $(BENCH)

clean:  ## Remove what these commands made
	rm -rf $(VENV) .venv-airflow .venv-dagster .venv-prefect $(WITNESS)/node_modules .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .soak .coverage* benchmarks/.cache
