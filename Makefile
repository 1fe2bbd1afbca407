# Everything happens in .venv, which the first target that needs it makes. Nothing is installed twice: the files
# .venv/.installed-* remember what stands there, and are older than a changed requirements file.

PYTHON ?= python3
VENV   := .venv/bin/python
STAGES := $(VENV) tools/stages.py
PIP    := $(VENV) -m pip install --quiet --quiet --disable-pip-version-check

# Arguments for the one command behind a target: make unit ARGS="-k fingerprint"
ARGS   ?=
EXTRA   = $(if $(ARGS),-- $(ARGS))

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo aws test unit integration sanity lint house-rules types versions matrix awx \
  ansible-lint changelog format bench docs nox release-check clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' Makefile

demo: .venv/.installed-demo ## Rotate a key in three environments on an embedded AWS
	@$(VENV) tests/demo/run.py $(ARGS)

aws: .venv/.installed-aws ## The embedded AWS alone, with three environments to try things on
	@$(VENV) tests/demo/aws.py $(ARGS)

test: .venv/.installed-test ## Everything that CI runs
	@$(STAGES) all

unit integration sanity lint house-rules types versions awx ansible-lint changelog: .venv/.installed-test
	@$(STAGES) $@ $(EXTRA)

unit: ## Unit tests
integration: ## Integration tests, against the embedded AWS
sanity: ## ansible-test sanity
lint: ## ruff and yamllint
house-rules: ## The rules that no linter knows
types: ## mypy --strict
versions: ## Unit tests and a few others on the oldest and the newest versions
awx: ## The objects in examples/awx, against awx.awx's own argument specs
ansible-lint: ## ansible-lint, profile production
changelog: ## antsibull-changelog lint

matrix: .venv/bin/python ## All tests on every version that is promised: ARGS="--only oldest -- -k rotate"
	@$(VENV) tools/matrix.py $(ARGS)

format: .venv/.installed-test ## Let ruff put code into shape
	@$(VENV) -m ruff check --fix-only --quiet
	@$(VENV) -m ruff format

bench: .venv/.installed-demo ## The benchmarks
	@$(VENV) tests/benchmark/run.py $(ARGS)

docs: .venv/.installed-docs ## The documentation site, in build/docs
	@$(VENV) docs/build.py $(ARGS)

nox: .venv/.installed-nox ## nox's sessions, each in an environment of its own
	@PATH="$(CURDIR)/.venv/bin:$$PATH" $(VENV) -m nox --reuse-existing-virtualenvs $(ARGS)

release-check: .venv/.installed-test ## Build the collection, and look at it as Galaxy and a user will
	@$(VENV) tools/release_check.py

clean: ## Remove .venv and everything that was built
	rm -rf .venv .nox .ansible build .hypothesis .mypy_cache .pytest_cache .ruff_cache .coverage .coverage.* \
	  tests/output keyturn-ecs-*.tar.gz changelogs/.plugin-cache.yaml
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo 'Python 3.11 or newer is needed; name one with: make PYTHON=/path/to/python3.11' >&2; exit 1; }
	@echo 'Making .venv ...'
	@$(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }

.venv/.installed-%: requirements/%.txt requirements/constraints.txt | .venv/bin/python
	@echo 'Installing what requirements/$*.txt names ...'
	@$(PIP) -r requirements/$*.txt
	@touch $@

.venv/.installed-aws .venv/.installed-test .venv/.installed-docs: requirements/demo.txt
