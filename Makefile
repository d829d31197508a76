# `make` alone lists the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PY := $(BIN)/python
STAMP := $(VENV)/.installed
UV_VERSION := 0.13.8
PYTEST := $(BIN)/pytest
export PYTHONPATH := operator:serving-image:.
export PYTHONDONTWRITEBYTECODE := 1
# One Python thread each is enough here, and numeric libraries would take every core for nothing.
export OMP_NUM_THREADS := 1

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help: ## This list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "%-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo demo-down
demo: $(STAMP) ## Cluster, operator, models and load from nothing: 2 is promoted, 3 is rolled back
	@$(PY) -m examples.demo up

demo-down: $(STAMP) ## Take the demo and its cluster away
	@$(PY) -m examples.demo down

.PHONY: test test-unit test-component test-serving test-e2e
# Most tests wait for processes, so files run side by side. Those on the cluster, which there is only once, come after
# them: what they judge is how fast real servers are.
WORKERS ?= 2
PARALLEL := -n $(WORKERS) --dist loadfile
test: $(STAMP) tools compiled ## Every test, those on the cluster included
	@status=0; $(PYTEST) $(PARALLEL) tests/unit tests/component tests/serving $(PYTEST_ARGS) || status=$$?; \
	$(PYTEST) tests/e2e $(PYTEST_ARGS) || status=$$?; exit $$status

test-unit: $(STAMP) ## Pure code, in seconds
	$(PYTEST) tests/unit $(PYTEST_ARGS)

test-component: $(STAMP) tools ## The operator against a real API server
	$(PYTEST) $(PARALLEL) tests/component $(PYTEST_ARGS)

test-serving: $(STAMP) tools compiled ## Real server processes over sockets
	$(PYTEST) tests/serving $(PYTEST_ARGS)

test-e2e: $(STAMP) ## The whole system on a cluster
	$(PYTEST) tests/e2e $(PYTEST_ARGS)

.PHONY: compiled
compiled: $(STAMP) ## Compile the serving package for the tests, once a change
	@$(PY) -m tests.compiled

.PHONY: check verify lint format types contracts
check: verify lint types contracts ## All checks that run no test

verify: $(STAMP) ## Generated files are what the types say
	$(PY) -m fairlead.cli.crds --check

lint: $(STAMP) ## ruff: rules and format
	$(BIN)/ruff check
	$(BIN)/ruff format --check

format: $(STAMP) ## Let ruff mend what it can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

types: $(STAMP) ## mypy, strict
	$(BIN)/mypy operator/fairlead serving-image/fairlead_serving tests examples images/sbom.py

contracts: $(STAMP) ## Layers and who may import what
	$(BIN)/lint-imports

.PHONY: generate lock
generate: $(STAMP) ## Write the CRDs from the types
	$(PY) -m fairlead.cli.crds

# What PyTorch asks for and loads on a GPU only, which the serving image does not use. The rest of CUDA is linked into it.
GPU_ONLY := triton nvidia-cusolver nvidia-nvjitlink nvidia-nvtx nvidia-cuda-cccl cuda-bindings cuda-pathfinder cuda-toolkit
LOCK = $(BIN)/uv pip compile --quiet --no-header --no-annotate --generate-hashes --python-version 3.11
lock: $(BIN)/uv ## Pin all requirements by hash, keeping what fits (LOCK_ARGS=--upgrade: newest)
	$(LOCK) $(LOCK_ARGS) pyproject.toml --output-file requirements/operator.txt
	$(LOCK) $(LOCK_ARGS) serving-image/pyproject.toml --output-file requirements/serving-lean.txt
	$(LOCK) $(LOCK_ARGS) --extra full serving-image/pyproject.toml --output-file requirements/serving.txt
	$(LOCK) $(LOCK_ARGS) --extra full --group dev pyproject.toml serving-image/pyproject.toml --output-file requirements/dev.txt
	$(LOCK) $(LOCK_ARGS) --extra litert serving-image/pyproject.toml --output-file requirements/serving-litert.txt
	$(LOCK) $(LOCK_ARGS) --extra torch $(GPU_ONLY:%=--no-emit-package %) serving-image/pyproject.toml \
	  --output-file requirements/serving-torch.txt
	$(LOCK) $(LOCK_ARGS) requirements/build.in --output-file requirements/build.txt
	$(LOCK) $(LOCK_ARGS) requirements/tools.in --output-file requirements/tools.txt
	$(LOCK) $(LOCK_ARGS) requirements/fuzz.in --output-file requirements/fuzz.txt
	$(LOCK) $(LOCK_ARGS) requirements/conformance.in --output-file requirements/conformance.txt
	for peer in requirements/peers/*.in; do $(LOCK) $(LOCK_ARGS) $$peer --output-file $${peer%.in}.txt || exit; done

.PHONY: venv
venv: $(STAMP) ## .venv with all that the tests, the demo and the checks need

$(STAMP): requirements/dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Fairlead needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1). Name another one: make PYTHON=…" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
	  || { echo "$(PYTHON) cannot make virtual environments; on Debian: apt-get install python3-venv" >&2; exit 1; }
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements/dev.txt
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable . --editable serving-image
	@touch $@

$(BIN)/uv: $(STAMP)
	$(PY) -m pip install --quiet --disable-pip-version-check --only-binary :all: uv==$(UV_VERSION)
	@touch $@

.PHONY: cluster-up cluster-down tools images
cluster-up: $(STAMP) ## A Kubernetes: kind where Docker answers, else one native node
	$(PY) -m tests.cluster up

cluster-down: $(STAMP) ## Take it away, nothing is left behind
	$(PY) -m tests.cluster down

tools: $(STAMP) ## Build kubectl, helm, etcd, … into the cache, once
	$(PY) -m tests.cluster tools

TAG ?= dev
images: $(STAMP) ## Build the images into the cluster; REGISTRY=… (and TAG=…): push them there; IMAGES=… says which
	$(PY) -m tests.cluster $(if $(REGISTRY),push $(REGISTRY) $(IMAGES) --tag $(TAG),images $(IMAGES))

.PHONY: conformance
conformance: $(STAMP) compiled ## Other people's clients against our server and the peers that are installed: 6 minutes
	$(PY) -m tests.conformance --write $(CONFORMANCE_ARGS)

.PHONY: bench-analysis bench-serving bench-rollouts
bench-analysis: $(STAMP) ## The judge against other rules on simulated rollouts: hours; goes on where it stopped
	$(PY) -m tests.bench.analysis --write $(BENCH_ARGS)

bench-serving: $(STAMP) $(BIN)/uv ## The serving image beside other servers: 25 minutes; goes on where it stopped
	$(PY) -m tests.bench.serving --write $(BENCH_ARGS)

bench-rollouts: $(STAMP) ## 20 rollouts of an equally good model under the demo's load: none may be rolled back
	$(PY) -m examples.demo bench --rollouts 20

.PHONY: clean
clean: ## Remove the virtual environment and tool caches of this folder (not ~/.cache/fairlead)
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache build serving-image/build
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
	find serving-image -name '*.so' -delete
