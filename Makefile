# The commands people type. Each is one line that calls a tool.

.PHONY: up down test check bench clean

up: ## from nothing to a served prediction
	@python3 tools/bootstrap.py infra runtime servers engine kafka && .venv/bin/isthmus up

down: ## end everything that `up` started; data stays
	@python3 tools/bootstrap.py infra engine && .venv/bin/isthmus down

test: ## every test, on real servers, with the conformance matrix and coverage
	@python3 tools/bootstrap.py infra runtime servers engine kafka mlflow aws && .venv/bin/python -m tests

check: ## lint, types, layers
	@python3 tools/bootstrap.py infra runtime dev aws && .venv-dev/bin/python -m tests.check

bench: ## measure a claim: make bench WHICH=storage
	@python3 tools/bootstrap.py infra runtime servers engine kafka && .venv-runtime/bin/python -m bench.$(WHICH)

clean: ## remove the environments and the tools in the cache; `isthmus down --data` removes what was stored
	@python3 tools/bootstrap.py clean
