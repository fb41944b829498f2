# `make demo` and `make test` set everything up in .venv; nothing else is needed.
PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt
# Two worker processes: one per core of a small machine.
WORKERS ?= 2

# How many specs `make fuzz` draws.
DRAWN ?= 10000

# How many mutants `make mutants` tries, and which.
MUTANTS ?= 500
SEED ?= 11

# Compiled modules are kept, whatever the shell says: tests start many processes.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-all fuzz mutants lint tables golden bench clean

# Unpacking takes longest, so one core unpacks these and the other all else; the last line of pip's finds what
# this system needs beside. What tests import first is compiled by importing it, before they start many processes.
LARGEST := tensorflow jaxlib

.venv/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(INSTALL) --no-deps $(LARGEST) & largest=$$!; \
	grep -v $(LARGEST:%=-e '^%==') constraints.txt > .venv/others.txt; \
	$(INSTALL) --no-deps -r .venv/others.txt; others=$$?; \
	wait $$largest && exit $$others
	$(INSTALL) --no-build-isolation -e '.[torch,keras,test,lint]'
	$(BIN)/python -c 'import tensorflow' 2> /dev/null & first=$$!; \
	$(BIN)/python -c 'import torch._inductor.compile_fx, onnxscript, scipy.stats, sklearn.datasets'; second=$$?; \
	wait $$first && exit $$second
	touch $@

# Tools by other people, for slow tests.
.venv/.tools: tests/targets/requirements.txt | .venv/.installed
	$(INSTALL) -r $<
	touch $@

demo: .venv/.installed
	$(BIN)/python examples/demo.py build/demo

test: .venv/.installed
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist loadgroup -m 'not slow'

test-all: .venv/.installed .venv/.tools build/packages
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist loadgroup

build/packages: tests/examples/requirements.txt | .venv/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade --no-deps --target $@ -r $<
	touch $@

fuzz: .venv/.installed
	NNSPEC_DRAWN=$(DRAWN) $(BIN)/python -m pytest -q -m slow tests/drawn

build/mutants/tools: tests/mutants/requirements.txt constraints.txt | .venv/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade --target $@ -c constraints.txt -r $<
	touch $@

mutants: .venv/.installed build/mutants/tools
	PYTHONPATH=$(CURDIR)/build/mutants/tools $(BIN)/python tests/mutants --number $(MUTANTS) --seed $(SEED)

lint: .venv/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --threads $(WORKERS)

tables: .venv/.installed
	$(BIN)/python -m nnspec.dsl.make_tables
	$(BIN)/python -m nnspec.backends.index

golden: .venv/.installed
	$(BIN)/python -m pytest -q tests/golden --update-golden

bench: .venv/.installed
	$(INSTALL) -r benchmarks/requirements.txt
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.connectivity
	$(BIN)/python -m benchmarks.growth
	$(BIN)/python -m benchmarks.decoder
	$(BIN)/python -m benchmarks.startup

clean:
	rm -rf .venv build
