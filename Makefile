# Set-up and the daily commands. Each set-up step leaves a stamp file and runs again only when its inputs change.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-builtin-rules --no-print-directory
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

export PATH := $(CURDIR)/.venv/bin:$(PATH):$(HOME)/.cargo/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

BIN := .venv/bin
STAMPS := .venv/.stamps
RUST_SOURCES := Cargo.toml $(shell find circuits/native aggregator/native -name target -prune -o \
	\( -name '*.rs' -o -name Cargo.toml -o -name build.rs \) -print 2>/dev/null)
CONTRACTS := chains/contracts
NODE_TESTS := $(patsubst %/package.json,%,$(wildcard tests/node*/package.json))

say = @echo "counterfoil: $(1)"
# $(1) the command, $(2) what to do when it is missing
need = @command -v $(1) >/dev/null 2>&1 || { echo "counterfoil: $(1) is not installed; $(2)" >&2; exit 1; }

.PHONY: help setup demo test lint bench clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 14

setup: $(STAMPS)/package $(CONTRACTS)/node_modules/.stamp $(NODE_TESTS:=/node_modules/.stamp) ## install all that the other targets need
	@:

demo: $(STAMPS)/package $(CONTRACTS)/node_modules/.stamp ## the main job on three local chains
	@$(BIN)/counterfoil demo

test: setup ## all tests, of the Rust core and of Python
	@cargo test --quiet --release --workspace
	@$(BIN)/python -m pytest

lint: $(STAMPS)/package ## formatting, lints and types of the Python and Rust code
	$(call need,cargo,install Rust with rustup, components rustfmt and clippy)
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@cargo fmt --all --check
	@cargo clippy --quiet --all-targets -- -D warnings

bench: setup ## every number that the README claims; needs Go too, for the peers
	@$(BIN)/python -m bench

clean: ## remove what set-up and builds left here
	@rm -rf .venv target $(CONTRACTS)/node_modules $(NODE_TESTS:=/node_modules) circuits/_native*.so
	@rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find aggregator chains circuits tests bench -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMPS)/venv:
	@python=; for name in python3.11 python3; do \
	  if "$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$$name; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
	  echo "counterfoil: Python 3.11 or later is not installed; install it and run make again" >&2; exit 1; \
	fi; \
	echo "counterfoil: creating .venv with $$("$$python" --version)"; \
	"$$python" -m venv .venv
	@mkdir -p $(@D) && touch $@

# The build back end lives in the environment, so a rebuild neither downloads it nor compiles PyO3 again.
$(STAMPS)/dependencies: $(STAMPS)/venv pyproject.toml constraints.txt
	$(call need,cargo,install Rust with rustup and run make again)
	$(call say,installing the Python packages and building the Rust core (first time: 1 to 3 minutes))
	@$(BIN)/pip install --quiet --constraint constraints.txt 'maturin>=1.9,<2'
	@$(BIN)/pip install --quiet --constraint constraints.txt --no-build-isolation --editable '.[dev]'
	@touch $@

$(STAMPS)/package: $(STAMPS)/dependencies $(RUST_SOURCES)
	$(call need,cargo,install Rust with rustup and run make again)
	@if [ -z "$(filter $<,$?)" ]; then \
	  echo "counterfoil: rebuilding the Rust core"; \
	  $(BIN)/pip install --quiet --no-build-isolation --no-deps --editable .; \
	fi
	@touch $@

%/node_modules/.stamp: %/package.json %/package-lock.json
	$(call need,npm,install Node.js 20 or later and run make again)
	$(call say,installing the npm packages of $*)
	@npm ci --prefix $* --loglevel=error --no-audit --no-fund >/dev/null
	@touch $@
