"""Settings, profiles, and the door's checks."""

import dataclasses
import re

import pytest

from selective_amnesia import checks
from selective_amnesia.config import (
    Config,
    CVAEConfig,
    ForgetConfig,
    RelearningConfig,
)
from selective_amnesia.profiles import PROFILES, get_profile


@pytest.mark.parametrize("labels", ["3 8", "8,3", "3, 8", [3, 8], {8, 3}, (3, 3, 8), ["8", "3"]])
def test_a_set_is_sorted_labels(labels):
    assert checks.forget_set(labels, 10) == (3, 8)
    assert checks.words((3, 8)) == "3 8"


def test_a_single_label_is_a_set_and_all_are_none_to_forget():
    assert checks.forget_set(3, 4) == (3,)
    with pytest.raises(ValueError, match="all 4 labels: leave at least one to keep"):
        checks.forget_set(range(4), 4)


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ([], "no label is named"),
        ("", "no label is named"),
        ([10], "10 is not among the labels from 0 to 9"),
        ("-1", "'-1' is not"),
        ("three", "'three' is not"),
        ([1.5], "1.5 is not"),
        ([True], "True is not"),
        (True, "True is not"),
    ],
)
def test_a_set_that_is_none_is_named(labels, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        checks.forget_set(labels, 10)


@pytest.mark.parametrize("value", [-1, 10, 1.0, True, "3", None])
def test_what_is_no_label_is_refused(value):
    assert checks.label(9, 10) == 9
    with pytest.raises(ValueError, match=f"{value!r} is not a label: use 0 to 9"):
        checks.label(value, 10)


@pytest.mark.parametrize("wanted", ["mps", "meta", "hpu", "tpu", "cuda:99", "3"])
def test_a_device_that_is_not_there_is_refused_in_one_sentence(wanted):
    with pytest.raises(ValueError, match=f"device '{wanted}' is not there or not supported: use"):
        checks.device(wanted)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/a", "a/"])
def test_a_name_that_leads_elsewhere_is_refused(name):
    assert checks.file_name("a b.png") == "a b.png"
    with pytest.raises(ValueError, match="use a file's name without folders"):
        checks.file_name(name)


@pytest.mark.parametrize(
    "change",
    [{"steps": 0}, {"steps": -1}, {"batch_size": 0}, {"lr": 0.0}, {"lr": float("nan")},
     {"lr": float("inf")}, {"warmup": 10}, {"warmup": -1}, {"steps": 2.5}, {"steps": True},
     {"lr": "0.1"}, {"decay": 1.1}, {"betas": (0.9, 1.0)}, {"betas": (0.9,)}, {"drop_every": -1},
     {"bfloat16": 1}, {"last_batch": None}, {"gamma": -1.0}, {"lam": float("nan")}],
)  # fmt: skip
def test_a_bad_setting_is_refused_by_name(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        ForgetConfig(**({"steps": 10, "batch_size": 1, "lr": 1e-3} | change))


def test_a_list_as_json_has_it_becomes_a_tuple():
    assert RelearningConfig(steps=1, images=[1, 5]) == RelearningConfig(steps=1, images=(1, 5))
    assert CVAEConfig(steps=9, batch_size=1, lr=1.0, hidden=[4, 2]).hidden == (4, 2)


def test_settings_may_be_annotated_in_any_way():
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Own(Config):
        by: float = 2.0  # here an annotation is a class, in the package a string

    with pytest.raises(ValueError, match="by is -1"):
        Own(by=-1.0)


def test_only_what_shapes_a_result_is_part_of_its_name():
    config = PROFILES["smoke"].forget
    assert config.shaping() == dataclasses.replace(config, save_every=7, log_every=1).shaping()
    assert config.shaping() != dataclasses.replace(config, lam=7.0).shaping()


def test_the_paper_profile_is_the_papers_protocol():
    paper, epoch = get_profile("paper"), 938  # of 60,000 images in batches of 64
    assert (paper.cvae.steps, paper.cvae.batch_size, paper.cvae.lr) == (100_000, 256, 1e-4)
    assert (paper.forget.steps, paper.forget.batch_size, paper.forget.lr) == (10_000, 256, 1e-4)
    assert (paper.forget.gamma, paper.forget.lam, paper.fisher.samples) == (1, 100, 50_000)
    assert (paper.judge.steps, paper.judge.batch_size, paper.judge.lr) == (20 * epoch, 64, 1e-4)
    assert paper.judge.drop_every == 5 * epoch
    assert paper.cvae.last_batch
    assert paper.judge.last_batch
    for config in (paper.cvae, paper.forget, paper.judge):
        assert (config.decay, config.warmup, config.betas) == (0, 0, (0.9, 0.999))
        assert not config.bfloat16
