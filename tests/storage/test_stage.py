import json
from dataclasses import replace

import pytest
import torch

from selective_amnesia.storage.stage import (
    FORMAT,
    Checkpoint,
    Damaged,
)

TENSORS = {"w": torch.arange(6.0).view(2, 3), "step": torch.tensor(3), "b": torch.ones(2).bool()}
CONTENT, TEXT = Checkpoint(TENSORS, {"loss": 1.5, "betas": (0.9, 0.99)}).encoded("cvae-1")


def test_the_key_follows_from_all_that_shapes_the_stage(stage):
    others = [
        replace(stage, name="control"),
        replace(stage, version=2),
        replace(stage, settings={"steps": 4}),
        replace(stage, parents=(stage,)),
        replace(stage, parents=(replace(stage, version=2),)),
    ]
    assert len({s.key for s in [stage, *others]}) == 6
    assert replace(stage).key == stage.key
    assert stage.key.startswith("cvae-")
    assert stage.key == "cvae-b7d8405d835e"  # in any process, on any machine


def test_what_was_encoded_is_decoded():
    found = Checkpoint.decoded("cvae-1", CONTENT, TEXT)
    assert found.tensors.keys() == TENSORS.keys()
    assert all(torch.equal(found.tensors[name], TENSORS[name]) for name in TENSORS)
    assert found.facts["loss"] == 1.5
    assert found.facts["betas"] == [0.9, 0.99]
    assert found.facts["format"] == FORMAT


def test_facts_of_another_stage_do_not_rename_it():
    again = Checkpoint(TENSORS, json.loads(TEXT)).encoded("control-2")
    assert Checkpoint.decoded("control-2", *again).facts["name"] == "control-2"


def test_views_and_shared_memory_are_kept_as_they_look():
    base = torch.arange(10.0)
    facts = Checkpoint({"a": base[::2], "b": base, "c": base[3:]}, {}).encoded("x")
    found = Checkpoint.decoded("x", *facts)
    assert torch.equal(found.tensors["a"], base[::2])
    assert torch.equal(found.tensors["c"], base[3:])


@pytest.mark.parametrize(
    ("key", "content", "text"),
    [
        ("cvae-2", CONTENT, TEXT),
        ("cvae-1", CONTENT, b"[]"),
        ("cvae-1", CONTENT, b"\xff"),
        ("cvae-1", CONTENT, b'{"format": "new"}'),
    ],
)
def test_what_does_not_match_is_not_believed(key, content, text):
    with pytest.raises(Damaged):
        Checkpoint.decoded(key, content, text)
