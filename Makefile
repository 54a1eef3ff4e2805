# What a fresh machine needs is installed by these targets themselves: make demo, make test.
# PYTHON=python3.12 makes another interpreter build and test; the environment stands in $(VENV).

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STRICT := -Wall -Wextra -Wconversion -Werror
SOURCES := $(wildcard csrc/*.[ch] zmqsec/*.pyx zmqsec/*.pxd) setup.py pyproject.toml

.PHONY: all demo test test-all-pythons lint check-c check-c-long check-memory check-fuzz fuzz formal bench vectors clean

all: $(VENV)/built

# python3-venv and a C compiler come from Debian where they are missing and we may install them.
$(BIN)/python:
	@sh scripts/system-packages.sh $(PYTHON)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

$(VENV)/built: $(BIN)/python $(SOURCES)
	ZMQSEC_REQUIRE_C=1 ZMQSEC_CFLAGS="$(STRICT)" $(BIN)/python -m pip install --quiet --editable '.[test,lint,bench,suite3,relay,keyserver,postgresql]'
	@touch $@

demo: $(VENV)/built
	$(BIN)/zmqsec demo $(FILE)

# The tests start a PostgreSQL of their own, and some of the formal checks.
test: $(VENV)/built
	@sh scripts/test-packages.sh
	ZMQSEC_REQUIRE_C=1 $(BIN)/python -m pytest $(ARGS)

# Every CPython from 3.10 to 3.13 that is here: a fresh environment, an ordinary install, the whole suite.
test-all-pythons:
	sh scripts/test-all-pythons.sh

lint: $(VENV)/built
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy tests/typed_use.py
	$(BIN)/mypy docs/formal/*.py

# The C core's own tests compare with the libsodium that pyzmq brings.
CHECK_C = ZMQSEC_TEST_LIBSODIUM=$$($(BIN)/python -c 'from zmqsec import sodium; print(sodium.library_path())') \
	$(MAKE) -C csrc/tests -j"$$(nproc)" -Otarget

# All of it: plain, under ASan and UBSan, by clang, and for constant time under valgrind, MemorySanitizer and a trace.
check-c: $(VENV)/built
	@sh scripts/check-c-packages.sh
	$(CHECK_C) check check-asan check-clang check-ct

# Hours: every length, associated data and batch, and 10^7 random messages; TIER=avx2 walks one tier alone.
check-c-long: $(VENV)/built
	$(CHECK_C) check-long TIER=$(TIER)

# The parsers under libFuzzer with ASan and UBSan: 30 s each, or an hour each (FUZZ_SECONDS); TARGETS="wire parts" for some.
check-fuzz:
	@sh scripts/check-c-packages.sh
	$(MAKE) -C csrc/fuzz check

fuzz:
	@sh scripts/check-c-packages.sh
	$(MAKE) -C csrc/fuzz fuzz

# Memory over 10^7 messages of each kind, two to five minutes; make test takes 2 * 10^5.
check-memory: $(VENV)/built
	ZMQSEC_MEMORY_MESSAGES=10000000 $(BIN)/python -m pytest -v tests/test_footprint.py

# The formal models of docs/formal: a few minutes; ARGS=--quick takes seconds.
formal: $(VENV)/built
	@sh scripts/formal-packages.sh
	$(BIN)/python docs/formal $(ARGS)

bench: $(VENV)/built
	$(BIN)/python -m bench

vectors: $(VENV)/built
	$(BIN)/python tests/vectors/make_vectors.py

clean:
	rm -rf $(VENV) build *.egg-info zmqsec/_*.c zmqsec/*.so
