# The three promises of the README: make quickstart, make test, and what both need, make env.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
ORACLES := $(VENV)/.oracles

export OMP_NUM_THREADS := 1

.PHONY: env quickstart test lint browser clean

env: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[train,postgres,slurm,onnx]' --group dev
	touch $@

$(ORACLES): $(STAMP)
	$(BIN)/pip install --quiet --constraint constraints.txt --group oracles
	touch $@

quickstart: env
	$(BIN)/cimsearch launch quickstart

lint: env $(ORACLES)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

# Browser tests drive a real Chromium. Where there is none and it can be installed, it is; on other
# machines those tests say that they are skipped, but in CI they fail.
browser:
	@command -v chromium >/dev/null 2>&1 || \
		{ [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
		  apt-get update -qq && apt-get install -y -qq chromium >/dev/null; } || \
		echo "chromium is not installed: the browser tests need it"

# In order of name: xdist would put files of few tests last, and those are the slow ones.
test: env $(ORACLES) browser lint
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

clean:
	rm -rf $(VENV) dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
