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

from selective_amnesia import Lab
from selective_amnesia.storage import home
from selective_amnesia.storage.store import Store

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("[0-9]*.ipynb"))
DRIVEN = NOTEBOOKS if os.environ.get("FAULTS") == "full" else NOTEBOOKS[:1]
NAME = "selective-amnesia-lab"


class Colab:
    """A runtime: its disk, its Drive, and what was run on it."""

    def __init__(self, content: Path) -> None:
        self.content, self.commands = content, []
        self.mounted, self.cloud = content / "drive" / "MyDrive", content.parent / "cloud"
        self.cloud.mkdir()
        self.moods: list[str] = []

    def mount(self, place: str, force_remount: bool = False) -> None:
        if self.moods and self.moods.pop(0) == "refused":
            raise ValueError("mount failed")
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
        exec(setup_cell(notebook).replace("/content", str(self.content)), {})

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
    monkeypatch.chdir(colab.content)
    monkeypatch.setattr(home, "COLAB", colab.content)
    monkeypatch.setattr(subprocess, "run", colab.run)
    monkeypatch.setattr(sys, "path", list(sys.path))
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if "amnesia" in name else find(name)
    )
    return colab


def setup_cell(notebook: Path) -> str:
    return nbformat.read(notebook, as_version=4).cells[1].source


@pytest.fixture(params=DRIVEN, ids=[path.stem for path in DRIVEN])
def notebook(request):
    return request.param


@pytest.fixture
def nothing_is_made(monkeypatch):
    def refuse(_self, stage, _make):
        raise AssertionError(f"{stage.name} is made again")

    monkeypatch.setattr(Store, "_make", refuse)


@pytest.fixture(scope="session")
def finished(lab, tmp_path_factory) -> Path:
    """Checkpoints: the judge's."""
    place = tmp_path_factory.mktemp("finished")
    for suffix in (".json", ".safetensors"):
        shutil.copy(lab.store.path(lab.judge().facts["name"], suffix), place)
    return place


def pip(here: Path) -> list[str]:
    return [sys.executable, "-m", "pip", "install", "-q", "-e", str(here)]


def keys(folder: Path) -> set[str]:
    return {path.stem for path in folder.glob("checkpoints/*.json")}


def test_the_setup_cell_is_the_same_everywhere():
    assert len({setup_cell(notebook) for notebook in NOTEBOOKS}) == 1


def test_work_is_local_and_follows_to_drive(colab, notebook):
    colab.setup(notebook)
    assert [command[:2] for command in colab.commands] == [["git", "clone"], pip(Path())[:2]]
    lab = colab.lab()
    assert lab.store.folder == colab.content / NAME
    assert str(lab.store.mirror) == str(colab.mounted / NAME)


def test_a_fresh_runtime_fetches_what_drive_has(
    colab, notebook, finished, lab, nothing_is_made, tally
):
    shutil.copytree(finished, colab.cloud / NAME / "checkpoints")
    colab.setup(notebook)
    assert colab.lab().judge().facts == lab.judge().facts
    if notebook == DRIVEN[-1]:
        tally(
            "Colab's Drive mounted, refused, lost, known, copied by hand; each setup cell",
            5 * len(DRIVEN),
            "nothing; no stage made twice",
        )


def test_drive_is_refused_and_granted_later(colab, notebook, finished, capsys):
    colab.moods = ["refused", "refused"]
    colab.setup(notebook)
    first = colab.lab()
    assert first.store.mirror is None
    said = capsys.readouterr().out
    assert f"checkpoints stay in {first.store} and are lost when this runtime ends" in said
    shutil.copytree(finished, first.store.folder / "checkpoints", dirs_exist_ok=True)
    again = colab.lab()  # asked again, and granted
    assert again.store.mirror.flush()
    assert keys(colab.cloud / NAME) == keys(first.store.folder)


def test_a_folder_copied_by_hand(colab, notebook):
    here = colab.cloud / NAME
    (here / "src/selective_amnesia").mkdir(parents=True)
    colab.setup(notebook)
    assert colab.commands == [pip(colab.mounted / NAME)]
    assert str(colab.mounted / NAME / "src") in sys.path
    assert colab.lab().store.folder == colab.content / NAME


def test_drive_is_lost_in_the_middle_and_comes_back(
    colab, notebook, finished, lab, nothing_is_made, capsys
):
    colab.setup(notebook)
    mine = colab.lab()
    assert mine.store.mirror.flush()
    colab.disconnect()
    shutil.copytree(finished, mine.store.folder / "checkpoints", dirs_exist_ok=True)
    for key in keys(mine.store.folder):
        mine.store.mirror.follow(key)
    assert mine.judge().facts == lab.judge().facts
    assert not mine.store.mirror.flush()
    assert capsys.readouterr().out.count("fails") == 1
    assert not os.path.lexists(colab.mounted), "a folder in its place would keep Drive away"
    colab.mount(str(colab.content / "drive"))  # as the next Lab.open does
    while not mine.store.mirror.flush():
        pass
    assert keys(colab.cloud / NAME) == keys(mine.store.folder)


def test_where_the_package_is_there_the_setup_cell_does_nothing(colab, notebook, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    colab.setup(notebook)
    assert not colab.commands
    assert not colab.mounted.exists()
