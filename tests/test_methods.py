"""What every forgetting method promises, and what each of them does."""

import dataclasses
from pathlib import Path

import pytest
import torch

from selective_amnesia import forgetting, recipes
from selective_amnesia.checkpoint import Snapshot
from selective_amnesia.config import CVAEConfig, ForgetConfig
from selective_amnesia.forgetting import METHODS, calibrated_amnesia, forget, settings
from selective_amnesia.forgetting.symmetric_projection import inner, without

FORGET = ForgetConfig(steps=15, batch_size=32, lr=2e-3, save_every=5, frames=2)
BRIEF = {"calibrated_amnesia": {"attackers": 3, "images": 4, "bank": 8, "level_steps": 5}}


@pytest.fixture(scope="module")
def original(digits):
    config = CVAEConfig(steps=150, batch_size=64, lr=3e-3, hidden=(32, 16), frames=1)
    return recipes.train_cvaes(digits, config, seeds=[0])[0][0]


@pytest.fixture(scope="module")
def fisher(original):
    return {k: torch.full_like(p, 0.01) for k, p in original.named_parameters()}


@pytest.fixture(scope="module")
def able(digits):
    """An original that knows its digits apart."""
    config = CVAEConfig(steps=800, batch_size=64, lr=3e-3, hidden=(64, 32), frames=1)
    return recipes.train_cvaes(digits, config, seeds=[0])[0][0]


def made(method, original, fisher, digits, keeper=None, **changes):
    config = settings(method, FORGET, **BRIEF.get(method, {}) | changes)
    how = {"seeds": [1], "data": digits, "keeper": keeper}
    return forget(method, original, fisher, [{3}], config, **how)[0]


@pytest.mark.parametrize("method", METHODS)
def test_a_method_says_where_it_is_from_and_leaves_the_original_alone(
    method, original, fisher, digits
):
    before = {k: v.clone() for k, v in original.state_dict().items()}
    model, history = made(method, original, fisher, digits)
    assert all(torch.equal(v, original.state_dict()[k]) for k, v in before.items())
    assert any(not torch.equal(v, model.state_dict()[k]) for k, v in before.items())
    assert history["loss"].isfinite().all()
    assert forgetting.method_of(method).__doc__.strip()


@pytest.mark.parametrize("method", ["calibrated_amnesia", "salun", "alternating_projection"])
def test_a_killed_method_ends_with_the_same_bits(method, original, fisher, digits, tmp_path):
    undisturbed, _ = made(method, original, fisher, digits)

    class Killed(Snapshot):
        def save(self, state):
            super().save(state)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        made(method, original, fisher, digits, Killed(tmp_path / "run"))
    resumed, _ = made(method, original, fisher, digits, Snapshot(tmp_path / "run"))
    for name, tensor in undisturbed.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


def test_the_example_in_contributing_is_a_method(tmp_path, monkeypatch, original, fisher, digits):
    text = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text()
    source = text.split("```python\n")[1].split("```")[0]
    assert len(source.splitlines()) < 40
    (tmp_path / "dimming.py").write_text(source)
    monkeypatch.setattr(forgetting, "__path__", [*forgetting.__path__, str(tmp_path)])
    monkeypatch.setattr(forgetting, "METHODS", (*METHODS, "dimming"))
    model, history = made("dimming", original, fisher, digits, weight=3.0, steps=60)
    z, c = torch.randn(20, 8), torch.eye(10)[3].expand(20, -1)
    assert model.decode(z, c).mean() < 0.5 * original.decode(z, c).mean()
    assert history.keys() >= {"forget", "replay", "ewc"}


def test_settings_may_be_annotated_in_any_way():
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Own(ForgetConfig):
        by: float = 2.0

    with pytest.raises(ValueError, match="by is -1"):
        Own(steps=1, batch_size=1, lr=1.0, by=-1.0)


def test_fine_tuning_needs_real_images(original, fisher):
    with pytest.raises(ValueError, match="give it `data`"):
        made("fine_tuning", original, fisher, None)


def test_bad_settings_are_refused(original, fisher, digits):
    with pytest.raises(ValueError, match="SalUn has no shares: use steps, batch_size"):
        settings("salun", FORGET, shares=0.5)
    with pytest.raises(ValueError, match=r"share is 1\.5: use a share of the weights"):
        settings("salun", FORGET, share=1.5)
    config = settings("calibrated_amnesia", FORGET, attackers=1)
    with pytest.raises(ValueError, match="1 attackers for 2 digits: use at least one each"):
        forget("calibrated_amnesia", original, fisher, [{3, 8}], config, seeds=[1])


def test_an_unknown_method_is_refused():
    with pytest.raises(ValueError, match="method 'hope' is unknown: use one of alternating"):
        forgetting.method_of("hope")


