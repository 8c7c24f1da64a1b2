# Commands for developers; `make` lists them. They work in .venv (or .venvs/3.x).

SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest
SETUP_INPUTS := constraints.txt pyproject.toml $(wildcard asynctasq-*/pyproject.toml) scripts/setup scripts/install-packages
TYPED := conftest.py $(sort $(wildcard asynctasq-*/src tests examples benchmarks) $(dir $(wildcard docs/*.py scripts/*.py)))
# Tests wait for processes half of the time. Processes of a run may write their bytecode.
PYTEST_WORKERS ?= 4
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help demo test test-full test-all chaos check lint mypy pyright layers repository language docs docs-pages docs-serve api build bench bench-sqlite bench-memory bench-orm bench-redis bench-postgres bench-mysql bench-rabbitmq bench-sqs chaos-redis chaos-postgres chaos-mysql chaos-rabbitmq format lock clean

help:  ## List the commands
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

# --- environments ------------------------------------------------------------------------------

.venv/.ready: $(SETUP_INPUTS)
	@echo "==> setting up .venv"
	@scripts/setup .venv
	@touch $@

.venv/.ready-dev: $(SETUP_INPUTS) .venv/.ready
	@echo "==> installing the development tools"
	@scripts/setup --dev .venv
	@touch $@

# --- use ---------------------------------------------------------------------------------------

demo: .venv/.ready  ## See tasks dispatched, run by a worker process, retried and failed
	@$(BIN)/asynctasq demo

bench: .venv/.ready-dev  ## Measure everything, in a short run
	@$(BIN)/python benchmarks/run.py --quick

bench-sqlite: .venv/.ready-dev  ## Measure the embedded SQLite driver in full
	@$(BIN)/python benchmarks/run.py sqlite

bench-memory: .venv/.ready-dev  ## Measure the memory driver in full
	@$(BIN)/python benchmarks/run.py memory

bench-redis: .venv/.ready-dev  ## Measure Redis beside SAQ, taskiq and streaQ, in full
	@$(BIN)/python benchmarks/redis_bench.py

bench-postgres: .venv/.ready-dev  ## Measure PostgreSQL beside PgQueuer, gylo, procrastinate and SAQ, in full
	@$(BIN)/python benchmarks/postgres_bench.py

bench-mysql: .venv/.ready-dev  ## Measure MariaDB beside PostgreSQL and a bare loop, in full
	@$(BIN)/python benchmarks/mysql_bench.py

bench-rabbitmq: .venv/.ready-dev  ## Measure RabbitMQ beside Celery and taskiq
	@$(BIN)/python benchmarks/rabbitmq_bench.py

bench-sqs: .venv/.ready-dev  ## Count the calls to SQS, and measure drain and memory on a stand-in
	@$(BIN)/python benchmarks/sqs_bench.py

bench-orm: .venv/.ready-dev  ## Measure what models as arguments cost
	@$(BIN)/python benchmarks/orm.py

# --- tests and checks --------------------------------------------------------------------------

test: .venv/.ready-dev  ## Run all tests
	@$(PYTEST) -q -n $(PYTEST_WORKERS) --dist worksteal

test-full: .venv/.ready-dev  ## Run all tests, and those of the worker on every store
	@$(PYTEST) -q -n $(PYTEST_WORKERS) --dist worksteal --full

test-all: .venv/.ready-dev  ## Run all tests on every supported Python that is present
	@scripts/test-all -q -n $(PYTEST_WORKERS) --dist worksteal

# Options of the storms, such as CHAOS="--tasks 2000 --seconds 30 --seed 7".
CHAOS ?=

chaos: .venv/.ready-dev  ## Run 50,000 tasks on SQLite while everything fails, for about five minutes
	@$(BIN)/python -m tests.chaos sqlite $(CHAOS)

chaos-redis: .venv/.ready-dev  ## Run 50,000 tasks on Redis while everything fails, then let replicas take over
	@$(BIN)/python -m tests.chaos redis $(CHAOS)
	@$(BIN)/python -m tests.chaos redis-sentinels --tasks 2000 --seconds 20
	@$(BIN)/python -m tests.chaos redis-cluster --tasks 2000 --seconds 20

chaos-postgres: .venv/.ready-dev  ## Run 50,000 tasks on PostgreSQL while everything fails, for about five minutes
	@$(BIN)/python -m tests.chaos postgres $(CHAOS)

chaos-mysql: .venv/.ready-dev  ## Run 50,000 tasks on MariaDB while everything fails, for about five minutes
	@$(BIN)/python -m tests.chaos mysql $(CHAOS)

chaos-rabbitmq: .venv/.ready-dev  ## Run 50,000 tasks on RabbitMQ while everything fails, with a state store and without
	@$(BIN)/python -m tests.chaos rabbitmq $(CHAOS)
	@$(BIN)/python -m tests.chaos rabbitmq-alone --tasks 10000 --seconds 100

check: lint mypy pyright layers repository language docs  ## Run the linters, type checkers, language check and tests of the repository; build the site
	@echo "==> all checks passed"

lint: .venv/.ready-dev  ## Run ruff
	@echo "==> ruff"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

mypy: .venv/.ready-dev  ## Check the types with mypy
	@echo "==> mypy"
	@$(BIN)/mypy $(TYPED)
	@for tests in asynctasq-*/tests; do $(BIN)/mypy $$tests; done  # each folder has a module `conftest`

pyright: .venv/.ready-dev  ## Check the types with pyright
	@echo "==> pyright"
	@$(BIN)/pyright --pythonpath $(BIN)/python

layers: .venv/.ready-dev  ## Check which modules import which
	@echo "==> import-linter"
	@$(BIN)/lint-imports --no-logo --no-cache

repository: .venv/.ready-dev  ## Run the tests of the repository itself
	@echo "==> tests of the repository"
	@$(PYTEST) -q tests/test_repository.py

# SHOW=--show prints each place that counts against a figure.
SHOW ?=

language: .venv/.ready-dev  ## Measure the language of documents, docstrings and commits
	@echo "==> language"
	@$(BIN)/python -m scripts.check_language $(SHOW)

format: .venv/.ready-dev  ## Format the code and mend what can be mended
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

api: .venv/.ready-dev  ## Record the public interface in tests/public_api.txt
	@$(BIN)/python scripts/public_api.py > tests/public_api.txt.new
	@mv tests/public_api.txt.new tests/public_api.txt

# --- documentation -----------------------------------------------------------------------------

docs: .venv/.ready-dev  ## Build the documentation site into site/
	@echo "==> mkdocs"
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet --clean

docs-serve: .venv/.ready-dev  ## Show the documentation site at http://127.0.0.1:8000 while it is written
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve

docs-pages: .venv/.ready-dev  ## Write the pages of docs/ that are made from the code
	@$(BIN)/python -m scripts.document

# --- distributions -----------------------------------------------------------------------------

build: .venv/.ready-dev  ## Build sdist and wheel of each distribution into dist/
	@rm -rf dist
	@for project in asynctasq-*/pyproject.toml; do \
	    $(BIN)/python -m build --no-isolation --outdir dist "$$(dirname "$$project")" >/dev/null; \
	done
	@ls -1 dist

lock: .venv/.ready-dev  ## Write the versions installed in .venv into constraints.txt
	@{ grep '^#' constraints.txt; $(BIN)/python -m pip freeze --all --exclude-editable; } > constraints.txt.new
	@mv constraints.txt.new constraints.txt

clean:  ## Remove what the other commands made
	@rm -rf .venv .venv.lock .venvs dist site .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -prune -exec rm -rf {} +
