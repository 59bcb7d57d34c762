# Each target works alone on a fresh clone: it makes .venv, installs what it needs once,
# and runs. Only Python 3.11 or newer, pip and make are expected.

BIN := .venv/bin

.PHONY: demo test soak fuzz bench format

demo: .venv/examples.installed
	$(BIN)/ptutils run examples/digits.yaml

test: .venv/test.installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/pytest --numprocesses auto --dist worksteal --cov --cov-report=
	$(BIN)/coverage report --include='ptutils/meta/*,ptutils/core/*' --fail-under=100

# What chance decides, ten times as often as in the tests.
soak: .venv/test.installed
	PTUTILS_SOAK=1 $(BIN)/pytest tests/faults tests/test_outage.py \
	  tests/db/test_against_mongod.py tests/db/test_hostile_documents.py \
	  tests/meta/formats/test_killed.py

# "Exact or refused", searched with ten thousand examples per format.
fuzz: .venv/test.installed
	PTUTILS_FUZZ=10000 $(BIN)/pytest tests/meta/formats/test_fuzz.py

bench: .venv/bench.installed
	for script in benchmarks/*.py; do $(BIN)/python $$script || exit 1; done

format: .venv/test.installed
	$(BIN)/ruff check --fix --exit-zero .
	$(BIN)/ruff format .

# The stem names the extra to install; the stamp is older than what it was made from
# exactly when something must be installed again.
.venv/%.installed: pyproject.toml constraints.txt .venv/created
	$(BIN)/python -m pip install --constraint constraints.txt --editable '.[$*]'
	touch $@

.venv/created:
	@for python in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	  if $$python -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
	  then $$python -m venv .venv && touch $@; exit; fi; \
	done; \
	echo 'error: no Python 3.11 or newer with its venv module was found' >&2; exit 1
