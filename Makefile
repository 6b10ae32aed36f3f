PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Hundreds of processes would compile taskpace again, and each worker of pytest all tests.
unexport PYTHONDONTWRITEBYTECODE
# Which tests stay on one worker: tests/conftest.py.
PARALLEL := --dist loadscope --no-loadscope-reorder
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

# How long bench/soak.py goes on: 90s, 30m, 24h.
SOAK ?= 30m

BENCHES := startup planning fidelity http_fidelity http_capacity http_faults endless fuzz overhead_llamacpp \
	overhead_transformers neighbours twins demo_under_load progress_cost dialogue servers greedy report analysis \
	bootstrap_intervals calibration claims until until_intervals until_items decided_real gate gate_real whatif \
	imports every_eval cluster streams

.PHONY: install demo test test-fast soak matrix check format docs changelog bench bench-quick bench-peers clean

$(VENV)/.core: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) -e '.[llamacpp,charts,quality]'
	touch $@

$(VENV)/.dev: $(VENV)/.core
	$(INSTALL) -e '.[llamacpp,charts,hub,transformers,energy,quality,prices,ray,docs,dev]'
	touch $@

$(VENV)/.browser: $(VENV)/.dev tests/browser.py
	$(BIN)/python tests/browser.py
	touch $@

install: $(VENV)/.dev  ## Everything to work on taskpace, in .venv

demo: $(VENV)/.core  ## Two real models, three systems, three tasks: who finishes first?
	$(BIN)/taskpace run examples/demo.toml -o runs/demo.db
	$(BIN)/taskpace report runs/demo.db -o runs/demo.html --force

# Each worker's frames are small, and the workers share the cores.
test test-fast soak: export POLARS_MAX_THREADS = 1

test: check $(VENV)/.browser  ## All checks, then all tests but the soak
	$(BIN)/python -m pytest -n 4 $(PARALLEL)

test-fast: $(VENV)/.dev  ## The tests that take a minute together: no real model, no browser, nothing slow
	$(BIN)/python -m pytest -n 4 $(PARALLEL) --hypothesis-profile=quick \
		-m "not real_model and not browser and not soak and not slow"

soak: $(VENV)/.browser  ## SOAK=24h: so long runs are killed and go on; and hundreds of kills, mutated files, simulations
	$(BIN)/python bench/soak.py --time $(SOAK)
	$(BIN)/python -m pytest -m soak
	$(BIN)/python bench/fuzz.py

matrix: $(VENV)/.dev  ## The wheel, installed with all it needs and run on every Python of this machine; what it weighs
	$(BIN)/python tests/matrix.py

check: $(VENV)/.dev  ## Format, lint, types, who may import whom, words
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tests/words/check.py

format: $(VENV)/.dev
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

docs: $(VENV)/.dev  ## The documentation site, in site/: built strictly, every link followed
	$(BIN)/python -m tests.documentation site

changelog: $(VENV)/.dev  ## VERSION=1.2.3: the fragments of changes/ become a section of CHANGELOG.md
	$(BIN)/python changes/collect.py $(VERSION)

runs/demo.db: | $(VENV)/.core
	$(BIN)/taskpace run examples/demo.toml -o $@

bench: $(VENV)/.browser runs/demo.db  ## Measures all that docs/benchmarks.md and docs/statistics.md show, and fills them in
	for name in $(BENCHES); do $(BIN)/python bench/$$name.py --save || exit 1; done
	$(BIN)/python bench/page.py

bench-quick: $(VENV)/.dev  ## Each benchmark in its quick form: whether it runs, not what it measures
	for name in $(BENCHES); do $(BIN)/python bench/$$name.py --quick || exit 1; done

bench-peers: $(VENV)/.dev  ## Beside other load generators, in environments of their own (gigabytes)
	$(BIN)/python bench/peers.py
	for name in http_capacity http_fidelity servers; do $(BIN)/python bench/$$name.py --save || exit 1; done
	$(BIN)/python bench/page.py

clean:
	rm -rf $(VENV) build dist site .pytest_cache .mypy_cache .ruff_cache .hypothesis
