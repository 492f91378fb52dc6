PYTHON  ?= python3
PROFILE ?= fast
SEED    ?= 0
FORGET  ?=
BIN     := .venv/bin

export PROFILE SEED FORGET

.PHONY: run matrix leaderboard test faults notebooks bench bench-gpu lint audit-deps clean

run: .venv/installed      ## fetch MNIST, execute the notebooks, report
	$(BIN)/python -m selective_amnesia run --profile "$$PROFILE" --seed "$$SEED" --forget "$$FORGET"

matrix: .venv/installed   ## all ten digits beside their controls; resumable
	$(BIN)/python -m selective_amnesia matrix --profile "$$PROFILE" --seed "$$SEED"

leaderboard: .venv/installed ## every forgetting method beside the controls; resumable
	$(BIN)/python -m selective_amnesia leaderboard --profile "$$PROFILE" --seed "$$SEED" --forget "$$FORGET"

test: .venv/installed     ## the tests, two at a time
	TQDM_DISABLE= OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

faults: .venv/installed   ## the whole fault suite: what was tried, how often, what was lost
	FAULTS=full $(BIN)/python -m pytest tests/faults

notebooks: .venv/installed ## execute the committed notebooks in place
	$(BIN)/jupyter nbconvert --to notebook --execute --inplace \
		--ExecutePreprocessor.record_timing=False notebooks/0*.ipynb
	$(BIN)/jupyter nbconvert --to notebook --inplace --coalesce-streams notebooks/0*.ipynb

bench: .venv/installed    ## every stage against the paper's protocol; into the README's table
	$(BIN)/python benchmarks/run.py --notebooks

bench-gpu: .venv/installed ## the same on a GPU, with the paper's 100,000 steps and the matrix
	$(BIN)/python benchmarks/run.py --device cuda

lint: .venv/installed     ## ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

audit-deps: .venv/installed ## known vulnerabilities in the locked dependencies
	$(BIN)/python -m pip install --quiet --editable ".[audit]"
	$(BIN)/pip-audit --requirement requirements.lock --no-deps --disable-pip --strict

clean:                    ## remove what was made, but neither checkpoints nor data
	rm -rf build .venv

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --editable ".[run,test]"
	touch $@
