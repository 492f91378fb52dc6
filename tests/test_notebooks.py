"""The notebooks, executed; and what is committed of them."""

import ast
import re
import sys
from pathlib import Path

import nbformat
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))
import notebooks

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("[0-9]*.ipynb"))
NAMES = [path.stem for path in NOTEBOOKS]
NOTHING_FETCHED = """
from selective_amnesia.lab import measurements
def none(_folder):
    raise FileNotFoundError("tests fetch nothing")
measurements.alexnet_weights = none
"""
A_FAKE_DEVICE = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
import fake_device
fake_device.start(Path({library!r}))
"""
ON_THE_FAKE_DEVICE = """
import functools
from selective_amnesia import Lab
Lab.open = functools.partial(Lab.open, device=fake_device.NAME)
"""


@pytest.fixture(params=NOTEBOOKS, ids=NAMES)
def notebook(request):
    return nbformat.read(request.param, as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("path", NOTEBOOKS[::-1], ids=NAMES[::-1])
def test_runs_alone_on_an_empty_folder_and_opens_again_on_a_gpu(
    path, tmp_path, monkeypatch, accelerator
):
    """By the smallest profile: first on a CPU, then, its stages kept, on a fake device, where a
    notebook that draws or tabulates what lies there stops with an error."""
    from papermill import execute_notebook

    monkeypatch.setenv("SELECTIVE_AMNESIA_HOME", str(tmp_path))
    notebook, code = nbformat.read(path, as_version=4), nbformat.v4.new_code_cell
    again = [code(cell.source) for cell in code_cells(notebook)[1:]]  # all but the setup
    notebook.cells.insert(0, code(NOTHING_FETCHED))
    notebook.cells.append(code("assert lab.device.type == 'cpu'"))
    if accelerator is not None:
        there = {"tests": str(Path(__file__).parent), "library": str(accelerator)}
        notebook.cells.insert(0, code(A_FAKE_DEVICE.format(**there)))
        notebook.cells += [code(ON_THE_FAKE_DEVICE), *again]
        notebook.cells.append(code("assert lab.device.type == fake_device.NAME"))
    parameters = {"profile": "smoke", "dataset": "digits", "forget_sets": ["0", "3 8"]}
    out = tmp_path / "executed.ipynb"
    executed = execute_notebook(notebook, out, parameters, cwd=tmp_path, progress_bar=False)
    assert not [o for c in code_cells(executed) for o in c.outputs if o.output_type == "error"]
    assert list((tmp_path / "figures").glob(f"{path.stem[:2]}_*.png"))


def test_is_committed_executed_from_top_to_bottom(notebook):
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert not any(o.output_type == "error" for cell in cells for o in cell.outputs)


def test_begins_with_its_question_and_ends_with_its_answer(notebook):
    first = notebook.cells[0].source
    assert re.search(r"\*\*.+\?\*\*", first)
    assert "colab-badge.svg" in first
    assert any(cell.source.startswith("**Answer.**") for cell in notebook.cells[-2:])


def test_cells_are_short_and_hide_no_functions(notebook):
    for cell in code_cells(notebook)[1:]:  # the first is the setup, which is the same everywhere
        assert len(cell.source.splitlines()) <= 30
        hidden = [
            node
            for node in ast.walk(ast.parse(cell.source))
            if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Lambda)
        ]
        assert not hidden


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_setup_links_numbers_and_alternative_texts_are_as_they_should_be(path):
    assert list(notebooks.problems(path, NOTEBOOKS, write=False)) == []
    second = nbformat.read(path, as_version=4).cells[1]
    assert second.source == notebooks.SETUP.rstrip()
    assert second.metadata.tags == ["parameters"]


def test_says_nothing_of_the_machine_that_ran_it(notebook):
    text = nbformat.writes(notebook)
    assert str(Path(__file__).parents[1]) not in text
    assert not re.search(r"(?<![\w.])/(home|Users|root|tmp|work)/\w", text)


def test_all_together_are_small():
    assert sum(path.stat().st_size for path in NOTEBOOKS) <= notebooks.LARGEST
