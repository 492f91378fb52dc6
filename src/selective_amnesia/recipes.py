"""What each trained stage learns from the data: the CVAE, the judge, the referee.

Each recipe takes a data set, a configuration and a seed and returns the trained network, the
history of `training.fit` and the figures that describe it. None of them touches a file.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from .config import CVAEConfig, JudgeConfig, RefereeConfig, amount, one_each
from .config import count as whole
from .data import Dataset, pixels
from .losses import elbo_terms
from .models import (
    Judge,
    OneHotCVAE,
    Referee,
    check_rows,
    one_hot,
    shaped,
    side_of,
    stack,
    unstack,
)
from .training import Batches, Keeper, Tensors, each_alone, fit, frame_steps, seeded

__all__ = [
    "blends",
    "elbo_of",
    "non_digits",
    "paint",
    "soil",
    "train_cvaes",
    "train_judge",
    "train_referee",
]

Metrics = dict[str, float]
TEST_SEED = 7  # the noise of every test loss is the same


def cvae_for(data: Dataset, config: CVAEConfig) -> OneHotCVAE:
    """An untrained CVAE of that configuration for that set."""
    pixels_of_image = data.train_images.shape[1]
    return OneHotCVAE(pixels_of_image, data.classes, config.z_dim, config.hidden)


def _check(data: Dataset) -> None:
    """Raises ValueError where images and labels do not belong together."""
    shaped(
        train_images=(data.train_images, "N P"),
        train_labels=(data.train_labels, "N"),
        test_images=(data.test_images, "M P"),
        test_labels=(data.test_labels, "M"),
    )
    for labels in (data.train_labels, data.test_labels):
        one_hot(labels, data.classes)


def train_cvaes(
    data: Dataset,
    config: CVAEConfig,
    *,
    seeds: Sequence[int],
    without: Sequence[Iterable[int]] = ((),),
    label: str = "CVAE",
    frames_z: Sequence[Tensor] | None = None,
    keeper: Keeper | None = None,
) -> list[tuple[OneHotCVAE, Tensors, Metrics]]:
    """CVAEs trained side by side by the negative ELBO on the training half, each as if alone.

    While the decoder cannot write yet, codes only cost; at a high learning rate some of them are
    given up then and never come back (posterior collapse). So their cost, the KL term, may be
    phased in (`config.kl_warmup`; Bowman et al. 2016).

    Args:
        seeds: one for each CVAE.
        without: the labels that each never sees: none for an original, the forget set for a
            control.
        frames_z: for each CVAE codes (K, D) whose images under every label are kept along the way,
            as history["frames"] (frames, classes, K, P) uint8; "test_loss", "test_bce" and
            "test_kl" are recorded at the same steps.
    """
    _check(data)
    one_each("seed", seeds, "set of labels left out", without)
    if frames_z is not None:
        one_each("set of codes", frames_z, "seed", seeds)
        for z in frames_z:
            check_rows("codes", z, size=config.z_dim)
    device = data.train_images.device
    models, batches = [], []
    for seed, labels in zip(seeds, without, strict=True):
        rows = data.rows_without(labels)
        with seeded(seed, device):
            model = cvae_for(data, config).to(device)
        models.append(model)
        batches.append(Batches(rows, batch_size=config.batch_size, seed=seed))
    together = stack(models)
    conditions = torch.eye(data.classes, device=device)

    def batch(step: int) -> tuple[Tensor, Tensor, Tensor]:
        phase = min(1.0, (step + 1) / config.kl_warmup) if config.kl_warmup else 1.0
        rows = [draw(step)[0] for draw in batches]
        chosen = rows[0] if len(rows) == 1 else torch.stack(rows)
        phase = torch.full((), phase, device=device)
        return data.train_images[chosen], data.train_labels[chosen], phase

    def loss(images: Tensor, labels: Tensor, phase: Tensor) -> dict[str, Tensor]:
        bce, kl = (
            term.mean(-1) for term in elbo_terms(together, pixels(images), conditions[labels])
        )
        return {"loss": bce + phase * kl, "bce": bce, "kl": kl}

    def watch(_step: int) -> dict[str, Tensor]:
        codes = frames_z or [None] * len(models)
        apart = unstack(together, models)
        seen = [_test(model, data, z) for model, z in zip(apart, codes, strict=True)]
        if len(seen) == 1:
            return seen[0]
        return {name: torch.stack([values[name] for values in seen]) for name in seen[0]}

    history = fit(
        together,
        loss,
        config,
        seed=seeds if len(seeds) > 1 else seeds[0],
        label=label,
        batches=batch,
        watch=watch,
        watch_at=frame_steps(config.steps, config.frames),
        keeper=keeper,
    )
    trained = []
    for model, own in zip(unstack(together, models), each_alone(history, len(models)), strict=True):
        metrics = {k: float(own[k][-1]) for k in ("test_loss", "test_bce", "test_kl")}
        trained.append((model, own, {**metrics, "steps": config.steps}))
    return trained


def _test(model: OneHotCVAE, data: Dataset, frames_z: Tensor | None) -> dict[str, Tensor]:
    """What is recorded along the training of a CVAE."""
    bce, kl = elbo_of(model, data.test_images, data.test_labels)
    values = {"test_loss": (bce + kl).mean(), "test_bce": bce.mean(), "test_kl": kl.mean()}
    return values if frames_z is None else values | {"frames": paint(model, frames_z)}


@torch.no_grad()
def elbo_of(model: OneHotCVAE, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The terms of the negative ELBO of uint8 images (N, P) with labels (N,): bce (N,), kl (N,).

    The noise is the same at every call.
    """
    shaped(images=(images, "N P"), labels=(labels, "N"))
    conditions = one_hot(labels, model.classes)
    with seeded(TEST_SEED, images.device):
        parts = [
            elbo_terms(model, pixels(x), c)
            for x, c in zip(images.split(500), conditions.split(500), strict=True)
        ]
    bce, kl = (torch.cat(term) for term in zip(*parts, strict=True))
    return bce, kl


