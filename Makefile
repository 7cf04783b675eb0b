# Two commands do everything on a fresh machine: `make test` and `make reproduce`.
PRESET ?= cpu
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
# Modules are compiled once, as an installation does it, whatever the environment says.
unexport PYTHONDONTWRITEBYTECODE
# Test processes run side by side, each file in one of them, so that what a file sets up is set up
# once; one thread each keeps them from fighting over the cores.
SINGLE := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1
SUPPORTED := $(SINGLE) PYTHONPATH=tests/support
# Figures of the theory that the docs show.
FIGURES := corrected_weights effective_target field_targets monotone_region pair_risk primer target_shift weight_and_coefficient
# How many changes `make mutation` draws of each room; a room that is not named is run whole.
SAMPLE := certificates=150 formulas=150 ledger=150

# What make gpu runs with: what make gpu-pack laid out, or where there is nothing the lock file's.
PARTS := $(wildcard build/card/part-*)
CARD := $(if $(PARTS),build/card/venv/bin/python,$(INSTALLED))

.PHONY: help reproduce studies study proofs test test-slow test-long fuzz kills mutation bench bench-diagnose bench-train paper-trial gpu-pack gpu docs sheets which lint readme clean

help:  ## this list
	@awk -F ':.*  ## ' '/^[a-z-]+:.*  ## / {printf "make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

reproduce: $(INSTALLED)  ## verify the claims, run the experiment, write report/index.html (PRESET=cpu, smoke, paper)
	$(BIN)/madpo reproduce --preset $(PRESET)

studies: $(INSTALLED)  ## the simulation studies; goes on where it was stopped
	$(SINGLE) $(BIN)/madpo simulate all --worlds 100 --out runs/studies --page docs/studies.md

study: $(INSTALLED)  ## the recorded sentiment study: what results/sentiment lacks; all of it took 14 hours of computing
	$(BIN)/madpo study

proofs:  ## check the Coq proofs; needs no Python, and says what to install if Coq is missing
	@$(MAKE) --no-print-directory -C proofs all summary

test: $(INSTALLED)  ## the tests but the slow ones
	$(SINGLE) $(BIN)/python -m pytest -q -n 2 --dist loadfile -m "not slow and not long"

test-slow: $(INSTALLED)  ## the slow tests
	$(SINGLE) $(BIN)/python -m pytest -q -n 2 --dist loadfile -m "slow and not long"

test-long: $(INSTALLED)  ## the tests that CI leaves out
	$(SINGLE) $(BIN)/python -m pytest -q -n 2 --dist loadfile -m long

fuzz: $(INSTALLED)  ## 10,000 files changed in every way: read right, or refused in one line? Writes docs/robustness.md
	$(SUPPORTED) $(BIN)/python tests/fuzz/files.py --page

kills: $(INSTALLED)  ## end the long commands at random moments: same files when run again, nothing left? Goes on where it was stopped
	$(SUPPORTED) $(BIN)/python tests/kills/run.py

mutation: $(INSTALLED)  ## change formulas and verifier in small ways: does a test notice? SAMPLE= for every change there is
	$(SINGLE) $(BIN)/python tests/mutation/run.py --sample $(SAMPLE)

bench: $(INSTALLED)  ## problems per second against other software on two cores; writes benchmarks/out/
	$(SINGLE) $(BIN)/python -m benchmarks.solvers --threads 2

bench-train: $(INSTALLED)  ## seconds and memory of an alignment step, and generation, against TRL and transformers
	$(BIN)/python -m benchmarks.training

bench-diagnose: $(INSTALLED)  ## time and memory of madpo diagnose and madpo weights, beside polars' scan of the same file
	$(BIN)/python -m benchmarks.diagnose --threads 2

paper-trial: $(INSTALLED)  ## the paper preset at 1 % of its size, end to end, on local folders: two hours of one core
	$(BIN)/python -m benchmarks.paper

gpu-pack: $(INSTALLED)  ## what a machine with a card and no network lacks, in parts: build/card (HAVE= packages that it has)
	$(BIN)/python -m benchmarks.pack build/card --have $(HAVE)

gpu: $(CARD)  ## everything that needs a CUDA device, within 25 minutes, without network where gpu-pack's parts are
	$(if $(PARTS),$(CARD),$(BIN)/python) -m benchmarks.card $(OPTIONS)

build/card/venv/bin/python:
	$(PYTHON) -m benchmarks.pack build/card --unpack

docs: $(INSTALLED)  ## the documentation site, into build/site
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

sheets: $(INSTALLED)  ## the verdict sheet of every method: the page of the docs, and the golden data of the tests
	$(SINGLE) $(BIN)/madpo audit --all --seconds 60 --page docs/sheets.md --json runs/sheets.json
	$(SINGLE) $(BIN)/python tests/golden/sheets.py runs/sheets.json

which: $(INSTALLED)  ## the page "Which loss?", from make sheets and make studies
	$(BIN)/madpo which --page docs/which-loss.md

lint: $(INSTALLED)  ## check the style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

readme: $(INSTALLED)  ## renew docs/claims.md, docs/ledger.json, the figures of the theory, and the graph of the ledger
	$(BIN)/madpo verify --page docs/claims.md --json docs/ledger.json --graph docs/figures/ledger.svg
	$(BIN)/madpo figures --out docs/figures --names $(FIGURES)
	rm -f docs/figures/*.pdf docs/figures/*.csv

$(INSTALLED): constraints.txt pyproject.toml
	@echo "installing the locked packages into $(VENV): minutes, most of them downloading"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -qq --requirement constraints.txt
	$(BIN)/python -m pip install -qq --no-deps --no-build-isolation --editable .
	touch $(INSTALLED)

clean:  ## remove what was built
	rm -rf $(VENV) figures report .pytest_cache .ruff_cache .hypothesis *.egg-info
