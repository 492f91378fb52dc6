"""Every kind of file that the lab reads, broken in every way that we could think of."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
import torch

from selective_amnesia import LabError, checkpoint, data, perceptual
from selective_amnesia.checkpoint import Checkpoint, Snapshot

KEY, OTHER = "cvae-0123", "control-0-4567"
SUFFIXES = (".safetensors", ".json", ".partial")


class Trap:
    """What a pickle does when it is opened: makes a folder."""

    def __init__(self, place: Path) -> None:
        self.place = str(place)

    def __reduce__(self) -> tuple:
        return os.mkdir, (self.place,)


def content_of(name: str) -> dict[str, torch.Tensor]:
    return {"model.w": torch.arange(6.0) + len(name), "step": torch.tensor(len(name))}


@pytest.fixture(scope="session")
def pristine(tmp_path_factory):
    """Two stages, each finished and with a snapshot."""
    folder = tmp_path_factory.mktemp("pristine")
    for name in (KEY, OTHER):
        facts = {"loss": 95.5, "settings": {"steps": 60, "betas": [0.9, 0.99]}, "date": "today"}
        checkpoint.write(folder / name, Checkpoint(content_of(name), facts))
        Snapshot(folder / name).save(content_of(name))
    return folder


@pytest.fixture
def folder(pristine, tmp_path):
    return Path(shutil.copytree(pristine, tmp_path / "checkpoints"))


def verdict(folder: Path, suffix: str) -> str:
    """Read the stage as the lab does: "believed", or how it was refused."""
    if suffix == ".partial":
        state = Snapshot(folder / KEY).load()
        return "set aside" if state is None else "believed"
    try:
        found = checkpoint.read(folder / KEY)
    except LabError as error:
        said = str(error)
    else:
        return "absent" if found is None else "believed"
    assert "\n" not in said
    assert KEY in said
    assert "run again" in said or "delete that file" in said
    return "newer" if "newer version" in said else "set aside"


def check(folder: Path, suffix: str, expected: tuple[str, ...] = ("set aside",)) -> None:
    said = verdict(folder, suffix)
    assert said in expected
    if said == "set aside":
        assert (folder / f"{KEY}{suffix}.damaged").exists()
        assert verdict(folder, suffix) in ("absent", "set aside")
        assert not (folder / f"{KEY}{suffix}").exists()


def truncated(content: bytes, draw: Random) -> bytes:
    return content[: draw.randrange(1, len(content))]


def emptied(_content: bytes, _draw: Random) -> bytes:
    return b""


def flipped(content: bytes, draw: Random) -> bytes:
    place, bit = draw.randrange(len(content)), draw.randrange(8)
    return content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :]


def nonsense(content: bytes, draw: Random) -> bytes:
    return draw.randbytes(len(content))


def deep(content: bytes, _draw: Random) -> bytes:
    return b"[" * 100_000


HARMS = [(truncated, 20, 100), (emptied, 1, 1), (flipped, 100, 2000), (nonsense, 3, 20),
         (deep, 1, 1)]  # fmt: skip


@pytest.mark.parametrize(("harm", "short", "full"), HARMS, ids=[h.__name__ for h, *_ in HARMS])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_broken_file_is_never_believed(
    harm: Callable, short, full, suffix, pristine, folder, times, tally
):
    draw, tries = Random(1), times(short, full)
    good = (pristine / f"{KEY}{suffix}").read_bytes()
    for _ in range(tries):
        for each in SUFFIXES:
            shutil.copy(pristine / f"{KEY}{each}", folder)
        (folder / f"{KEY}{suffix}").write_bytes(harm(good, draw))
        check(folder, suffix, ("set aside", "newer") if harm is flipped else ("set aside",))
    tally(f"a checkpoint's {suffix[1:]} {harm.__name__}", tries, "nothing believed")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_that_its_disk_does_not_give_is_one_sentence(suffix, folder):
    """A folder in its place stands for any error but that it is missing."""
    (folder / f"{KEY}{suffix}").unlink()
    (folder / f"{KEY}{suffix}").mkdir()
    with pytest.raises(LabError, match=rf"cannot read .*{KEY}\{suffix}: Is a directory\. Make it"):
        Snapshot(folder / KEY).load() if suffix == ".partial" else checkpoint.read(folder / KEY)
    assert (folder / f"{KEY}{suffix}").is_dir()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_another_stages_file_under_this_name(suffix, folder, tally):
    shutil.copy(folder / f"{OTHER}{suffix}", folder / f"{KEY}{suffix}")
    check(folder, suffix)
    tally(f"another stage's {suffix[1:]} under this name", 1, "nothing believed")


def test_all_of_another_stages_files_under_this_name(folder):
    for suffix in SUFFIXES:
        shutil.copy(folder / f"{OTHER}{suffix}", folder / f"{KEY}{suffix}")
    check(folder, ".json")


def test_a_future_format_is_refused_and_left_alone(folder, tally):
    file = folder / f"{KEY}.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"format": checkpoint.FORMAT + 1}))
    before = file.read_bytes()
    check(folder, ".json", ("newer",))
    assert file.read_bytes() == before
    tally("a checkpoint of a future format", 1, "refused, left as it is")


def test_facts_without_their_checksum_are_not_believed(folder):
    file = folder / f"{KEY}.json"
    facts = json.loads(file.read_text())
    del facts["facts_sha256"]
    file.write_text(json.dumps(facts))
    check(folder, ".json")


def test_changed_facts_are_not_believed(folder):
    file = folder / f"{KEY}.json"
    file.write_text(file.read_text().replace("95.5", "59.5"))
    check(folder, ".json")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_pickle_is_never_executed(suffix, folder, tmp_path, tally):
    sprung = tmp_path / "sprung"
    trap = pickle.dumps(Trap(sprung))
    (folder / f"{KEY}{suffix}").write_bytes(trap)
    check(folder, suffix)
    torch.save(Trap(sprung), folder / f"{KEY}{suffix}")
    assert verdict(folder, suffix) in ("set aside", "absent")
    assert not sprung.exists()
    pickle.loads(trap)
    assert sprung.exists()  # the trap is a real one
    tally(f"a pickle as {suffix[1:]}", 2, "not executed, not believed")


def test_a_pickle_with_checksums_that_fit_is_not_executed_either(folder, tmp_path, tally):
    sprung = tmp_path / "sprung"
    trap = pickle.dumps(Trap(sprung))
    facts = json.loads((folder / f"{KEY}.json").read_text())
    facts["sha256"] = hashlib.sha256(trap).hexdigest()
    facts["facts_sha256"] = checkpoint._digest(facts)
    (folder / f"{KEY}.json").write_text(json.dumps(facts))
    (folder / f"{KEY}.safetensors").write_bytes(trap)
    check(folder, ".safetensors")
    snapshot = Snapshot(folder / KEY)
    snapshot.path.write_bytes(snapshot._seal(trap) + trap)
    check(folder, ".partial")
    assert not sprung.exists()
    tally("a pickle with checksums that fit it", 2, "not executed, not believed")


def test_a_broken_file_in_a_folder_that_cannot_be_written_is_one_sentence(folder, monkeypatch):
    def refuse(*_):
        raise OSError(30, "Read-only file system")

    (folder / f"{KEY}.json").write_bytes(b"")
    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(LabError, match=r"json is damaged and cannot be set aside: Read-only"):
        checkpoint.read(folder / KEY)


# --- MNIST, with files of a few images --------------------------------------------------------


@pytest.fixture
def mnist(tmp_path, monkeypatch):
    """The genuine content of four small files, and the folder where they lie."""
    draw = Random(2)
    genuine = {
        name: b"\0" * 16 + draw.randbytes(784 * 3) if "images" in name else b"\0" * 8 + b"\1\2\3"
        for name in data.MNIST_FILES
    }
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in genuine.items()}
    monkeypatch.setattr(data, "MNIST_FILES", sums)
    monkeypatch.setattr(data, "_sources", lambda: [("a mirror", lambda names: genuine)])
    folder = tmp_path / "mnist"
    folder.mkdir()
    for name, content in genuine.items():
        (folder / name).write_bytes(content)
    return genuine, folder


@pytest.mark.parametrize("harm", ["truncated", "emptied", "flipped", "a pickle", "another's"])
def test_a_broken_mnist_file_is_set_aside_and_fetched(harm, mnist, tmp_path, capsys, times, tally):
    genuine, folder = mnist
    name, other, *_ = genuine
    draw, tries = Random(3), times(20, 1000) if harm == "flipped" else 1
    for _ in range(tries):
        broken = {
            "truncated": lambda: truncated(genuine[name], draw),
            "emptied": lambda: b"",
            "flipped": lambda: flipped(genuine[name], draw),
            "a pickle": lambda: pickle.dumps(Trap(tmp_path / "sprung")),
            "another's": lambda: genuine[other],
        }[harm]()
        (folder / name).write_bytes(broken)
        assert data.load("mnist", tmp_path).source == "from a mirror"
        assert (folder / f"{name}.damaged").read_bytes() == broken
        assert (folder / name).read_bytes() == genuine[name]
        assert "is damaged and set aside: it is fetched again" in capsys.readouterr().out
    assert data.load("mnist", tmp_path).source == "cached"
    assert not (tmp_path / "sprung").exists()
    tally(f"a file of MNIST: {harm}", tries, "set aside, fetched again")


# --- the weights of LPIPS ---------------------------------------------------------------------


@pytest.mark.parametrize("harm", [truncated, emptied, flipped, nonsense, "a pickle"])
def test_broken_weights_of_lpips_are_set_aside_and_fetched(
    harm, tmp_path, monkeypatch, times, tally
):
    genuine = {"0.weight": torch.arange(400.0)}
    digest = hashlib.sha256(b"0.weight" + genuine["0.weight"].numpy().tobytes()).hexdigest()
    monkeypatch.setattr(perceptual, "TRUNK_SHA256", digest)
    monkeypatch.setattr(perceptual, "SOURCES", {"a mirror": lambda: genuine})
    perceptual.trunk(tmp_path)
    path = tmp_path / "lpips" / "alexnet.safetensors"
    good, draw = path.read_bytes(), Random(4)
    tries = times(20, 1000) if harm is flipped else 1
    for _ in range(tries):
        trap = pickle.dumps(Trap(tmp_path / "sprung"))
        broken = trap if harm == "a pickle" else harm(good, draw)
        path.write_bytes(broken)
        assert torch.equal(perceptual.trunk(tmp_path)["0.weight"], genuine["0.weight"])
        assert path.read_bytes() == good
    assert path.with_name(f"{path.name}.damaged").exists()
    assert not (tmp_path / "sprung").exists()
    name = harm if isinstance(harm, str) else harm.__name__
    tally(f"the weights of LPIPS: {name}", tries, "set aside, fetched again")
