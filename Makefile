PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: bench test lint parity perf gpu faults fuzz release-check clean

bench: $(READY)  ## set up, then run the quickstart suite on the embedded models
	$(BIN)/python run_bench.py suites/quickstart.yaml

test: $(READY)  ## set up, then run the tests
	$(BIN)/python -m pytest

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

perf: $(READY)  ## wall times as ratios, each in one run; writes docs/perf.md
	$(BIN)/python -m tests.perf

gpu: $(READY)  ## what only a GPU can show, in nine minutes; writes docs/gpu.md
	$(BIN)/python -m tests.gpu $(GPU)

faults: $(READY)  ## hit runs at random moments: all must end as if nothing had happened
	$(BIN)/python -m tests.faults

fuzz: $(READY)  ## give `plan` 20,000 hostile suites: none may end in a traceback
	$(BIN)/python -m tests.fuzz

release-check: $(READY)  ## install the wheel into an empty environment; run the quickstart from an empty folder
	$(BIN)/python -m tests.release

parity: $(READY)  ## native attacks against the reference implementations
	$(BIN)/python -m tests.attacks.parity

# One pip command, so that the resolver sees the pinned torch beside what depends on it.
# torchattacks comes without its pins: see pyproject.toml.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev,lvlm,plot,ray,torchattacks,train]'
	$(BIN)/pip install --quiet --constraint constraints.txt --no-deps torchattacks
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info
