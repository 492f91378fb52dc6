import json
import sys
from dataclasses import replace

import pytest
import torch

from selective_amnesia import Lab
from selective_amnesia import __main__ as command
from selective_amnesia.data.dataset import pixels
from selective_amnesia.referees import MEMBERS, margins
from selective_amnesia.referees.neighbours import tangents
from selective_amnesia.referees.panel import Member, least_scores
from selective_amnesia.referees.task import MemberTask
from selective_amnesia.reports import red_team
from selective_amnesia.training.augment import blobs, hard_negatives, smooth, strokes


@pytest.fixture(scope="module")
def panel(lab):
    return lab.panel


@pytest.fixture(scope="module")
def seen(panel, digits):
    return panel.votes(pixels(digits.test_images))


def test_the_panel_takes_an_image_for_what_more_than_half_of_its_members_do(panel_of):
    says = [[0, 1, 3], [0, 1, 3], [0, 2, 3], [1, 2, 2]]  # 3 is none
    panel = panel_of([lambda x, own=own: torch.tensor(own) for own in says], 9, classes=3)
    votes = panel.votes(torch.zeros(3, 9))
    assert votes.tolist() == says
    assert panel.verdict(votes).tolist() == [0, 3, 3]


@pytest.mark.parametrize("members", [1, 2, 3, 4, 5, 8])
def test_what_it_shows_is_its_verdict_though_members_are_not_asked_in_vain(members, panel_of):
    torch.manual_seed(members)
    votes = torch.randint(3, (members, 7, 60))
    favoured = torch.rand(votes.shape) < 0.5  # some majorities, early and late ones
    votes = torch.where(favoured, torch.randint(3, (7, 60)), votes)
    x, asked = torch.arange(420.0).view(7, 60, 1) / 420, []

    def taking(own):
        def takes(rows):
            asked.append(len(rows))
            return own.flatten()[(rows[:, 0] * 420).round().long()]

        return takes

    panel = panel_of([taking(own) for own in votes], pixels=1, classes=2)
    shown = panel.shows(x)
    assert asked[0] == 420
    assert members == 1 or sum(asked) < members * 420
    assert torch.equal(shown, panel.verdict(votes.flatten(1)).view(7, 60))
    assert torch.equal(panel.shows(x[0, 3]), shown[0, 3])  # a single image is one, too


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
        alone = torch.cat([member().takes(image[None]) for image in x])
        assert torch.equal(member().takes(x), alone)


def test_a_member_learns_wherever_it_is_first_asked_for(lab):
    few = replace(lab.profile, referee=replace(lab.profile.referee, steps=2))
    fresh = Lab(few, lab.seed, lab.data.name, lab.store, lab.device)
    with torch.no_grad():
        assert not fresh.panel.quick().training


def test_who_asks_a_member_first_draws_the_same_numbers_afterwards(lab, panel, seen):
    again = lab.variant().panel
    state = torch.get_rng_state()
    for member in again.members.values():
        member()
    again.quick()
    assert torch.equal(torch.get_rng_state(), state)


def test_members_are_loaded_as_they_were_made(lab, panel, seen, digits):
    again = lab.variant().panel
    assert torch.equal(again.votes(pixels(digits.test_images)), seen)


def test_what_is_no_image_is_refused_in_one_sentence(panel_of):
    panel = panel_of([lambda x: torch.zeros(len(x), dtype=torch.long)])
    wrong = torch.full((2, 784), 1.5), torch.full((2, 784), torch.nan), torch.zeros(2, 100)
    for images in (*wrong, torch.zeros(784)):
        with pytest.raises(ValueError, match="values from 0 to 1") as error:
            panel.votes(images)
        assert "\n" not in str(error.value)
    for images in (*(each.unsqueeze(0) for each in wrong), torch.tensor(0.5)):
        with pytest.raises(ValueError, match="values from 0 to 1"):
            panel.shows(images)


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
    monkeypatch.setattr(red_team, "EACH", 20)
    monkeypatch.setattr(red_team, "STEPS", 10)
    assert command.main(["panel", "--profile", "smoke", "--dataset", "digits"]) == 0
    found = json.loads((lab.store.folder / "figures" / "gallery" / "panel.json").read_text())
    assert found["known"]["blank"]["panel"] == 0
    assert found["known"]["labelled by eye"].keys() == {*lab.panel.members, "panel"}
    attacked = found["red team"]
    assert len(attacked) == 2 * len(lab.panel.members) + 1
    assert 0 < attacked["all"]["found"] <= 8 * 20
    assert "samples of the original" in capsys.readouterr().out
