# make demo    a trained model, forecasts and a picture, in a few minutes
# make test    the whole suite
# make check   format, lint, types, layers
# make bench   measure data, recurrence, models, predict, streams and coverage, train every sample
#              config; an hour and more
# make soak    kills, ranks, bad input and long runs, written to docs/benchmarks/reliability.md;
#              then padding and compiling at length; ten minutes and more
#
# PYTHON names the interpreter (3.11 to 3.13), PIP_ARGS goes to pip.

PYTHON ?= python3
PIP_ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test check bench soak sample-data epf clean

demo: $(STAMP)
	$(BIN)/python -m scripts.demo.demo

test: $(STAMP)
	$(BIN)/python -m pytest -n 2

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(STAMP)
	$(BIN)/python -m scripts.benchmarks.data
	$(BIN)/python -m scripts.benchmarks.recurrent
	$(BIN)/python -m scripts.benchmarks.models
	$(BIN)/python -m scripts.benchmarks.samples
	$(BIN)/python -m scripts.benchmarks.predict
	$(BIN)/python -m scripts.benchmarks.streaming
	$(BIN)/python -m scripts.benchmarks.calibration

soak: $(STAMP)
	$(BIN)/python -m scripts.benchmarks.soak
	TRANSFORMERTF_SOAK=1 $(BIN)/python -m pytest -n 2 tests/properties tests/models/test_compile.py

sample-data: $(STAMP)
	$(BIN)/python -m scripts.data.sample
	$(BIN)/python -m scripts.data.panel

epf: $(STAMP)
	$(BIN)/python -m scripts.benchmarks.epf

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
		{ echo "transformertf needs Python 3.11 to 3.13: make PYTHON=python3.12 ..."; exit 2; }
	@echo "installing into $(VENV), this takes a few minutes the first time"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) \
		--constraint constraints.txt --editable '.[dev,plot]'
	@touch $@

clean:
	rm -rf $(VENV) runs demo
