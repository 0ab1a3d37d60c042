# The commands of the project; each sets itself up. On Debian as root the system packages come too.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
SOURCES := src tests benchmarks hatch_build.py
# One process more than cores, up to four: some tests wait for a clock or another process.
PYTEST := $(BIN)/python -m pytest --numprocesses $(shell echo $$(($$(getconf _NPROCESSORS_ONLN) + 1))) --maxprocesses 4 --dist loadfile

# Processes that tests start would otherwise compile the whole package each time.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test coverage fuzz lint docs web wheel clean system

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: .venv/ready  ## train on toy scenes, detect on unseen ones, write demo/
	$(BIN)/wherewhen demo --output demo

test: .venv/extras system lint  ## lint, types, all tests, file by file in up to four processes
	$(PYTEST)

coverage: .venv/extras system  ## all tests with the share of lines that they run; lines that are not run: htmlcov/
	$(PYTEST) --cov --cov-report=term:skip-covered --cov-report=html

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
	$(BIN)/python docs/chart.py
	$(BIN)/python -m mkdocs build --strict --clean

# The built files are in the repository: only who changes web/ needs Node 20 or newer.
web:  ## build the review page of web/ into src/wherewhen/server/review_page
	cd web && npm ci --no-audit --no-fund && npm run build

# The newest releases that the package allows, not those of constraints.txt: what a user gets.
wheel: .venv/ready  ## build dist/, install the wheel into an empty environment and run its commands there
	rm -rf dist .wheel
	$(BIN)/python -m build --no-isolation
	$(PYTHON) -m venv .wheel
	.wheel/bin/python -m pip install --quiet --disable-pip-version-check dist/*.whl
	cd .wheel && bin/python -I -m wherewhen doctor && bin/python -I -m wherewhen list methods >/dev/null
	cd .wheel && WHEREWHEN_CACHE=cache bin/python -I -m wherewhen demo --output demo
	rm -rf .wheel

.venv/ready: pyproject.toml hatch_build.py constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; say where it is: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

# Every extra, which the demo does without and the tests do not.
.venv/extras: .venv/ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,all,docs]'
	@touch $@

# A browser for the tests of the report, a broker for those of MQTT and a server for those of RTSP: installed where that
# may be, else tests are skipped.
SYSTEM := chromium mosquitto gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-good gstreamer1.0-plugins-bad python3-gi
system:
	@if command -v chromium >/dev/null 2>&1 && [ -x /usr/sbin/mosquitto ] && \
		ls /usr/lib/*/girepository-1.0/GstRtspServer-1.0.typelib >/dev/null 2>&1; then :; \
	elif command -v apt-get >/dev/null 2>&1 && [ "$$(id -u)" = 0 ]; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $(SYSTEM) >/dev/null; \
	else echo "tests that need a browser, a broker or an RTSP server are skipped; to run them: sudo apt-get install $(SYSTEM)"; fi

clean:  ## remove all that the targets make
	rm -rf .venv .wheel dist site demo runs fuzz-findings htmlcov web/node_modules .coverage .coverage.* .hypothesis .*_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
