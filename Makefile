# One command for each thing a person wants; each sets up what it needs in .venv and build/.
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ROOT := $(dir $(abspath $(lastword $(MAKEFILE_LIST))))

.PHONY: demo demo-binary test test-slow test-all faults faults-full bench bench-quick leaks scale lint format docs binary smoke lock clean

# The runtime environment is enough for the demo; the development one holds it too.
$(VENV)/.runtime: requirements/runtime.lock pyproject.toml $(wildcard paglets/core/_*.[ch])
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "setting up $(VENV) (runtime)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/runtime.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable . 2>/dev/null \
		|| $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

$(VENV)/.dev: requirements/dev.lock $(VENV)/.runtime
	@echo "setting up $(VENV) (development)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.lock
	@touch $@

demo: $(VENV)/.runtime
	@$(BIN)/python docs/examples/demo.py

demo-binary: binary
	@$(BIN)/python docs/examples/demo.py --paglets build/dist/paglets/paglets

# Three at a time on two cores: tests wait for other processes more than they compute.
test: $(VENV)/.dev
	$(BIN)/python -X dev -m pytest -n 3 -m "not slow"

# Timings: on a machine that does nothing else, and to be compared within one run only.
bench: binary
	$(BIN)/python -m tests.bench

bench-quick: binary
	$(BIN)/python -m tests.bench --quick

# Fault injection at scale, soak, fuzz, real networks and services: some 15 minutes.
test-slow: $(VENV)/.dev
	$(BIN)/python -X dev -m pytest -n 2 -m slow

test-all: test test-slow

# Kills, stops and cuts off real hosts while paglets move, then counts; the ledger is in build/faults.
faults: $(VENV)/.dev
	$(BIN)/python -m tests.faults.laboratory

faults-full: $(VENV)/.dev
	$(BIN)/python -m tests.faults.laboratory --full

# 20 000 paglets created, moved and disposed of between two hosts, which must hold no more for it: some 15 minutes.
leaks: $(VENV)/.dev
	$(BIN)/python -m tests.leaks

# How costs grow with paglets, states and hosts (up to 50 processes of the frozen program); pictures beside build/scale.json.
scale: binary
	$(BIN)/python -m tests.scale

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

format: $(VENV)/.dev
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

docs: $(VENV)/.dev
	$(BIN)/mkdocs build --strict --quiet

binary: $(VENV)/.dev
	$(BIN)/python packaging/build.py

smoke: binary
	$(BIN)/python packaging/smoke.py
	$(BIN)/python -X dev -m pytest -q tests/docs -m slow

# Pins every dependency with its hashes; run after pyproject.toml changed.
lock:
	$(PYTHON) -m venv build/lock-venv
	build/lock-venv/bin/python -m pip install --quiet uv
	build/lock-venv/bin/uv pip compile --quiet --generate-hashes --python-version 3.11 --upgrade \
		--custom-compile-command "make lock" -o requirements/runtime.lock pyproject.toml
	build/lock-venv/bin/uv pip compile --quiet --generate-hashes --python-version 3.11 --extra dev --constraint requirements/runtime.lock \
		--custom-compile-command "make lock" -o requirements/dev.lock pyproject.toml

clean:
	rm -rf build dist .pytest_cache .ruff_cache .hypothesis
