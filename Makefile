# The front door. `make help` lists what there is.

DIR ?= /var/lib/pony
SECONDS ?= 60
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
CARGO ?= cargo
TARGET := $(or $(CARGO_TARGET_DIR),target)

help: ## List the commands
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

setup: ## Install the Debian packages that are missing
	@.ci/setup

build: setup ## Build everything
	$(CARGO) build --workspace

run: setup ## Start a whole cloud on this machine (DEMO=1: with a demo instance; DIR=…: its state)
	$(CARGO) build --package pony
ifdef DEMO
	.ci/guest
	$(SUDO) $(TARGET)/debug/pony dev --dir $(DIR) --demo $(TARGET)/guest/guest.raw $(ARGS)
else
	$(SUDO) $(TARGET)/debug/pony dev --dir $(DIR) $(ARGS)
endif

test: setup ## Run every tier of tests that this machine allows
	@.ci/test

test-long: setup ## Run the random tests with many more seeds: some hours
	@.ci/test-long

test-matrix: setup ## Prove in every cell that a later order wins, and write docs/later-order-*.md
	PONY_MATRIX=1 $(CARGO) test --workspace --test cloud matrix -- --nocapture
	PONY_MATRIX=1 $(CARGO) test --workspace --test e2e matrix -- --nocapture

fuzz: setup ## Fuzz messages and transactions, a minute each (SECONDS=…); needs a nightly toolchain, cargo-fuzz
	@.ci/fuzz $(SECONDS)

check: setup ## Lint: format, clippy, documentation
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps

fmt: ## Format the sources
	$(CARGO) fmt --all

test-python: setup ## Check the types of the Python package, and run its tests
	@.ci/python

wheel: setup ## Build the Python package: target/wheels/
	@.ci/wheel

bench: setup ## Measure; figures go to target/bench/
	$(CARGO) bench --package pony-benches

bench-postgres: setup ## Measure the PostgreSQL store alone
	$(CARGO) bench --package pony-benches --no-default-features --features database --bench postgres

bench-state: setup ## Measure the state engine against its peers
	$(CARGO) bench --package pony-benches --no-default-features --features state --bench state

bench-api: setup ## Measure the REST API alone
	$(CARGO) bench --package pony-benches --no-default-features --features api --bench api

bench-host: setup ## Measure what a host takes for its work
	$(CARGO) bench --package pony-benches --no-default-features --features daemons --bench host

bench-session: setup ## Measure the state exchange alone
	$(CARGO) bench --package pony-benches --no-default-features --bench session

bench-python: setup ## Measure the Python package against dictionaries and sqlite3
	@.ci/bench-python

doc: ## Build the documentation: target/doc/
	$(CARGO) doc --workspace --no-deps

clean-state: ## Remove the state that `make run` left in DIR
	$(SUDO) rm -rf $(DIR)

.PHONY: help setup build run test test-python test-long wheel test-matrix fuzz check fmt bench bench-api bench-host bench-state bench-postgres bench-python bench-session doc clean-state
.DEFAULT_GOAL := help
