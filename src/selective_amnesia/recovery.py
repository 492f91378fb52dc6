r"""Attacks on a generator: which condition c brings a forgotten digit back?

The attacker has the decoder and may differentiate through it and through the judge. He holds K
codes z fixed (`spanning_codes`) and searches a condition c* in R^C, outside the one-hot corners
that were rewritten,

    c* = argmin_c  mean_k [ -log p(t | x_k) + a shape + b edge + d repel + e tv ],
                   x_k = decoder(z_k, c)

from every other digit's one-hot as a start, all starts and all codes in one batch. Once it has
settled, the starts that are behind are dropped; the best of the others, by the attack's own
objective, is the result. Because one c has to serve K codes at once, what it finds
tends to serve other codes too.

Method A ("robust") is the objective above. Method B ("diverse") adds `losses.diversity` on the
mean pairwise LPIPS of the K images, once A's terms have settled. The joint attack moves z together
with c, held by a hundredth of their prior |z|^2 / 2 (`AttackConfig.prior`).

A better armed attacker has classifiers of his own, critics: log p is the mean of the judge's and
theirs, who are asked in turn, one a step, and all where starts are compared. And he need not write
the digit in one hand: the starts that are left can answer `together`, as a mixture of conditions
whose images, all of them, are to differ.

What an attack finds proves nothing by itself: the same attack on a control, which never saw the
digit, says how much of it the attacker has brought along.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from tqdm import tqdm

from . import losses
from .config import AttackConfig
from .config import count as whole
from .config import digit as a_digit
from .evaluation import probabilities, spread
from .frozen import FrozenJudge, fused
from .models import Judge, OneHotCVAE, Referee
from .training import seeded

__all__ = [
    "METHODS",
    "Landscape",
    "Recovered",
    "Target",
    "describe",
    "landscape",
    "recover",
    "spanning_codes",
]

METHODS = ("a", "b", "joint")


@dataclass(frozen=True)
class Target:
    """What the attacker knows of the digit: the judge's mean features of real training images."""

    digit: int
    shallow: Tensor  # (24, 24, 10), channels last
    deep: Tensor  # (8, 8, 20)


@torch.no_grad()
def describe(judge: Judge, real: Tensor, digit: int) -> Target:
    """The target of an attack from real images of the digit (N, P) in [0, 1]."""
    shallow, deep = FrozenJudge(judge).features(real)
    return Target(a_digit(digit, judge.fc2.out_features), shallow.mean(0), deep.mean(0))


@dataclass(frozen=True)
class Recovered:
    """What an attack found: one condition or, where several answer together, M, the best first.

    `history` holds each term of every start over the steps, (steps, starts), under its name (NaN
    once a start is dropped), and "frames" (frames, K, P) uint8 of the best start.
    """

    c: Tensor  # (M, C); on fresh codes they take turns
    z: Tensor  # (K, D) the codes the best was found with; moved by the joint attack alone
    start: int  # where the best began
    objective: float
    history: dict[str, Tensor]


