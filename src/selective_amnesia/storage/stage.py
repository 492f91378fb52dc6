"""A stage: what it is, the name that follows from it, and how its result looks as bytes.

A stage's key hashes everything that shapes its result: name, settings, parents' keys and the
version of the code that makes it. A finished stage is `KEY.safetensors` for tensors and `KEY.json`
for facts. The JSON holds the SHA-256 of the tensors and of itself: what does not match it is not
believed. A snapshot of unfinished training is one file with a checksum over its key and content.
Nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from ..errors import LabError
from .files import sha256

FORMAT = 3

Tensors = dict[str, Tensor]

# What parsing a broken file may raise; a deeply nested one exhausts the parser's stack.
BROKEN = (ValueError, KeyError, TypeError, RecursionError, safetensors.SafetensorError)


class Damaged(Exception):
    """A file does not match its checksum."""


@dataclass(frozen=True)
class Stage:
    """What a stage is: its name, all settings that shape its result, its parents, and the version
    of the code that makes it (of a reader's own file its hash)."""

    name: str
    version: int | str
    settings: dict[str, Any]
    parents: tuple[Stage, ...] = ()

    @cached_property
    def key(self) -> str:
        """The name with a hash: the name of its files."""
        shaped_by = {
            "name": self.name,
            "version": self.version,
            "settings": self.settings,
            "parents": [parent.key for parent in self.parents],
        }
        digest = sha256(json.dumps(shaped_by, sort_keys=True).encode())
        return f"{self.name}-{digest[:12]}"


@dataclass(frozen=True)
class Checkpoint:
    """A finished stage: its tensors by name, on the CPU, and the facts about it."""

    tensors: Tensors
    facts: dict[str, Any]

    def encoded(self, key: str) -> tuple[bytes, bytes]:
        """The content of its two files: tensors and facts."""
        content = packed(self.tensors)
        facts = self.facts | {"name": key, "format": FORMAT, "sha256": sha256(content)}
        facts = json.loads(json.dumps(facts))
        facts["facts_sha256"] = _digest(facts)
        return content, json.dumps(facts, indent=1).encode()

    @classmethod
    def decoded(cls, key: str, content: bytes, text: bytes) -> Checkpoint:
        """What two files hold.

        Raises:
            Damaged: they do not match each other, or the key.
            LabError: they are of a newer format.
        """
        try:
            facts = json.loads(text)
            if facts["format"] > FORMAT:
                raise LabError(
                    f"{key}.json was written by a newer version of this lab: update it, or delete "
                    "that file to make the stage anew."
                )
            sums = facts["facts_sha256"], facts["sha256"]
            if facts["name"] == key and sums == (_digest(facts), sha256(content)):
                return cls(safetensors.torch.load(content), facts)
        except BROKEN:
            pass
        raise Damaged(key)


def packed(tensors: Tensors) -> bytes:
    """Tensors of any device as the content of a safetensors file."""
    own = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
    return safetensors.torch.save(own)


def under(prefix: str, tensors: Tensors) -> Tensors:
    """The tensors whose names begin with the prefix, without it."""
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def prefixed(prefix: str, tensors: Tensors) -> Tensors:
    """The tensors, their names begun with the prefix."""
    return {f"{prefix}{k}": v for k, v in tensors.items()}


def snapshot_encoded(key: str, state: Tensors) -> bytes:
    """The content of a snapshot's file."""
    content = packed(state)
    return _seal(key, content) + content


def snapshot_decoded(key: str, stored: bytes) -> Tensors:
    """The state that a snapshot's file holds.

    Raises:
        Damaged: it does not match its checksum.
    """
    try:
        if _seal(key, stored[32:]) == stored[:32]:
            return safetensors.torch.load(stored[32:])
    except BROKEN:
        pass
    raise Damaged(key)


def _seal(key: str, content: bytes) -> bytes:
    return hashlib.sha256(key.encode() + b"\n" + content).digest()


def _digest(facts: dict[str, Any]) -> str:
    """The checksum of the facts, their own left out."""
    plain = {k: v for k, v in facts.items() if k != "facts_sha256"}
    return sha256(json.dumps(plain, sort_keys=True).encode())
