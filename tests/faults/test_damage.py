"""A stage's files, broken here and in the mirror in every way that we could think of."""

from __future__ import annotations

import hashlib
import json
import pickle
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from typing import NoReturn

import pytest
import torch
from harms import Trap, emptied, flipped, nonsense, truncated

from selective_amnesia import LabError
from selective_amnesia.storage import stage
from selective_amnesia.storage.files import write_bytes
from selective_amnesia.storage.mirror import Mirror
from selective_amnesia.storage.stage import Checkpoint, Stage, snapshot_encoded
from selective_amnesia.storage.store import SnapshotStore, Store

CVAE, CONTROL = Stage("cvae", 1, {}), Stage("control-0", 1, {})
KEY, OTHER = CVAE.key, CONTROL.key
SUFFIXES = (".safetensors", ".json", ".partial")


def content_of(name: str) -> dict[str, torch.Tensor]:
    return {"model.w": torch.arange(6.0) + len(name), "step": torch.tensor(len(name))}


@pytest.fixture(scope="session")
def pristine(tmp_path_factory):
    """A folder with two stages, each finished and with a snapshot."""
    folder = tmp_path_factory.mktemp("pristine")
    for name in (KEY, OTHER):
        facts = {"loss": 95.5, "settings": {"steps": 60, "betas": [0.9, 0.99]}, "date": "today"}
        tensors, text = Checkpoint(content_of(name), facts).encoded(name)
        snapshot = snapshot_encoded(name, content_of(name))
        for suffix, content in zip(SUFFIXES, (tensors, text, snapshot), strict=True):
            write_bytes(folder / f"{name}{suffix}", content)
    return folder


@pytest.fixture
def folder(pristine, tmp_path):
    return Path(shutil.copytree(pristine, tmp_path / "checkpoints"))


def made_anew(_snapshots: SnapshotStore) -> NoReturn:
    raise LookupError


def verdict(folder: Path, suffix: str) -> str:
    """Read the stage as the lab does: "believed", or how it was refused."""
    store = Store(folder.parent)
    if suffix == ".partial":
        state = SnapshotStore(store, KEY).load()
        return "set aside" if state is None else "believed"
    try:
        store.finish(CVAE, made_anew)
    except LookupError:
        return "absent"
    except LabError as error:
        said = str(error)
    else:
        return "believed"
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


def deep(content: bytes, _draw: Random) -> bytes:
    return b"[" * 100_000


HARMS = [(truncated, 20, 100), (emptied, 1, 1), (flipped, 50, 2000), (nonsense, 3, 20),
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
    store = Store(folder.parent)
    read = partial(store.finish, CVAE, made_anew)
    if suffix == ".partial":
        read = SnapshotStore(store, KEY).load
    with pytest.raises(LabError, match=rf"cannot read .*{KEY}\{suffix}: Is a directory\. Make it"):
        read()
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
    file.write_text(json.dumps(json.loads(file.read_text()) | {"format": stage.FORMAT + 1}))
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
    facts["facts_sha256"] = stage._digest(facts)
    (folder / f"{KEY}.json").write_text(json.dumps(facts))
    (folder / f"{KEY}.safetensors").write_bytes(trap)
    check(folder, ".safetensors")
    (folder / f"{KEY}.partial").write_bytes(stage._seal(KEY, trap) + trap)
    check(folder, ".partial")
    assert not sprung.exists()
    tally("a pickle with checksums that fit it", 2, "not executed, not believed")


# --- in the mirror ----------------------------------------------------------------------------


@pytest.mark.parametrize(("harm", "short", "full"), HARMS, ids=[h.__name__ for h, *_ in HARMS])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_broken_file_of_the_mirror_is_never_believed(
    harm: Callable, short, full, suffix, pristine, tmp_path, times, tally, capsys
):
    draw, tries = Random(5), times(min(short, 5), min(full, 200))
    good = (pristine / f"{KEY}{suffix}").read_bytes()
    for number in range(tries):
        place = tmp_path / f"mirror{number}" / "checkpoints"
        place.mkdir(parents=True)
        for each in (".partial",) if suffix == ".partial" else SUFFIXES[:2]:
            shutil.copy(pristine / f"{KEY}{each}", place)
        broken = harm(good, draw)
        (place / f"{KEY}{suffix}").write_bytes(broken)
        store = Store(tmp_path / str(number), Mirror(str(place.parent)))
        made = []

        def make(snapshots, made=made):
            made.append(snapshots.load())
            return {"w": torch.ones(2)}, {}

        if json_says_newer(broken, suffix):
            continue
        assert store.finish(CVAE, make).facts["stage"] == "cvae"
        assert made == [None]
        assert store.mirror.flush()
        again = Store(tmp_path / f"again{number}", Mirror(str(place.parent)))
        assert torch.equal(again.finish(CVAE, make).tensors["w"], torch.ones(2))
        assert len(made) == 1
    assert "is damaged in the mirror" in capsys.readouterr().out
    tally(f"the mirror's {suffix[1:]} {harm.__name__}", tries, "nothing believed, replaced")


def json_says_newer(content: bytes, suffix: str) -> bool:
    """Whether a flipped bit made the format a newer one, which is refused and not replaced."""
    try:
        return suffix == ".json" and json.loads(content)["format"] > stage.FORMAT
    except (ValueError, KeyError, TypeError, RecursionError):
        return False
