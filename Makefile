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

.venv/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	# What is largest by itself, beside all the rest: unpacking takes longest. The last line adds what these need.
	$(INSTALL) --no-deps tensorflow & largest=$$!; \
	$(INSTALL) torch && $(INSTALL) -e '.[torch,test,lint]'; rest=$$?; \
	wait $$largest && exit $$rest
	$(INSTALL) -e '.[torch,keras,test,lint]'
	# On all cores, and without the packages' own tests; what is no Python of today stays as it is.
	$(BIN)/python -m compileall -qq -j $(WORKERS) -x '/tests?/' .venv/lib || true
	touch $@

demo: .venv/.installed
	$(BIN)/python examples/demo.py build/demo

test: .venv/.installed
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist loadgroup -m 'not slow'

test-all: .venv/.installed build/packages
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
