# Two commands do everything on a fresh machine: `make run` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
# Of the test-suite. Much of it waits for processes, so three are worth it on two cores.
PROCESSES ?= 3

.PHONY: run test lint docs pictures bench clean

run: .venv/.run
	$(BIN)/python -m hpo.run --study greedy

test: .venv/.dev lint
	$(BIN)/python -m pytest -n $(PROCESSES) --dist loadfile --no-loadscope-reorder

lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: .venv/.dev
	$(BIN)/python -m mkdocs build --strict

pictures: .venv/.dev
	$(BIN)/python scripts/pictures.py

bench: .venv/.bench
	$(BIN)/python -m benchmarks

.venv/.run: pyproject.toml
	test -d .venv || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	touch $@

.venv/.dev: pyproject.toml
	test -d .venv || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@ .venv/.run

.venv/.bench: pyproject.toml .venv/.dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[bench]'
	touch $@

clean:
	rm -rf .venv .hpo runs site studies.db studies.db-shm studies.db-wal
