import math
from collections import Counter
from dataclasses import replace

import pytest
import torch

from selective_amnesia import evaluation, losses, recovery
from selective_amnesia.config import AttackConfig
from selective_amnesia.data import pixels


def test_shape_is_the_angle_and_not_the_length():
    mean = torch.rand(2, 3, 3)
    deep = torch.stack([mean, 5 * mean, -mean])
    torch.testing.assert_close(losses.shape(deep, mean), torch.tensor([0.0, 0.0, 2.0]))


def test_edge_is_the_mean_squared_distance():
    mean = torch.rand(2, 3, 3)
    far = torch.stack([mean, mean + 0.5])
    torch.testing.assert_close(losses.edge(far, mean), torch.tensor([0.0, 0.25]))


def test_repel_is_the_mass_on_the_start_and_three_rivals():
    p = torch.tensor([[0.30, 0.05, 0.20, 0.15, 0.10, 0.12, 0.08]])
    got = losses.repel(p, target=0, start=torch.tensor([1]))
    torch.testing.assert_close(got, torch.tensor([0.05 + 0.20 + 0.15 + 0.12]))
    start_is_the_strongest = losses.repel(p, target=0, start=torch.tensor([2]))
    torch.testing.assert_close(start_is_the_strongest, torch.tensor([0.20 + 0.15 + 0.12 + 0.10]))


def test_total_variation_of_a_stripe():
    x = torch.zeros(1, 16).view(1, 4, 4)
    x[:, :, 2:] = 1
    got = losses.total_variation(x.flatten(1))
    torch.testing.assert_close(got, torch.tensor([1 / 3]))
    assert float(losses.total_variation(torch.full((1, 16), 0.7))) == 0


def test_diversity_pulls_up_to_the_cap_and_brakes_beyond():
    spread = torch.tensor([0.0, 0.2, 0.3, 0.4])
    got = losses.diversity(spread, cap=0.3, brake=2.0)
    torch.testing.assert_close(got, torch.tensor([1.0, 1 / 3, 0.0, 2 / 3]))


CONFIG = AttackConfig(steps=30, codes=4, lr=0.1, frames=3)


@pytest.fixture(scope="module")
def target(lab):
    real = pixels(lab.data.train_images[lab.data.train_labels == 3])
    return recovery.describe(lab.judge(), real, 3)


def test_an_attack_is_the_same_each_time_and_leaves_the_model_alone(lab, target):
    model, judge = lab.cvae(), lab.judge()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    a, b = (recovery.recover(model, judge, target, CONFIG, seed=1) for _ in range(2))
    assert torch.equal(a.c, b.c)
    assert a.start == b.start
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert all(p.grad is None for p in [*model.parameters(), *judge.parameters()])


def test_an_attack_lowers_its_objective_and_takes_the_best_start(lab, target):
    found = recovery.recover(lab.cvae(), lab.judge(), target, CONFIG, seed=1)
    terms = [v for k, v in found.history.items() if k != "frames"]
    objective = sum(terms)
    assert objective.shape == (31, 9)
    assert objective.isfinite().sum(1).tolist() == [9] * 12 + [CONFIG.finalists] * 19
    objective = objective.nan_to_num(nan=float("inf"))
    assert objective[-1].min() < objective[0].min()
    best = int(objective[-1].argmin())
    assert found.start == [d for d in range(10) if d != 3][best]
    assert found.objective == pytest.approx(float(objective[-1, best]))
    assert found.history["frames"].shape == (4, 4, 784)


def test_starts_do_not_see_each_other(lab, target):
    """All starts in one batch find what each finds alone."""
    together = recovery.recover(lab.cvae(), lab.judge(), target, CONFIG, seed=1, starts=(5, 8))
    alone = recovery.recover(lab.cvae(), lab.judge(), target, CONFIG, seed=1, starts=(8,))
    torch.testing.assert_close(
        together.history["shape"][:, 1:], alone.history["shape"], rtol=1e-3, atol=1e-4
    )


def test_the_joint_attack_moves_the_codes_and_the_others_do_not(lab, target):
    fixed = recovery.recover(lab.cvae(), lab.judge(), target, CONFIG, seed=1)
    moved = recovery.recover(lab.cvae(), lab.judge(), target, CONFIG, seed=1, joint=True)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        z = recovery.spanning_codes(4, 8, "cpu")
    assert torch.equal(fixed.z, z)
    assert not torch.equal(moved.z, z)


