# make demo    a trained model, forecasts and a picture, in a few minutes
# make test    the whole suite
# make check   format, lint, types, layers
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
PIP_ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PEERS := .venv-peers
PEERS_STAMP := $(PEERS)/.installed
# what compares runs with the peers beside it where they are
COMPARE = $(if $(shell ls $(PEERS_STAMP) 2>/dev/null),$(PEERS),$(VENV))/bin/python

.PHONY: demo test check bench peers parity soak sample-data epf clean

demo: $(STAMP)
	$(BIN)/python scripts/demo.py

test: $(STAMP)
	$(BIN)/python -m pytest -n 2

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(STAMP) $(wildcard $(PEERS_STAMP))
	$(COMPARE) -m pytest tests/reference
	$(COMPARE) scripts/bench_data.py --peers
	$(BIN)/python scripts/bench_recurrent.py
	$(COMPARE) scripts/bench_models.py --peers
	$(BIN)/python scripts/bench_samples.py
	$(BIN)/python scripts/bench_predict.py
	$(BIN)/python scripts/bench_streaming.py
	$(BIN)/python scripts/calibration_coverage.py

peers: $(PEERS_STAMP)
	$(PEERS)/bin/python -m tests.reference.peers

parity: peers
	$(PEERS)/bin/python -m pytest tests/reference

soak: $(STAMP)
	$(BIN)/python scripts/soak.py
	TRANSFORMERTF_SOAK=1 $(BIN)/python -m pytest -n 2 tests/properties tests/models/test_compile.py

sample-data: $(STAMP)
	$(BIN)/python scripts/make_sample_data.py
	$(BIN)/python scripts/make_panel_data.py

epf: $(STAMP)
	$(BIN)/python scripts/run_epf.py

$(STAMP): EXTRAS := dev,plot
$(STAMP): constraints.txt
$(PEERS_STAMP): EXTRAS := bench,dev
$(PEERS_STAMP): constraints-peers.txt

$(STAMP) $(PEERS_STAMP): %/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
		{ echo "transformertf needs Python 3.11 to 3.13: make PYTHON=python3.12 ..."; exit 2; }
	@echo "installing into $*, this takes a few minutes the first time"
	$(PYTHON) -m venv $*
	$*/bin/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) \
		--constraint $(filter constraints%,$^) --editable '.[$(EXTRAS)]'
	@touch $@

clean:
	rm -rf $(VENV) $(PEERS) runs demo