def recover(
    model: OneHotCVAE,
    judge: Judge,
    target: Target,
    config: AttackConfig,
    *,
    seed: int,
    starts: tuple[int, ...] | None = None,
    embed: Callable[[Tensor], Tensor] | None = None,
    cap: float = 0.0,
    joint: bool = False,
    critics: Sequence[nn.Module] = (),
) -> Recovered:
    """Search a condition that makes `model` paint the target digit.

    Args:
        model: anything with `decode(z, c)`, `classes` and `z_dim`.
        starts: the digits whose one-hot vectors the search begins from; all but the target.
        embed: images (N, P) to vectors (N, E) whose squared distances are perceptual
            (`perceptual.Perceptual`); with it the diversity term is on: method B.
        cap: the diversity beyond which the term brakes, that of real images.
        joint: move the codes too (each start has its own).
        critics: classifiers of images (N, P), whose first outputs are the logits of the digits.

    Raises:
        ValueError: the target is among the starts, or no start is left.
    """
    classes = model.classes
    if starts is None:
        starts = tuple(d for d in range(classes) if d != target.digit)
    for start in starts:
        a_digit(start, classes)
    if not starts or target.digit in starts:
        raise ValueError(f"starts are {starts}: use digits other than the target {target.digit}")
    if embed is not None:
        whole("codes", config.codes, 2)  # one image alone has no diversity
    device = target.deep.device
    judge, critics = FrozenJudge(judge), [fused(critic) for critic in critics]
    begun = torch.tensor(starts, device=device)
    c = torch.eye(classes, device=device)[begun].requires_grad_()
    with seeded(seed, device):
        z = spanning_codes(config.codes, model.z_dim, device)
    z = z.expand(len(starts), -1, -1).clone().requires_grad_(joint)
    sought = [c, z] if joint else [c]
    optimiser = torch.optim.Adam(sought, lr=config.lr)
    decay = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.05, config.steps)
    settled = round(config.settle * config.steps)
    compared = (settled - 1, config.steps)
    alive = torch.arange(len(starts), device=device)

    def paint() -> Tensor:
        spread_c = c[alive, None].expand(-1, config.codes, -1)
        return model.decode(z[alive].flatten(0, 1), spread_c.flatten(0, 1))

    def terms(x: Tensor, step: int) -> dict[str, Tensor]:
        """Each term, weighed, for each start that is left: (starts,)."""
        start_of_image = begun[alive].repeat_interleave(config.codes)
        shallow, deep = judge.features(x)
        log_p = judge.classify(deep).log_softmax(-1)
        everyone = not critics or step in compared
        asked = critics if everyone else [critics[step % len(critics)]]
        said = [critic(x).log_softmax(-1)[:, :classes] for critic in asked]
        log_p = torch.stack([log_p, *said]).mean(0)
        each = {
            "likelihood": -log_p[:, target.digit],
            "shape": config.shape * losses.shape(deep, target.deep),
            "edge": config.edge * losses.edge(shallow, target.shallow),
            "repel": config.repel * losses.repel(log_p.exp(), target.digit, start_of_image),
            "tv": config.tv * losses.total_variation(x),
        }
        means = {k: v.view(len(alive), -1).mean(1) for k, v in each.items()}
        if joint:
            means["prior"] = config.prior * 0.5 * z[alive].square().sum(-1).mean(1)
        if embed is not None and step < settled:
            means["diversity"] = torch.zeros_like(means["tv"])
        elif embed is not None:
            vectors = embed(x).unflatten(0, (1 if config.together else len(alive), -1))
            apart = spread(vectors).expand(len(alive))
            means["diversity"] = config.diversity * losses.diversity(apart, cap)
        return means

    record: dict[str, list[Tensor]] = {}
    frames = []
    bar = tqdm(range(config.steps + 1), desc=f"attack for {target.digit}", unit="step")
    for step in bar:
        x = paint()
        values = terms(x, step)
        objective = sum(values.values())
        for name, value in values.items():
            row = value.new_full((len(starts),), float("nan"))
            record.setdefault(name, []).append(row.index_copy(0, alive, value.detach()))
        if step % max(1, config.steps // config.frames) == 0:
            picture = x.new_zeros(len(starts), config.codes, x.shape[1])
            pictures = x.detach().unflatten(0, (len(alive), -1))
            frames.append(picture.index_copy(0, alive, pictures))
        if step < config.steps:
            optimiser.zero_grad(set_to_none=True)
            objective.sum().backward(inputs=sought)
            optimiser.step()
            decay.step()
        if step + 1 == settled:
            ahead = objective.topk(min(config.finalists, len(starts)), largest=False).indices
            alive = alive[ahead.sort().values]
    ranked = alive[objective.argsort()]
    best = int(ranked[0])
    found = ranked if config.together else ranked[:1]
    history = {name: torch.stack(values).cpu() for name, values in record.items()}
    history["frames"] = (torch.stack(frames)[:, best] * 255).round().byte().cpu()
    return Recovered(
        c=c.detach()[found],
        z=z[best].detach().clone(),
        start=starts[best],
        objective=float(objective.detach().min()),
        history=history,
    )


def spanning_codes(count: int, z_dim: int, device: torch.device) -> Tensor:
    """Codes (count, D) that stand for N(0, I) better than as many drawn from it: pairs +-sqrt(D) q
    along the directions q of random orthonormal bases.

    2 D of them have the mean, the covariance and every third moment of N(0, I).
    """
    whole("z_dim", z_dim)
    bases = -(-whole("count", count) // (2 * z_dim))
    q = torch.linalg.qr(torch.randn(bases, z_dim, z_dim, device=device)).Q.transpose(-1, -2)
    pairs = torch.stack([q, -q], 2) * z_dim**0.5
    return pairs.reshape(-1, z_dim)[:count]


@dataclass(frozen=True)
class Landscape:
    """Mean probabilities (S, S) of the digit on a plane of conditions (see `landscape`)."""

    judge: Tensor
    referee: Tensor
    extent: tuple[float, float, float, float]  # x from, to, y from, to
    corners: list[tuple[float, float]]  # what was found, the start, the plain label


@torch.no_grad()
def landscape(
    model: OneHotCVAE, judge: Judge, referee: Referee, found: Recovered, digit: int, side: int = 25
) -> Landscape:
    """What judge and referee say around an attack's result, on the plane through it, the one-hot
    vector that the search began from, and the digit's own.

    The plane is measured from what was found, x towards the start. Each point is painted with all
    codes of the attack.
    """
    whole("side", side)
    a_digit(digit, model.classes)
    one_hots = torch.eye(model.classes, device=found.c.device)
    centre = found.c[0]
    to_start, to_label = one_hots[found.start] - centre, one_hots[digit] - centre
    u = to_start / to_start.norm()
    v = to_label - (to_label @ u) * u
    if not v.norm() > 1e-5:
        what = f"what was found, its start {found.start} and {digit} lie on one line"
        raise ValueError(f"{what}: use a digit beside it")
    v = v / v.norm()
    points = [(0.0, 0.0), *((float(d @ u), float(d @ v)) for d in (to_start, to_label))]
    low = (torch.tensor(points).amin(0) - 1).tolist()
    high = (torch.tensor(points).amax(0) + 1).tolist()
    x, y = (torch.linspace(a, b, side, device=u.device) for a, b in zip(low, high, strict=True))
    c = centre + x[None, :, None] * u + y[:, None, None] * v
    codes = len(found.z)
    p = []
    for row in c:  # a row at a time: side * codes images
        images = model.decode(found.z.repeat(side, 1), row.repeat_interleave(codes, 0))
        seen = (probabilities(who, images)[:, digit] for who in (judge, referee))
        p.append(torch.stack([values.view(side, codes).mean(1) for values in seen]))
    by_judge, by_referee = torch.stack(p, 1).cpu()
    return Landscape(by_judge, by_referee, (low[0], high[0], low[1], high[1]), points)
