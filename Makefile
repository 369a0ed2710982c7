# The front door. `make` alone lists what there is; every target sets up what it needs by itself.

PYTHON ?= python3
ARGS ?=

BIN := .venv/bin
UV := $(BIN)/uv
READY := .venv/ready
PEERS := bench/peers
GRAPHILE := $(PEERS)/node_modules/.package-lock.json
EXAMPLE := $(wildcard examples/vps4/pyproject.toml)
COMPILE = $(UV) pip compile --quiet --universal --generate-hashes --no-header --python-version 3.11 $(ARGS)

# Trust the certificates that the machine trusts, as pip does.
export UV_SYSTEM_CERTS ?= 1

.PHONY: help setup run test check bench bench-quick bench-peers prove fuzz lock format clean

help: ## list these targets
	@sed -n 's/^\([a-z-]*\): .*## /\1|/p' Makefile | while IFS='|' read -r name text; do \
		printf '  make %-11s %s\n' "$$name" "$$text"; done

setup: $(READY) ## make .venv with everything in it (the other targets do it for you)

run: $(READY) ## start Mainspring with the example plugin, e.g. make run ARGS="--port 9089"
	@$(BIN)/python -m mainspring_vps4.demo $(ARGS)

test: $(READY) ## run the tests, e.g. make test ARGS="-k finish"
	@$(BIN)/python -m pytest -n 2 -q $(ARGS)

check: $(READY) ## format, lint, types, floors and tests: the whole truth, CI runs nothing else
	@$(BIN)/ruff format --quiet --check --diff .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python -m pytest -n 2 -q

format: $(READY) ## format the code and mend what ruff can mend
	@$(BIN)/ruff check --quiet --fix-only .
	@$(BIN)/ruff format --quiet .

bench: $(READY) $(GRAPHILE) ## measure all against limits of the same run (forty minutes), e.g. make bench ARGS="t4 t6"
	@$(BIN)/python -m bench $(ARGS)

prove: $(READY) ## hurt whole clusters for half an hour and write docs/proof.md, e.g. make prove ARGS="storm --seed 7"
	@$(BIN)/python -m prove $(ARGS)

fuzz: $(READY) ## send hostile requests and judge the answers, e.g. make fuzz ARGS="--requests 1000000 --examples 20000 --seed 7"
	@$(BIN)/python -m fuzz $(ARGS)

bench-quick: $(READY) ## the same in small, under three minutes
	@$(BIN)/python -m bench --quick $(ARGS)

bench-peers: $(READY) $(PEERS)/.venv/ready $(GRAPHILE) ## measure other schedulers beside Mainspring, on the same database
	@$(BIN)/python -m bench peers $(ARGS)

lock: $(UV) ## pin requirements/*.txt anew, e.g. make lock ARGS=--upgrade
	@$(COMPILE) -o requirements/uv.txt requirements/uv.in
	@$(COMPILE) -o requirements/run.txt pyproject.toml
	@$(COMPILE) -o requirements/dev.txt pyproject.toml requirements/dev.in
	@$(COMPILE) -o $(PEERS)/requirements.txt $(PEERS)/requirements.in

clean: ## remove .venv, caches and built packages
	@rm -rf $(PEERS)/.venv $(PEERS)/node_modules .venv .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache build dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(PEERS)/.venv/ready: $(UV) $(PEERS)/requirements.txt
	@$(PYTHON) -m venv $(PEERS)/.venv
	@$(UV) pip sync --quiet --python $(PEERS)/.venv/bin/python --require-hashes $(PEERS)/requirements.txt
	@touch $@

# npm writes this file itself. Without npm, or without its registry, the benchmarks say what they did not measure.
$(GRAPHILE): $(PEERS)/package-lock.json
	@if command -v npm >/dev/null; then \
		npm ci --prefix $(PEERS) --ignore-scripts --no-audit --no-fund --loglevel=error \
			|| echo "Graphile Worker could not be installed, so it is not measured" >&2; fi

$(UV): requirements/uv.txt
	@command -v $(PYTHON) >/dev/null || { echo "Mainspring needs Python 3.11 or newer; '$(PYTHON)' was not found: try make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Mainspring needs Python 3.11 or newer; this is " + sys.version.split()[0] + ": try make PYTHON=/path/to/python3")'
	@echo "Setting up .venv (the first time takes about a minute)"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@touch $(UV)

# --python, because uv would otherwise prefer a virtual environment that happens to be active.
$(READY): $(UV) requirements/dev.txt pyproject.toml $(EXAMPLE)
	@$(UV) pip sync --quiet --python $(BIN)/python --require-hashes requirements/uv.txt requirements/dev.txt
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e . $(EXAMPLE:%/pyproject.toml=-e %)
	@touch $(READY)
