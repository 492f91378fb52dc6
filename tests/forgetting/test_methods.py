"""What every forgetting method promises, and what each of them does."""

import dataclasses
from functools import cache

import pytest
import torch

from selective_amnesia.config import CVAEConfig, DescriptionConfig, ForgetConfig
from selective_amnesia.forgetting import (
    METHODS,
    adversarial,
    another_control,
    calibrated_amnesia,
    forget,
    stereo,
)
from selective_amnesia.forgetting.symmetric_projection import inner, project_out
from selective_amnesia.forgetting.task import Task, made_here
from selective_amnesia.metrics.description import code_length, description_length
from selective_amnesia.models.elbo import elbo_terms
from selective_amnesia.profiles import PROFILES
from selective_amnesia.training.cvae import train_cvae

FORGET = ForgetConfig(steps=15, batch_size=32, lr=2e-3, save_every=5, frames=2)
BRIEF = {
    "calibrated_amnesia": {"attackers": 3, "images": 4, "bank": 8, "level_steps": 5, "student": 2},
    "stereo": {"rounds": 2, "round_steps": 5, "search_steps": 5, "images": 8},
}
CVAE = CVAEConfig(steps=150, batch_size=64, lr=3e-3, hidden=(32, 16), frames=1)


@pytest.fixture(scope="module")
def original(digits):
    return train_cvae(digits, CVAE, seed=0)[0]


@pytest.fixture(scope="module")
def control(digits):
    """Gives a control of any forget set, each trained once."""
    return cache(lambda labels: train_cvae(digits, CVAE, seed=0, without=labels)[0])


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


def zeros(model):
    return {k: torch.zeros_like(p) for k, p in model.named_parameters()}


@pytest.fixture
def made(original, fisher, digits, control):
    def made(method, labels=(3,), *, of=original, seed=1, **changes):
        how = {"data": digits, "control": control, "snapshots": None}
        how |= {name: changes.pop(name) for name in list(how) if name in changes}
        config = settings(method, **BRIEF.get(method, {}) | changes)
        known = fisher if of is original else zeros(of)
        return forget(method, of, known, labels, config, seed=seed, **how)

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


@pytest.mark.parametrize("labels", [(4, 9), (2, 4, 6, 7, 9), (0, 1, 2, 3, 4, 5, 6, 7, 8)])
@pytest.mark.parametrize("method", METHODS)
def test_any_forget_set_can_be_forgotten(method, labels, made):
    """Also those that no method was tuned on, down to a single label that is kept."""
    of_each = {"attackers": 10} if method == "calibrated_amnesia" else {}
    model, history = made(method, labels, steps=5, **of_each)
    assert history["loss"].isfinite().all()
    assert all(weight.isfinite().all() for weight in model.parameters())


KILLED = ("calibrated_amnesia", "salun", "alternating_projection", "undo", "adversarial", "stereo")


@pytest.mark.parametrize("method", KILLED)
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
    with pytest.raises(ValueError, match=r"alpha is 1\.5: use a share of the weights"):
        settings("undo", alpha=1.5)
    with pytest.raises(ValueError, match="give it `control`"):
        made("another_control", control=None)
    with pytest.raises(ValueError, match="1 attackers for 2 labels: use at least one each"):
        made("calibrated_amnesia", (3, 8), attackers=1)


def test_a_method_keeps_its_own_numbers_and_takes_the_profile_for_the_rest():
    like = dataclasses.replace(FORGET, lam=3.0)
    assert settings("selective_amnesia", like) == like
    naive = settings("naive", like)
    assert (naive.lam, naive.lr, naive.weight) == (3.0, 1e-4, 0.01)
    assert settings("without_replay", like).lam == 1000
    calibrated = settings("calibrated_amnesia", like, gap=0.5)
    assert (calibrated.gap, calibrated.steps) == (0.5, like.steps)


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


# --- students, and those that search -------------------------------------------------------------


def match(model, other, label):
    """Mean distance of what two models decode from the same codes."""
    z, c = torch.randn(50, 8), torch.eye(10)[label].expand(50, -1)
    return (model.decode(z, c) - other.decode(z, c)).abs().mean()


def test_a_student_learns_the_kept_labels_from_nothing(made, able):
    short, long = (made("distillation", of=able, steps=n, lr=1e-2)[0] for n in (5, 300))
    assert match(long, able, 0) < 0.6 * match(short, able, 0)
    assert match(long, able, 3) > 1.5 * match(long, able, 0)
    c = torch.eye(10)[:1].expand(100, -1)
    x = able.decode(torch.randn(100, 8), c).detach()
    with torch.no_grad():
        nats = [float(sum(elbo_terms(model, x, c)).mean()) for model in (short, long)]
    assert nats[1] < nats[0] - 5  # and its encoder reads them


def test_the_dial_of_undo_runs_from_its_teacher_to_a_fresh_network(made, able):
    how = {"of": able, "steps": 60, "lr": 5e-3}
    near, far = (made("undo", alpha=alpha, **how)[1]["kept"] for alpha in (0.0, 1.0))
    assert near[0] < far[0] - 50
    model, _ = made("undo", alpha=0.0, of=able, steps=300, lr=5e-3)
    grey = model.decode(torch.randn(20, 8), torch.eye(10)[3].expand(20, -1))
    assert (grey - 0.5).abs().mean() < 0.1  # as its teacher's


