import dataclasses

import pytest

from selective_amnesia.config import PROFILES, FitConfig, forget_set, get_profile, same_result


@pytest.mark.parametrize("labels", ["3 8", "8,3", [3, 8], {8, 3}, (3, 3, 8)])
def test_forget_set_is_sorted_labels(labels):
    assert forget_set(labels) == (3, 8)


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ([], "empty"),
        ("", "empty"),
        (range(10), "leave at least one"),
        ([10], "10"),
        ("-1", "-1"),
        ("three", "three"),
        ([1.5], r"1\.5"),
        ([True], "True"),
    ],
)
def test_forget_set_names_what_is_wrong(labels, says):
    with pytest.raises(ValueError, match=says):
        forget_set(labels)


def test_a_single_digit_is_a_forget_set():
    assert forget_set(3) == (3,)
    with pytest.raises(ValueError, match="cannot forget True"):
        forget_set(True)


def test_unknown_profile_names_the_known_ones():
    with pytest.raises(ValueError, match="smoke, fast, paper"):
        get_profile("quick")


@pytest.mark.parametrize(
    "change",
    [{"steps": 0}, {"steps": -1}, {"batch_size": 0}, {"lr": 0.0}, {"lr": float("nan")},
     {"warmup": 10}, {"steps": 2.5}, {"steps": True}, {"lr": "0.1"}],
)  # fmt: skip
def test_bad_settings_are_refused(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        FitConfig(**({"steps": 10, "batch_size": 1, "lr": 1e-3} | change))


def test_paper_profile_is_the_papers_protocol():
    paper = PROFILES["paper"]
    assert (paper.cvae.steps, paper.cvae.batch_size, paper.cvae.lr) == (100_000, 256, 1e-4)
    assert (paper.forget.steps, paper.forget.batch_size, paper.forget.lr) == (10_000, 256, 1e-4)
    assert (paper.forget.gamma, paper.forget.lam) == (1, 100)
    assert (paper.cvae.decay, paper.forget.decay, paper.cvae.warmup) == (0, 0, 0)
    assert paper.cvae.betas == paper.forget.betas == (0.9, 0.999)
    assert paper.fisher.samples == 50_000


def test_only_what_shapes_a_result_is_part_of_its_name():
    config = PROFILES["smoke"].forget
    assert same_result(config) == same_result(dataclasses.replace(config, save_every=7))
    assert same_result(config) != same_result(dataclasses.replace(config, lam=7.0))
