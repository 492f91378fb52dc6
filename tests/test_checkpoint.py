"""Stages' files, written and read; `faults/test_files.py` breaks them."""

import os

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


def test_a_snapshot_comes_back_or_is_not_believed(tmp_path, capsys):
    snapshot = Snapshot(tmp_path / "cvae-0123")
    assert snapshot.load() is None
    snapshot.save({"step": torch.tensor(3)})
    assert int(snapshot.load()["step"]) == 3
    content = bytearray(snapshot.path.read_bytes())
    content[len(content) // 2] ^= 1
    snapshot.path.write_bytes(content)
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
