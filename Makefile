# Every target does its own set-up in a fresh clone: Python >= 3.11, git and make are enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
PYTEST := $(BIN)/python -m pytest

.DEFAULT_GOAL := help
.PHONY: help setup demo down test test-unit test-property test-conformance test-integration test-e2e test-faults-sample test-faults test-soak test-plan lint format crds bench clean

help: ## say what there is
	@grep -E '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 20

$(READY): pyproject.toml
	@echo "==> making $(VENV) (first time: about a minute)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test,dev]'
	@touch $@

setup: $(READY) ## make .venv

demo: $(READY) ## three real member clusters, joined, with the examples running
	@$(BIN)/python hack/demo.py up

down: $(READY) ## end the demo and its clusters
	@$(BIN)/python hack/demo.py down

test: test-unit test-property test-conformance test-integration test-e2e test-faults-sample ## every layer, real clusters included

test-unit: $(READY) ## pure functions
	@echo "==> unit"; $(PYTEST) tests/unit

test-property: $(READY) ## state machines and invariants
	@echo "==> property"; $(PYTEST) tests/property

test-conformance: $(READY) ## golden cases of the reference
	@echo "==> conformance"; $(PYTEST) tests/conformance && $(BIN)/python tests/conformance/run.py tests/conformance/cases.json

test-integration: $(READY) ## controllers against the API server in process
	@echo "==> integration"; $(PYTEST) tests/integration -m "not e2e"

test-e2e: $(READY) ## everything that only real clusters prove
	@hack/clusters prepare
	@echo "==> e2e"; $(PYTEST) tests/e2e tests/integration -m e2e

FAULTS ?=
SEED ?= 7
test-faults-sample: $(READY) ## a seeded sample of the fault sweep (SEED=N draws another), and E1 to E6 in short
	@hack/clusters prepare
	@echo "==> faults, a sample"; $(PYTEST) tests/faults/test_sample.py tests/faults/test_karmada_anchors.py -m e2e --faults-seed $(SEED) $(FAULTS)

test-faults: $(READY) ## every scenario under every fault at every write, and E1 to E6 in full (docs/reliability.md says how long)
	@hack/clusters prepare
	@echo "==> faults"; $(PYTEST) tests/faults/test_sweep.py tests/faults/test_karmada_anchors.py -m e2e --faults-full $(FAULTS)

test-soak: $(READY) ## 200 joins and 2,000 objects come and go on real clusters; nothing may be left (about twelve minutes)
	@hack/clusters prepare
	@echo "==> soak"; $(PYTEST) tests/soak -s

test-plan: $(READY) ## 1,000 random commits: each plan is what the members then record (about an hour)
	@hack/clusters prepare
	@echo "==> plan"; $(PYTEST) tests/integration/test_plan.py -k random --plan-steps 950 --timeout 7200
	@$(PYTEST) tests/e2e/test_plan.py -k random -m e2e --plan-steps 150 --timeout 7200

lint: $(READY) ## ruff, mypy strict, import contract, CRDs up to date
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m federation.api.crds crds --check

format: $(READY) ## ruff format and safe fixes
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

crds: $(READY) ## write crds/ from the models
	@$(BIN)/python -m federation.api.crds crds

bench: $(READY) ## a report of latency, throughput, decisions a second, memory (build/bench.json)
	@hack/clusters prepare
	@$(BIN)/python -m tests.bench

clean: ## remove what the targets made here
	rm -rf $(VENV) build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
