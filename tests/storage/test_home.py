from pathlib import Path

from selective_amnesia.storage import home as module
from selective_amnesia.storage.home import home, mirror_url, repository


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