def test_critics_have_a_say_in_turn_and_all_of_them_where_starts_are_compared(lab, target):
    asked = Counter()

    class Undecided(torch.nn.Module):
        def __init__(self, number):
            super().__init__()
            self.number = number

        def forward(self, x):
            asked[self.number] += 1
            return x.new_zeros(len(x), 11)

    model, critics = lab.cvae(), [Undecided(k) for k in range(3)]
    alone = recovery.recover(model, lab.judge(), target, CONFIG, seed=1)
    armed = recovery.recover(model, lab.judge(), target, CONFIG, seed=1, critics=critics)
    begun, seen = (found.history["likelihood"][0] for found in (alone, armed))
    torch.testing.assert_close(seen, (begun + math.log(11)) / 2)
    # of the steps 0 to 30 all speak in 11, before starts are dropped, and in 30, the last
    assert [asked[k] for k in range(3)] == [10 + 2, 10 + 2, 9 + 2]


def test_finalists_that_answer_together_differ_together(lab, target):
    """The answer is all of them, the best first, and diversity is that of all their images."""
    embed, ways = torch.nn.Flatten(), {}
    for together in (False, True):
        config = replace(CONFIG, together=together)
        ways[together] = recovery.recover(
            lab.cvae(), lab.judge(), target, config, seed=1, embed=embed, cap=50.0
        )
    one, three = ways[False], ways[True]
    assert one.c.shape == (1, 10)
    assert three.c.shape == (CONFIG.finalists, 10)
    ahead = [k for k, v in enumerate(three.history["diversity"][-1]) if v.isfinite()]
    shared = three.history["diversity"][-1, ahead]
    assert shared.eq(shared[0]).all()
    with torch.no_grad():
        codes = three.z.repeat(len(three.c), 1)
        images = lab.cvae().decode(codes, three.c.repeat_interleave(len(three.z), 0))
    wanted = losses.diversity(evaluation.spread(images), 50.0)
    torch.testing.assert_close(shared[0], CONFIG.diversity * wanted, rtol=1e-3, atol=1e-4)


def test_spanning_codes_have_the_moments_of_the_normal_distribution():
    z = recovery.spanning_codes(16, 8, "cpu").double()
    torch.testing.assert_close(z.mean(0), torch.zeros(8).double(), atol=1e-6, rtol=0)
    torch.testing.assert_close(z.T @ z / 16, torch.eye(8).double(), atol=1e-6, rtol=0)
    for count in (1, 5, 16, 40):
        assert recovery.spanning_codes(count, 8, "cpu").shape == (count, 8)


def test_diversity_counts_once_the_digit_has_settled(lab, target):
    """Until then method B takes the steps of method A; after it, others."""
    embed = torch.nn.Flatten()
    a = recovery.recover(lab.cvae(), lab.judge(), target, CONFIG, seed=1)
    b = recovery.recover(lab.cvae(), lab.judge(), target, CONFIG, seed=1, embed=embed, cap=50.0)
    settled = round(CONFIG.settle * CONFIG.steps)
    assert not b.history["diversity"][:settled].any()
    assert (b.history["diversity"][settled:].nan_to_num(1.0) > 0).all()
    same_until_then = (h.history["shape"][: settled + 1].nan_to_num() for h in (a, b))
    assert torch.equal(*same_until_then)
    assert not torch.equal(*(h.history["shape"][-1].nan_to_num() for h in (a, b)))


def test_a_landscape_has_what_was_found_at_its_origin(lab, target):
    model, judge, referee = lab.cvae(), lab.judge(), lab.referee()
    found = recovery.recover(model, judge, target, CONFIG, seed=1)
    seen = recovery.landscape(model, judge, referee, found, 3, side=9)
    assert seen.judge.shape == seen.referee.shape == (9, 9)
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


def test_starting_from_the_target_is_refused(lab, target):
    with pytest.raises(ValueError, match="use digits other than the target 3"):
        recovery.recover(lab.cvae(), lab.judge(), target, CONFIG, seed=1, starts=(2, 3))
