import platform
import threading
import time

import pytest

from selective_amnesia import locks
from selective_amnesia.locks import alone


@pytest.fixture(params=["with the system's lock", "without"])
def path(request, tmp_path, monkeypatch):
    if request.param == "without":
        monkeypatch.setattr(locks, "fcntl", None)
    monkeypatch.setattr(locks, "GLANCE", 0.01)
    return tmp_path / "cvae-0123"


def sign(path, host, ago=0.0):
    """Another process' lock, last renewed so long ago."""
    path.with_name("cvae-0123.lock").write_text(f"{host} 4711 {time.time() - ago:.3f}")


def test_a_lock_is_held_and_leaves_nothing(path):
    with alone(path, "cvae"):
        assert path.with_name("cvae-0123.lock").read_text().startswith(platform.node())
    assert not list(path.parent.iterdir())


def test_what_goes_wrong_inside_gives_it_back(path):
    with pytest.raises(KeyboardInterrupt), alone(path, "cvae"):
        raise KeyboardInterrupt
    assert not list(path.parent.iterdir())


def test_the_second_waits_says_so_once_and_comes_after(path, capsys):
    order = []

    def first():
        with alone(path, "cvae"):
            order.append("begun")
            time.sleep(0.3)
            order.append("done")

    thread = threading.Thread(target=first)
    thread.start()
    while not order:
        time.sleep(0.01)
    with alone(path, "cvae"):
        order.append("second")
    thread.join()
    assert order == ["begun", "done", "second"]
    said = capsys.readouterr().out
    assert said.count("waiting") == 1
    assert said.startswith("cvae is being made by process ")
    assert not list(path.parent.iterdir())


@pytest.mark.parametrize("held", ["", "nonsense", "a b c", "\x00\xff" * 40, "elsewhere 4711 nan"])
def test_a_lock_without_sense_holds_nobody_up(path, held):
    path.with_name("cvae-0123.lock").write_text(held)
    with alone(path, "cvae"):
        pass


@pytest.mark.parametrize("ago", [locks.SILENCE + 1, -locks.SILENCE - 1])
def test_a_machine_that_fell_silent_is_dead(path, ago, capsys):
    sign(path, "elsewhere", ago)
    with alone(path, "cvae"):
        pass
    assert not capsys.readouterr().out


def test_a_machine_with_a_pulse_is_waited_for(path, monkeypatch, capsys):
    monkeypatch.setattr(locks, "SILENCE", 0.5)
    sign(path, "elsewhere")
    started = time.monotonic()
    with alone(path, "cvae"):
        waited = time.monotonic() - started
    assert 0.3 < waited < 5
    said = "cvae is being made by process 4711 on elsewhere: waiting until that is done or dead.\n"
    assert capsys.readouterr().out == said


def test_the_pulse_is_renewed(path, monkeypatch):
    monkeypatch.setattr(locks, "BEAT", 0.02)
    with alone(path, "cvae"):
        first = path.with_name("cvae-0123.lock").read_text()
        time.sleep(0.2)
        assert path.with_name("cvae-0123.lock").read_text() != first


def test_a_dead_process_of_this_machine_holds_nobody_up(tmp_path, capsys):
    """Where the system keeps locks: its own fell with the process, whatever the file says."""
    pytest.importorskip("fcntl")
    sign(tmp_path / "cvae-0123", platform.node())
    with alone(tmp_path / "cvae-0123", "cvae"):
        pass
    assert not capsys.readouterr().out


def test_a_folder_that_takes_no_lock_holds_nobody_up(tmp_path):
    with alone(tmp_path / "missing" / "cvae-0123", "cvae"):
        pass
