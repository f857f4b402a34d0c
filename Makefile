# Two commands do everything on a fresh machine: `make run` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: run test check bench selftest bless clean

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

selftest: $(VENV)/.dev ## how often planted causes are named; up to 90 minutes
	$(BIN)/loopdiag selftest

bless: $(VENV)/.dev ## renew what is generated: schemas, golden files
	$(BIN)/python -m pytest --bless

clean:
	rm -rf $(VENV) build dist *.egg-info
