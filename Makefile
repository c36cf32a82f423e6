# Every verb sets up what it needs: a virtual environment in .venv with the project installed in place.
# `make` alone lists the verbs.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
OUT    ?= demo-output
ARGS   ?=

.DEFAULT_GOAL := help
.PHONY: help setup demo test check fix docs bench evaluate package editors test-editors test-gpu clean

help:  ## list the verbs
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

$(READY): pyproject.toml tools/setup_environment.sh
	tools/setup_environment.sh "$(PYTHON)" "$(VENV)"
	@touch $@

setup: $(READY)  ## make the virtual environment

demo: $(READY)  ## run every operation on real pictures; look at demo-output/index.html
	$(BIN)/intarsia demo --out "$(OUT)" $(ARGS)

test: $(READY)  ## all tests (the editors' own tests: make test-editors)
	$(BIN)/python -m pytest $(ARGS)

check: $(READY)  ## format, lint, types, room rules, generated files
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports
	$(BIN)/python tools/generate.py --check

fix: $(READY)  ## format and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(READY)  ## write the generated files again (catalog.json, docs/operations.md)
	$(BIN)/python tools/generate.py

bench: $(READY)  ## benchmarks: ratios to the peers, in one run
	$(BIN)/python benchmarks/round_trip.py $(ARGS)
	$(BIN)/python benchmarks/poisson.py $(ARGS)
	$(BIN)/python benchmarks/cancelling.py $(ARGS)
	$(BIN)/python benchmarks/single_image.py $(ARGS)
	$(BIN)/python benchmarks/spatial_norm.py $(ARGS)
	$(BIN)/python benchmarks/composite.py $(ARGS)
	$(BIN)/python benchmarks/mosaic.py $(ARGS)

evaluate: $(READY)  ## measure the default pack: docs/results.md
	$(BIN)/python tools/evaluate.py $(ARGS)

package: $(READY)  ## the Krita zip, the GIMP zip and the wheel, in dist/
	$(BIN)/python tools/package.py

editors:  ## a Debian root with the real Krita and the real GIMP 3 (needs root, about 5 minutes)
	tests/editors/setup_editors.sh

test-editors: $(READY) editors  ## the tests inside the real Krita and the real GIMP 3
	INTARSIA_EDITOR_TESTS=1 $(BIN)/python -m pytest tests/editors $(ARGS)

test-gpu: $(READY)  ## what needs a GPU: tests and benchmarks
	tools/gpu_run.sh

clean:  ## remove what make made
	rm -rf $(VENV) dist demo-output
