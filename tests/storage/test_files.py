import os
import subprocess
import sys
import threading
import time

import pytest

from selective_amnesia.errors import LabError
from selective_amnesia.storage.files import (
    locked,
    read_bytes,
    remove,
    remove_temporary,
    set_aside,
    write_bytes,
)


def refuse(*_):
    raise OSError(28, "No space left on device")


def test_what_was_written_is_read_and_replaced(tmp_path):
    path = tmp_path / "a" / "b" / "file"
    assert read_bytes(path) is None
    for content in (b"one", b"two"):
        write_bytes(path, content)
        assert read_bytes(path) == content
    assert [p.name for p in path.parent.iterdir()] == ["file"]
    remove(path)
    remove(path)
    assert read_bytes(path) is None


@pytest.mark.parametrize("step", ["fsync", "replace", "chmod"])
def test_a_disk_that_refuses_is_one_sentence_and_the_old_file_stands(step, tmp_path, monkeypatch):
    write_bytes(tmp_path / "file", b"old")
    monkeypatch.setattr(os, step, refuse)
    with pytest.raises(LabError, match=r"cannot write .*No space left on device\. Free some space"):
        write_bytes(tmp_path / "file", b"new")
    assert read_bytes(tmp_path / "file") == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def test_what_killed_writes_left_of_one_stage_is_removed(tmp_path):
    for name in (".cvae-1.json.x1", ".cvae-1.partial.x2", ".cvae-12.json.x3", "cvae-1.json"):
        (tmp_path / name).touch()
    remove_temporary(tmp_path, "cvae-1")
    assert sorted(p.name for p in tmp_path.iterdir()) == [".cvae-12.json.x3", "cvae-1.json"]


def test_files_are_set_aside(tmp_path, monkeypatch):
    file = tmp_path / "cvae.json"
    file.write_text("broken")
    set_aside(file, tmp_path / "missing")
    assert [p.name for p in tmp_path.iterdir()] == ["cvae.json.damaged"]
    file.write_text("broken")
    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(LabError, match=r"json is damaged and cannot be set aside: No space"):
        set_aside(file)


def test_the_second_waits_says_so_once_and_comes_after(tmp_path, capsys):
    order, lock = [], tmp_path / ".locks" / "cvae"
    begun = threading.Event()

    def first():
        with locked(lock, "waiting"):
            begun.set()
            time.sleep(0.3)
            order.append("first")

    thread = threading.Thread(target=first)
    thread.start()
    begun.wait()
    with locked(lock, "waiting"):
        order.append("second")
    thread.join()
    assert order == ["first", "second"]
    assert capsys.readouterr().out == "waiting\n"


def test_what_goes_wrong_inside_gives_it_back(tmp_path, capsys):
    with pytest.raises(KeyboardInterrupt), locked(tmp_path / ".locks" / "cvae", "waiting"):
        raise KeyboardInterrupt
    with locked(tmp_path / ".locks" / "cvae", "waiting"):
        pass
    assert not capsys.readouterr().out


def test_a_killed_process_gives_it_back(tmp_path, capsys):
    hold = "import filelock, sys\nwith filelock.FileLock(sys.argv[1]): print('held'); input()"
    process = subprocess.Popen(
        [sys.executable, "-uc", hold, str(tmp_path / "cvae")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout.readline() == b"held\n"
    threading.Timer(0.3, process.kill).start()
    with locked(tmp_path / "cvae", "waiting"):
        assert process.wait() < 0
    assert capsys.readouterr().out == "waiting\n"


def test_a_folder_that_takes_no_lock_holds_nobody_up(tmp_path):
    with locked(tmp_path / "missing" / ".locks" / "cvae"):
        pass
    assert not list(tmp_path.iterdir())
