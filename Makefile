# As root or with sudo, make installs missing Debian packages; APT=0 prevents it.
SHELL := /bin/bash
BIN := .venv/bin
READY := .venv/ready

.DEFAULT_GOAL := help
.PHONY: help setup run serve test quick chaos bench stages growth lint types arch check fix clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Install the dependencies into .venv
	scripts/setup.sh

$(READY): requirements.txt requirements-dev.txt
	scripts/setup.sh

run: $(READY) ## Run a demo with a StackStorm sandbox, then serve (ONCE=1 BIND=127.0.0.1:8001)
	$(BIN)/python manage.py demo

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

quick: $(READY) ## Run the fast tests, in under a minute
	env -u DATABASE_URL $(BIN)/pytest -n 2 -q -m "not slow" tests/remediation tests/audit tests/poundcake tests/test_*.py

chaos: $(READY) ## Run 1,000 alerts while processes die and StackStorm fails (CHAOS="--alerts 100")
	scripts/test-parts.sh
	$(BIN)/python -m tests.chaos $(CHAOS)

bench: $(READY) ## Measure latency, throughput and CPU use (BENCH="--database sqlite")
	scripts/test-parts.sh
	$(BIN)/python -m tools.bench $(BENCH)

stages: $(READY) ## Measure the CPU time of each processing stage (STAGES="--database sqlite")
	scripts/test-parts.sh
	$(BIN)/python -m tools.bench.stages $(STAGES)

growth: $(READY) ## Compare speed with 1,000 and 1,000,000 rows (GROWTH="--rows 100000")
	scripts/test-parts.sh
	$(BIN)/python -m tools.growth $(GROWTH)

lint: $(READY) ## Check style and format
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(READY) ## Check types
	$(BIN)/mypy --no-incremental

arch: $(READY) ## Check the import layers
	$(BIN)/lint-imports

check: lint types arch ## Check style, types, imports and migrations
	DATABASE_URL=sqlite://:memory: $(BIN)/python manage.py makemigrations --check --dry-run

fix: $(READY) ## Fix style and format
	$(BIN)/ruff check --fix; status=$$?; $(BIN)/ruff format && exit $$status

clean: ## Remove everything that make creates, except data
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis var/parts
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
