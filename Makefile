# Two commands do the work: `make demo` and `make test`. Each installs what it needs first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: install demo test check lint types layers unit clean

install: $(READY)

$(READY): pyproject.toml docker/install.sh
	PYTHON=$(PYTHON) docker/install.sh --develop $(VENV)
	@touch $(READY)
	@echo "Installed. Try: make demo"

demo: install
	$(BIN)/nextlabel demo $(if $(KIND),--kind $(KIND)) $(if $(ONCE),--once) $(DEMO)

test: check

check: install lint types layers
	$(BIN)/python -m pytest

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

layers: install
	$(BIN)/lint-imports

unit: install
	$(BIN)/python -m pytest -m "not e2e"

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
