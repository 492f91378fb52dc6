"""A stand-in for Colab drives the notebooks' setup cell and the lab through a Drive's moods."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import types
from pathlib import Path

import pytest

from selective_amnesia import Lab
from selective_amnesia.storage import home
from selective_amnesia.storage.store import Store

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
from notebooks import SETUP  # of every notebook, as `test_notebooks.py` holds

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
        assert place == str(self.content / "drive")
        if mood != "dead" and not self.mounted.exists():
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

    def setup(self) -> None:
        """The setup cell as it stands, on this disk instead of /content."""
        exec(SETUP.replace("/content", str(self.content)), {})

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


def test_work_is_local_and_follows_to_drive(colab):
    colab.setup()
    assert [command[:2] for command in colab.commands] == [["git", "clone"], pip(Path())[:2]]
    lab = colab.lab()
    assert lab.store.folder == colab.content / NAME
    assert str(lab.store.mirror) == str(colab.mounted / NAME)


def test_a_fresh_runtime_fetches_what_drive_has(colab, finished, lab, nothing_is_made, tally):
    shutil.copytree(finished, colab.cloud / NAME / "checkpoints")
    colab.setup()
    assert colab.lab().judge().facts == lab.judge().facts
    tally("Colab's Drive mounted, refused, lost, known, copied by hand", 5, "nothing made twice")


def test_drive_is_refused_and_granted_later(colab, finished, capsys):
    colab.moods = ["refused", "refused"]
    colab.setup()
    first = colab.lab()
    assert first.store.mirror is None
    said = capsys.readouterr().out
    assert f"checkpoints stay in {first.store} and are lost when this runtime ends" in said
    shutil.copytree(finished, first.store.folder / "checkpoints", dirs_exist_ok=True)
    again = colab.lab()  # asked again, and granted
    assert again.store.mirror.flush()
    assert keys(colab.cloud / NAME) == keys(first.store.folder)


@pytest.mark.parametrize(
    ("moods", "why"),
    [
        (["dead", "refused"], "mount failed"),
        (["dead", "dead"], "it is mounted but does not answer"),
    ],
)
def test_a_drive_that_does_not_answer_is_mounted_again_or_that_is_said(moods, why, colab, capsys):
    colab.moods = moods[:1]
    assert home.mirror_url() is not None
    assert not capsys.readouterr().out
    colab.disconnect()
    colab.moods = moods
    assert home.mirror_url() is None
    said = capsys.readouterr().out
    assert f"Drive is not mounted ({why}): checkpoints stay in {home.home()} and are lost" in said
    assert home.mirror_url() is not None  # asked again, and granted


def test_who_works_on_drive_has_no_mirror(colab, monkeypatch):
    monkeypatch.setenv("SELECTIVE_AMNESIA_HOME", str(colab.mounted / NAME))
    assert home.home() == colab.mounted / NAME
    assert home.mirror_url() is None


def test_a_folder_copied_by_hand(colab):
    here = colab.cloud / NAME
    (here / "src/selective_amnesia").mkdir(parents=True)
    colab.setup()
    assert colab.commands == [pip(colab.mounted / NAME)]
    assert str(colab.mounted / NAME / "src") in sys.path
    assert colab.lab().store.folder == colab.content / NAME


def test_drive_is_lost_in_the_middle_and_comes_back(colab, finished, lab, nothing_is_made, capsys):
    colab.setup()
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


def test_where_the_package_is_there_the_setup_cell_installs_nothing(colab, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    colab.setup()
    assert not colab.commands
