PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Which tests stay on one worker: tests/conftest.py.
PARALLEL := -n 2 --dist loadscope --no-loadscope-reorder
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: install demo test test-fast soak check format bench bench-peers clean

$(VENV)/.core: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) -e '.[llamacpp]'
	touch $@

$(VENV)/.dev: $(VENV)/.core
	$(INSTALL) -e '.[llamacpp,hub,transformers,energy,quality,dev]'
	touch $@

$(VENV)/.browser: $(VENV)/.dev tests/browser.py
	$(BIN)/python tests/browser.py
	touch $@

install: $(VENV)/.dev  ## Everything to work on taskpace, in .venv

demo: $(VENV)/.core  ## Two real models, three systems, three tasks: who finishes first?
	$(BIN)/taskpace run examples/demo.toml -o runs/demo.db
	$(BIN)/taskpace report runs/demo.db -o runs/demo.html --force

test: check $(VENV)/.browser  ## All checks, then all tests but the soak
	$(BIN)/python -m pytest $(PARALLEL)

test-fast: $(VENV)/.dev  ## The tests that take a minute together: no real model, no browser, nothing slow
	$(BIN)/python -m pytest $(PARALLEL) -m "not real_model and not browser and not soak and not slow"

soak: $(VENV)/.browser  ## What repeats for long: a hundred kills, large simulations
	$(BIN)/python -m pytest -m soak

check: $(VENV)/.dev  ## Format, lint, types, who may import whom
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

bench-peers: $(VENV)/.dev  ## Beside other load generators, in environments of their own (gigabytes)
	$(BIN)/python bench/peers.py
	$(BIN)/python bench/http_capacity.py
	$(BIN)/python bench/http_fidelity.py
	$(BIN)/python bench/servers.py

bench: $(VENV)/.dev  ## Speed, memory and fidelity; prints what docs/benchmarks.md quotes
	$(BIN)/python bench/startup.py
	$(BIN)/python bench/fidelity.py
	$(BIN)/python bench/http_fidelity.py
	$(BIN)/python bench/http_faults.py
	$(BIN)/python bench/overhead_llamacpp.py
	$(BIN)/python bench/progress_cost.py
	$(BIN)/python bench/analysis.py
	$(BIN)/python bench/report.py
	$(BIN)/python bench/statistics.py
	$(BIN)/python bench/bootstrap_intervals.py

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
