"""One finished stage on disk: `NAME.safetensors` for tensors and `NAME.json` for facts.

The JSON is written last and holds the SHA-256 of the tensors and of itself: a stage is finished
when its JSON exists, and what does not match its JSON is not believed. A snapshot of unfinished
training is one file with a checksum over its name and content. Every write goes to a neighbouring
file first and is renamed into place, so a killed process leaves the old file or the new one.
Nothing is ever unpickled.

A stage whose folder refuses it (the disk is full, Drive has gone) is kept in `REFUGE`, on the
local disk, and brought back as soon as the folder takes it.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

__all__ = [
    "Checkpoint",
    "LabError",
    "Snapshot",
    "clear",
    "read",
    "read_bytes",
    "set_aside",
    "sweep",
    "write",
    "write_bytes",
]

FORMAT = 2
REFUGE = Path(os.path.expanduser("~")) / ".cache" / "selective-amnesia-lab"
STALL = 20.0  # seconds of writing before a word is said
GONE = (errno.ENOENT, errno.ENOTCONN, errno.ESTALE)  # what a Drive that was lost answers

# What parsing a broken file may raise; a deeply nested one exhausts the parser's stack.
BROKEN = (ValueError, KeyError, TypeError, RecursionError, safetensors.SafetensorError)


class LabError(RuntimeError):
    """Something outside the code is wrong; the message says what, where and what to do."""


@dataclass(frozen=True)
class Checkpoint:
    """A finished stage: its tensors by name, and the facts about it."""

    tensors: dict[str, Tensor]
    facts: dict[str, Any]


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
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot("write", path, error) from error
    _replace(path, content)


def _replace(path: Path, content: bytes) -> None:
    temporary = None
    try:
        with _patience(path):
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
            with suppress(OSError):
                os.unlink(temporary)


@contextmanager
def _patience(path: Path) -> Iterator[None]:
    """Say once that a write takes long: to a waiting reader Drive looks like a hanging cell."""
    line = f"still writing {path}: the disk or Drive is slow; the lab goes on once it answers."
    timer = threading.Timer(STALL, print, [line])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def write(path: Path, checkpoint: Checkpoint) -> None:
    """Write `path`.safetensors, then `path`.json.

    Raises:
        LabError: neither the folder nor the refuge takes them.
    """
    content = safetensors.torch.save(_plain(checkpoint.tensors))
    facts = {"name": path.name, **checkpoint.facts, "format": FORMAT}
    facts |= {"sha256": hashlib.sha256(content).hexdigest()}
    facts = json.loads(json.dumps(facts))
    facts |= {"facts_sha256": _digest(facts)}
    text = json.dumps(facts, indent=1).encode()
    _keep(path, {".safetensors": content, ".json": text})


def read(path: Path) -> Checkpoint | None:
    """The checkpoint at `path`, its tensors on the CPU, or None where that stage is not finished.

    Raises:
        LabError: it is damaged (it is then set aside as *.damaged) or of a newer format.
    """
    _bring_back(path)
    found = map(_read_at, _places(path))
    return next((each for each in found if each is not None), None)


def _read_at(path: Path) -> Checkpoint | None:
    weights, facts_file = _with(path, ".safetensors"), _with(path, ".json")
    if (text := read_bytes(facts_file)) is None:
        return None
    try:
        facts = json.loads(text)
        newer = facts["format"] > FORMAT
    except BROKEN:
        facts, newer = {}, False
    if newer:
        raise LabError(
            f"{facts_file} was written by a newer version of this lab: update it, or delete that "
            "file to make the stage anew."
        )
    content = read_bytes(weights) or b""
    try:
        intact = facts["name"] == path.name and facts["facts_sha256"] == _digest(facts)
        if intact and hashlib.sha256(content).hexdigest() == facts["sha256"]:
            return Checkpoint(safetensors.torch.load(content), facts)
    except BROKEN:
        pass
    set_aside(facts_file, weights)
    raise LabError(
        f"{weights} is damaged: it does not match its checksum. It was set aside as "
        f"{weights.name}.damaged; run again to make it anew."
    )


def sweep(path: Path) -> None:
    """Remove what writes of that stage left behind when they were killed."""
    for stray in path.parent.glob(f".{path.name}.*"):
        with suppress(OSError):
            stray.unlink()


def clear(path: Path) -> None:
    """Remove what a finished stage needs no more, should a kill have kept its maker from it."""
    if not os.path.isfile(_with(path, ".json")):
        return  # finished in the refuge alone, which may not outlive this runtime
    for leftover in (
        _with(path, ".partial"),
        _with(_refuge(path), ".partial"),
        _with(path, ".lock"),
    ):
        with suppress(OSError):
            leftover.unlink()


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


class Snapshot:
    """The last state of unfinished training, in one file (a `training.Keeper`).

    Args:
        also: tensors that every state is kept with.
    """

    def __init__(self, path: Path, also: dict[str, Tensor] | None = None) -> None:
        self.at, self.path, self.also = path, _with(path, ".partial"), also or {}

    def save(self, state: dict[str, Tensor]) -> None:
        content = safetensors.torch.save(_plain(state | self.also))
        _keep(self.at, {".partial": self._seal(content) + content})

    def load(self) -> dict[str, Tensor] | None:
        """The state, or None where there is none to be believed."""
        _bring_back(self.at)
        for path in (_with(place, ".partial") for place in reversed(_places(self.at))):
            if (stored := read_bytes(path)) is None:
                continue
            try:
                if self._seal(stored[32:]) == stored[:32]:
                    return safetensors.torch.load(stored[32:])
            except BROKEN:
                pass
            set_aside(path)
            print(f"{path.name} is damaged and set aside: this stage starts anew.")
        return None

    def drop(self) -> None:
        """Remove it: what it led to is finished."""
        for path in (self.path, _with(_refuge(self.at), ".partial")):
            with suppress(OSError):
                path.unlink()

    def _seal(self, content: bytes) -> bytes:
        return hashlib.sha256(self.at.name.encode() + b"\n" + content).digest()


# --- the refuge ----------------------------------------------------------------------------------


def _keep(path: Path, files: dict[str, bytes]) -> None:
    """Write `path` + suffix for each suffix, in their order; in the refuge if the folder refuses.

    The folder is not made here: one that has gone is a Drive that has gone, and to make it anew
    on the local disk would keep Drive from coming back.
    """
    refuge = _refuge(path)
    try:
        for suffix, content in files.items():
            _replace(_with(path, suffix), content)
    except LabError as refusal:
        try:
            for suffix, content in files.items():
                write_bytes(_with(refuge, suffix), content)
        except LabError:
            raise refusal from None
        print(
            f"{refusal} Until then it is kept in {refuge.parent} and copied back by the next run; "
            f"to copy it yourself: cp {refuge}.* {path.parent}/"
        )
    else:
        with suppress(OSError):
            for suffix in files:
                _with(refuge, suffix).unlink(missing_ok=True)


def _bring_back(path: Path) -> None:
    """Move what the refuge holds of a stage to its own folder, if that takes all of it by now."""
    refuge = _refuge(path)
    held = [s for s in (".partial", ".safetensors", ".json") if os.path.isfile(_with(refuge, s))]
    with suppress(LabError, OSError):
        for suffix in held:
            _replace(_with(path, suffix), _with(refuge, suffix).read_bytes())
        for suffix in reversed(held):  # facts first: without them the rest counts for nothing
            _with(refuge, suffix).unlink()


def _places(path: Path) -> list[Path]:
    """Where a stage's files may lie; the refuge only where it can be looked into."""
    refuge = _refuge(path)
    return [path, refuge] if os.access(refuge.parent, os.R_OK | os.X_OK) else [path]


def _refuge(path: Path) -> Path:
    """`path`, as a place in the refuge."""
    path = path.absolute()
    return REFUGE / path.relative_to(path.anchor)


# --- small parts ---------------------------------------------------------------------------------


def _cannot(verb: str, path: Path, error: OSError) -> LabError:
    remedy = {
        "write": "Free some space or make the folder writable",
        "read": "Make it readable or see that its disk answers",
    }[verb]
    if error.errno in GONE:
        remedy = "Mount Drive again (run the notebook from its first cell) or bring the folder back"
    return LabError(
        f"cannot {verb} {path}: {error.strerror}. {remedy}; what was finished before is intact, "
        "and a new run goes on from it."
    )


def _digest(facts: dict[str, Any]) -> str:
    """The checksum of the facts, their own left out."""
    plain = {k: v for k, v in facts.items() if k != "facts_sha256"}
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def _plain(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Each tensor with memory of its own, on the CPU."""
    return {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}


def _with(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)
