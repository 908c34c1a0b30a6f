# Every job of the project. `make help` lists them; nothing is installed by hand.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
DIR ?=
.DEFAULT_GOAL := help
.PHONY: help install proto cometbft localnet demo down lint format test test-unit test-e2e vectors typescript interop bench calibrate clean

help: ## List the jobs
	@awk 'BEGIN {FS = ":.*## "} /^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# The stamp is newer than the lock file once everything is there, so that a second run needs no network.
$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed, found " + sys.version.split()[0])'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing the locked packages ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

install: $(INSTALLED) ## Create .venv with the locked packages
	@$(BIN)/python proto/generate.py

proto: $(INSTALLED) ## Generate chain/_pb from the .proto files
	@$(BIN)/python proto/generate.py --force

cometbft: install ## Find or build the pinned CometBFT
	@$(BIN)/mlocalnet cometbft

localnet: install ## Start the three chains and the relayer; stays up until Ctrl-C
	@$(BIN)/mlocalnet up --foreground

demo: install ## Play the margin story unattended and write its report
	@$(BIN)/mlocalnet demo

down: install ## Stop a localnet
	@$(BIN)/mlocalnet down

lint: install ## Format check, ruff, mypy, import contracts
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: install ## Format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

test: test-unit test-e2e ## All tests, the story on real CometBFT included

test-unit: install ## Tests that start no network
	@$(BIN)/pytest -m "not e2e" -n 2

test-e2e: install ## Tests on real CometBFT processes
	@$(BIN)/mlocalnet cometbft
	@if command -v npm > /dev/null; then $(MAKE) --no-print-directory typescript; \
		else echo "no Node.js here: the CosmJS tests will be skipped"; fi
	@$(BIN)/pytest -m e2e

vectors: install ## Run every conformance family of DIR=FOLDER (default: MARGIN_VECTORS or ../shared/vectors)
	@$(BIN)/python -m tests.vectors.run $(DIR)

TYPESCRIPT := clients/typescript
$(TYPESCRIPT)/node_modules/.package-lock.json: $(TYPESCRIPT)/package-lock.json
	@command -v npm > /dev/null || { echo "npm is needed for the TypeScript registry: install Node.js 20 or newer" >&2; exit 1; }
	@echo "installing the locked npm packages ..."
	@cd $(TYPESCRIPT) && npm ci --silent
	@touch $@

typescript: install $(TYPESCRIPT)/node_modules/.package-lock.json ## Build the npm package of margin messages for CosmJS
	@$(BIN)/python $(TYPESCRIPT)/generate.py
	@cd $(TYPESCRIPT) && npm run --silent build

interop: install ## Hermes, mrelay, CosmJS, cosmpy against our chains and a real ibc-go chain
	@$(BIN)/mlocalnet interop

bench: install ## Print the figures of every benchmark
	@$(BIN)/python -m benchmarks

calibrate: install ## Judge the shipped risk parameters by recorded prices in DIR=FOLDER (default: ../shared/data/market)
	@$(BIN)/python -m calibration $(if $(DIR),--data "$(DIR)") $(if $(OUTPUT),--output "$(OUTPUT)")

clean: ## Remove everything that was built or started here
	@rm -rf $(VENV) chain/_pb .localnet \
		.localnet-demo .localnet-interop .calibration $(TYPESCRIPT)/node_modules $(TYPESCRIPT)/src $(TYPESCRIPT)/dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
