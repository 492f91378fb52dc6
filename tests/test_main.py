import json
import os
import subprocess
import sys
import threading
import time

import pytest
import torch

from selective_amnesia import LabError, figures
from selective_amnesia import __main__ as command
from selective_amnesia.reports import matrix

SMOKE = ["--profile", "smoke", "--dataset", "digits"]


@pytest.fixture(autouse=True)
def home(lab_folder, monkeypatch):
    monkeypatch.setenv("SELECTIVE_AMNESIA_HOME", str(lab_folder))


def test_report_prints_a_table_and_writes_the_results(lab, capsys):
    assert command.main(["report", *SMOKE, "--forget", "1 0"]) == 0
    out = capsys.readouterr().out
    assert "forgetting 0 1: kept labels' change" in out
    results = json.loads((lab.store.folder / "build" / "results.json").read_text())
    assert list(results["forget"]) == ["0 1"]


def test_matrix_writes_its_table_and_its_pictures(lab, monkeypatch, capsys):
    def tables(_lab, cases, stronger):
        assert stronger
        asked.update(cases)
        each = [[0.25, 0.75][:originals] for originals in cases.values()]
        rows = "original", "amnesiac, recovery A", "control, recovery A"
        return {who: dict.fromkeys(rows, each) for who in ("panel", "judge")}

    asked = {}
    monkeypatch.setattr(matrix, "matrix", tables)
    monkeypatch.setattr(matrix, "_pictures", lambda *_: figures.grids({"": torch.rand(2, 3, 784)}))
    assert command.main(["matrix", *SMOKE]) == 0
    pair = (0, 1)
    assert list(asked) == [*((k, (k,)) for k in range(10)), *((k, pair) for k in pair)]
    assert asked[0, (0,)] == asked[1, pair] > asked[3, (3,)] > 1
    said = capsys.readouterr().out
    assert "minutes from nothing" in said
    assert "A, 1 of 0 1 " in said
    folder = lab.store.folder / "figures" / "gallery"
    found = json.loads((folder / "matrix.json").read_text())
    facts = {"profile", "seed", "date", "device", "cases", "originals"}
    assert facts | {"panel", "judge"} <= found.keys()
    names = {path.name for path in folder.glob("matrix*.png")}
    assert names == {f"matrix_{what}.png" for what in ("panel", "judge", "recovered")}


def test_export_says_where_it_has_written(lab, capsys):
    assert command.main(["export", *SMOKE]) == 0
    assert "(for the Hugging Face Hub)" in capsys.readouterr().out
    assert (lab.store.folder / "build" / "export" / "0" / "control" / "config.json").is_file()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--forget", "11"], "the forget set is not valid: '11' is not among the labels from 0"),
        (["--forget", "0 1 2 3 4 5 6 7 8 9"], "leave at least one to keep"),
        (["--forget", " "], "error: the forget set is not valid: no label is named"),
        (["--profile", "quick"], "error: profile 'quick' is unknown: use one of smoke, fast"),
        (["--seed", "-3"], "error: seed is -3"),
        (["--dataset", "runes"], "error: data set 'runes' is unknown"),
    ],
)
def test_bad_input_is_one_sentence_and_a_non_zero_exit(options, says, capsys):
    assert command.main(["run", *SMOKE, *options]) == 2
    captured = capsys.readouterr()
    assert says in captured.err
    assert captured.err.count("\n") == 1


