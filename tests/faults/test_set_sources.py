"""KMNIST, EMNIST and USPS from a server on loopback that has files of their form, whole or not."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import struct
import zipfile
from collections.abc import Callable
from random import Random

import pytest
import torch
from harms import emptied, nonsense, truncated
from test_sources import PARTS, Mirror, impatient, server  # noqa: F401
from torchvision.datasets import EMNIST, KMNIST

from selective_amnesia import data
from selective_amnesia.data import emnist, fetch, kmnist, usps

IMAGES = torch.randint(256, (3, 28, 28), generator=torch.Generator().manual_seed(0)).byte()
SMALL = torch.randint(256, (3, 256), generator=torch.Generator().manual_seed(1)).byte()
LABELS = [1, 2, 1]


def packed_idx(images: bool) -> bytes:
    if images:
        content = struct.pack(">4B3I", 0, 0, 8, 3, 3, 28, 28) + IMAGES.numpy().tobytes()
    else:
        content = struct.pack(">4BI3B", 0, 0, 8, 1, 3, *LABELS)
    return gzip.compress(content, mtime=0)


def zipped() -> bytes:
    """EMNIST's archive; its images lie column by column."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in (*emnist.files("letters"), *emnist.files("balanced")):
            archive.writestr(f"gzip/{name}", packed_idx("images" in name))
    return out.getvalue()


def lines() -> bytes:
    """A file of LIBSVM's."""
    rows = (SMALL.double() / 127.5 - 1).tolist()
    text = [
        f"{label} " + " ".join(f"{k}:{v:.6f}" for k, v in enumerate(row, 1))
        for label, row in zip(LABELS, rows, strict=True)
    ]
    return bz2.compress("\n".join(text).encode())


@pytest.fixture
def served(server, impatient, monkeypatch) -> Callable[[str], None]:  # noqa: F811
    """Sets what part the server plays for all three sets."""
    plain = {name[:-3]: gzip.decompress(packed_idx("images" in name)) for name in kmnist.FILES}
    bundle, text = zipped(), lines()
    sums = {name: fetch.sha256(packed_idx("images" in name)) for name in kmnist.FILES}
    monkeypatch.setattr(
        Mirror, "files", plain | {"gzip.zip": bundle} | dict.fromkeys(usps.MD5, text)
    )
    monkeypatch.setattr(kmnist, "FILES", sums)
    monkeypatch.setattr(emnist, "SHA256", fetch.sha256(bundle))
    monkeypatch.setattr(emnist, "LARGEST", 1_000_000)
    monkeypatch.setattr(usps, "MD5", dict.fromkeys(usps.MD5, hashlib.md5(text).hexdigest()))

    def play(part: str) -> None:
        patient = 10.0 if part == "honest" else 0.3  # the machine may be busy
        monkeypatch.setattr(fetch, "TIMEOUT", patient)
        monkeypatch.setattr(fetch, "LONGEST", patient)
        base = f"{server}/{part.replace(' ', '%20')}/"
        monkeypatch.setattr(KMNIST, "mirrors", [base])
        monkeypatch.setattr(EMNIST, "url", f"{base}gzip.zip")
        monkeypatch.setattr(usps, "ADDRESS", base)

    return play


UPRIGHT = IMAGES.mT.flatten(1)
SETS = {  # images, labels and the name of class 1
    "kmnist": (IMAGES.flatten(1), [1, 2, 1], "ki"),
    "emnist_letters": (UPRIGHT, [0, 1, 0], "B"),
    "emnist_balanced": (UPRIGHT, [1, 2, 1], "1"),
    "usps": (SMALL, [0, 1, 0], "1"),
}


@pytest.mark.parametrize("name", SETS)
def test_a_whole_set_is_read_and_kept(name, served, tmp_path):
    images, labels, called = SETS[name]
    served("honest")
    found = data.load(name, tmp_path)
    for half in (found.train_images, found.test_images):
        assert torch.equal(half, images)
    assert found.train_labels.tolist() == found.test_labels.tolist() == labels
    assert found.names[1] == called
    assert found.classes == {"emnist_letters": 26, "emnist_balanced": 47}.get(name, 10)
    served("nothing")
    assert data.load(name, tmp_path).source == "cached"


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("part", PARTS)
def test_a_server_that_lies_is_refused_in_one_sentence(name, part, served, tmp_path, tally):
    served(part)
    with pytest.raises(FileNotFoundError, match=r"cannot be fetched .* put .* into") as caught:
        data.load(name, tmp_path)
    assert "\n" not in str(caught.value)
    assert "uncompressed" not in str(caught.value)  # these are kept as they are published
    assert not [file for file in tmp_path.rglob("*") if file.is_file()]
    tally(f"{name} from a server with {part}", 1, "refused, nothing kept")


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("harm", [truncated, emptied, nonsense])
def test_a_broken_file_is_set_aside_and_fetched(name, harm, served, tmp_path, capsys):
    served("honest")
    data.load(name, tmp_path)
    file = min(path for path in tmp_path.rglob("*") if path.is_file())
    whole = file.read_bytes()
    file.write_bytes(harm(whole, Random(0)))
    assert data.load(name, tmp_path).source.startswith("from ")
    assert file.read_bytes() == whole
    assert "is damaged and set aside" in capsys.readouterr().out
