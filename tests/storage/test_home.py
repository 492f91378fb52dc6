import sys
import types
from pathlib import Path

import pytest

from selective_amnesia.storage import home as module
from selective_amnesia.storage.home import home, mirror_url, repository


@pytest.fixture
def drive(tmp_path, monkeypatch):
    """Colab's module for Drive; its moods are used up one by one."""
    content = tmp_path / "content"
    cloud = tmp_path / "cloud"
    cloud.mkdir()
    content.mkdir()
    moods = []

    def mount(place, force_remount=False):
        assert place == str(content / "drive")
        mood = moods.pop(0) if moods else "well"
        if mood == "refused":
            raise ValueError("mount failed")
        if mood == "well" and not (content / "drive").exists():
            (content / "drive").mkdir()
            (content / "drive" / "MyDrive").symlink_to(cloud)

    modules = {name: types.ModuleType(name) for name in ("google", "google.colab")}
    modules["google.colab"].drive = types.SimpleNamespace(mount=mount, moods=moods)
    for name, each in modules.items():
        monkeypatch.setitem(sys.modules, name, each)
    monkeypatch.setattr(module, "COLAB", content)
    return modules["google.colab"].drive


def test_what_is_set_counts(monkeypatch, tmp_path):
    monkeypatch.setenv("SELECTIVE_AMNESIA_HOME", str(tmp_path))
    monkeypatch.setenv("SELECTIVE_AMNESIA_MIRROR", "memory://lab")
    assert home() == tmp_path
    assert mirror_url() == "memory://lab"
    monkeypatch.setenv("SELECTIVE_AMNESIA_HOME", "~/lab")
    assert home() == Path.home() / "lab"


def test_in_a_clone_it_is_the_repository_and_no_mirror(monkeypatch, tmp_path):
    assert home() == repository()
    assert (home() / "pyproject.toml").is_file()
    assert mirror_url() is None
    monkeypatch.setattr(module, "repository", lambda: tmp_path / "site-packages")
    monkeypatch.chdir(tmp_path)
    assert home() == tmp_path


def test_on_colab_work_is_local_and_follows_to_drive(drive, tmp_path):
    assert home() == tmp_path / "content" / "selective-amnesia-lab"
    assert mirror_url() == str(tmp_path / "content/drive/MyDrive/selective-amnesia-lab")
    assert (tmp_path / "cloud" / "selective-amnesia-lab").is_dir()


def test_who_works_on_drive_has_no_mirror(drive, tmp_path, monkeypatch):
    place = tmp_path / "content/drive/MyDrive/selective-amnesia-lab"
    monkeypatch.setenv("SELECTIVE_AMNESIA_HOME", str(place))
    assert home() == place
    assert mirror_url() is None


@pytest.mark.parametrize(
    ("moods", "why"),
    [
        (["refused"], "mount failed"),
        (["dead", "refused"], "mount failed"),
        (["dead", "dead"], "it is mounted but does not answer"),
    ],
)
def test_where_drive_is_refused_that_is_said(moods, why, drive, tmp_path, capsys):
    drive.moods += moods
    assert mirror_url() is None
    said = capsys.readouterr().out
    assert f"Drive is not mounted ({why}): checkpoints stay in {home()} and are lost" in said
    assert mirror_url() is not None  # asked again, and granted


def test_a_mount_that_has_died_is_mounted_again(drive, capsys):
    drive.moods.append("dead")
    assert mirror_url() is not None
    assert not capsys.readouterr().out
