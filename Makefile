# `make run` trains the demonstration, `make test` runs all checks, `make docs` builds the documentation.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test test-all lint docs clean

run: .venv/run.stamp
	$(BIN)/kedro run

test: .venv/test.stamp lint
	$(BIN)/pytest -n auto

test-all: .venv/test.stamp lint
	$(BIN)/pytest -n auto -m "" --cov --cov-report=term-missing:skip-covered

lint: .venv/test.stamp
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# the documentation as a site in build/docs; it needs no network
docs: .venv/test.stamp
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "mlic needs Python 3.11 or newer: make PYTHON=python3.12 …")'
	$(PYTHON) -m venv .venv

# uv installs in seconds what takes pip minutes; it compiles the modules, as pip does
.venv/run.stamp: $(BIN)/python pyproject.toml constraints.txt
	if command -v uv >/dev/null || $(BIN)/pip install --quiet uv; then \
		PATH="$(CURDIR)/$(BIN):$$PATH" uv pip install --quiet --compile-bytecode --python $(BIN)/python -c constraints.txt -e .; \
	else $(BIN)/pip install --quiet -c constraints.txt -e .; fi
	touch $@

.venv/test.stamp: $(BIN)/python pyproject.toml constraints.txt
	if command -v uv >/dev/null || $(BIN)/pip install --quiet uv; then \
		PATH="$(CURDIR)/$(BIN):$$PATH" uv pip install --quiet --compile-bytecode --python $(BIN)/python -c constraints.txt -e ".[dev]"; \
	else $(BIN)/pip install --quiet -c constraints.txt -e ".[dev]"; fi
	touch $@ .venv/run.stamp

clean:
	rm -rf .venv
