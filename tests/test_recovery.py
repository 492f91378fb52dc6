import pytest
import torch

from selective_amnesia import losses, recovery
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
        z = torch.randn(4, 8)
    assert torch.equal(fixed.z, z)
    assert not torch.equal(moved.z, z)


def test_starting_from_the_target_is_refused(lab, target):
    with pytest.raises(ValueError, match="use digits other than the target 3"):
        recovery.recover(lab.cvae(), lab.judge(), target, CONFIG, seed=1, starts=(2, 3))
