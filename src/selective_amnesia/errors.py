"""What can go wrong outside the code."""

from __future__ import annotations


class LabError(RuntimeError):
    """Something outside the code is wrong; the message says what, where and what to do."""


class Diverged(RuntimeError):
    """A training's loss or weights became NaN or infinite."""
