# make demo    a trained model, forecasts and a picture, in a few minutes
# make test    the whole suite
# make quick   the part of it that takes about two minutes
# make matrix  that part under every Python at hand of VERSIONS, each in its own .venv-VERSION
# make check   format, lint, types, layers
# make docs    the pages: links lead somewhere, commands and snippets run, tables are the code's
# make core    every module and a small fit with the core dependencies only, in .venv-core
# make newest  the whole suite with the newest versions that pyproject.toml allows, in .venv-newest
# make minimum the quick part with the oldest versions that pyproject.toml allows, under the oldest
#              Python, in .venv-minimum
# make bench   measure data, recurrence, models, predict, streams and coverage, train every sample
#              config; an hour and more; after `make peers`, other libraries are measured too
# make peers   the libraries that models are held against, in .venv-peers (2.4 GB with
#              torch's CPU build)
# make parity  our numbers against theirs, live; the suite has recorded ones
# make soak    kills, ranks, bad input and long runs, written to docs/benchmarks/reliability.md;
#              then padding and compiling at length; ten minutes and more
#
# PYTHON names the interpreter (3.11 to 3.13), PIP_ARGS goes to pip.

PYTHON ?= python3
VERSIONS ?= 3.11 3.12 3.13
PIP_ARGS ?=
CONSTRAINTS := constraints.txt
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
CORE := .venv-core
CORE_STAMP := $(CORE)/.installed
PEERS := .venv-peers
PEERS_STAMP := $(PEERS)/.installed
# what compares runs with the peers beside it where they are
COMPARE = $(if $(shell ls $(PEERS_STAMP) 2>/dev/null),$(PEERS),$(VENV))/bin/python
# what takes long: processes, searches, training, commands but those of the kept checkpoints
SLOW := callbacks cli distributed evaluation exporting forecasts models plots properties reference robustness \
	scripts streaming forecaster test_evaluation_guide.py test_imports.py \
	test_readme.py
DOCS := $(addprefix tests/test_,docs.py evaluation_guide.py readme.py)

.PHONY: install demo test quick matrix check docs core newest minimum bench peers parity soak \
	sample-data epf clean

install: $(STAMP)

demo: $(STAMP)
	$(BIN)/python -m scripts.demo.demo

test: $(STAMP)
	$(BIN)/python -m pytest -n 2

quick: $(STAMP)
	$(BIN)/python -m pytest -n 2 $(addprefix --ignore=tests/,$(SLOW))

matrix:
	$(PYTHON) -m scripts.checks.matrix $(VERSIONS)

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	# a file has its encoding from us, not from the console
	$(BIN)/ruff check --preview --select PLW1514 transformertf scripts
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(STAMP)
	$(BIN)/python -m pytest -n 2 $(DOCS)

core: $(CORE_STAMP)
	$(CORE)/bin/python -m scripts.checks.core

newest:
	$(MAKE) test VENV=.venv-newest CONSTRAINTS=

minimum:
	$(PYTHON) -m scripts.checks.matrix --minimum $(firstword $(VERSIONS))

bench: $(STAMP) $(wildcard $(PEERS_STAMP))
	$(COMPARE) -m pytest tests/reference
	$(COMPARE) -m scripts.benchmarks.data --peers
	$(BIN)/python -m scripts.benchmarks.csv_files
	$(BIN)/python -m scripts.benchmarks.set_up
	$(BIN)/python -m scripts.benchmarks.recurrent
	$(COMPARE) -m scripts.benchmarks.models --peers
	$(BIN)/python -m scripts.benchmarks.samples
	$(BIN)/python -m scripts.benchmarks.predict
	$(BIN)/python -m scripts.benchmarks.streaming
	$(BIN)/python -m scripts.benchmarks.calibration
	$(BIN)/python -m scripts.benchmarks.normalisation
	$(BIN)/python -m scripts.benchmarks.lanes --write
	$(BIN)/python -m scripts.benchmarks.skill memory

peers: $(PEERS_STAMP)
	$(PEERS)/bin/python -m tests.reference.peers

parity: peers
	$(PEERS)/bin/python -m pytest tests/reference

soak: $(STAMP)
	$(BIN)/python -m scripts.benchmarks.soak
	TRANSFORMERTF_SOAK=1 $(BIN)/python -m pytest -n 2 tests/properties tests/models/test_compile.py

sample-data: $(STAMP)
	$(BIN)/python -m scripts.data.sample
	$(BIN)/python -m scripts.data.panel

epf: $(STAMP)
	$(BIN)/python -m scripts.benchmarks.epf

$(STAMP): EXTRAS := [dev,plot]
$(CORE_STAMP): EXTRAS :=
$(STAMP) $(CORE_STAMP): $(CONSTRAINTS)
$(PEERS_STAMP): EXTRAS := [bench,dev]
$(PEERS_STAMP): constraints-peers.txt

$(STAMP) $(CORE_STAMP) $(PEERS_STAMP): %/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
		{ echo "transformertf needs Python 3.11 to 3.13: make PYTHON=python3.12 ..."; exit 2; }
	@echo "installing into $*, this takes a few minutes the first time"
	$(PYTHON) -m venv $*
	$*/bin/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) \
		$(addprefix --constraint ,$(filter constraints%,$^)) --editable '.$(EXTRAS)'
	@touch $@

clean:
	rm -rf $(VENV) .venv-* runs demo
