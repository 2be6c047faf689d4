# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
# A Python named by hand that is not that of .venv gets an environment beside it: what was asked for is what runs, and
# a .venv that a platform may be running from is not replaced.
MINOR := -c 'import sys; print("%d.%d" % sys.version_info[:2])'
ifneq ($(origin PYTHON),file)
# One that pyenv keeps may have a command on PATH that does not answer.
override PYTHON := $(or $(shell .ci/python $(PYTHON:python%=%)),$(PYTHON))
NAMED := $(shell $(PYTHON) $(MINOR))
ifeq ($(NAMED),)
$(error PYTHON=$(PYTHON) does not run: name a Python 3.11 to 3.13, as in make install PYTHON=/path/to/python3.11)
endif
THERE := $(if $(wildcard $(VENV)/bin/python),$(shell $(VENV)/bin/python $(MINOR)))
ifneq ($(filter-out $(NAMED),$(THERE)),)
$(info $(VENV) has Python $(THERE); this is Python $(NAMED), in $(VENV)-$(NAMED))
override VENV := $(VENV)-$(NAMED)
endif
endif
BIN := $(VENV)/bin
READY := $(VENV)/.ready
CLIENTS := $(VENV)-clients
EXECUTION := $(VENV)-execution
# Contracts that need no process of their own, so that two files can run at once.
LIGHT := tests/contracts/kubernetes tests/contracts/test_journals.py tests/contracts/test_rights.py
# Unit tests that take longest, of what Pythons have in common: simulations, fakes, processes.
SLOW := benchmarks deployments/analysis deployments/registry deployments/serving/inference_log fakes infra tasks/data_validation tasks/rollout_engine
EVERY := 1
.DEFAULT_GOAL := help
.PHONY: help install demo up down test test-unit test-crash test-clients test-execution test-hostile test-fuzz \
  test-browser test-api test-cluster check words format bench bench-rollouts bench-serving bench-webhooks bench-page \
  pictures lock clean

help: ## what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

install: $(READY) ## only the environment with the command: .venv/bin/seatrial
	@echo "Ready: $(BIN)/seatrial --help"

demo: $(READY) ## from data to live traffic: four releases of flights, two of them stopped
	@$(BIN)/python -m examples.demo

up: $(READY) ## start the platform
	@$(BIN)/seatrial up

down: $(READY) ## end it; nothing is left running
	@$(BIN)/seatrial down

test: $(READY) ## every test, with a sample of the crashes and of what is hostile
	@$(BIN)/python -m pytest -m "not crash" -n 2 tests/unit tests/architecture tests/docs $(LIGHT)
	@$(BIN)/python -m pytest -m "not crash and not browser" -n 2 --dist loadfile --no-loadscope-reorder $(LIGHT:%=--ignore=%) tests/e2e tests/contracts
	@$(BIN)/python -m pytest -m "not crash and not hostile" tests/hostile

test-unit: $(READY) ## most unit tests, by PYTHON=python3.13 on the newest Python, of which CI runs one of six: EVERY=6
	@$(BIN)/python -m pytest -m "not crash" -n 2 --every $(EVERY) $(SLOW:%=--ignore=tests/unit/%) tests/unit

test-crash: $(READY) ## all crashes: three quarters of an hour or so
	@$(BIN)/python -m pytest -m crash --hypothesis-profile=exploring

test-clients: $(READY) $(CLIENTS)/.ready ## Triton's and KServe's own clients, from an environment of theirs
	@$(BIN)/python -m pytest -m clients tests/clients

test-execution: $(EXECUTION)/.ready ## fits on clusters of Dask and of Ray, from an environment with both
	@$(EXECUTION)/bin/python -m pytest -m execution tests/execution

test-hostile: $(READY) ## an hour of malformed requests, and slow clients, overload and leaving for 5 minutes each
	@$(BIN)/python -m pytest -s -m hostile tests/hostile

test-browser: $(READY) ## Seatrial's page, and what web pages of other people try, in a real Chromium (Debian's package chromium)
	@$(BIN)/python -m pytest tests/e2e/test_web_pages.py tests/e2e/test_page.py

