"""What EMNIST's two sets share: one archive, and images that lie on their sides.

EMNIST (Cohen et al., 2017, arXiv:1702.05373) is handwriting of NIST's Special Database 19, brought
to MNIST's form; NIST publishes it, names no licence, and works of the United States' government
are in the public domain there. Its archive, 562 MB, is checked against its SHA-256; of the files
in it no checksums are published, so they are kept packed, and gzip's own checksum says whether one
that lies here is whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from . import idx
from .dataset import Dataset
from .fetch import Source, archive, fetch

SHA256 = "fb9bb67e33772a9cc0b895e4ecf36d2cf35be8b709693c3564cea2a019fcda8e"  # of the archive
LARGEST = 600_000_000  # bytes


def files(part: str) -> list[str]:
    """Training images and labels, test images and labels of a split."""
    return [
        f"emnist-{part}-{half}-{kind}-ubyte.gz"
        for half in ("train", "test")
        for kind in ("images-idx3", "labels-idx1")
    ]


def sources() -> dict[str, Source]:
    """Where the files are."""
    from torchvision.datasets import EMNIST

    return {EMNIST.url: archive(EMNIST.url, SHA256, "gzip/", LARGEST)}


def split(part: str, names: Sequence[str], folder: Path, first: int = 0) -> Dataset:
    """One of the two splits, both of which are fetched at once, with labels from 0.

    Args:
        part: "letters" or "balanced".
        names: of the classes.
        first: the label that the first of them has in the files.

    Raises:
        FileNotFoundError: no source has the files; the message says which to put where.
    """
    both = dict.fromkeys([*files("letters"), *files("balanced")], "whole")
    contents, source = fetch("EMNIST", folder / "emnist", both, sources(), _whole)
    train_images, train_labels, test_images, test_labels = (
        idx.read(contents[file]) for file in files(part)
    )
    # images are stored column by column
    train = train_images.mT.flatten(1), train_labels.long() - first
    test = test_images.mT.flatten(1), test_labels.long() - first
    return Dataset(f"emnist_{part}", len(names), source, *train, *test, names=tuple(names))


def _whole(content: bytes) -> str:
    """ "whole" of a file that is."""
    try:
        idx.read(content)
    except ValueError as error:
        return str(error)
    return "whole"
