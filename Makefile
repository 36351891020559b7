# Each target does all of its own set-up, in .venv beside this file, and is quick the second time.
#   make reproduce ARGS="--profile paper"    hands ARGS to run_all.py (make test: to pytest)
#   make test PYTHON=/path/to/python3.12     picks the Python for .venv (only the first time)

.DEFAULT_GOAL := help
.PHONY: help reproduce test test-all lab bench audit lint clean

VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed
# Without PYTHON=..., the first of these that is 3.11, 3.12 or 3.13.
CANDIDATES := $(or $(PYTHON),python3 python3.13 python3.12 python3.11)

help:
	@echo "make reproduce   every table and figure, and the report (ARGS=... go to run_all.py)"
	@echo "make test        lint, format and tests (ARGS=... go to pytest)"
	@echo "make test-all    those too that take longer than minutes (PDDM_RECORD=1 keeps their results)"
	@echo "make lab         JupyterLab on the notebooks"
	@echo "make bench       speed against the rivals: tables, a plot, targets (ARGS=... as --out DIR)"
	@echo "make audit       three stored runs fitted again and compared (ARGS=... as --data-root DIR)"
	@echo "make lint        lint and format only"
	@echo "make clean       remove .venv and caches; results/ stays"

reproduce: $(STAMP)
	@$(PY) run_all.py $(ARGS)

test: lint
	@$(PY) -m pytest $(ARGS)

test-all: lint
	@$(PY) -m pytest -m "" $(ARGS)

lab: $(STAMP)
	@$(PY) -m jupyter lab notebooks/00_start_here.ipynb $(ARGS)

bench: $(VENV)/.bench
	@$(PY) benchmarks/run.py $(ARGS)

$(VENV)/.bench: $(STAMP)
	@$(PY) -m pip install -qq --disable-pip-version-check -e '.[bench]'
	@touch $@

audit: $(STAMP)
	@$(PY) run_all.py audit $(ARGS)

lint: $(STAMP)
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .

# The stamp is written last, so a failed or interrupted install is tried again.
# A candidate is run, not only looked up: a name on PATH may be a stub that cannot start.
$(STAMP): pyproject.toml
	@rm -f $@
	@if ! $(PY) -m pip --version >/dev/null 2>&1; then \
	  for p in $(CANDIDATES); do \
	    if "$$p" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1; \
	    then found="$$p"; break; fi; \
	  done; \
	  if [ -z "$$found" ]; then \
	    echo "pddm-lite needs Python 3.11, 3.12 or 3.13 (tried: $(CANDIDATES)); try make PYTHON=/path/to/python3.12" >&2; \
	    exit 1; \
	  fi; \
	  "$$found" -m venv --clear $(VENV) || exit 1; \
	fi
	@echo "Installing into $(VENV): the first time this downloads about 5 GB and takes some minutes."
	@$(PY) -m pip install -qq --disable-pip-version-check -e '.[test]'
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
