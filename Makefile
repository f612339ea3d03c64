# As root or with sudo, make installs missing Debian packages; APT=0 prevents it.
SHELL := /bin/bash
BIN := .venv/bin
READY := .venv/ready
DEV := .venv/ready-dev

# Resolves for all supported Python versions and platforms. LOCK_OPTIONS=--upgrade updates packages
# that requirements.in does not name.
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--custom-compile-command "make lock" $(LOCK_OPTIONS)

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev run serve test quick chaos bench stages growth lint types arch check \
	lock audit fix clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Install the dependencies into .venv
	scripts/setup.sh

setup-dev: ## Install the dependencies of tests and checks too
	scripts/setup.sh dev

$(READY): requirements.txt
	scripts/setup.sh

$(DEV): requirements-dev.txt
	scripts/setup.sh dev

run: $(READY) ## Run a demo with a StackStorm sandbox, then serve (ONCE=1 BIND=127.0.0.1:8001)
	POUNDCAKE_ENV_FILE= $(BIN)/python manage.py demo

serve: $(READY) ## Serve web and workers with the settings from the environment (BIND=127.0.0.1:8001)
	$(BIN)/python manage.py migrate --verbosity 0
	$(BIN)/python manage.py serve

test: check ## Run all checks and tests on MariaDB and SQLite, with a real Alertmanager
	@echo "== test 1 of 3: fetch the servers that are missing"
	scripts/test-parts.sh
	@echo "== test 2 of 3: database tests on MariaDB (about 5 minutes)"
	$(BIN)/python -m tests.servers.mariadb $(BIN)/pytest -n 2 -m django_db
	@echo "== test 3 of 3: all tests on SQLite, with branch coverage (about 12 minutes)"
	env -u DATABASE_URL $(BIN)/pytest -n 2 --cov -rs

quick: $(DEV) ## Run the fast tests, in under a minute
	env -u DATABASE_URL $(BIN)/pytest -n 2 -q -m "not slow" tests/remediation tests/audit tests/poundcake tests/test_*.py

chaos: $(DEV) ## Run 1,000 alerts while processes die and StackStorm fails (CHAOS="--alerts 100")
	scripts/test-parts.sh
	$(BIN)/python -m tests.chaos $(CHAOS)

bench: $(DEV) ## Measure latency, throughput and CPU use (BENCH="--database sqlite")
	scripts/test-parts.sh
	$(BIN)/python -m tools.bench $(BENCH)

stages: $(DEV) ## Measure the CPU time of each processing stage (STAGES="--database sqlite")
	scripts/test-parts.sh
	$(BIN)/python -m tools.bench.stages $(STAGES)

growth: $(DEV) ## Compare speed with 1,000 and 1,000,000 rows (GROWTH="--rows 100000")
	scripts/test-parts.sh
	$(BIN)/python -m tools.growth $(GROWTH)

lint: $(DEV) ## Check style and format
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(DEV) ## Check types
	$(BIN)/mypy --no-incremental

arch: $(DEV) ## Check the import layers
	$(BIN)/lint-imports

check: lint types arch ## Check style, types, imports and migrations
	DATABASE_URL=sqlite://:memory: $(BIN)/python manage.py makemigrations --check --dry-run

lock: $(DEV) ## Lock the versions and hashes of requirements.in and requirements-dev.in
	$(LOCK) --output-file requirements.txt requirements.in
	$(LOCK) --output-file requirements-dev.txt --constraints requirements.txt requirements-dev.in

audit: $(DEV) ## Search the locked packages for known vulnerabilities
	$(BIN)/python -m tools.audit

fix: $(DEV) ## Fix style and format
	$(BIN)/ruff check --fix; status=$$?; $(BIN)/ruff format && exit $$status

clean: ## Remove everything that make creates, except data
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis var/parts
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
