"""One process at a time makes a stage.

Between processes of one machine the operating system's lock (flock) decides; it falls with the
process that held it, however that died. Between machines that share a folder, as two Colab
runtimes share a Drive, it says nothing: there the lock's file names its holder and his last pulse,
renewed every `BEAT` seconds, and a holder who was silent for `SILENCE` seconds is dead. Drive
shows one machine's writes to another late, so across machines this is an effort, no promise;
should two make one stage all the same, each writes whole files, and a pair of which one made the
facts and the other the tensors is found damaged and made anew.
"""

from __future__ import annotations

import os
import platform
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

try:
    import fcntl
except ImportError:  # Windows: the pulse alone decides
    fcntl = None

__all__ = ["alone"]

BEAT, SILENCE, GLANCE = 20.0, 120.0, 0.2  # seconds; the last between two looks at a held lock


class _Held(Exception):
    """Another process holds the lock; the message says which."""


@contextmanager
def alone(path: Path, what: str) -> Iterator[None]:
    """Hold `path`.lock; while another process holds it, say so once and wait."""
    lock = path.with_name(path.name + ".lock")
    try:
        file = _wait(lock, what)
    except OSError:  # a folder that takes no lock takes no checkpoint: the write will say why
        file = None
    if file is None:
        yield
        return
    done = threading.Event()
    pulse = threading.Thread(target=_beat, args=(file, done), daemon=True)
    pulse.start()
    try:
        yield
    finally:
        done.set()
        pulse.join()
        with suppress(OSError):
            lock.unlink()  # while it is still ours: closing gives it up
        with suppress(OSError):
            file.close()


def _wait(lock: Path, what: str) -> TextIO:
    said = False
    while True:
        file = lock.open("a+", errors="replace")
        try:
            _take(file)
            if _read(file) == lock.read_text():
                return file
        except _Held as holder:
            if not said:
                text = f"{what} is being made by {holder}: waiting until that is done or dead."
                print(text, flush=True)
                said = True
            time.sleep(GLANCE)
        except FileNotFoundError:
            pass  # what was opened had just been given back and unlinked: once more
        except OSError:
            file.close()
            raise
        file.close()


def _take(file: TextIO) -> None:
    """Make the lock ours.

    Raises:
        _Held: it is another's.
    """
    locked, words = _flock(file), _read(file).split()
    host, process, beat = words if len(words) == 3 else ("another machine", "?", "0")
    here = host == platform.node()
    try:
        lives = abs(time.time() - float(beat)) < SILENCE
    except ValueError:
        lives = False
    if locked is False or (lives and not (here and locked)):
        raise _Held(f"process {process} on {'this machine' if here else host}")
    _sign(file)


def _flock(file: TextIO) -> bool | None:
    """Whether the system's lock is now ours; None where there is none to be had."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _read(file: TextIO) -> str:
    file.seek(0)
    return file.read()


def _sign(file: TextIO) -> None:
    file.seek(0)
    file.truncate()
    file.write(f"{platform.node()} {os.getpid()} {time.time():.3f}")
    file.flush()


def _beat(file: TextIO, done: threading.Event) -> None:
    while not done.wait(BEAT):
        with suppress(OSError):
            _sign(file)
