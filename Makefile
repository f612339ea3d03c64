# As root or with sudo, missing Debian packages are installed; APT=0 prevents it.
SHELL := /bin/bash
BIN := .venv/bin
READY := .venv/ready

.DEFAULT_GOAL := help
.PHONY: help setup run serve test chaos bench stages capacity growth lint types arch check fix clean

help: ## Say what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Install what PoundCake needs into .venv
	scripts/setup.sh

$(READY): requirements.txt requirements-dev.txt
	scripts/setup.sh

run: $(READY) ## Show a remediated alert with a StackStorm sandbox, then serve (ONCE=1 BIND=127.0.0.1:8001)
	$(BIN)/python manage.py demo

serve: $(READY) ## Run web and worker with the settings of the environment (BIND=127.0.0.1:8001)
	$(BIN)/python manage.py migrate --verbosity 0
	$(BIN)/python manage.py serve

# The whole suite comes last, so that its summary is the last line.
test: check ## Run all checks and tests, on MariaDB and SQLite, with a real Alertmanager
	scripts/test-parts.sh
	$(BIN)/python -m tests.servers.mariadb $(BIN)/pytest -n 2 -m django_db
	env -u DATABASE_URL $(BIN)/pytest -n 2 --cov

chaos: $(READY) ## Send 1,000 alerts while answers are cut and processes killed or stopped (CHAOS="--alerts 100")
	scripts/test-parts.sh
	$(BIN)/python -m tests.chaos $(CHAOS)

bench: $(READY) ## Measure PoundCake beside what this machine needs at least (BENCH="--database sqlite")
	scripts/test-parts.sh
	$(BIN)/python -m tools.bench $(BENCH)

stages: $(READY) ## Measure what each stage of an alert's way takes (STAGES="--database sqlite")
	scripts/test-parts.sh
	$(BIN)/python -m tools.bench.stages $(STAGES)

capacity: $(READY) ## Say what to run for how many alerts (CAPACITY="--alerts-per-minute 5000")
	$(BIN)/python -m tools.bench.capacity $(CAPACITY)

growth: $(READY) ## Compare what a million rows cost with what a thousand cost (GROWTH="--rows 100000")
	scripts/test-parts.sh
	$(BIN)/python -m tools.growth $(GROWTH)

lint: $(READY) ## Check style and format
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(READY) ## Check types
	$(BIN)/mypy --no-incremental

arch: $(READY) ## Check that imports run one way
	$(BIN)/lint-imports

check: lint types arch ## Check all that needs no test: style, types, imports, migrations
	DATABASE_URL=sqlite://:memory: $(BIN)/python manage.py makemigrations --check --dry-run

fix: $(READY) ## Repair style and format
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean: ## Remove all that was made, but no data
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis var/parts
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
