# What contributors run; `make setup` first. PYTHON names another interpreter.
PYTHON ?= .venv/bin/python

.PHONY: setup test test-lowest test-newest test-313 sbom test-faults test-loaded test-training mutants docs lint format bench

setup:            # a virtual environment with all that the tests need
	python3 -m venv .venv
	.venv/bin/python -m pip install --disable-pip-version-check -e '.[test]'

test:             # the default tests
	$(PYTHON) -m pytest

test-lowest:      # the default tests with the lowest versions that pyproject.toml allows
	$(PYTHON) -m tests.bounds lowest

test-newest:      # and with the newest
	$(PYTHON) -m tests.bounds newest

test-313:         # and on Python 3.13
	PYTHON=python3.13 $(PYTHON) -m tests.bounds newest

sbom:             # what is installed, as CycloneDX, for a release; it needs pip install '.[sbom]'
	$(PYTHON) -m cyclonedx_py environment --pyproject pyproject.toml --output-file sbom.cdx.json

test-faults:      # the fault suite: cameras and programs that fail on purpose
	$(PYTHON) -m pytest -n 0 -m faults tests/faults

test-loaded:      # both, on one core that a busy program shares
	$(PYTHON) -m tests.slow

test-training:    # the trainer's tests; they need pip install '.[train]'
	$(PYTHON) -m pytest tests/training

mutants:          # 300 small faults in the program, and which of them no unit test notices; hours
	$(PYTHON) -m tests.mutants

docs:             # the documentation as a site; it needs pip install '.[docs]'
	$(PYTHON) -m mkdocs build --site-dir site

lint:
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy --exclude "^(pipeline|tests)/training/" pipeline tests benchmarks run.py

format:
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

bench:            # the quick ones of the commands behind README's numbers
	$(PYTHON) -m benchmarks.startup
	$(PYTHON) -m benchmarks.throughput
	$(PYTHON) -m benchmarks.latency
