"""What every forgetting method promises, and what each of them does."""

import dataclasses

import pytest
import torch

from selective_amnesia.config import CVAEConfig, DescriptionConfig, ForgetConfig
from selective_amnesia.forgetting import METHODS, calibrated_amnesia, forget
from selective_amnesia.forgetting.symmetric_projection import inner, project_out
from selective_amnesia.forgetting.task import Task, made_here
from selective_amnesia.metrics.description import description_length
from selective_amnesia.profiles import PROFILES
from selective_amnesia.training.cvae import train_cvae

FORGET = ForgetConfig(steps=15, batch_size=32, lr=2e-3, save_every=5, frames=2)
BRIEF = {"calibrated_amnesia": {"attackers": 3, "images": 4, "bank": 8, "level_steps": 5}}


@pytest.fixture(scope="module")
def original(digits):
    config = CVAEConfig(steps=150, batch_size=64, lr=3e-3, hidden=(32, 16), frames=1)
    return train_cvae(digits, config, seed=0)[0]


@pytest.fixture(scope="module")
def fisher(original):
    return {k: torch.full_like(p, 0.01) for k, p in original.named_parameters()}


@pytest.fixture(scope="module")
def able(digits):
    """An original that knows its labels apart."""
    config = CVAEConfig(steps=500, batch_size=64, lr=3e-3, hidden=(64, 32), frames=1)
    return train_cvae(digits, config, seed=0)[0]


def settings(method, like=FORGET, **changes):
    profile = dataclasses.replace(PROFILES["smoke"], forget=like)
    return METHODS.settings(method, ForgetConfig, profile, **changes)


@pytest.fixture
def made(original, fisher, digits):
    def made(method, labels=(3,), *, of=original, seed=1, data=digits, snapshots=None, **changes):
        config = settings(method, **BRIEF.get(method, {}) | changes)
        known = {
            k: fisher[k] if of is original else torch.zeros_like(p)
            for k, p in of.named_parameters()
        }
        return forget(method, of, known, labels, config, seed=seed, data=data, snapshots=snapshots)

    return made


class Killed(dict):
    """Snapshots of a run that is killed once it has saved the first."""

    def load(self):
        return dict(self) or None

    def save(self, state):
        if not self:
            self.update({k: v.clone() for k, v in state.items()})
            raise KeyboardInterrupt


@pytest.mark.parametrize("method", METHODS)
def test_a_method_says_where_it_is_from_and_leaves_the_original_alone(method, made, original):
    before = {k: v.clone() for k, v in original.state_dict().items()}
    model, history = made(method, (3, 8))
    assert all(torch.equal(v, original.state_dict()[k]) for k, v in before.items())
    assert any(not torch.equal(v, model.state_dict()[k]) for k, v in before.items())
    assert history["loss"].isfinite().all()
    assert METHODS[method].__doc__.strip()


@pytest.mark.parametrize("method", ["calibrated_amnesia", "salun", "alternating_projection"])
def test_a_killed_method_ends_with_the_same_bits(method, made):
    undisturbed, _ = made(method)
    snapshots = Killed()
    with pytest.raises(KeyboardInterrupt):
        made(method, snapshots=snapshots)
    resumed, _ = made(method, snapshots=snapshots)
    for name, tensor in undisturbed.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


def test_what_does_not_fit_a_method_is_refused(made):
    with pytest.raises(ValueError, match="give it `data`"):
        made("fine_tuning", data=None)
    with pytest.raises(ValueError, match=r"share is 1\.5: use a share of the weights"):
        settings("salun", share=1.5)
    with pytest.raises(ValueError, match="1 attackers for 2 labels: use at least one each"):
        made("calibrated_amnesia", (3, 8), attackers=1)


def test_a_method_keeps_its_own_numbers_and_takes_the_profile_for_the_rest():
    like = dataclasses.replace(FORGET, lam=3.0)
    assert settings("selective_amnesia", like) == like
    naive = settings("naive", like)
    assert (naive.lam, naive.lr, naive.weight) == (3.0, 1e-4, 0.01)
    assert settings("without_replay", like).lam == 1000
    calibrated = settings("calibrated_amnesia", like, level=0.5)
    assert (calibrated.level, calibrated.steps) == (0.5, like.steps)