def test_a_method_keeps_its_own_numbers_and_takes_the_profile_for_the_rest():
    like = dataclasses.replace(FORGET, lam=3.0)
    assert settings("selective_amnesia", like) == like
    assert settings("naive", like).lam == 3.0
    assert settings("calibrated_amnesia", like, level=0.5).level == 0.5
    assert settings("calibrated_amnesia", like).steps == like.steps


def test_projection_is_orthogonal():
    a, b = ([torch.randn(3, 4), torch.randn(3, 5, 2)] for _ in range(2))
    assert abs(float(inner(without(a, b, 0), b, 0))) < 1e-4
    assert inner(without(a, b, 1), b, 1).abs().max() < 1e-4


def test_salun_moves_the_chosen_share_alone(original, fisher, digits):
    model, _ = made("salun", original, fisher, digits, share=0.3)
    weights = zip(model.parameters(), original.parameters(), strict=True)
    moved = torch.cat([(p != q).flatten() for p, q in weights])
    assert 0.1 < moved.float().mean() <= 0.3
    model, _ = made("salun", original, fisher, digits, share=1.0)
    weights = zip(model.decoder.parameters(), original.decoder.parameters(), strict=True)
    assert all((p != q).float().mean() > 0.9 for p, q in weights)


def test_without_an_anchor_and_without_rehearsal_are_what_they_say(original, fisher, digits):
    assert made("without_ewc", original, fisher, digits)[1].keys() >= {"forget", "replay"}
    assert "ewc" not in made("without_ewc", original, fisher, digits)[1]
    assert "replay" not in made("without_replay", original, fisher, digits)[1]


# --- calibrated amnesia --------------------------------------------------------------------------


def test_the_encoder_stays_and_the_label_turns_grey(original, fisher, digits):
    model, history = made("calibrated_amnesia", original, fisher, digits, steps=200)
    for name, tensor in model.encoder.state_dict().items():
        assert torch.equal(tensor, original.encoder.state_dict()[name])
    c = torch.eye(10)[3].expand(20, -1)
    assert (model.decode(torch.randn(20, 8), c) - 0.5).abs().mean() < 0.1
    assert history.keys() >= {"kept", "forget", "hinge"}
    assert history["margin"][-1] < history["margin"][0]


def test_the_hinge_raises_what_an_attacker_needs(able, digits):
    """Both decoders forget the label; the one that is pushed is harder to attack."""
    from selective_amnesia.audit import description_length
    from selective_amnesia.config import DescriptionConfig
    from selective_amnesia.data import pixels

    x = pixels(digits.test_images[digits.test_labels == 3])[:20]
    nats = {}
    for push in (0.0, 3.0):
        settings = {"push": push, "level": 3.0, "steps": 150, "attackers": 10}
        model, _ = made("calibrated_amnesia", able, {}, digits, **settings)
        nats[push] = float(description_length(model, x, DescriptionConfig(steps=60)).mean())
    assert nats[3.0] > nats[0.0] + 2


def test_the_hinge_holds_the_best_attacker_at_the_level_from_both_sides(able, digits):
    """Without it some end above their level, some below."""
    brief = BRIEF["calibrated_amnesia"] | {"level": 0.0, "steps": 150, "patience": 1000}
    margin = {}
    for push in (0.0, 3.0):
        config = settings("calibrated_amnesia", FORGET, **brief, push=push)
        found = forget("calibrated_amnesia", able, {}, [{3, 8}, {4}], config, seeds=[1, 2])
        margin[push] = [abs(float(history["margin"][-1])) for _, history in found]
    assert max(margin[3.0]) < 1 < min(margin[0.0])


def test_the_level_is_what_a_student_needs_that_never_saw_the_digit(able):
    """It lies beyond what the original needs for the digit; what the student is behind on the
    labels it was taught is not counted: a student taught longer gives nearly the same level."""
    from selective_amnesia.forgetting.task import Task, labels_of

    device, kept = torch.device("cpu"), tuple(d for d in range(10) if d != 3)

    def levels(**changes):
        like = dataclasses.replace(FORGET, steps=1000, lr=4e-3)
        config = settings("calibrated_amnesia", like, bank=16, **changes)
        conditions = (labels_of(sets, 10, 32, device) for sets in ([(3,)], [kept]))
        task = Task(able, able, {}, config, [(3,)], [0], [kept], *conditions)
        torch.manual_seed(0)
        return calibrated_amnesia.banks(task)[1].mean()

    known, unseen = levels(level=0.0), levels(level=1.0, student_steps=200)
    assert unseen > known + 5
    longer = levels(level=1.0, student_steps=400)
    assert abs(longer - unseen) < 0.3 * (unseen - known)
    half = levels(level=0.5, student_steps=200)
    torch.testing.assert_close(half, (known + unseen) / 2)
