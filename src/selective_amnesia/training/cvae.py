"""What the conditional VAE learns: the negative ELBO of the training images.

While the decoder cannot write yet, codes only cost; at a high learning rate some of them are given
up then and never come back (posterior collapse). So their cost, the KL term, may be phased in
(`kl_warmup`; Bowman et al. 2016).
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from ..config import CVAEConfig
from ..data.dataset import Dataset, pixels
from ..models.cvae import OneHotCVAE, decode_grid, one_hot
from ..models.elbo import elbo_terms
from .loop import Snapshots, Tensors, fit
from .random import Batches, eval_steps, seeded

VERSION = 1
TEST_SEED = 7  # the noise of every test loss is the same


def untrained(data: Dataset, config: CVAEConfig) -> OneHotCVAE:
    """An untrained CVAE of that configuration for that set."""
    pixels_of_image = data.train_images.shape[1]
    return OneHotCVAE(pixels_of_image, data.classes, config.z_dim, config.hidden)


def train_cvae(
    data: Dataset,
    config: CVAEConfig,
    *,
    seed: int,
    without: Iterable[int] = (),
    label: str = "CVAE",
    frames_z: Tensor | None = None,
    snapshots: Snapshots | None = None,
) -> tuple[OneHotCVAE, Tensors, dict[str, float]]:
    """A CVAE trained on the training half.

    Args:
        without: labels that it never sees: none for an original, the forget set for a control.
        frames_z: codes (K, D) whose images under every label are kept along the way, as
            history["frames"] (frames, classes, K, P) uint8; "test_loss", "test_bce" and "test_kl"
            are recorded at the same steps.

    Returns:
        The model, the history of `loop.fit`, and its figures on the test half.
    """
    device = data.train_images.device
    rows = data.rows_without(without)
    with seeded(seed, device):
        model = untrained(data, config).to(device)
    draw = Batches(rows, batch_size=config.batch_size, seed=seed, last=config.last_batch)
    conditions = torch.eye(data.classes, device=device)

    def batch(step: int) -> tuple[Tensor, ...]:
        phase = min(1.0, (step + 1) / config.kl_warmup) if config.kl_warmup else 1.0
        (chosen,) = draw(step)
        on_device = torch.full((), phase, device=device)
        return data.train_images[chosen], data.train_labels[chosen], on_device

    def loss(images: Tensor, labels: Tensor, phase: Tensor) -> Tensors:
        terms = elbo_terms(model, pixels(images), conditions[labels])
        bce, kl = (term.mean(-1) for term in terms)
        return {"loss": bce + phase * kl, "bce": bce, "kl": kl}

    def evaluate() -> Tensors:
        bce, kl = elbo_of(model, data.test_images, data.test_labels)
        values = {"test_loss": (bce + kl).mean(), "test_bce": bce.mean(), "test_kl": kl.mean()}
        return values if frames_z is None else values | {"frames": decode_grid(model, frames_z)}

    history = fit(
        model,
        loss,
        config,
        seed=seed,
        label=label,
        batches=batch,
        eval_fn=evaluate,
        eval_at=eval_steps(config.steps, config.frames),
        snapshots=snapshots,
    )
    figures = {k: float(history[k][-1]) for k in ("test_loss", "test_bce", "test_kl")}
    return model, history, {**figures, "steps": config.steps}


@torch.no_grad()
def elbo_of(model: OneHotCVAE, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The terms of the negative ELBO of uint8 images (N, P) with labels (N,): bce (N,), kl (N,).

    The noise is the same at every call.
    """
    conditions = one_hot(labels, model.classes)
    with seeded(TEST_SEED, images.device):
        parts = [
            elbo_terms(model, pixels(x), c)
            for x, c in zip(images.split(500), conditions.split(500), strict=True)
        ]
    bce, kl = (torch.cat(term) for term in zip(*parts, strict=True))
    return bce, kl
