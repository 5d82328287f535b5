# `make help` lists the verbs. STACK=dev|prod chooses the environment, OWNER=… tags what is deployed.

PYTHON ?= python3
STACK ?= dev
PORT ?= 8787
export OWNER ?=

BIN := .venv/bin
READY := .venv/ready
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header
# The tests of one file stay together, for they share what they started. The order of the files is that of tests/conftest.py.
PYTEST := $(BIN)/pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder
TIERS := unit contract gateway runtime policy engine kube local wheel frontend browser clients
SHIPPED := __main__.py hatch_build.py components docs lambda_src local policy tools
NODE_MODULES := frontend/node_modules/.package-lock.json
NODE_IS_THERE = node -e 'const [major, minor] = process.versions.node.split("."); process.exit(major > 20 || (major == 20 && minor >= 19) ? 0 : 1)' 2>/dev/null
NODE_MISSING := Node.js 20.19 or later is not on PATH (https://nodejs.org)
# Without Node everything else goes on.
FRONTEND_IF_POSSIBLE = if $(NODE_IS_THERE); then $(MAKE) --no-print-directory frontend || true; \
  else echo "the web client is left out: $(NODE_MISSING)" >&2; fi
# A tier's tests: a folder of its own name, tests/system's, or these.
FOLDERS_unit := tests/components tests/local
FOLDERS_gateway := tests/lambda_src
FOLDERS = $(or $(FOLDERS_$1),$(wildcard tests/system/$1),tests/$1)

.DEFAULT_GOAL := help
.PHONY: help setup demo test $(TIERS:%=test-%) lint lint-frontend frontend frontend-types format preview policy up refresh destroy bench catalogue golden record-release docs bundle \
  wheel lock clean

help: ## List the verbs
	@awk -F ':.*## ' '/^[a-z%-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "  make test-TIER  Run one tier of the tests: $(TIERS)"

setup: $(READY) ## Make .venv with everything in it
	@echo "ready: $(BIN)/pulumi-llm"

demo: $(READY) ## Run the dev stack on this machine, without an AWS account (PORT=8787)
	@$(FRONTEND_IF_POSSIBLE)
	@$(BIN)/pulumi-llm local --stack $(STACK) --port $(PORT)

test: $(READY) ## Run every test that this machine can run
	@$(FRONTEND_IF_POSSIBLE)
	@$(PYTEST)

$(TIERS:%=test-%): test-%: $(READY)
	@$(FRONTEND_IF_POSSIBLE)
	@$(PYTEST) $(call FOLDERS,$*)

lint: $(READY) ## Check style, types, the arrows between packages, and security (bandit, zizmor)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright
	PYTHONPATH=policy $(BIN)/lint-imports
	$(BIN)/bandit --quiet --recursive --severity-level medium $(SHIPPED)
	$(BIN)/zizmor --offline --no-progress --quiet --min-severity medium .github
	@$(MAKE) --no-print-directory lint-frontend

# Without Node the client is not checked; with STRICT=1 that is a failure.
lint-frontend:
	@if $(NODE_IS_THERE); then $(MAKE) -s --no-print-directory $(NODE_MODULES) && cd frontend && npm run check; \
	  else echo "skipped: the web client ($(NODE_MISSING))"; test "$$STRICT" != 1; fi

frontend: frontend/dist/index.html ## Build the web client (needs Node.js)
	@:

frontend-types: $(READY) $(NODE_MODULES) ## Write the web client's types from the API's description
	@cd frontend && ../$(BIN)/python describe_api.py | npm run --silent types > src/api/schema.d.ts

format: $(READY)
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format
	@if $(NODE_IS_THERE); then $(MAKE) -s --no-print-directory $(NODE_MODULES) && cd frontend && npm run format; fi

preview: $(READY) ## Show what `make up` would do and what it costs; without an AWS account, by stand-ins (STACK=dev|prod)
	@$(FRONTEND_IF_POSSIBLE)
	@$(BIN)/pulumi-llm preview --account --stack $(STACK)

up: $(READY) ## Deploy to AWS (STACK=dev|prod, OWNER=…)
	@$(FRONTEND_IF_POSSIBLE)
	$(call pulumi,up)

policy: $(READY) ## Preview under the policy pack, with the stack's levels in policy/config (STACK=dev|prod)
	@$(FRONTEND_IF_POSSIBLE)
	@$(BIN)/pulumi-llm preview --account --stack $(STACK) --policy-pack $(CURDIR)/policy \
	  --policy-pack-config $(CURDIR)/$(or $(wildcard policy/config/$(STACK).json),policy/config/prod.json)

refresh: $(READY) ## Bring the state to what is in AWS (STACK=dev|prod)
	$(call pulumi,refresh)

destroy: $(READY) ## Delete from AWS (STACK=dev|prod)
	$(call pulumi,destroy)

bench: $(READY) ## Measure, side by side with a peer or a floor
	@$(FRONTEND_IF_POSSIBLE)
	@for script in $(filter-out %_upstream.py %_gateways.py %_soak.py %_burst.py,$(wildcard bench/*.py)); do echo "== $$script"; $(BIN)/python $$script || exit 1; done

catalogue: $(READY) ## Compare the catalogue of models with LiteLLM's price map or models.dev (FILE=…; else an installed LiteLLM's)
	@$(BIN)/python tools/catalogue_check.py $(if $(FILE),--file $(FILE))

golden: $(READY) ## Write the golden files of the tests from the code: the schema, the URNs
	@$(BIN)/python tests/golden/write.py

record-release: $(READY) ## Record the state that this version leaves behind, for the tests of upgrades
	@$(BIN)/python tests/releases/record.py

docs: $(READY) ## Write the pages and tables of docs/ that are made from the code
	@$(BIN)/python docs/generate.py

bundle: $(READY) ## Build the functions' archive for Lambda
	@$(BIN)/python -c 'from pulumi_llm.base.bundle import main; main()'

wheel: $(READY) frontend ## Build the package and the policies' own into dist/, the functions' archive and the web client in it (needs Python 3.13 and Node.js)
	@$(BIN)/uv build --wheel --offline --no-build-isolation --out-dir dist
	@$(BIN)/uv build --wheel --offline --no-build-isolation --out-dir dist policy

lock: $(READY) ## Resolve the dependencies anew and write the hashed locks
	$(LOCK) requirements/setup.in -o requirements/setup.txt
	$(LOCK) requirements/lambda.in -o requirements/lambda.txt
	$(LOCK) pyproject.toml requirements/project.in --extra local -o requirements/project.txt
	$(LOCK) requirements/dev.in -o requirements/dev.txt
	$(LOCK) -c requirements/dev.txt requirements/policy.in -o policy/requirements.txt
	for name in litellm python_floor fastapi_boto3; do $(LOCK) bench/peers/$$name.in -o bench/peers/$$name.txt; done
	for name in clients llama_index; do $(LOCK) tests/system/clients/python/$$name.in -o tests/system/clients/python/$$name.txt; done

clean: ## Remove what setup made in this folder
	rm -rf .venv build dist frontend/dist frontend/node_modules tests/system/browser/node_modules tests/system/clients/node/node_modules .pytest_cache .ruff_cache .hypothesis

frontend/dist/index.html: $(NODE_MODULES) $(wildcard frontend/*.*) $(shell find frontend/src frontend/public -type f)
	@echo "building the web client"
	@cd frontend && npm run --silent build

$(NODE_MODULES): frontend/package-lock.json
	@$(NODE_IS_THERE) || { echo "the web client is left out: $(NODE_MISSING)" >&2; exit 1; }
	@echo "installing what builds the web client (once)"
	@cd frontend && npm ci --loglevel=error >/dev/null
	@touch $@

# The user's own CLI, login, state and account; never the stand-ins of make preview.
define pulumi
	@command -v pulumi >/dev/null || { echo "$(1) needs the Pulumi CLI, which is not on PATH: https://www.pulumi.com/docs/install/" >&2; \
	  echo "make preview shows what it would do, and make demo runs the stack on this machine, without it." >&2; exit 1; }
	env -u PULUMI_DEBUG_PROVIDERS pulumi stack select --create $(STACK)
	env -u PULUMI_DEBUG_PROVIDERS pulumi $(1)
endef

# The environment: made anew when a lock or the package's own description changes.
$(READY): requirements/setup.txt requirements/project.txt requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or later is needed; $$($(PYTHON) --version) is not. Name another: make setup PYTHON=python3.13" >&2; exit 1; }
	@echo "setting up .venv (once; a minute or two)"
	@test -x $(BIN)/pip || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/setup.txt
	@echo "  installing the locked packages"
	@$(BIN)/uv pip install --quiet --compile-bytecode --require-hashes -r requirements/project.txt -r requirements/dev.txt
	@echo "  installing pulumi-llm from this folder"
	@$(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@
