# Every verb sets up what it needs: on a fresh machine `make demo` and `make test` are enough.
PYTHON ?= python3
BIN := .venv/bin
ARGS ?=
PYTEST := $(BIN)/python -m pytest -n 2

.PHONY: install demo demo-science test check test-slow test-full format docs bench clean

install: .venv/.installed

.venv/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[train,similarity,serve,dev]'
	touch $@

demo: install  ## the whole method on synthetic posts; ends with a table and a report to open
	$(BIN)/mulcot run recipes/demo.yaml

demo-science: install  ## rationale first, then the answer, on drawn science questions
	$(BIN)/mulcot run recipes/demo_science.yaml

test: install  ## the fast suite
	$(PYTEST) -m 'not slow and not gpu' $(ARGS)

check: install  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test-slow: install  ## the slow suites alone: kills, hostile load, browser
	$(PYTEST) -m 'slow and not gpu' $(ARGS)

test-full: test check test-slow  ## everything that needs no accelerator, each once

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: install  ## write the generated parts of the docs anew
	$(BIN)/python tools/generated.py

bench: install  ## every benchmark; results to benchmarks/results/
	$(BIN)/python benchmarks/run_all.py

clean:
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
