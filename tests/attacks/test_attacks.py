import math
from collections import Counter
from dataclasses import replace

import pytest
import torch

from selective_amnesia.attacks import ATTACKS, robust, terms
from selective_amnesia.attacks.landscape import landscape
from selective_amnesia.attacks.search import AttackTask, Recovered, search, spanning_codes
from selective_amnesia.config import AttackConfig
from selective_amnesia.metrics.recognition import spread

CPU = torch.device("cpu")
CONFIG = AttackConfig(steps=30, codes=4, lr=0.1, frames=3)
SETTLED = 12  # of the steps


def test_shape_is_the_angle_and_not_the_length():
    mean = torch.rand(3, 3, 2)
    deep = torch.stack([mean, 5 * mean, -mean])
    torch.testing.assert_close(terms.shape(deep, mean), torch.tensor([0.0, 0.0, 2.0]))


def test_edge_is_the_mean_squared_distance():
    mean = torch.rand(3, 3, 2)
    far = torch.stack([mean, mean + 0.5])
    torch.testing.assert_close(terms.edge(far, mean), torch.tensor([0.0, 0.25]))


def test_repel_is_the_mass_on_the_start_and_three_rivals():
    p = torch.tensor([0.30, 0.05, 0.20, 0.15, 0.10, 0.12, 0.08]).expand(2, -1)
    got = terms.repel(p, target=0, start=torch.tensor([1, 2]))  # 2 is the strongest of all
    wanted = [0.05 + 0.20 + 0.15 + 0.12, 0.20 + 0.15 + 0.12 + 0.10]
    torch.testing.assert_close(got, torch.tensor(wanted))


def test_total_variation_of_a_stripe():
    stripe, flat = torch.zeros(4, 4), torch.full((4, 4), 0.7)
    stripe[:, 2:] = 1
    got = terms.total_variation(torch.stack([stripe, flat]).flatten(1))
    torch.testing.assert_close(got, torch.tensor([1 / 3, 0.0]))


def test_diversity_pulls_up_to_the_cap_and_brakes_beyond():
    got = terms.diversity(torch.tensor([0.0, 0.2, 0.3, 0.4]), cap=0.3, brake=2.0)
    torch.testing.assert_close(got, torch.tensor([1.0, 1 / 3, 0.0, 2 / 3]))


def test_spanning_codes_have_the_moments_of_the_normal_distribution():
    z = spanning_codes(16, 8, CPU).double()
    torch.testing.assert_close(z.mean(0), torch.zeros(8).double(), atol=1e-6, rtol=0)
    torch.testing.assert_close(z.T @ z / 16, torch.eye(8).double(), atol=1e-6, rtol=0)
    for count in (1, 5, 16, 40):
        assert spanning_codes(count, 8, CPU).shape == (count, 8)


class Pixels:
    """Images as they are: perceptual enough for a test."""

    name = "pixels"

    def embed(self, x):
        return x


@pytest.fixture
def task(lab):
    def task(name="robust", surrogates=(), **changes):
        """An attack for the label 3 of the original."""
        settings = ATTACKS.settings(name, AttackConfig, replace(lab.profile, attack=CONFIG))
        settings = replace(settings, **changes)
        model, judge, real = lab.cvae(), lab.judge(), lab.data.of(3)
        return AttackTask(model, judge, 3, real, Pixels(), settings, surrogates, 1)

    return task


@pytest.fixture
def attack(task):
    return lambda name="robust", **how: ATTACKS[name].recover(task(name, **how))


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_the_same_each_time_and_leaves_the_model_alone(name, lab, attack):
    before = {k: v.clone() for k, v in lab.cvae().state_dict().items()}
    a, b = (attack(name) for _ in range(2))
    assert torch.equal(a.c, b.c)
    assert (a.start, a.objective) == (b.start, b.objective)
    assert all(torch.equal(before[k], v) for k, v in lab.cvae().state_dict().items())
    assert all(p.grad is None for who in (lab.cvae(), lab.judge()) for p in who.parameters())
    assert ATTACKS[name].__doc__.strip()


def test_an_attack_lowers_its_objective_and_takes_the_best_start(attack):
    found = attack()
    objective = sum(v for k, v in found.history.items() if k != "frames")
    assert objective.shape == (31, 9)
    wanted = [9] * SETTLED + [CONFIG.finalists] * (31 - SETTLED)
    assert objective.isfinite().sum(1).tolist() == wanted
    objective = objective.nan_to_num(nan=float("inf"))
    assert objective[-1].min() < objective[0].min()
    best = int(objective[-1].argmin())
    assert found.start == [k for k in range(10) if k != 3][best]
    assert found.objective == pytest.approx(float(objective[-1, best]))
    assert found.history["frames"].shape == (4, 4, 784)


