"""What happens to files: each harm makes other bytes of a file's, by a generator's draw."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random


class Trap:
    """What a pickle does when it is opened: makes a folder."""

    def __init__(self, place: Path) -> None:
        self.place = str(place)

    def __reduce__(self) -> tuple:
        return os.mkdir, (self.place,)


def truncated(content: bytes, draw: Random) -> bytes:
    return content[: draw.randrange(1, len(content))]


def emptied(_content: bytes, _draw: Random) -> bytes:
    return b""


def flipped(content: bytes, draw: Random) -> bytes:
    place, bit = draw.randrange(len(content)), draw.randrange(8)
    return content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :]


def nonsense(content: bytes, draw: Random) -> bytes:
    return draw.randbytes(len(content))