@torch.no_grad()
def paint(model: OneHotCVAE, z: Tensor) -> Tensor:
    """The images of codes z (K, D) under every label: (classes, K, P) uint8."""
    check_rows("codes", z, size=model.z_dim)
    c = torch.eye(model.classes, device=z.device).repeat_interleave(len(z), 0)
    images = model.decode(z.repeat(model.classes, 1), c)
    return (images * 255).round().byte().view(model.classes, len(z), -1)


def train_judge(
    data: Dataset, config: JudgeConfig, *, seed: int, keeper: Keeper | None = None
) -> tuple[Judge, Tensors, Metrics]:
    """The paper's classifier: cross-entropy, dropout."""
    _check(data)
    with seeded(seed, data.train_images.device):
        model = Judge(data.classes).to(data.train_images.device)
    batches = Batches(data.train_images, data.train_labels, batch_size=config.batch_size, seed=seed)

    def loss(images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        return {"loss": F.cross_entropy(model(pixels(images)), labels)}

    history = fit(model, loss, config, seed=seed, label="judge", batches=batches, keeper=keeper)
    verdicts = _verdicts(model, pixels(data.test_images))
    accuracy = verdicts.argmax(-1).eq(data.test_labels).float().mean()
    return model, history, {"test_accuracy": float(accuracy), "steps": config.steps}


def train_referee(
    data: Dataset,
    config: RefereeConfig,
    *,
    seed: int,
    label: str = "referee",
    keeper: Keeper | None = None,
) -> tuple[Referee, Tensors, Metrics]:
    """The independent classifier: digits, disturbed, and `non_digits`."""
    _check(data)
    with seeded(seed, data.train_images.device):
        model = Referee(data.classes, config.width, config.features).to(data.train_images.device)
    batches = Batches(data.train_images, data.train_labels, batch_size=config.batch_size, seed=seed)
    extra = max(1, round(config.batch_size * config.non_digits))
    nothing = data.train_labels.new_full((extra,), model.not_a_digit)

    def loss(images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        x = pixels(images)
        logits = model(torch.cat([disturb(x, config), non_digits(x, labels, extra)]))
        return {"loss": F.cross_entropy(logits, torch.cat([labels, nothing]))}

    history = fit(model, loss, config, seed=seed, label=label, batches=batches, keeper=keeper)
    return model, history, {**referee_metrics(model, data, config), "steps": config.steps}


def referee_metrics(model: Referee, data: Dataset, config: RefereeConfig) -> Metrics:
    """Accuracy on the test half, as it is and soiled, and the shares of digits and of non-digits
    that it tells apart."""
    x, y = pixels(data.test_images), data.test_labels
    with seeded(TEST_SEED, x.device):
        noise = torch.rand_like(x[:1000])
        blended = blends(x, y, torch.full((len(x), 1), 0.5, device=x.device))
        dirty = soil(x, config.haze, config.grain)
    grey, blank = torch.full_like(x[:1], 0.5), torch.zeros_like(x[:1])

    def rejected(images: Tensor) -> float:
        return float(_verdicts(model, images).argmax(-1).eq(model.not_a_digit).float().mean())

    verdict = _verdicts(model, x).argmax(-1)
    return {
        "test_accuracy": float(verdict.eq(y).float().mean()),
        "soiled_accuracy": float(_verdicts(model, dirty).argmax(-1).eq(y).float().mean()),
        "digits_kept": float(verdict.ne(model.not_a_digit).float().mean()),
        "noise_rejected": rejected(noise),
        "grey_rejected": rejected(grey),
        "blank_rejected": rejected(blank),
        "blends_rejected": rejected(blended),
    }


def non_digits(x: Tensor, labels: Tensor, count: int) -> Tensor:
    """Images (count, P) that are no digit: noise, greys of every level with and without grain,
    blanks, and, for about half of them, blends of two different digits of the batch x (N, P)."""
    shaped(images=(x, "N P"), labels=(labels, "N"))
    fifth, tenth = whole("count", count) // 5, count // 10
    noise = torch.rand(fifth, x.shape[1], device=x.device)
    grain = 0.1 * torch.rand(fifth, 1, device=x.device) * torch.randn_like(noise)
    grey = (torch.rand(fifth, 1, device=x.device) + grain).clamp(0, 1)
    weight = 0.4 + 0.2 * torch.rand(len(x), 1, device=x.device)
    mixed, different = _blended(x, labels, weight)
    first = (~different).byte().argsort(stable=True)[: count - 2 * fifth - tenth]
    mixed = torch.where(different[first, None], mixed[first], 0)  # of a size that is known ahead
    blank = x.new_zeros(count - 2 * fifth - len(mixed), x.shape[1])
    return torch.cat([noise, grey, mixed, blank])


def blends(x: Tensor, labels: Tensor, weight: Tensor) -> Tensor:
    """weight * x_i + (1 - weight) * x_j for pairs of different digits, i and j = i + 1."""
    shaped(images=(x, "N P"), labels=(labels, "N"), weights=(weight, "N 1"))
    mixed, different = _blended(x, labels, weight)
    return mixed[different]


def _blended(x: Tensor, labels: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """The blend of every image with the one before it, and whether their digits differ."""
    return weight * x + (1 - weight) * x.roll(1, 0), labels != labels.roll(1)


def disturb(x: Tensor, config: RefereeConfig) -> Tensor:
    """Images (N, P) as decoders paint them: half are turned, scaled and moved by a little, half
    are blurred, half are soiled. The halves overlap, so every mixture occurs, and none of it.

    A referee that knows clean and sharp digits alone takes softness and grain that nobody would
    notice for strangeness.
    """
    quarter = len(x) // 4
    if quarter == 0:
        return _move(x)
    x = torch.cat([_move(x[: 2 * quarter]), x[2 * quarter :]])
    soft = _blur(x[quarter : 3 * quarter], config.blur)
    x = torch.cat([x[:quarter], soft, x[3 * quarter :]])
    soiled = torch.arange(len(x), device=x.device).remainder(2).eq(0).unsqueeze(1)
    return torch.where(soiled, soil(x, config.haze, config.grain), x)


def soil(x: Tensor, haze: float, grain: float) -> Tensor:
    """Grey haze and grain over images (N, P), each up to the strength given, in patches."""
    shaped(images=(x, "N P"))
    amount("haze", haze)
    amount("grain", grain)
    strength = torch.rand(2, len(x), 1, device=x.device)
    fog, speckle = haze * strength[0] * _patches(x), grain * strength[1] * _patches(x)
    return (x + fog * (0.5 - x) + speckle * torch.randn_like(x)).clamp(0, 1)


def _patches(x: Tensor) -> Tensor:
    """Smooth random fields in [0, 1], (N, P)."""
    n, side = len(x), side_of(x)
    coarse = torch.rand(n, 1, 4, 4, device=x.device)
    return F.interpolate(coarse, size=(side, side), mode="bilinear").view(n, -1)


def _move(x: Tensor, degrees: float = 10, scale: float = 0.1, shift: float = 2 / 14) -> Tensor:
    """Rotation, size and position (in half widths), uniform up to the limits given."""
    n, side = len(x), side_of(x)
    turn, size, *move = (2 * torch.rand(4, n, device=x.device) - 1).unbind()
    turn, size = torch.deg2rad(degrees * turn), 1 + scale * size
    cos, sin = size * turn.cos(), size * turn.sin()
    first = torch.stack([cos, -sin, shift * move[0]], -1)
    second = torch.stack([sin, cos, shift * move[1]], -1)
    grid = F.affine_grid(torch.stack([first, second], 1), [n, 1, side, side], align_corners=False)
    return F.grid_sample(x.view(n, 1, side, side), grid, align_corners=False).view(n, -1)


def _blur(x: Tensor, largest: float, reach: int = 3) -> Tensor:
    """A Gaussian blur of each image with a width of its own, up to `largest` pixels."""
    n, side = len(x), side_of(x)
    width = largest * torch.rand(n, 1, device=x.device) + 1e-3
    offsets = torch.arange(-reach, reach + 1, device=x.device)
    kernel = torch.softmax(-offsets.square() / (2 * width.square()), -1)
    y = x.view(1, n, side, side)
    y = F.conv2d(y, kernel.view(n, 1, -1, 1), padding=(reach, 0), groups=n)
    return F.conv2d(y, kernel.view(n, 1, 1, -1), padding=(0, reach), groups=n).view(n, -1)


@torch.no_grad()
def _verdicts(classifier: torch.nn.Module, x: Tensor) -> Tensor:
    return torch.cat([classifier(part) for part in x.split(1000)])
