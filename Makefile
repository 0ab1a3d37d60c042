# The commands of the project; each sets itself up. On Debian as root the system packages come too.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
SOURCES := src tests benchmarks

.PHONY: demo test fuzz lint docs bench clean system

demo: .venv/ready  ## train on toy scenes, detect on unseen ones, write demo/
	$(BIN)/wherewhen demo --output demo

test: .venv/extras system lint  ## lint, types, all tests, file by file on up to four cores
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

SECONDS ?= 7200
SEED ?= 0

fuzz: .venv/extras  ## mutated inputs of every kind for SECONDS, others for each SEED; what fails goes to fuzz-findings/
	$(BIN)/python tests/fuzz/run.py --seconds $(SECONDS) --seed $(SEED)

lint: .venv/extras  ## style and strict types
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy

docs: .venv/extras  ## the generated pages of docs/, and the site in site/
	$(BIN)/python docs/make.py
	$(BIN)/python -m mkdocs build --strict --clean

.venv/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; say where it is: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

# Every extra, which the demo does without and the tests do not.
.venv/extras: .venv/ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,all,docs]'
	@touch $@

# A browser, for the tests of the report: installed where that may be, else named and its tests skipped.
system:
	@if command -v chromium >/dev/null 2>&1; then :; \
	elif command -v apt-get >/dev/null 2>&1 && [ "$$(id -u)" = 0 ]; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null; \
	else echo "no chromium: browser tests are skipped; to run them: sudo apt-get install chromium"; fi

clean:
	rm -rf .venv demo runs site