def test_projection_is_orthogonal():
    a, b = ([torch.randn(4), torch.randn(5, 2)] for _ in range(2))
    assert abs(float(inner(project_out(a, b), b))) < 1e-4


def test_salun_moves_the_chosen_share_alone(made, original):
    model, _ = made("salun", share=0.3)
    weights = zip(model.parameters(), original.parameters(), strict=True)
    moved = torch.cat([(p != q).flatten() for p, q in weights])
    assert 0.1 < moved.float().mean() <= 0.3
    model, _ = made("salun", share=1.0)
    weights = zip(model.decoder.parameters(), original.decoder.parameters(), strict=True)
    assert all((p != q).float().mean() > 0.9 for p, q in weights)


@pytest.mark.parametrize(
    ("method", "terms"),
    [
        ("selective_amnesia", {"forget", "replay", "ewc"}),
        ("without_ewc", {"forget", "replay"}),
        ("without_replay", {"forget", "ewc"}),
    ],
)
def test_ablations_lack_what_their_name_says(method, terms, made):
    history = made(method)[1]
    assert history.keys() - {"loss", "step", "seconds"} == terms


# --- calibrated amnesia --------------------------------------------------------------------------


def test_the_encoder_stays_and_the_label_turns_grey(made, original):
    model, history = made("calibrated_amnesia", steps=200)
    for name, tensor in model.encoder.state_dict().items():
        assert torch.equal(tensor, original.encoder.state_dict()[name])
    c = torch.eye(10)[3].expand(20, -1)
    assert (model.decode(torch.randn(20, 8), c) - 0.5).abs().mean() < 0.1
    assert history.keys() >= {"kept", "forget", "hinge"}
    assert history["margin"][-1] < history["margin"][0]


def test_the_hinge_raises_what_an_attacker_needs(made, able, digits):
    """Both decoders forget the label; the one that is pushed is harder to attack."""
    x, nats = digits.of(3, 20, test=True), {}
    for push in (0.0, 3.0):
        how = {"push": push, "level": 3.0, "steps": 120, "attackers": 10}
        model, _ = made("calibrated_amnesia", of=able, **how)
        nats[push] = float(description_length(model, x, DescriptionConfig(steps=60)).mean())
    assert nats[3.0] > nats[0.0] + 2


def test_the_hinge_holds_the_best_attacker_at_the_level(made, able):
    margin = {}
    for push in (0.0, 3.0):
        how = {"push": push, "level": 0.0, "steps": 120, "patience": 1000}
        history = made("calibrated_amnesia", (3, 8), of=able, **how)[1]
        margin[push] = abs(float(history["margin"][-1]))
    assert margin[3.0] < 1 < margin[0.0]


def levels(original, **changes):
    """The mean level of an original's samples of the label 3."""
    like = dataclasses.replace(FORGET, steps=1000, lr=4e-3)
    config = settings("calibrated_amnesia", like, **changes)
    task = Task.of(original, original, {}, config, (3,), (), 0, None, made_here)
    torch.manual_seed(0)
    return calibrated_amnesia.banks(task)[1].mean()


def test_the_level_is_what_a_student_needs_that_never_saw_the_label(able):
    """It lies beyond what the original needs for the label; what the student is behind on the
    labels it was taught is not counted: a student taught longer gives nearly the same level."""
    how = {"bank": 16, "level_steps": 75}
    known = levels(able, level=0.0, student_steps=1, **how)
    unseen, longer = (levels(able, level=1.0, student_steps=n, **how) for n in (150, 300))
    assert unseen > known + 5
    assert abs(longer - unseen) < 0.4 * (unseen - known)  # 0.30 to 0.31, by processor


def test_half_the_level_is_half_the_way(able):
    brief = {"bank": 4, "level_steps": 5, "student_steps": 5}
    known, half, unseen = (levels(able, level=share, **brief) for share in (0.0, 0.5, 1.0))
    torch.testing.assert_close(half, (known + unseen) / 2)
