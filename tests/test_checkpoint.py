import json
import os
import pickle

import pytest
import torch

from selective_amnesia import checkpoint
from selective_amnesia.checkpoint import Checkpoint, LabError, Snapshot


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "checkpoints" / "cvae-0123"
    path.parent.mkdir()
    checkpoint.write(path, Checkpoint({"a": torch.arange(6.0).view(2, 3)}, {"loss": 1.5}))
    return path


def test_what_was_written_is_read(path):
    found = checkpoint.read(path)
    assert torch.equal(found.tensors["a"], torch.arange(6.0).view(2, 3))
    assert found.facts["loss"] == 1.5
    assert sorted(p.name for p in path.parent.iterdir()) == [
        "cvae-0123.json", "cvae-0123.safetensors",
    ]  # fmt: skip


def test_tensors_without_facts_are_not_a_finished_stage(path):
    (path.parent / "cvae-0123.json").unlink()
    assert checkpoint.read(path) is None


def flip(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def truncate(file):
    file.write_bytes(file.read_bytes()[:-5])


def empty(file):
    file.write_bytes(b"")


@pytest.mark.parametrize("harm", [flip, truncate, empty, os.remove])
def test_a_damaged_checkpoint_is_set_aside_and_named(path, harm):
    harm(path.parent / "cvae-0123.safetensors")
    with pytest.raises(LabError, match=r"cvae-0123\.safetensors is damaged.*run again"):
        checkpoint.read(path)
    assert checkpoint.read(path) is None
    assert (path.parent / "cvae-0123.json.damaged").exists()


@pytest.mark.parametrize("harm", [truncate, empty])
def test_damaged_facts_are_not_believed(path, harm):
    harm(path.parent / "cvae-0123.json")
    with pytest.raises(LabError, match="damaged"):
        checkpoint.read(path)
    assert (path.parent / "cvae-0123.safetensors.damaged").exists()


def test_another_stages_file_under_this_name_is_not_believed(path):
    other = path.with_name("cvae-4567")
    for suffix in (".json", ".safetensors"):
        os.rename(path.with_name(path.name + suffix), other.with_name(other.name + suffix))
    with pytest.raises(LabError, match="damaged"):
        checkpoint.read(other)


def test_a_newer_format_is_refused_and_left_alone(path):
    file = path.parent / "cvae-0123.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"format": 99}))
    with pytest.raises(LabError, match="newer version"):
        checkpoint.read(path)
    assert file.exists()


def test_a_pickle_is_never_executed(path, tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "sprung"),)

    (path.parent / "cvae-0123.safetensors").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(LabError, match="damaged"):
        checkpoint.read(path)
    assert not (tmp_path / "sprung").exists()


def test_a_snapshot_comes_back_or_is_not_believed(tmp_path, capsys):
    snapshot = Snapshot(tmp_path / "cvae-0123")
    assert snapshot.load() is None
    snapshot.save({"step": torch.tensor(3)})
    assert int(snapshot.load()["step"]) == 3
    flip(snapshot.path)
    assert snapshot.load() is None
    assert "damaged and set aside" in capsys.readouterr().out


def test_a_disk_that_refuses_is_one_sentence_and_leaves_no_rubbish(path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(LabError, match=r"No space left on device\. Free some space"):
        checkpoint.write(path, Checkpoint({"a": torch.zeros(2)}, {}))
    monkeypatch.undo()
    assert float(checkpoint.read(path).tensors["a"].sum()) == 15
    assert len(list(path.parent.iterdir())) == 2