def test_an_installed_package_says_that_it_has_no_notebooks(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "repository", lambda: tmp_path)
    assert command.main(["run", *SMOKE]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: the notebooks are not part of an installed package: clone")
    assert error.count("\n") == 1


def test_what_stops_a_notebook_is_one_sentence(lab, own, tmp_path, monkeypatch, capsys):
    """A checkpoint damaged on disk is met inside a notebook's kernel."""
    monkeypatch.setenv("SELECTIVE_AMNESIA_HOME", str(tmp_path))
    notebook = command.repository() / "notebooks" / "01_train_cvae.ipynb"
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / notebook.name).symlink_to(notebook)
    monkeypatch.setattr(command, "repository", lambda: tmp_path)
    own(lab.cvae())
    (file,) = (tmp_path / "checkpoints").glob("cvae-*.safetensors")
    file.write_bytes(file.read_bytes()[:1000])
    assert command.main(["run", *SMOKE]) == 2
    error = capsys.readouterr().err.strip().split("\n")[-1]
    assert error.startswith("error: 01_train_cvae.ipynb stopped: ")
    assert "is damaged" in error
    assert "run again to make it anew" in error
    assert LabError.__name__ not in error


def test_importing_the_package_loads_nothing_heavy_and_shortens_the_wait_of_threads():
    """Unless the user has chosen how long they wait."""
    code = """if True:
        import importlib, os, sys
        import selective_amnesia
        heavy = "matplotlib seaborn pandas torchvision IPython papermill sklearn".split()
        print([m for m in heavy if m in sys.modules], "torch" in sys.modules)
        print(os.environ["GOMP_SPINCOUNT"])
        os.environ["GOMP_SPINCOUNT"] = "7"
        importlib.reload(selective_amnesia)
        print(os.environ["GOMP_SPINCOUNT"])
    """
    clean = {k: v for k, v in os.environ.items() if k != "GOMP_SPINCOUNT"}
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=clean, check=True
    )
    assert shown.stdout.split("\n") == ["[] True", "20000", "7", ""]


@pytest.fixture
def at_once(monkeypatch):
    """Notebooks that only say who they are and wait for another one."""

    def execute(path, _lab, _sets, output):
        meeting.wait(timeout=60)
        done.append(path.stem[:2])
        print(path.stem, file=output)

    meeting, done = threading.Barrier(2), []
    monkeypatch.setattr(command, "_execute", execute)
    monkeypatch.setattr(command, "_report", lambda *_: None)
    monkeypatch.setattr(command.os, "cpu_count", lambda: 2)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return done


def test_two_notebooks_go_on_at_once_from_both_ends(at_once, lab, monkeypatch, tmp_path, capsys):
    folder = tmp_path / "notebooks"
    folder.mkdir()
    for number in range(6):
        (folder / f"{number:02}_name.ipynb").touch()
    monkeypatch.setattr(command, "repository", lambda: tmp_path)
    assert command.main(["run", *SMOKE]) == 0
    assert sorted(at_once) == ["00", "01", "02", "03", "04", "05"]
    assert {*at_once[:2]} == {"00", "05"}
    log = (lab.store.folder / "build" / "beside.log").read_text().split()
    assert log == ["05_name", "04_name", "03_name"]
    out = capsys.readouterr().out
    assert "=== 05_name, in build/beside.log" in out
    assert "\n00_name\n" in out


def test_where_one_notebook_stops_the_others_do(at_once, monkeypatch, tmp_path, capsys):
    def stops(path, *_):
        if path.stem == "05_name":
            raise LabError("05_name.ipynb stopped: no reason")
        time.sleep(0.1)
        at_once.append(path.stem)

    folder = tmp_path / "notebooks"
    folder.mkdir()
    for number in range(6):
        (folder / f"{number:02}_name.ipynb").touch()
    monkeypatch.setattr(command, "repository", lambda: tmp_path)
    monkeypatch.setattr(command, "_execute", stops)
    assert command.main(["run", *SMOKE]) == 2
    assert at_once in ([], ["00_name"])
    assert capsys.readouterr().err == "error: 05_name.ipynb stopped: no reason\n"


def test_a_fault_beside_is_not_lost(at_once, monkeypatch):
    def faulty(path, *_):
        if path.stem == "10_other_data":
            raise ZeroDivisionError

    monkeypatch.setattr(command, "_execute", faulty)
    with pytest.raises(ZeroDivisionError):
        command.main(["run", *SMOKE])
