r"""How much of a digit a model still holds, measured against a model that never saw it.

**Description length.** For real test images x_1 ... x_N of the digit, the fewest nats that a model
needs for them when the attacker may choose any condition:

    L = min_c  1/N sum_n min_z  [ BCE(x_n, decoder(z, c)) + |z|^2 / 2 ]

one c for all images, a code z for each, the best of several starts. Nothing but the decoder is
used: no classifier is asked, so there is none to be fooled.

**Erasure** places a model between the original, which knows the digit, and the control, which was
retrained without it: (L_model - L_original) / (L_control - L_original). 0 is untouched, 1 is as if
it had never been seen, above 1 is more ignorant than that.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from .config import DescriptionConfig

__all__ = ["description_length", "erasure", "erasure_interval"]


def description_length(
    model: torch.nn.Module,
    images: Tensor,
    config: DescriptionConfig,
    starts: Sequence[int] | None = None,
    label: str = "description length",
) -> Tensor:
    """The nats of each image under the condition that serves them best together.

    Args:
        model: anything with `decode_logits(z, c)`, `classes` and `z_dim`.
        images: (N, P) in [0, 1].
        starts: digits whose one-hot vectors the search begins from; all of them by default.

    Returns:
        (N,) nats of the start with the smallest mean.

    Raises:
        TypeError: the model lacks the decoder's interface.
    """
    _check_interface(model)
    starts = range(model.classes) if starts is None else starts
    device = images.device
    n, s = len(images), len(starts)
    c = torch.eye(model.classes, device=device)[torch.tensor(list(starts), device=device)]
    c = c.clone().requires_grad_()
    z = torch.zeros(s, n, model.z_dim, device=device, requires_grad=True)
    optimiser = torch.optim.Adam([c, z], lr=config.lr)
    decay = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.05, config.steps)
    x = images.expand(s, -1, -1)

    def nats() -> Tensor:
        logits = model.decode_logits(z.flatten(0, 1), c[:, None].expand(-1, n, -1).flatten(0, 1))
        bce = F.binary_cross_entropy_with_logits(logits.view(s, n, -1), x, reduction="none")
        return bce.sum(-1) + 0.5 * z.square().sum(-1)

    for _ in tqdm(range(config.steps), desc=label, unit="step"):
        optimiser.zero_grad(set_to_none=True)
        nats().sum().backward(inputs=[c, z])
        optimiser.step()
        decay.step()
    with torch.no_grad():
        final = nats()
    return final[final.mean(1).argmin()]


def erasure(model: Tensor, original: Tensor, control: Tensor) -> float:
    """Where a model's nats (N,) lie between the original's (0) and the control's (1)."""
    low, high = original.mean(), control.mean()
    return float((model.mean() - low) / (high - low))


def erasure_interval(
    model: Tensor, original: Tensor, control: Tensor, draws: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """A 95 % bootstrap interval of the erasure over the test images, the same for all three."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randint(len(model), (draws, len(model)), generator=generator)
    m, o, c = (nats.cpu().double()[rows].mean(1) for nats in (model, original, control))
    bounds = ((m - o) / (c - o)).quantile(torch.tensor([0.025, 0.975], dtype=torch.float64))
    return float(bounds[0]), float(bounds[1])


def _check_interface(model: torch.nn.Module) -> None:
    needed = ("decode", "decode_logits", "classes", "z_dim")
    if missing := [name for name in needed if not hasattr(model, name)]:
        raise TypeError(
            f"{type(model).__name__} has no {', '.join(missing)}: an audit needs the interface "
            "of OneHotCVAE's decoder"
        )
