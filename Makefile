# What a developer and CI run. `make` alone lists it.
#
# One build profile (dev) for everything: tests and the demo share their dependencies, clippy and the docs share theirs.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

export PATH := $(CURDIR)/.tools/cargo/bin:$(PATH)

BUF := .tools/node/node_modules/.bin/buf
NEXTEST_PROFILE ?= $(if $(CI),ci,default)
# One build for all checks: with the points at which tests let the program die.
FEATURES := --features failpoints
# What `make faults` runs, how often, and where it builds the program.
ROWS ?= F1,F2,F6,F7,F11,F12,F13,F16,F17,F18,F21,F22,F23
COUNT ?= 25
FAULTS_TARGET ?= $(CURDIR)/target/faults
# Given to the program by `make demo`, to nextest by `make test`.
ARGS ?=

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## Build and show it: sample customers and a story, nothing to install or configure
	cargo run --locked -- demo $(ARGS)

.PHONY: picture
picture: ## Take the README's picture of the console anew, from a demo of its own
	scripts/picture.sh docs/console.png

.PHONY: setup
setup: ## Install what the checks need, pinned, into .tools/
	scripts/setup.sh all

.PHONY: test
test: ## Run every test; a server that a test needs and cannot start is a failure
	scripts/setup.sh test
	TIDINGS_TEST_REQUIRE=1 cargo test --locked $(FEATURES) --doc
	TIDINGS_TEST_REQUIRE=1 cargo nextest run --locked $(FEATURES) --profile $(NEXTEST_PROFILE) $(ARGS)

.PHONY: faults
faults: ## Let the release build die and suffer again and again, judge, add to docs/fault-matrix.json: ROWS=F1,F2 COUNT=25
	cargo build --release --locked $(FEATURES) --bin tidings --target-dir $(FAULTS_TARGET)
	TIDINGS_TEST_BINARY=$(FAULTS_TARGET)/release/tidings TIDINGS_TEST_ROWS=$(ROWS) TIDINGS_TEST_COUNT=$(COUNT) \
		cargo test --locked $(FEATURES) --no-fail-fast --test faults --test delivery --test bad_input --test cluster -- --ignored --nocapture the_rows_asked_for

.PHONY: explain
explain: ## Fill PostgreSQL with a million notifications and look at the plan of every statement
	TIDINGS_TEST_REQUIRE=1 cargo test --locked $(FEATURES) --lib -- --ignored --nocapture served_by_an_index_among_millions

.PHONY: fmt
fmt: ## Format Rust and proto files
	cargo fmt
	scripts/setup.sh lint
	$(BUF) format --write

.PHONY: lint
lint: ## Check formatting, proto files, documents, dependencies, chart and code; changes nothing
	scripts/setup.sh lint
	$(MAKE) --no-print-directory lint-fmt lint-proto lint-docs lint-deps lint-advisories lint-chart lint-code

.PHONY: lint-fmt
lint-fmt:
	cargo fmt --check

.PHONY: lint-proto
lint-proto:
	$(BUF) lint
	$(BUF) format --diff --exit-code

.PHONY: lint-docs
lint-docs:
	python3 scripts/check_docs.py

.PHONY: lint-deps
lint-deps:
	cargo deny check bans licenses sources

.PHONY: lint-advisories
lint-advisories:
	scripts/check_advisories.sh

.PHONY: lint-chart
lint-chart: ## Check chart, image, alerts and dashboards with real helm 4 and 3; builds the program if it is not there
	scripts/setup.sh chart
	scripts/chart.sh

.PHONY: lint-code
lint-code:
	cargo clippy --locked $(FEATURES) --all-targets -- --deny warnings
	RUSTDOCFLAGS="--deny warnings" cargo doc --locked $(FEATURES) --no-deps --quiet

.PHONY: clean-tools
clean-tools: ## Remove .tools/; `make setup` brings it back
	rm -rf .tools