test-fuzz: $(READY) ## 105,000 hostile requests to every listener of a platform, clients that take all they are given, 100,000 bad webhooks
	@$(BIN)/python -m pytest -s -m hostile tests/hostile/test_listeners.py tests/hostile/test_takers.py tests/hostile/test_webhooks.py

test-api: $(READY) ## what the API says of itself, held against some ten thousand requests: ten minutes or so
	@$(BIN)/python -m pytest -s -m hostile tests/hostile/test_api.py

test-cluster: $(READY) ## a real Kubernetes cluster, by KUBECONFIG; see tests/cluster/conftest.py
	@$(BIN)/python -m pytest -m cluster tests/cluster

check: $(READY) ## format, lint, types, import contracts, spelling
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/codespell README.md CONTRIBUTING.md CHANGELOG.md docs flows tasks deployments specs
	@$(BIN)/python -m tests.architecture.documented_commands README.md docs/*.md CONTRIBUTING.md

words: $(READY) ## every message that Seatrial may give, to be read in one go
	@$(BIN)/python -m tests.architecture.texts

format: $(READY) ## let ruff write
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: $(READY) ## what Seatrial adds to a plain script
	@$(BIN)/python -m benchmarks.release

bench-rollouts: $(READY) ## verdicts against thresholds, costs of gateway and cluster, 100,000 requests, users hurt by harm
	@$(BIN)/python -m benchmarks.evidence --runs 2000
	@$(BIN)/python -m benchmarks.gateway
	@$(BIN)/python -m benchmarks.strategies
	@$(BIN)/python -m benchmarks.harm
	@$(BIN)/python -m benchmarks.kubernetes

bench-serving: $(READY) ## the model server beside MLflow, BentoML, MLServer and Ray Serve: an hour, two quiet cores
	@$(BIN)/python -m benchmarks.serving

bench-webhooks: $(READY) ## from a signed request to the 202, and to the first log line of its run
	@$(BIN)/python -m benchmarks.webhooks

bench-page: $(READY) ## the page: first paint, live updates, what fifty products and ten watchers cost
	@$(BIN)/python -m benchmarks.page

pictures: $(READY) ## the pictures of the page in README and docs, from a real canary in a real Chromium
	@$(BIN)/python -m tests.e2e.page_pictures docs/images

lock: $(READY) ## resolve the dependencies anew
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --group dev --extra cluster pyproject.toml -o requirements.lock --upgrade
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header tests/clients/requirements.in -o tests/clients/requirements.lock --upgrade
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header -c requirements.lock tests/execution/requirements.in -o tests/execution/requirements.lock --upgrade

clean: ## forget the environments (data and records stay)
	rm -rf $(wildcard .venv .venv-*)

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
	  { echo "Seatrial needs Python 3.11 to 3.13, and $(PYTHON) is another: make install PYTHON=/path/to/python3.11"; exit 2; }
	@echo "Setting up $(VENV) from requirements.lock (once, a minute or two)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@test -x $(BIN)/uv || $(BIN)/python -m pip install -q --disable-pip-version-check "$$(grep -oE '^uv==[0-9.]+' requirements.lock)"
	@$(BIN)/uv pip install -q --compile-bytecode --require-hashes -p $(BIN)/python -r requirements.lock
	@$(BIN)/uv pip install -q --no-build-isolation --no-deps -p $(BIN)/python -e .
	@touch $@

$(CLIENTS)/.ready: $(READY) tests/clients/requirements.lock
	@$(BIN)/uv venv -q --clear -p $(BIN)/python $(CLIENTS)
	@$(BIN)/uv pip install -q --require-hashes -p $(CLIENTS)/bin/python -r tests/clients/requirements.lock
	@touch $@

$(EXECUTION)/.ready: $(READY) tests/execution/requirements.lock
	@$(BIN)/uv venv -q --clear -p $(BIN)/python $(EXECUTION)
	@$(BIN)/uv pip install -q --require-hashes -p $(EXECUTION)/bin/python -r requirements.lock -r tests/execution/requirements.lock
	@$(BIN)/uv pip install -q --no-build-isolation --no-deps -p $(EXECUTION)/bin/python -e .
	@touch $@
