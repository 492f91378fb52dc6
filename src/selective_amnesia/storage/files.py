"""Files that are written whole or not at all, and a lock between processes.

Every write goes to a neighbouring file first and is renamed into place, so a killed process leaves
the old file or the new one, and nothing between.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path

from filelock import FileLock, Timeout

from ..errors import LabError

REMEDY = {
    "write": "Free some space or make the folder writable",
    "read": "Make it readable or see that its disk answers",
}


def sha256(content: bytes) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def read_bytes(path: Path) -> bytes | None:
    """A file's bytes, or None where there is no such file.

    Raises:
        LabError: its disk does not give it.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _cannot("read", path, error) from error


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, in a folder that is made where it is missing.

    Raises:
        LabError: the disk is full or the folder cannot be written.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            dir=path.parent, prefix=f".{path.name}.", delete=False
        ) as file:
            temporary = file.name
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
        temporary = None
    except OSError as error:
        raise _cannot("write", path, error) from error
    finally:
        if temporary is not None:
            remove(Path(temporary))


def remove(path: Path) -> None:
    """Remove a file, if it is there and its disk allows it."""
    with suppress(OSError):
        path.unlink()


def remove_temporary(folder: Path, key: str) -> None:
    """Remove what writes of a stage's files left behind when they were killed."""
    for stray in folder.glob(f".{escape(key)}.*"):
        remove(stray)


def set_aside(*files: Path) -> None:
    """Rename those of the files that exist to *.damaged.

    Raises:
        LabError: the folder does not allow it.
    """
    for file in files:
        try:
            os.replace(file, file.with_name(file.name + ".damaged"))
        except FileNotFoundError:
            pass
        except OSError as error:
            raise LabError(
                f"{file} is damaged and cannot be set aside: {error.strerror}. Make its folder "
                "writable, or delete the file, and run again."
            ) from error


@contextmanager
def locked(path: Path, waiting: str = "") -> Iterator[None]:
    """Hold the lock of that name; while another process holds it, print `waiting` once and wait.

    The operating system gives a lock back when its holder dies, however that was. A folder that
    takes no lock takes no file either, and the write that comes to it says why.
    """
    lock = FileLock(path)
    with suppress(OSError, NotImplementedError):
        path.parent.mkdir(exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if waiting:
                print(waiting, flush=True)
            lock.acquire(poll_interval=0.2)
    try:
        yield
    finally:
        lock.release()


def _cannot(verb: str, path: Path, error: OSError) -> LabError:
    return LabError(
        f"cannot {verb} {path}: {error.strerror or error}. {REMEDY[verb]}; what was finished "
        "before is intact, and a new run goes on from it."
    )
