# What a developer and CI run. `make` alone lists it.
#
# One build profile (dev) for everything: tests and the demo share their dependencies, clippy and the docs share theirs.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

export PATH := $(CURDIR)/.tools/cargo/bin:$(PATH)

BUF := .tools/node/node_modules/.bin/buf
NEXTEST_PROFILE ?= $(if $(CI),ci,default)
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
	TIDINGS_TEST_REQUIRE=1 cargo test --locked --doc
	TIDINGS_TEST_REQUIRE=1 cargo nextest run --locked --profile $(NEXTEST_PROFILE) $(ARGS)

.PHONY: fmt
fmt: ## Format Rust and proto files
	cargo fmt
	scripts/setup.sh lint
	$(BUF) format --write

.PHONY: lint
lint: ## Check formatting, proto files, documents, dependencies and code; changes nothing
	scripts/setup.sh lint
	$(MAKE) --no-print-directory lint-fmt lint-proto lint-docs lint-deps lint-advisories lint-code

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

.PHONY: lint-code
lint-code:
	cargo clippy --locked --all-targets -- --deny warnings
	RUSTDOCFLAGS="--deny warnings" cargo doc --locked --no-deps --quiet

.PHONY: clean-tools
clean-tools: ## Remove .tools/; `make setup` brings it back
	rm -rf .tools
