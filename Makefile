# Two commands do everything on a fresh machine: `make test` and `make reproduce`.
PRESET ?= cpu
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
# Test processes run side by side; one thread each keeps them from fighting over the cores.
SINGLE := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1

.PHONY: reproduce studies study proofs test test-slow mutation bench bench-diagnose bench-train docs lint readme clean

reproduce: $(INSTALLED)
	$(BIN)/madpo reproduce --preset $(PRESET)

# The seven simulation studies; goes on where it was stopped.
studies: $(INSTALLED)
	$(SINGLE) $(BIN)/madpo simulate all --worlds 100 --out runs/studies --page docs/studies.md

# The recorded sentiment study: runs what results/sentiment lacks; all of it took 14 hours of computing.
study: $(INSTALLED)
	$(BIN)/madpo study

# Check the Coq proofs; needs no Python, and says what to install if Coq is missing.
proofs:
	@$(MAKE) --no-print-directory -C proofs all summary

test: $(INSTALLED)
	$(SINGLE) $(BIN)/python -m pytest -q -n 2 --dist loadgroup -m "not slow"

test-slow: $(INSTALLED)
	$(BIN)/python -m pytest -q -m slow

# Change the formulas in every small way: does a test notice? Goes on where it was stopped.
mutation: $(INSTALLED)
	$(SINGLE) $(BIN)/python tests/mutation/run.py

# Problems per second against other software on two cores; writes benchmarks/out/.
bench: $(INSTALLED)
	$(SINGLE) $(BIN)/python -m benchmarks.solvers --threads 2

# Seconds and memory of an alignment step, and generation, against TRL and transformers.
bench-train: $(INSTALLED)
	$(BIN)/python -m benchmarks.training

# Time and memory of madpo diagnose and madpo weights, beside polars' scan of the same file.
bench-diagnose: $(INSTALLED)
	$(BIN)/python -m benchmarks.diagnose --threads 2

# The documentation site, into build/site.
docs: $(INSTALLED)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# The table of claims and the figure in README.md, and the graph of the ledger.
readme: $(INSTALLED)
	$(BIN)/madpo verify --readme README.md --graph docs/figures/ledger.svg
	$(BIN)/madpo figures --out docs/figures --names effective_target monotone_region
	rm -f docs/figures/*.pdf docs/figures/*.csv

$(INSTALLED): constraints.txt pyproject.toml
	@echo "installing the locked packages into $(VENV): two or three minutes"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -qq --requirement constraints.txt
	$(BIN)/python -m pip install -qq --no-deps --no-build-isolation --editable .
	touch $(INSTALLED)

clean:
	rm -rf $(VENV) figures report .pytest_cache .ruff_cache .hypothesis *.egg-info
