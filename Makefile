# The two commands that matter are `make demo` and `make test`; `make help` lists all.
# Each step of the set-up leaves a stamp in .venv, so that setting up twice does nothing the second time.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# the first interpreter that fits; `make PYTHON=/path/to/python3.12 …` takes another
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$p && break; done)

BIN := .venv/bin
UV := $(BIN)/uv
NEEDED_DISK_MB := 4000
NEEDED_MEMORY_MB := 3500
JAR_KINDS := spark kafka
DBT_SOURCES := $(shell find dbt -type f)
LONG_NAMES := up_down cluster copied_home sites kinds_on_the_line spark_streams verify
LONG_TESTS := $(wildcard $(patsubst %,tests/integration/test_%.py,$(LONG_NAMES)))
OTHER_TIMED_TESTS := $(filter-out %/__pycache__ $(LONG_TESTS),$(wildcard tests/integration/*))
TIMED_TESTS := $(wildcard tests/end_to_end tests/faults) $(LONG_TESTS) $(OTHER_TIMED_TESTS)

.PHONY: help setup demo test check fix unit integration bench docs mutants soak requirements clean

help: ## list what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-14s %s\n", $$1, $$2}'

setup: .venv/.project .venv/.jars .venv/.manifest .venv/.rehearsal ## install everything into .venv (once)

demo: setup ## set up, then run the main job on a simulated fleet
	@$(BIN)/lakehouse demo

test: setup ## set up, then format check, lint, types and every test
	@$(BIN)/python -m runtime.java.jars spark kafka s3 s3proxy
	@$(MAKE) check
	@$(MAKE) unit
	@$(MAKE) integration

check: .venv/.project ## format, lint, types and dependencies; changes nothing
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/deptry --no-ansi . > .venv/deptry.log 2>&1 || { cat .venv/deptry.log >&2; exit 1; }

fix: .venv/.project ## format, and mend what the linter can mend
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

unit: setup ## the fast tests: no Kafka, Spark or dbt
	@$(BIN)/pytest -n 2 --dist worksteal tests/unit

# a worker takes whole files, so that what a file starts is started once, in the order of TIMED_TESTS, the long ones
# first: one that began last would leave the other worker with nothing to do; 2 workers since Spark itself uses every
# core. What was awaited and did not come is awaited once more, from a fresh start, and listed: a busy machine is no
# fault. Whatever is wrong fails at once.
NOT_IN_TIME := NotInTimeError|TimeoutExpired|TimeoutError
integration: setup .venv/.signalr ## the tests with a real Kafka, Spark, dbt, Dagster and S3 server
	@$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder --reruns 1 --only-rerun '$(NOT_IN_TIME)' -rR $(TIMED_TESTS)

bench: setup ## side-by-side measurements, results in bench/results; QUICK=1 does all of it small
	@$(UV) pip install -q --python $(BIN)/python --require-hashes -r requirements/bench.txt
	@test -x .venv/quix/bin/python || $(UV) venv -q --python $(BIN)/python .venv/quix
	@$(UV) pip install -q --python .venv/quix/bin/python --require-hashes -r requirements/quix.txt
	@$(BIN)/python -m bench $(if $(QUICK),--quick) $(NAMES)

docs: .venv/.packages ## the pages of docs/ as a site in site/, every link checked
	@$(UV) pip install -q --python $(BIN)/python --require-hashes -r requirements/docs.txt
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "The site is in site/; $(BIN)/mkdocs serve shows it while you write."

ONLY ?=
mutants: setup ## small changes to the rules, and whether a test notices; ONLY="transforms.clock*" takes a part
	@$(UV) pip install -q --python $(BIN)/python --require-hashes -r requirements/mutants.txt
	@MUTANTS_ONLY="$(ONLY)" $(BIN)/mutmut run $(if $(ONLY),"$(ONLY)")
	@$(BIN)/mutmut results

MINUTES ?= 30
soak: setup ## random faults under load for MINUTES (30), from SEED, then the invariants
	@$(BIN)/python -m tests.support.soak $(MINUTES) $(SEED)

requirements: .venv/.packages ## pin the newest versions that requirements/*.in allow
	@for name in uv base dev signalr bench quix docs mutants; do \
		echo "Resolving requirements/$$name.in ..."; \
		(cd requirements && ../$(UV) pip compile -q --upgrade --universal --python-version 3.11 --no-strip-extras \
			--generate-hashes --no-header $$name.in -o $$name.txt); \
	done

clean: ## remove the installation and every cache, not the lakehouses
	rm -rf .venv site mutants .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info

.venv/.made:
	@[ -n "$(PYTHON)" ] || { echo "Python 3.11, 3.12 or 3.13 is needed and none was found: install one, or run make PYTHON=/path/to/python3." >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null || { \
		echo "$(PYTHON) is not Python 3.11, 3.12 or 3.13: run make PYTHON=/path/to/one." >&2; exit 1; }
	@free=$$(df -Pm . | awk 'NR == 2 {print $$4}'); [ "$$free" -ge $(NEEDED_DISK_MB) ] || { \
		echo "$(NEEDED_DISK_MB) MB of disk space are needed here and $$free MB are free: free some space and run make again." >&2; exit 1; }
	@memory=$$(awk '/^MemTotal/ {print int($$2 / 1024)}' /proc/meminfo 2>/dev/null || echo $(NEEDED_MEMORY_MB)); \
		[ "$$memory" -ge $(NEEDED_MEMORY_MB) ] || { \
		echo "$(NEEDED_MEMORY_MB) MB of memory are needed and this machine has $$memory MB." >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) comes without the venv module: install it (on Debian and Ubuntu the package python3-venv)." >&2; exit 1; }
	@echo "Making .venv with $$("$(PYTHON)" --version) ..."
	@"$(PYTHON)" -m venv .venv
	@touch $@

.venv/.uv: .venv/.made requirements/uv.txt
	@echo "Installing the package installer ..."
	@$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements/uv.txt > .venv/pip.log 2>&1 || { \
		echo "The package registry cannot be reached, or refused: check the network and run make again (details: .venv/pip.log)." >&2; exit 1; }
	@touch $@

.venv/.packages: .venv/.uv requirements/base.txt requirements/dev.txt
	@echo "Installing $$(grep -c '==' requirements/dev.txt) packages, some 1.5 GB on disk; this takes a few minutes the first time ..."
	@$(UV) pip install --python $(BIN)/python --compile-bytecode --require-hashes -r requirements/dev.txt || { \
		echo "The packages could not be installed (the reason stands above): check the network and the disk, then run make again." >&2; exit 1; }
	@touch $@

.venv/.project: .venv/.packages pyproject.toml
	@$(UV) pip install -q --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

.venv/.jars: .venv/.packages runtime/java/jars.py runtime/java/jvm.py
	@$(BIN)/python -m runtime.java.jars $(JAR_KINDS)
	@touch $@

# it pins an older msgpack than ours, so it has an environment of its own
.venv/.signalr: .venv/.packages requirements/signalr.txt
	@$(UV) venv -q --clear --python $(BIN)/python .venv/signalr
	@$(UV) pip install -q --python .venv/signalr/bin/python --require-hashes -r requirements/signalr.txt
	@touch $@

# Dagster reads the lineage of the dbt models from it
.venv/.manifest: .venv/.project pipeline/gold/dbt_manifest.py pipeline/gold/plan.py dagster_project/column_lineage.py $(DBT_SOURCES)
	@$(BIN)/python -m pipeline.gold.dbt_manifest
	@$(BIN)/python -m dagster_project.column_origins
	@touch $@

# Java programs start in half the time once their classes are archived
.venv/.rehearsal: .venv/.project .venv/.jars runtime/java/class_archives.py lakehouse/cli/rehearsal.py
	@$(BIN)/python -m lakehouse.cli.rehearsal
	@touch $@
