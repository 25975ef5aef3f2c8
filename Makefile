.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help install run up down test soak soak-workers mutations conformance check serve bench s3-server clean

help: ## show this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-9s %s\n", $$1, $$2}'

install: $(STAMP) ## set up .venv from the lock file (instant when nothing changed; PIP_ARGS=… goes to pip)

$(STAMP): pyproject.toml requirements.lock
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing into .venv (a few minutes the first time)"
	@$(BIN)/python -m pip install --quiet $(PIP_ARGS) -r requirements.lock
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $(STAMP)

run: install ## the whole chain on the default preset (PRESET=digits)
	@$(BIN)/millrace run $(or $(PRESET),digits)

test: install ## all tests; the first time it tries for two minutes to fetch a real S3 server (60 MB, Debian)
	@$(BIN)/python -m infra.s3_server fetch --seconds 120 || true
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

soak: install ## kill the whole chain at 100 drawn moments; goes on where it stopped (SOAK_TRIALS=100 SOAK_SEED=0 SOAK_LOG=soak.jsonl)
	@$(BIN)/python tests/soak/soak.py

soak-workers: install ## kill Dask workers, scheduler and run in mid-work at 50 drawn moments; goes on where it stopped (SOAK_KILLS=50 SOAK_SEED=0 SOAK_LOG=soak-workers.jsonl)
	@$(BIN)/python tests/soak/soak_workers.py

mutations: install ## 200 drawn mutations between two runs, and what was found and computed (MUTATIONS=200 SEED=4)
	@MUTATIONS=$(or $(MUTATIONS),200) SEED=$(or $(SEED),4) $(BIN)/python -m pytest -n 0 -s --show-capture=no tests/flows/test_mutations.py tests/e2e/test_mutations_by_command.py

conformance: install ## TensorFlow Serving's, Triton's and OpenAI's clients, and the OpenAPI document, against the real service (CASES=1000 in each of 3 runs)
	@$(BIN)/python tests/conformance/environments.py tensorflow triton openai schemathesis
	@CASES=$(or $(CASES),1000) $(BIN)/python -m pytest tests/conformance

check: install ## format, lint, types, import contracts
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/pyright
	@$(BIN)/lint-imports

up: install ## Prefect server, UI, deployments and a worker in the background (PORT=4200)
	@$(BIN)/millrace up $(if $(PORT),--port $(PORT))

down: ## stop them, and the runs
	@$(BIN)/millrace down

serve: install ## serve the champion of the default preset on this machine (PRESET=digits, PORT=8000)
	@$(BIN)/millrace serve $(or $(PRESET),digits) --port $(or $(PORT),8000) --no-auth

bench: install ## benchmarks beside a peer; a JSON line each
	@for bench in tests/benchmarks/bench_*.py; do $(BIN)/python $$bench || exit 1; done

s3-server: install ## a real S3 server (Ceph RGW) on this machine until Ctrl-C (PORT=7480)
	@$(BIN)/python -m infra.s3_server fetch
	@$(BIN)/python -m infra.s3_server serve --port $(or $(PORT),7480)

clean: ## remove the environment, the data root and caches
	rm -rf .venv .millrace .pytest_cache .ruff_cache .import_linter_cache dist build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
