"""The door's checks: what a user gives is checked once, where it comes in, in one sentence."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Real
from pathlib import Path
from typing import Any

import torch


def count(name: str, value: int, least: int = 1) -> int:
    """`value`, if it is a whole number of at least `least`.

    Raises:
        ValueError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name} is {value!r}: use a whole number of at least {least}")
    return value


def seed(value: int) -> int:
    """`value`, if numpy and torch both take it for a seed.

    Raises:
        ValueError: it is not.
    """
    if count("seed", value, 0) >= 2**32:
        raise ValueError(f"seed is {value}: use one below {2**32}")
    return value


def amount(name: str, value: float) -> float:
    """`value`, if it is zero or a positive number.

    Raises:
        ValueError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise ValueError(f"{name} is {value!r}: use a number")
    if not 0 <= value < float("inf"):
        raise ValueError(f"{name} is {value}: use zero or a positive number")
    return value


def label(value: int, classes: int) -> int:
    """`value`, if it is one of the labels 0 to classes - 1.

    Raises:
        ValueError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < classes:
        raise ValueError(f"{value!r} is not a label: use 0 to {classes - 1}")
    return value


def forget_set(labels: Iterable[int] | str | int, classes: int) -> tuple[int, ...]:
    """The labels to forget, sorted, each once: from {3, 8}, [3, 8], "3 8", "3, 8", or 3 for a
    single one.

    Raises:
        ValueError: the set is empty, holds what is no label, or leaves nothing to keep.
    """
    refused, what = "the forget set is not valid", f"labels from 0 to {classes - 1}"
    if isinstance(labels, int):
        labels = [labels]
    given = labels.replace(",", " ").split() if isinstance(labels, str) else list(labels)
    for word in given:
        if isinstance(word, bool) or not str(word).isdecimal() or int(word) >= classes:
            raise ValueError(f"{refused}: {word!r} is not among the {what}")
    if not given:
        raise ValueError(f"{refused}: no label is named: name at least one of the {what}")
    chosen = tuple(sorted({int(word) for word in given}))
    if len(chosen) == classes:
        raise ValueError(f"the forget set holds all {classes} labels: leave at least one to keep")
    return chosen


def words(labels: Iterable[int]) -> str:
    """A set of labels as tables and records name it: "0 1"."""
    return " ".join(map(str, labels))


def decoder(model: Any) -> None:
    """Check that a model has what an attack or a metric needs of a decoder.

    Raises:
        TypeError: it lacks some of it.
    """
    needed = ("decode", "decode_logits", "classes", "z_dim")
    if missing := [name for name in needed if not hasattr(model, name)]:
        raise TypeError(
            f"{type(model).__name__} has no {', '.join(missing)}: use a model with the decoder's "
            "interface of OneHotCVAE"
        )


def device(wanted: str | None) -> torch.device:
    """The device of that name, or the GPU where there is one, or the CPU.

    Raises:
        ValueError: it is not there, or of a kind that this lab does not support.
    """
    name = wanted or ("cuda" if torch.cuda.is_available() else "cpu")
    supported = {"cpu", "cuda", torch._C._get_privateuse1_backend_name()}
    try:
        chosen = torch.device(name)
        torch.empty(0, device=chosen)
        there = chosen.type in supported
    except (RuntimeError, AssertionError, ImportError, TypeError):
        there = False
    if not there:
        raise ValueError(f"device {wanted!r} is not there or not supported: use cpu or cuda")
    return chosen


def file_name(name: str) -> str:
    """`name`, if it names a file in a folder and no other place.

    Raises:
        ValueError: it does not.
    """
    if name in ("", "..") or Path(name).name != name:
        raise ValueError(f"name is {name!r}: use a file's name without folders")
    return name
