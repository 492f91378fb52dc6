import json
import sys

import pytest
import torch

from selective_amnesia import __main__ as command
from selective_amnesia.data.dataset import pixels
from selective_amnesia.referees import MEMBERS, margins
from selective_amnesia.referees.neighbours import tangents
from selective_amnesia.referees.panel import Member, Panel, least_scores
from selective_amnesia.referees.task import MemberTask
from selective_amnesia.training.augment import blobs, hard_negatives, smooth, strokes


@pytest.fixture(scope="module")
def panel(lab):
    return lab.measure.panel


@pytest.fixture(scope="module")
def seen(panel, digits):
    return panel.votes(pixels(digits.test_images))


def member_of(taken):
    """A member that takes the images of any batch for those classes, out of three."""
    return Member(lambda x: torch.eye(4)[taken][:, :3] - 0.5, torch.zeros(3))


def test_the_panel_takes_an_image_for_what_more_than_half_of_its_members_do():
    says = [[0, 1, 3], [0, 1, 3], [0, 2, 3], [1, 2, 2]]  # 3 is none
    panel = Panel({str(k): member_of(torch.tensor(taken)) for k, taken in enumerate(says)}, 9)
    votes = panel.votes(torch.zeros(3, 9))
    assert votes.tolist() == says
    assert panel.verdict(votes).tolist() == [0, 3, 3]


def test_thresholds_keep_the_share_of_each_class_in_every_set():
    y = torch.arange(200) % 2
    sharp, dull = torch.rand(200, 2), torch.rand(200, 2) - 0.5
    least = least_scores(lambda x: x, [(sharp, y), (dull, y)], 2, 0.9)
    for x in (sharp, dull):
        kept = (x.gather(1, y[:, None])[:, 0] >= least[y]).float()
        assert all(kept[y == c].mean() >= 0.89 for c in range(2))


def test_where_no_score_is_finite_the_image_is_none():
    nowhere = torch.full((3, 2), -torch.inf)
    assert (
        Member(lambda x: nowhere, torch.full((2,), -torch.inf)).takes(torch.zeros(3, 4)).eq(2).all()
    )
    own = torch.tensor([[0.5, 0], [-torch.inf, 0], [0.7, 0], [0, 0.1]])
    least = least_scores(lambda x: x, [(own, torch.tensor([0, 0, 0, 1]))], 2, 0.5)
    assert torch.allclose(least, torch.tensor([0.5, 0.1]))


def test_every_member_knows_digits(panel, seen, digits):
    assert {MEMBERS.title(name) for name in MEMBERS} == set(panel.members)
    assert len(panel.members) >= 4
    right = (seen == digits.test_labels).float().mean(1)
    assert right.min() > 0.3, dict(zip(panel.members, right.tolist(), strict=True))
    assert (panel.verdict(seen) == digits.test_labels).float().mean() > 0.7


def test_the_panel_takes_nothing_for_a_digit(panel):
    torch.manual_seed(3)
    grey = torch.rand(100, 1).expand(-1, 784)
    for images in (torch.rand(100, 784), grey, torch.zeros(1, 784), blobs(100, 28)):
        verdict = panel.verdict(panel.votes(images))
        assert (verdict == 10).float().mean() >= 0.97


def test_a_members_verdict_does_not_depend_on_the_images_beside(panel, digits):
    x = pixels(digits.test_images[:7])
    for member in panel.members.values():
        alone = torch.cat([member.takes(image[None]) for image in x])
        assert torch.equal(member.takes(x), alone)


def test_members_are_loaded_as_they_were_made(lab, panel, seen, digits):
    again = lab.variant().measure.panel
    assert torch.equal(again.votes(pixels(digits.test_images)), seen)


@pytest.mark.parametrize(
    "images",
    [
        torch.full((2, 784), 1.5),
        torch.full((2, 784), torch.nan),
        torch.zeros(784),
        torch.zeros(2, 100),
    ],
)
def test_what_is_no_image_is_refused_in_one_sentence(panel, images):
    with pytest.raises(ValueError, match="values from 0 to 1"):
        panel.votes(images)


def test_a_missing_scikit_learn_is_named(digits, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.svm", None)
    x = pixels(digits.train_images)
    task = MemberTask(x, digits.train_labels, x[:9], 10, margins.Settings(), 0)
    with pytest.raises(ImportError, match="sklearn"):
        margins.fit(task)


def test_a_moved_image_is_near_where_tangents_lead(digits):
    x = smooth(pixels(digits.test_images[:50]))
    moved = x.view(-1, 28, 28).roll(1, 2).flatten(1)
    basis = tangents(x)
    apart = moved - x
    left = apart.square().sum(-1) - (apart[:, None] @ basis).square().sum((1, 2))
    assert (left / apart.square().sum(-1)).median() < 0.35
    spans = basis.mT @ basis
    assert torch.allclose(spans, spans @ spans, atol=1e-3)  # orthonormal, where there is a tangent


def test_images_of_nothing_are_of_all_kinds_and_sizes(digits):
    x, y = pixels(digits.train_images[:64]), digits.train_labels[:64]
    for count in (64, 50):
        none = hard_negatives(x, y, count)
        assert none.shape == (count, 784)
        assert none.min() >= 0
        assert none.max() <= 1 + 1e-6
    assert (strokes(x) <= x).all()
    assert strokes(x).sum() < 0.6 * x.sum()


def test_the_command_says_what_the_panel_takes_images_for(lab, monkeypatch, capsys):
    monkeypatch.setenv("SELECTIVE_AMNESIA_HOME", str(lab.store.folder))
    smoke = ["--profile", "smoke", "--dataset", "digits", "--forget", "0"]
    assert command.main(["panel", *smoke]) == 0
    found = json.loads((lab.store.folder / "figures" / "gallery" / "panel.json").read_text())
    assert found["instrument"]["blank"]["panel"] == 0
    assert found["recovered"].keys() >= {"0 of {0}, label, amnesiac", "0 of {0}, label, control"}
    assert "samples of the original" in capsys.readouterr().out
