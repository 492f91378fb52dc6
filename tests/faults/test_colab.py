"""A stand-in for Colab drives each notebook's setup cell and the lab through a Drive's moods."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import types
from pathlib import Path

import nbformat
import pytest

from selective_amnesia import Lab, LabError, stages
from selective_amnesia.stages import home

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("[0-9]*.ipynb"))
NAME = "selective-amnesia-lab"


class Colab:
    """A runtime: its disk, its Drive, and what was run on it."""

    def __init__(self, content: Path) -> None:
        self.content, self.commands = content, []
        self.mounted, self.cloud = content / "drive" / "MyDrive", content.parent / "cloud"
        self.cloud.mkdir()
        self.moods: list[str] = []

    def mount(self, place: str, force_remount: bool = False) -> None:
        mood = self.moods.pop(0) if self.moods else "well"
        if mood == "refused":
            raise ValueError("mount failed")
        if mood == "dead":
            return
        assert place == str(self.content / "drive")
        if not self.mounted.exists():
            self.mounted.parent.mkdir(exist_ok=True)
            assert not list(self.mounted.parent.iterdir()), "the mountpoint is not empty"
            self.mounted.symlink_to(self.cloud)

    def disconnect(self) -> None:
        self.mounted.unlink()

    def run(self, command: list, check: bool) -> None:
        assert isinstance(command, list)
        assert check
        self.commands.append([str(word) for word in command])
        if command[0] == "git":
            (Path(command[-1]) / "src/selective_amnesia").mkdir(parents=True)

    def setup(self, notebook: Path) -> None:
        """The setup cell as it stands, on this disk instead of /content."""
        cell = nbformat.read(notebook, as_version=4).cells[1]
        exec(cell.source.replace("/content", str(self.content)), {})

    def lab(self) -> Lab:
        return Lab.open("smoke", dataset="digits", device="cpu")


@pytest.fixture
def colab(tmp_path, monkeypatch):
    colab = Colab(tmp_path / "content")
    colab.content.mkdir()
    modules = {name: types.ModuleType(name) for name in ("google", "google.colab")}
    modules["google.colab"].drive = types.SimpleNamespace(mount=colab.mount)
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.delenv("SELECTIVE_AMNESIA_HOME", raising=False)
    monkeypatch.chdir(colab.content)
    monkeypatch.setattr(stages, "COLAB", colab.content)
    monkeypatch.setattr(subprocess, "run", colab.run)
    monkeypatch.setattr(sys, "path", list(sys.path))
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if "amnesia" in name else find(name)
    )
    return colab


@pytest.fixture(params=NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
def notebook(request):
    return request.param


def pip(here: Path) -> list[str]:
    return [sys.executable, "-m", "pip", "install", "-q", "-e", str(here)]


def test_drive_is_mounted(colab, notebook):
    colab.setup(notebook)
    assert [command[:2] for command in colab.commands] == [["git", "clone"], pip(Path())[:2]]
    assert colab.lab().folder == colab.mounted / NAME


def test_drive_is_refused(colab, notebook, capsys):
    colab.moods = ["refused", "refused"]
    colab.setup(notebook)
    lab = colab.lab()
    assert lab.folder == colab.content / NAME
    said = capsys.readouterr().out
    assert f"checkpoints stay in {lab.folder} and are lost when this runtime ends" in said
    assert home() == colab.mounted / NAME  # asked again, and granted
    assert f"cp -rn {lab.folder}/checkpoints {colab.mounted / NAME}/" in capsys.readouterr().out


def test_a_folder_of_an_earlier_session(colab, notebook, lab, tally):
    lab.cvae()
    shutil.copytree(lab.folder / "checkpoints", colab.cloud / NAME / "checkpoints")
    colab.setup(notebook)
    found = colab.lab()
    found._make = None
    assert found.cvae().facts == lab.cvae().facts
    if notebook == NOTEBOOKS[-1]:
        tally(
            "Colab's Drive mounted, refused, lost, known, copied by hand; each setup cell",
            5 * len(NOTEBOOKS),
            "nothing; no stage made twice",
        )


def test_a_folder_copied_by_hand(colab, notebook):
    here = colab.cloud / NAME
    (here / "src/selective_amnesia").mkdir(parents=True)
    colab.setup(notebook)
    assert colab.commands == [pip(colab.mounted / NAME)]
    assert str(colab.mounted / NAME / "src") in sys.path
    assert colab.lab().folder == colab.mounted / NAME


def test_drive_is_lost_in_the_middle_and_comes_back(colab, notebook, lab):
    colab.setup(notebook)
    mine = colab.lab()
    shutil.copytree(lab.folder / "checkpoints", mine.folder / "checkpoints", dirs_exist_ok=True)
    colab.disconnect()
    with pytest.raises(LabError, match=r"is gone: mount Drive again .*from its first cell"):
        mine.cvae()
    assert not os.path.lexists(colab.mounted), "a folder in its place would keep Drive away"
    colab.setup(notebook)
    again = colab.lab()
    again._make = None
    assert again.cvae().facts == lab.cvae().facts


def test_a_mount_that_has_died_is_mounted_again(colab, capsys):
    colab.moods = ["dead"]
    assert home() == colab.mounted / NAME
    colab.disconnect()
    colab.moods = ["dead", "dead"]
    assert home() == colab.content / NAME
    assert "Drive is not mounted (it is mounted but does not answer)" in capsys.readouterr().out


def test_where_the_package_is_there_the_setup_cell_does_nothing(colab, notebook, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    colab.setup(notebook)
    assert not colab.commands
    assert not colab.mounted.exists()
