"""One finished stage on disk: `NAME.safetensors` for tensors and `NAME.json` for facts.

The JSON is written last and holds the SHA-256 of the tensors: a stage is finished when its JSON
exists, and what does not match its JSON is not believed. A snapshot of unfinished training is one
file that carries its own checksum. Every write goes to a neighbouring file first and is renamed
into place, so a killed process leaves the old file or the new one. Nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

__all__ = ["Checkpoint", "LabError", "Snapshot", "read", "write", "write_bytes"]

FORMAT = 1


class LabError(RuntimeError):
    """Something outside the code is wrong; the message says what, where and what to do."""


@dataclass(frozen=True)
class Checkpoint:
    """A finished stage: its tensors by name, and the facts about it."""

    tensors: dict[str, Tensor]
    facts: dict[str, Any]


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all.

    Raises:
        LabError: the disk is full or the folder cannot be written.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", delete=False) as file:
            temporary = file.name
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise LabError(
            f"cannot write {path}: {error.strerror}. Free some space or make the folder writable; "
            "what was finished before is intact, and a new run goes on from it."
        ) from error


def write(path: Path, checkpoint: Checkpoint) -> None:
    """Write `path`.safetensors, then `path`.json."""
    content = safetensors.torch.save(_plain(checkpoint.tensors))
    facts = {"name": path.name, **checkpoint.facts, "format": FORMAT}
    facts |= {"sha256": hashlib.sha256(content).hexdigest()}
    write_bytes(_with(path, ".safetensors"), content)
    write_bytes(_with(path, ".json"), json.dumps(facts, indent=1).encode())


def read(path: Path, device: torch.device | str = "cpu") -> Checkpoint | None:
    """The checkpoint at `path`, or None where that stage is not finished.

    Raises:
        LabError: it is damaged (it is then set aside as *.damaged) or of a newer format.
    """
    weights, facts_file = _with(path, ".safetensors"), _with(path, ".json")
    if not facts_file.is_file():
        return None
    try:
        facts = json.loads(facts_file.read_bytes())
        newer = facts["format"] > FORMAT
        content = b"" if newer else weights.read_bytes()
        ours = facts["name"] == path.name
        intact = newer or (ours and hashlib.sha256(content).hexdigest() == facts["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        newer, intact = False, False
    if newer:
        raise LabError(f"{facts_file} was written by a newer version of this lab: update it.")
    if not intact:
        for file in (facts_file, weights):
            if file.exists():
                os.replace(file, file.with_name(file.name + ".damaged"))
        raise LabError(
            f"{weights} is damaged: it does not match its checksum. It was set aside as "
            f"{weights.name}.damaged; run again to make it anew."
        )
    tensors = safetensors.torch.load(content)
    return Checkpoint({k: v.to(device) for k, v in tensors.items()}, facts)


class Snapshot:
    """The last state of unfinished training, in one file (a `training.Keeper`)."""

    def __init__(self, path: Path) -> None:
        self.path = _with(path, ".partial")

    def save(self, state: dict[str, Tensor]) -> None:
        content = safetensors.torch.save(_plain(state))
        write_bytes(self.path, hashlib.sha256(content).digest() + content)

    def load(self) -> dict[str, Tensor] | None:
        """The state, or None where there is none to be believed."""
        try:
            stored = self.path.read_bytes()
        except FileNotFoundError:
            return None
        if hashlib.sha256(stored[32:]).digest() != stored[:32]:
            print(f"{self.path.name} is damaged and set aside: this stage starts anew.")
            os.replace(self.path, self.path.with_name(self.path.name + ".damaged"))
            return None
        return safetensors.torch.load(stored[32:])

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)


def _plain(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Each tensor with memory of its own, on the CPU."""
    return {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}


def _with(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)
