"""No stage changes what it makes without a new version."""

import copy
import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
import golden


@pytest.fixture(scope="module")
def known():
    return json.loads(golden.GOLDEN.read_text())


@pytest.mark.long
def test_no_stage_has_changed_without_its_version(known, lab_folder):
    now = golden.made_now(lab_folder)  # what is there was made in float32 by this code
    assert golden.moved(now, known) == []
    assert now.keys() == known.keys()


def test_what_changes_is_named(known):
    changed = copy.deepcopy(known)
    changed["cvae"]["turn"][0] += 1
    changed["judge"]["version"] += 1
    del known["fisher"]
    said = golden.moved(changed, known)
    assert [words.split(" ", 1)[0] for words in said] == ["cvae", "fisher", "judge"]
    assert "its VERSION has not" in said[0]