def test_attackers_find_what_the_label_no_longer_shows(able):
    """On a network that forgot nothing they bring the label back from anywhere."""
    config = settings("adversarial", attackers=6, attack_steps=100, attack_lr=0.05)
    task = Task.of(able, able, {}, config, (3,), (), 0, None, made_here)
    torch.manual_seed(0)
    attackers = adversarial.Attackers(torch.eye(10)[[3] * 6])
    rows = torch.arange(6).repeat(20)
    start, end = (
        attackers.search(dataclasses.replace(task, settings=how), rows) / len(rows)
        for how in (dataclasses.replace(config, attack_steps=1), config)
    )
    assert end < start - 5


def label_costs(model, x, conditions):
    """Nats that images need under each of some conditions, at best."""
    look = DescriptionConfig(steps=40)
    return [float(code_length(model, x, c.expand(len(x), -1), look).mean()) for c in conditions]


def test_a_network_trained_against_attackers_gives_them_less(made, able):
    """The conditions that bring most of the label back after Selective Amnesia."""
    how = {"of": able, "steps": 150, "lr": 5e-3}
    plain, trained = (made(m, **how)[0] for m in ("selective_amnesia", "adversarial"))
    config = settings("adversarial", attackers=6, attack_steps=150, attack_lr=0.05)
    shorts = []
    for model in (plain, trained):
        torch.manual_seed(0)
        task = Task.of(model, able, {}, config, (3,), (), 0, None, made_here)
        attackers = adversarial.Attackers(torch.eye(10)[[3] * 6])
        shorts.append(float(attackers.search(task, torch.arange(6).repeat(20))))
    assert shorts[1] > shorts[0]


def test_stereo_erases_what_its_rounds_found(made, able):
    brief = {"rounds": 2, "round_steps": 60, "search_steps": 40, "images": 16}
    how = {"steps": 150, "lr": 5e-3} | brief
    config = settings("stereo", **how)
    task = Task.of(able, able, zeros(able), config, (3,), (), 1, None, made_here)
    torch.manual_seed(1)
    found = stereo.search(task, torch.eye(10)[[3]])["conditions"]
    assert found.shape == (2, 10)
    x = able.decode(torch.randn(16, 8), torch.eye(10)[[3]].expand(16, -1)).detach()
    plain = made("selective_amnesia", of=able, steps=150, lr=5e-3)[0]
    once = made("stereo", of=able, **how)[0]
    before, after = (sum(label_costs(model, x, found)) for model in (plain, once))
    assert after > before + 5


def test_another_control_begins_without_a_half_of_the_labels():
    kept = lambda forget: tuple(k for k in range(10) if k not in forget)  # noqa: E731
    without = {
        f: another_control.without(f, kept(f)) for f in [(0,), (7,), (4, 9), tuple(range(9))]
    }
    assert without[(0,)] == (0, 1, 2, 3, 4)
    assert without[(7,)] == (5, 6, 7, 8, 9)
    assert without[(4, 9)] == (0, 1, 2, 3, 4, 9)
    assert without[tuple(range(9))] == tuple(range(9))


# --- calibrated amnesia --------------------------------------------------------------------------


def test_a_students_layers_begin_at_random_but_for_the_last(original):
    """After a step that hardly moves it, only the last layer is the original's, or none is."""
    how = settings("calibrated_amnesia", student_lr=1e-9)
    task = Task.of(original, original, {}, how, (3, 8), (), 0, None, made_here)
    for whole in (False, True):
        begun = calibrated_amnesia.student(task, 1, whole=whole).decoder.state_dict()
        before = original.decoder.state_dict()
        same = {name for name in before if torch.allclose(before[name], begun[name], atol=1e-6)}
        assert same == (set() if whole else {"4.weight", "4.bias"})


def test_a_pushed_student_is_harder_to_attack_than_one_that_is_not(made, able, digits):
    """It keeps the other labels, and nothing is said of what it generates under this one: it is not
    grey."""
    x, other, nats, kept = digits.of(3, 20, test=True), digits.of(5, 20, test=True), {}, {}
    search, c = DescriptionConfig(steps=60), torch.eye(10)
    for gap in (0.0, 0.2):
        how = {"gap": gap, "steps": 120, "attackers": 6, "student": 4, "level_steps": 60}
        model, history = made("calibrated_amnesia", of=able, push=1.0, **how)
        nats[gap] = float(description_length(model, x, search).mean())
        kept[gap] = float(code_length(model, other, c[5].expand(20, -1), search).mean())
    known = float(code_length(able, other, c[5].expand(20, -1), search).mean())
    assert nats[0.2] > nats[0.0] + 1
    assert max(kept.values()) < known + 8
    assert (model.decode(torch.randn(20, 8), c[3].expand(20, -1)) - 0.5).abs().mean() > 0.2
    assert abs(history["margin"][-1]) < abs(history["margin"][0])