def test_starts_do_not_see_each_other(task):
    """What the others minimise makes no difference to the one that began from 8."""

    def shapes(weight):
        attacked = task(finalists=9)

        def others_weighed(view):
            each = robust.objective(attacked, view)
            return {k: torch.where(view.begun == 8, v, weight * v) for k, v in each.items()}

        return search(attacked, others_weighed).history["shape"]

    one, other = shapes(1.0), shapes(-1.0)
    torch.testing.assert_close(one[:, 7], other[:, 7], rtol=1e-3, atol=1e-4)
    assert (one[-1, :7] + other[-1, :7]).abs().max() > 1e-3


def test_the_joint_attack_moves_the_codes_and_the_others_do_not(attack):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        z = spanning_codes(4, 8, CPU)
    assert {name: torch.equal(attack(name).z, z) for name in ATTACKS} == {
        "diverse": True,
        "joint": False,
        "robust": True,
    }


def test_surrogates_are_asked_in_turn_and_all_of_them_where_starts_are_compared(attack):
    asked = Counter()

    class Undecided(torch.nn.Module):
        def __init__(self, number):
            super().__init__()
            self.number = number

        def forward(self, x):
            asked[self.number] += 1
            return x.new_zeros(len(x), 11)

    alone, stronger = attack(), attack(surrogates=[Undecided(k) for k in range(3)])
    begun, seen = (found.history["likelihood"][0] for found in (alone, stronger))
    torch.testing.assert_close(seen, (begun + math.log(11)) / 2)
    # of the steps 0 to 30 all are asked in 11, before starts are dropped, and in 30, the last
    assert [asked[k] for k in range(3)] == [10 + 2, 10 + 2, 9 + 2]


def test_finalists_that_answer_together_differ_together(lab, task):
    """The answer is all of them, the best first, and diversity is that of all their images."""
    one, three = (ATTACKS["diverse"].recover(task("diverse", together=t)) for t in (False, True))
    assert one.c.shape == (1, 10)
    assert three.c.shape == (CONFIG.finalists, 10)
    last = three.history["diversity"][-1]
    shared = last[last.isfinite()]
    assert shared.eq(shared[0]).all()
    codes, conditions = three.z.repeat(3, 1), three.c.repeat_interleave(len(three.z), 0)
    images = lab.cvae().decode(codes, conditions).detach()
    wanted = terms.diversity(spread(images), task("diverse").cap)
    torch.testing.assert_close(shared[0], wanted, rtol=1e-3, atol=1e-4)


def test_diversity_counts_once_the_label_has_settled(attack):
    """Until then attack B takes the steps of attack A; after it, others."""
    a, b = attack(), attack("diverse")
    assert not b.history["diversity"][:SETTLED].any()
    assert (b.history["diversity"][SETTLED:].nan_to_num(1.0) > 0).all()
    one, other = (found.history["shape"].nan_to_num() for found in (a, b))
    assert torch.equal(one[: SETTLED + 1], other[: SETTLED + 1])
    assert not torch.equal(one[-1], other[-1])
    with pytest.raises(ValueError, match="codes is 1: use 2 or more"):
        attack("diverse", codes=1)


def test_a_landscape_has_what_was_found_at_its_origin(lab, attack):
    model, judge, found = lab.cvae(), lab.judge(), attack()
    seen = landscape(model, judge, lab.panel, found, 3, side=5)
    assert seen.judge.shape == seen.panel.shape == (5, 5)
    assert seen.corners[0] == (0, 0)
    eye = torch.eye(10)
    to_start, to_label = eye[found.start] - found.c[0], eye[3] - found.c[0]
    assert seen.corners[1] == pytest.approx((float(to_start.norm()), 0), abs=1e-5)
    assert torch.tensor(seen.corners[2]).norm() == pytest.approx(float(to_label.norm()), abs=1e-4)
    x0, _x1, y0, _y1 = seen.extent
    corner = found.c[0] + x0 * to_start / to_start.norm()
    across = to_label - (to_label @ to_start) / to_start.square().sum() * to_start
    corner = corner + y0 * across / across.norm()
    with torch.no_grad():
        p = judge(model.decode(found.z, corner.expand(4, -1))).softmax(-1)[:, 3].mean()
    assert float(seen.judge[0, 0]) == pytest.approx(float(p), abs=1e-4)


def test_a_landscape_needs_three_points_that_span_a_plane(lab):
    eye = torch.eye(10)
    found = Recovered((eye[5:6] + eye[3:4]) / 2, torch.zeros(4, 8), 5, 0.0, {})
    with pytest.raises(ValueError, match="its start 5 and 3 lie on one line"):
        landscape(lab.cvae(), lab.judge(), lab.panel, found, 3)
