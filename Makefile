# `make help` lists the targets. Each sets up .venv first if it must; only python3 >= 3.11, pip
# and git are needed beforehand. PYTHON=/path/to/python chooses another interpreter.

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
PLUGINS := $(patsubst %/pyproject.toml,%,$(wildcard plugins/*/pyproject.toml))
PLUGIN_FILES := $(PLUGINS:%=%/pyproject.toml)
DEMO_RUN = runs/digits-demo-$(STARTED)
SCHEMA := examples/mmvae.schema.json
EMPTY :=
SPACE := $(EMPTY) $(EMPTY)

# A user's pip configuration may say `user = true`, which no virtual environment can obey.
export PIP_USER := 0
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help setup test test-core demo lint format schema docs clean

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP)  ## Make .venv with the core, every plugin and all tools, in the tested versions

$(STAMP): pyproject.toml constraints.txt $(PLUGIN_FILES)
	@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit(f"mmvae needs Python 3.11 or newer, but $(PYTHON) is {v.major}.{v.minor}: try make PYTHON=python3.11")'
	@echo "Setting up .venv: the core, every plugin and all tools, in a few minutes"
	$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet -c constraints.txt \
	  -e '.[dev,docs,plot,tensorboard]' $(PLUGINS:%=-e ./%) -e './plugins/mmvae-benchmarks[faces]'
	@touch $@

test: $(STAMP)  ## Run every test of the core and the plugins
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -q

test-core: $(STAMP)  ## Run the core's tests with every first-party plugin disabled
	MMVAE_DISABLE_PLUGINS=adversary,attributes,baselines,benchmarks,fidelity,flows,images,labels,text,vectors,mmvae-faces OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -q tests --ignore=tests/docs --ignore=tests/odd --ignore=tests/golden --ignore=tests/attack/test_data.py

demo: STARTED := $(shell date -u +%Y%m%dT%H%M%SZ)
demo: $(STAMP)  ## Train on handwritten digits, evaluate, and write a report with pictures
	$(BIN)/mmvae train examples/digits.toml --run-dir $(DEMO_RUN)
	$(BIN)/mmvae evaluate $(DEMO_RUN)
	$(BIN)/mmvae report $(DEMO_RUN)
	@echo "The report is in $(CURDIR)/$(DEMO_RUN)/report.html"

lint: $(STAMP)  ## Check style, types and the examples' keys
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	MYPYPATH=$(subst $(SPACE),:,$(PLUGINS)) $(BIN)/mypy --strict mmvae $(PLUGINS)
	@rm -rf build/scaffold && $(BIN)/mmvae --quiet plugins new mmvae-scaffold-test \
	  --codec scaffold-test --out build/scaffold
	cd build/scaffold/mmvae-scaffold-test && ../../../$(BIN)/mypy --strict --cache-dir ../../../.mypy_cache .
	@mkdir -p build && $(BIN)/mmvae --quiet config schema --out build/$(notdir $(SCHEMA))
	@cmp -s build/$(notdir $(SCHEMA)) $(SCHEMA) || \
	  { echo "$(SCHEMA) is out of date: run make schema"; exit 1; }
	$(BIN)/tombi lint --offline --error-on-warnings examples/*.toml

format: $(STAMP)  ## Put the code into the project's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

schema: $(STAMP)  ## Write the JSON Schema that editors use for the examples
	$(BIN)/mmvae config schema --out $(SCHEMA)

docs: $(STAMP)  ## Build the documentation site
	$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html
	@echo "The site is in $(CURDIR)/docs/_build/html/index.html"

clean:  ## Remove what was built (.venv and runs stay)
	rm -rf build dist docs/_build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache \
	  .hypothesis .coverage
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
