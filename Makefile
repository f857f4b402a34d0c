# Two commands do everything on a fresh machine: `make run` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: run test check bench selftest bless example why-linear clean

$(VENV)/.run: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("loopdiag needs Python 3.11 or later; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.12") if sys.version_info < (3, 11) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --editable .
	touch $@

$(VENV)/.dev: pyproject.toml $(VENV)/.run
	$(PIP) install --editable '.[dev]'
	touch $@

run: $(VENV)/.run ## the pokeapi scenario on the embedded target
	$(BIN)/loopdiag run scenarios/pokeapi.toml

test: $(VENV)/.dev ## everything that must hold
	$(BIN)/python -m pytest

check: $(VENV)/.dev ## lint, format, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_architecture.py

bench: $(VENV)/.dev ## speed, as interleaved ratios with intervals
	$(BIN)/python benchmarks/run.py

selftest: $(VENV)/.dev ## how often planted causes are named; up to 97 minutes
	$(BIN)/loopdiag selftest

bless: $(VENV)/.dev ## renew what is generated: schemas, golden files
	$(BIN)/python -m pytest --bless

BUDGET ?= 8m
HALF ?= 4m
example: $(VENV)/.dev ## the committed example: one run of the post's four programs
	rm -rf build/blog
	$(BIN)/loopdiag run scenarios/blog.toml --budget $(BUDGET) --out build/blog
	$(BIN)/python docs/example.py build/blog reports/example

STORY = blog stack-2021 go ladder
ASIDE = go-h2 ladder-unlimited ladder-plain ladder-plain-unlimited
why-linear: $(VENV)/.dev ## every number of docs/why-linear.md, measured again: 50 minutes of a quiet machine
	mkdir -p docs/figures
	$(BIN)/python benchmarks/ca_bundle.py --json > docs/figures/ca-bundle.json
	$(BIN)/python benchmarks/poller.py --json docs/figures/poller.json --figure docs/figures/poller.png
	rm -rf $(STORY:%=build/%) $(ASIDE:%=build/%)
	for name in $(STORY); do $(BIN)/loopdiag run scenarios/$$name.toml --budget $(BUDGET) --out build/$$name || exit 1; done
	for name in $(ASIDE); do $(BIN)/loopdiag run scenarios/$$name.toml --budget $(HALF) --out build/$$name || exit 1; done
	$(BIN)/python docs/fill.py $(STORY:%=build/%) $(ASIDE:%=build/%)
	$(BIN)/python docs/example.py build/blog reports/example

clean:
	rm -rf $(VENV) build dist *.egg-info
