PYTHON       ?= python3
COLAB_PYTHON ?= python3.13
PROFILE      ?= fast
SEED         ?= 0
DATASET      ?= mnist
FORGET       ?=
SEEDS        ?= 8
METHODS      ?= selective_amnesia calibrated_amnesia
WORKERS      ?=
BIN          := .venv/bin
COLAB        := .venv-colab
AT            = $(if $(WORKERS),--workers "$$WORKERS")

export PROFILE SEED SEEDS METHODS DATASET FORGET WORKERS

.PHONY: run page site linkcheck sweep matrix panel leaderboard population export test test-colab faults notebooks bench bench-gpu lint audit-deps clean

run: .venv/installed      ## fetch the data set, execute the notebooks, report
	$(BIN)/python -m selective_amnesia run --profile "$$PROFILE" --seed "$$SEED" --dataset "$$DATASET" --forget "$$FORGET"

page:                     ## the explorer page: as one file into build/, and served on loopback
	$(PYTHON) scripts/page.py
	@echo "once the server says so, open http://127.0.0.1:8000 (stop it with Ctrl-C)"
	$(PYTHON) -m http.server 8000 --bind 127.0.0.1 --directory web

site: .venv/site          ## the site: notebooks, docs and API as pages, from what is committed
	rm -rf build/site build/doctrees docs/api
	$(BIN)/python -m sphinx -q -W --keep-going -j auto -c docs -d build/doctrees . build/site
	$(BIN)/python scripts/check_site.py
	@echo "serve it with: $(PYTHON) -m http.server 8001 --bind 127.0.0.1 --directory build/site"
	@echo "and open http://127.0.0.1:8001"

linkcheck: .venv/site     ## the site's links to other servers; needs the network
	$(BIN)/python -m sphinx -q -b linkcheck -c docs -d build/doctrees . build/linkcheck

matrix: .venv/installed   ## every label attacked beside controls, over seeds; resumable
	$(BIN)/python -m selective_amnesia matrix --profile "$$PROFILE" --seed "$$SEED" --dataset "$$DATASET" $(AT)

panel: .venv/installed    ## the panel tested: known images, eyes, attacks on its members
	$(BIN)/python -m selective_amnesia panel --profile "$$PROFILE" --seed "$$SEED" --dataset "$$DATASET"

leaderboard: .venv/installed ## every forgetting method told from controls, into docs/; resumable
	$(BIN)/python -m selective_amnesia population --profile "$$PROFILE" --seed "$$SEED" --dataset "$$DATASET" --forget "$$FORGET" --seeds "$$SEEDS" $(AT)
	$(BIN)/python scripts/tables.py

population: .venv/installed ## the same with the models of METHODS alone
	$(BIN)/python -m selective_amnesia population --profile "$$PROFILE" --seed "$$SEED" --dataset "$$DATASET" --forget "$$FORGET" --seeds "$$SEEDS" --methods $$METHODS $(AT)
	$(BIN)/python scripts/tables.py

sweep: .venv/installed    ## the models of many seeds at once, on WORKERS processes (docs/sweeps.md)
	$(BIN)/python -m selective_amnesia sweep --profile "$$PROFILE" --seed "$$SEED" --datasets "$$DATASET" $(AT)

export: .venv/installed   ## original, amnesiac, control for the Hugging Face Hub and web/models
	$(BIN)/python -m selective_amnesia export --profile "$$PROFILE" --seed "$$SEED" --dataset "$$DATASET" --forget "$$FORGET"

test: .venv/installed     ## the tests, two at a time
	TQDM_DISABLE= OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

test-colab: $(COLAB)/installed ## the tests in the versions that Colab ships
	TQDM_DISABLE= OMP_NUM_THREADS=1 $(COLAB)/bin/python -m pytest -n 2 --dist worksteal

faults: .venv/installed   ## the whole fault suite: what was tried, how often, what was lost
	FAULTS=full $(BIN)/python -m pytest tests/faults

notebooks: .venv/installed ## execute the committed notebooks in place
	$(BIN)/jupyter nbconvert --to notebook --execute --inplace \
		--ExecutePreprocessor.record_timing=False notebooks/[0-9]*.ipynb
	$(BIN)/jupyter nbconvert --to notebook --inplace --coalesce-streams notebooks/[0-9]*.ipynb

bench: .venv/installed    ## every stage against the paper's protocol; into docs/speed.md
	$(BIN)/python benchmarks/run.py --notebooks

bench-gpu: .venv/installed ## the same on a GPU, with the paper's 100,000 steps and the matrix
	$(BIN)/python benchmarks/run.py --device cuda

lint: .venv/installed     ## style, types, who imports whom, how long files and functions are
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python scripts/check_house.py

audit-deps: .venv/installed ## known vulnerabilities in the locked dependencies
	$(BIN)/python -m pip install --quiet --editable ".[audit]"
	$(BIN)/pip-audit --requirement requirements.lock --no-deps --disable-pip --strict

clean:                    ## remove what was made, but neither checkpoints nor data
	rm -rf build .venv $(COLAB)

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --editable ".[run,test,sweep,browser,lint]"
	touch $@

.venv/site: .venv/installed
	$(BIN)/python -m pip install --editable ".[site]"
	touch $@

$(COLAB)/installed: pyproject.toml requirements-colab.txt
	$(COLAB_PYTHON) -m venv $(COLAB)
	$(COLAB)/bin/python -m pip install --requirement requirements-colab.txt --editable ".[test]"
	touch $@
