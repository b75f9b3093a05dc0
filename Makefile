# Each target sets up what it needs in .venv. `make demo` installs the run-time dependencies only.
# Linux without a GPU: PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu make demo
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test test-slow mutate bench lint docs clean
.DEFAULT_GOAL := help

help:
	@echo "make demo        compare architectures on the shipped molecules, train the best, predict new ones, leave reports (minutes)"
	@echo "make test        lint, types, import layers, all quick tests"
	@echo "make test-slow   tests that train for minutes or need data sets that are not shipped"
	@echo "make mutate      break a sample of lines, one at a time, and count what no test sees (60 minutes at most)"
	@echo "make bench       speed and memory against peers, as JSON lines in bench/results (80 minutes; see bench/README.md)"
	@echo "make lint        ruff, mypy, import-linter"
	@echo "make docs        run every example of README and docs, draw the gallery, build the site into site/"

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run-time: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) -e .
	@touch $@

$(VENV)/.development: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) -e '.[dev]'
	@touch $@ $(VENV)/.run-time

demo: $(VENV)/.run-time
	$(BIN)/heliograph compare smallmol --target-columns gap --archs gcn gin gatv2 dmpnn --sample 800 --parameters 50000 \
		--epochs 16 --batch-size 32 --max-lr 2e-3 --cv 1x5 --jobs 2 -o demo-run/comparison --overwrite
	$(BIN)/heliograph train --from demo-run/comparison --batch-size 64 --ensemble-size 2 --no-baselines -o demo-run/model --overwrite
	$(BIN)/heliograph predict demo-run/model examples/new.csv -o demo-run/predictions.csv --overwrite
	@echo; cat demo-run/predictions.csv; echo; echo "Open demo-run/comparison/report.html and demo-run/model/report.html"

lint: $(VENV)/.development
	$(BIN)/ruff check src tests bench scripts examples docs
	$(BIN)/ruff format --check --quiet src tests bench scripts examples docs/gallery
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

test: lint
	OMP_NUM_THREADS=1 $(BIN)/pytest --shapes -n auto --dist worksteal -m "not slow" -q

test-slow: $(VENV)/.development
	$(BIN)/pytest --shapes -m slow

BENCHES = "training_step --compile --steps 5" "training_step --compile --precision bf16 --steps 5 --only schnet gilmer gcn gin" \
	roofline gcn_layer kernels growth "chemprop_epoch --precision float32 bf16" predict_chemprop

bench: $(VENV)/.development
	@failed=; today=$$(date +%F); \
	for command in $(BENCHES); do \
		set -- $$command; name=$$1; shift; \
		echo "== $$(date +%T) bench/$$name.py $$*"; \
		$(BIN)/python bench/$$name.py "$$@" -o bench/results/$$name-$$today.jsonl || failed="$$failed [$$command]"; \
	done; \
	test -z "$$failed" || { echo "failed:$$failed"; exit 1; }

mutate: $(VENV)/.development
	$(BIN)/python scripts/mutate.py --minutes 60 --jobs 2

docs: $(VENV)/.development
	OMP_NUM_THREADS=1 $(BIN)/pytest -q tests/test_docs.py
	$(MAKE) site

# The site alone. Nothing is fetched; figures are drawn where their code is newer.
.PHONY: site
site: $(VENV)/.development
	OMP_NUM_THREADS=1 $(BIN)/python scripts/site_hooks.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

clean:
	rm -rf $(VENV) demo-run site
