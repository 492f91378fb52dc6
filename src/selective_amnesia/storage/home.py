"""Where the lab keeps its files: the local folder, and the mirror that they follow to."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

COLAB, NAME = Path("/content"), "selective-amnesia-lab"


def home() -> Path:
    """The local folder: SELECTIVE_AMNESIA_HOME if it is set; on Colab one on the runtime's disk;
    else the repository, or the current folder outside of one."""
    if chosen := os.environ.get("SELECTIVE_AMNESIA_HOME"):
        return Path(chosen).expanduser().absolute()
    if _colab_drive() is not None:
        return COLAB / NAME
    return repository() if (repository() / "pyproject.toml").is_file() else Path.cwd()


def repository() -> Path:
    """The clone that this package lies in; of an installed package it is none."""
    return Path(__file__).resolve().parents[3]


def mirror_url() -> str | None:
    """The mirror: SELECTIVE_AMNESIA_MIRROR if it is set; on Colab a folder in the mounted Drive,
    or none, which is said, where Drive is refused."""
    if chosen := os.environ.get("SELECTIVE_AMNESIA_MIRROR"):
        return chosen
    if (drive := _colab_drive()) is None:
        return None
    mounted = COLAB / "drive" / "MyDrive"
    try:
        drive.mount(str(COLAB / "drive"))
        if not os.path.isdir(mounted):  # a mount that has died still counts as one
            drive.mount(str(COLAB / "drive"), force_remount=True)
        if not os.path.isdir(mounted):
            raise OSError("it is mounted but does not answer")
        (mounted / NAME).mkdir(exist_ok=True)
    except Exception as error:  # whatever Colab raises: refused, timed out, no account
        print(
            f"Drive is not mounted ({error}): checkpoints stay in {home()} and are lost when this "
            "runtime ends. Run this cell again to mount it."
        )
        return None
    return str(mounted / NAME) if home() != mounted / NAME else None  # who works there needs none


def _colab_drive() -> Any:
    """Colab's module for Drive, or None anywhere else."""
    try:
        from google.colab import drive
    except ImportError:
        return None
    return drive
