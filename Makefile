# Every verb sets up what it needs: on a fresh machine `make demo` and `make test` are enough.
PYTHON ?= python3
BIN := .venv/bin
ARGS ?=

.PHONY: install demo demo-science test test-full check format docs bench clean

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
	$(BIN)/python -m pytest -m 'not slow and not gpu' -n 2 $(ARGS)

test-full: install check  ## everything that needs no accelerator: adds kills, hostile load, browser
	$(BIN)/python -m pytest -m 'not gpu' -n 2 $(ARGS)

check: install  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: install  ## write the generated parts of the docs anew
	$(BIN)/python tests/generated.py

bench: install  ## every benchmark; results to benchmarks/results/
	$(BIN)/python benchmarks/run_all.py

clean:
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
