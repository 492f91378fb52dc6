"""A file in a folder of the reader's own is as good as one of the package."""

import hashlib
import os

import pytest

from selective_amnesia.attacks import ATTACKS
from selective_amnesia.config import AttackConfig, Config, DescriptionConfig, ForgetConfig
from selective_amnesia.data import DATASETS
from selective_amnesia.forgetting import METHODS, title, version
from selective_amnesia.metrics import METRICS
from selective_amnesia.plugins import VARIABLE
from selective_amnesia.profiles import PROFILES

SMOKE = PROFILES["smoke"]
SOURCE = '''"""A method that does nothing."""
from __future__ import annotations
from dataclasses import dataclass
from selective_amnesia.config import ForgetConfig

NAME = "Much Hope"

@dataclass(frozen=True, kw_only=True)
class Settings(ForgetConfig):
    trust: float = 0.5
    lr: float = 0.25

def prepare(task):
    return lambda step: {}
'''


@pytest.fixture
def file(tmp_path, monkeypatch):
    """A method of the reader's own, in the second of two folders."""
    monkeypatch.setenv(VARIABLE, os.pathsep.join(map(str, (tmp_path / "none", tmp_path))))
    file = tmp_path / "forgetting" / "hope.py"
    file.parent.mkdir()
    file.write_text(SOURCE)
    return file


def test_each_room_lists_its_own_files_alone():
    assert {"diverse", "joint", "robust"} <= set(ATTACKS)
    assert {"description", "kept", "relearning"} <= set(METRICS)
    assert {"digits", "mnist"} <= set(DATASETS)
    assert {"naive", "salun", "selective_amnesia"} <= set(METHODS)
    for plugins in (ATTACKS, METRICS, DATASETS, METHODS):
        assert not plugins.shared & set(plugins)
    assert list(ATTACKS.titles().values()) == sorted(ATTACKS.titles().values())


def test_a_file_is_listed_and_loaded(file):
    file.with_name("_draft.py").write_text("")
    assert "hope" in METHODS
    assert "_draft" not in METHODS
    assert "hope" not in ATTACKS
    assert METHODS["hope"].prepare(None)(0) == {}
    assert METHODS["hope"] is METHODS["hope"]
    assert METHODS.title("hope") == title("hope") == "Much Hope"


def test_a_file_of_the_same_name_takes_the_packages_place(file):
    ours, count = METHODS["naive"], len(METHODS)
    file.rename(file.with_name("naive.py"))
    assert METHODS.title("naive") == "Much Hope"
    assert METHODS["naive"] is not ours
    assert len(METHODS) == count - 1  # without the name that the file had


def test_an_edited_file_is_loaded_anew_and_its_version_is_its_hash(file):
    METHODS["hope"]
    file.write_text(SOURCE.replace("Much", "Little") + "VERSION = 7\n")
    assert METHODS.title("hope") == "Little Hope"
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert METHODS.version("hope") == digest[:12]
    assert version("hope").endswith(digest[:12])
    assert METHODS.version("salun") == 1


def test_a_broken_file_fails_each_time_that_it_is_asked_for(file):
    file.write_text(SOURCE + "1 / 0\n")
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            METHODS["hope"]
    file.write_text(SOURCE)
    assert METHODS.title("hope") == "Much Hope"


def test_settings_are_its_own_the_profiles_and_the_changes(file):
    settings = METHODS.settings("hope", ForgetConfig, SMOKE, trust=0.75, gamma=2.0)
    assert (settings.trust, settings.lr, settings.gamma) == (0.75, 0.25, 2.0)
    assert (settings.steps, settings.save_every) == (SMOKE.forget.steps, SMOKE.forget.save_every)
    assert METHODS.settings("selective_amnesia", ForgetConfig, SMOKE) == SMOKE.forget
    joint = ATTACKS.settings("joint", AttackConfig, SMOKE, codes=2)
    assert (joint.prior, joint.codes, joint.steps) == (0.01, 2, SMOKE.attack.steps)
    sought = METRICS.settings("likelihood", Config, SMOKE)
    assert sought == SMOKE.likelihood
    assert isinstance(sought, DescriptionConfig)


def test_what_is_unknown_is_named_in_one_sentence(file):
    for plugins, kind in ((METHODS, "method"), (ATTACKS, "attack"), (DATASETS, "data set")):
        with pytest.raises(ValueError, match=f"{kind} 'faith' is unknown: use one of .*, .*"):
            plugins["faith"]
    with pytest.raises(ValueError, match="Much Hope has no doubt, fear: use steps, batch_size"):
        METHODS.settings("hope", ForgetConfig, SMOKE, fear=1, doubt=2)
    with pytest.raises(ValueError, match="trust is -1: use zero or a positive number"):
        METHODS.settings("hope", ForgetConfig, SMOKE, trust=-1)
