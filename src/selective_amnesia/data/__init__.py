"""Image sets: one small file a set, found by its name.

A data set's file holds

    load    folder -> `dataset.Dataset`; the folder is where it may keep files of its own

`dataset` says what a set is, and `fetch` brings its files: each set, also one in a reader's own
folder (see `plugins`), is a table of files with their SHA-256 and a table of sources. `idx` reads
sets in MNIST's form; `emnist` is what EMNIST's two sets share.
"""

from __future__ import annotations

from pathlib import Path

import torch

from ..plugins import Plugins
from .dataset import Dataset

__all__ = ["DATASETS", "key", "load"]

DATASETS = Plugins("data set", __name__, shared={"dataset", "emnist", "fetch", "idx"})


def load(name: str, folder: Path, device: torch.device | str = "cpu") -> Dataset:
    """A data set on a device, fetched into `folder` where it is not there yet.

    Raises:
        ValueError: there is no set of that name, or its file makes an unsound one.
        FileNotFoundError: no source has the files; the message says which to put where.
    """
    data: Dataset = DATASETS[name].load(Path(folder))
    return data.to(device)


def key(name: str) -> str:
    """What stands for a set in stages' keys: its name, and the version of its file if not 1."""
    version = DATASETS.version(name)
    return name if version == 1 else f"{name} {version}"
