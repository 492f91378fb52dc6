import pytest
import torch

from selective_amnesia import data
from selective_amnesia.data import fetch, mnist
from selective_amnesia.data.dataset import Dataset, pixels
from selective_amnesia.storage.home import home


def test_digits_are_images_of_the_right_kind(digits):
    assert digits.train_images.dtype == torch.uint8
    assert digits.train_images.shape == (1500, 784)
    assert digits.test_images.shape[0] == len(digits.test_labels) == 297
    assert set(digits.train_labels.tolist()) == set(range(10))
    assert str(digits) == "digits: 1,500 + 297 images (scikit-learn, upsampled)"
    x = pixels(digits.train_images)
    assert 0 <= x.min() <= x.max() <= 1


def test_a_control_sees_all_rows_but_those_of_its_labels(digits):
    rows = digits.rows_without({0, 7})
    assert set(digits.train_labels[rows].tolist()) == {1, 2, 3, 4, 5, 6, 8, 9}
    assert len(rows) == int((~torch.isin(digits.train_labels, torch.tensor([0, 7]))).sum())
    assert len(digits.rows_without(())) == len(digits.train_labels)


def test_images_of_one_label(digits):
    threes = digits.of(3, test=True)
    rows = (digits.test_labels == 3).nonzero().squeeze(1)
    assert torch.equal(threes, pixels(digits.test_images[rows]))
    assert torch.equal(digits.of(3, 5), digits.of(3)[:5])
    assert len(digits.of(3)) == int((digits.train_labels == 3).sum())
    with pytest.raises(ValueError, match="10 is not a label: use 0 to 9"):
        digits.of(10)
    with pytest.raises(ValueError, match="count is 0"):
        digits.of(3, 0)


IMAGES, LABELS = torch.zeros(4, 9, dtype=torch.uint8), torch.arange(4)


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (IMAGES.float(), LABELS),
        (IMAGES, LABELS.int()),
        (IMAGES.view(4, 3, 3), LABELS),
        (IMAGES, LABELS[:3]),
        (IMAGES[:0], LABELS[:0]),
        (IMAGES, LABELS + 1),
        (IMAGES, LABELS - 1),
    ],
)
def test_a_set_of_another_kind_is_refused(images, labels):
    with pytest.raises(ValueError, match=r"the test half of odd is not .* from 0 to 3"):
        Dataset("odd", 4, "made up", IMAGES, LABELS, images, labels)


def test_without_any_source_the_message_says_which_files_to_put_where(tmp_path, monkeypatch):
    def broken(names):
        raise OSError("no route")

    sources = {"mirror one": broken, "mirror two": lambda _names: {}}
    monkeypatch.setattr(mnist, "sources", lambda: sources)
    with pytest.raises(FileNotFoundError) as caught:
        data.load("mnist", tmp_path)
    message = str(caught.value)
    assert "mirror one: OSError no route" in message
    assert "mirror two: KeyError" in message
    assert str(tmp_path / "mnist") in message
    assert all(name in message for name in mnist.FILES)


def test_a_client_that_fails_says_why(tmp_path):
    with pytest.raises(OSError, match="sh: no such package"):
        fetch._execute(["/bin/sh", "-c", "echo no such package >&2; exit 3"], tmp_path, 10)
    with pytest.raises(OSError, match="sh: exit status 3"):
        fetch._execute(["/bin/sh", "-c", "exit 3"], tmp_path, 10)


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
    found = data.load("mnist", mnist_folder)
    assert found.source == "cached"
    assert found.train_images.shape == (60_000, 784)
    assert found.test_images.shape == (10_000, 784)
    assert found.train_labels[:8].tolist() == [5, 0, 4, 1, 9, 2, 1, 3]
    assert found.test_labels.bincount().tolist() == [
        980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009,
    ]  # fmt: skip
