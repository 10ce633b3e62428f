# The daily commands. `make help` lists them; the first one that is run sets up .venv, later ones use it.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.NOTPARALLEL:

# Arguments for the command that a target runs: make demo ARGS="--for 30 --json", make unit ARGS="-k mem".
ARGS ?=
# Where `make install` puts the agent.
PREFIX ?= /opt/pyagent

bin := .venv/bin
stamp := .venv/set-up
export PREFIX PYTHON
# Kept, the tests that pytest has rewritten are not rewritten in each process of each run: 10 s of work.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help
help: ## Say what each target does
	@sed -En 's/^([a-z-]+):.*## (.*)/\1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r name text; do printf 'make %-14s %s\n' "$$name" "$$text"; done

.PHONY: demo
demo: setup ## Run agents against an embedded InfluxDB 2 and show what arrives; ARGS="--for 30 --json" prints one JSON document
	@scripts/debian-packages demo
	@$(bin)/pyagent demo $(ARGS)

.PHONY: test
test: test-packages setup lint ## Run every check: lint, then all tests, with the real servers, the systemd containers, other Pythons
ifeq ($(ARGS),)
	@$(bin)/python scripts/stages.py
else
	@scripts/sanitize
	@$(bin)/python -m pytest $(ARGS)
endif

.PHONY: unit
unit: setup ## Run the quick tests only: no servers, no container, no recorded cases; some minutes
	@$(bin)/python -m pytest tests/unit tests/plugins -m "not system" -n auto --dist worksteal $(ARGS)

.PHONY: faults
faults: setup ## Run the long form of the fault tests: 500 kills, every damaged byte, 20,000 lives of a disk, 1,000 examples of each property; hours
	@PYAGENT_FAULT_TRIALS=$${PYAGENT_FAULT_TRIALS:-500} PYAGENT_LONG_FAULTS=1 $(bin)/python -m pytest tests/faults tests/unit tests/plugins -m "not system" --timeout 7200 $(ARGS)

.PHONY: lint
lint: setup ## Check style, formatting, types and the layers' rules (ruff, mypy --strict, import-linter)
	@$(bin)/ruff check
	@$(bin)/ruff format --check
	@$(bin)/mypy
	@$(bin)/lint-imports

.PHONY: format
format: setup ## Format the code and apply the safe fixes
	@$(bin)/ruff format
	@$(bin)/ruff check --fix

.PHONY: docs-plugins
docs-plugins: setup ## Write docs/plugins anew from the declarations of the plugins and the notes beside them
	@$(bin)/python scripts/plugin-pages

.PHONY: bench
bench: setup ## Measure speed and size, one table in the end; BENCH=idle runs bench/idle.py alone
	@scripts/debian-packages demo
	@$(bin)/python bench $(BENCH) $(ARGS)

.PHONY: dashboards
dashboards: setup ## Make the dashboards of dashboards/ anew; needed after a change of what a plugin declares
	@PYAGENT_PLUGIN_DIRECTORY= $(bin)/pyagent dashboards --directory build/dashboards >/dev/null
	@rm -rf dashboards && mkdir dashboards && cp -r build/dashboards/provisioning dashboards/

.PHONY: sanitize
sanitize: setup ## Test and fuzz the native core under AddressSanitizer and UndefinedBehaviorSanitizer
	@scripts/sanitize

.PHONY: dist
dist: setup ## Build a source distribution and a wheel into dist/
	@scripts/build-dist

.PHONY: deb
deb: ## Build a Debian package for this Debian and its Python into dist/
	@scripts/debian-packages setup native deb
	@scripts/build-deb

.PHONY: setup
setup: $(stamp) ## Make the development environment in .venv (every other target does it when needed)

# The editable installation builds the native core in place.
native := setup.py $(wildcard agent/pyagent/*/native/*.pyx agent/pyagent/*/native/*.hpp)

$(stamp): requirements/dev.txt requirements/documents.txt pyproject.toml scripts/set-up $(native) build/compiler
	@scripts/debian-packages setup $(if $(filter 1,$(PYAGENT_REQUIRE_NATIVE)),native)
	@scripts/set-up
	@scripts/compiler
	@touch $@

# Is looked at every time, and changes when a compiler came or went.
build/compiler: always
	@scripts/compiler

.PHONY: always
always:

.PHONY: test-packages
test-packages:
	@scripts/debian-packages setup native test deb
	@[ "$$(id -u)" != 0 ] || { tests/system/make-root 12 >/dev/null & tests/system/make-building-root 13 >/dev/null & }; wait

.PHONY: docs
docs: setup ## Build the pages of docs/ into build/docs, strictly: a broken link or anchor is an error
	@NO_MKDOCS_2_WARNING=1 $(bin)/python -m mkdocs build --strict $(ARGS)
	@echo "Open build/docs/index.html, or, with a search: .venv/bin/mkdocs serve"

.PHONY: requirements
requirements: setup ## Pin the requirements anew: requirements/*.txt from pyproject.toml and requirements/*.in
	@scripts/pin-requirements

.PHONY: install
install: ## Install the agent and its systemd units on this machine (as root): PREFIX=/opt/pyagent
	@scripts/install

.PHONY: uninstall
uninstall: ## Remove what `make install` installed; /etc/pyagent and /var/lib/pyagent stay
	@scripts/uninstall

.PHONY: clean
clean: ## Remove what these commands made in this folder, .venv included
	@rm -rf .venv .venv-* build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find agent plugins tests bench scripts -name __pycache__ -prune -exec rm -rf {} +
	@find agent plugins -name '*.so' -delete
	@find agent plugins -name '*.egg-info' -prune -exec rm -rf {} +
