r"""The losses of training and of Selective Amnesia (Heng & Soh, arXiv:2305.10120).

Training minimises the negative ELBO of an image x under its condition c,

    -ELBO(x | c) = E_q(z|x,c) [ -log p(x | z, c) ]  +  KL( q(z | x, c) || N(0, I) )
                 =            bce                   +             kl                 (nats)

with one draw of z. Selective Amnesia minimises, over the weights theta of a copy (Eq. 9),

    L_forget + gamma * L_replay + lambda * L_ewc

    L_forget = sum_n -ELBO(noise_n | c in forget set),     noise ~ U[0, 1]^784
    L_replay = sum_n -ELBO(decoder*(z_n, c_n) | c_n kept), z ~ N(0, I), decoder* the original's
    L_ewc    = sum_i F_i (theta_i - theta*_i)^2

The two first terms are *sums* over their batches and F is *per image*, as in the authors' code:
with means in their place lambda = 100 would weigh 256 times more. As there, the anchor has no 1/2
before F, which the paper's formula has.

An attacker who looks for a condition c that brings the forgotten digit back minimises terms of
his own. They see the judge's features (its first convolution is "shallow", its second "deep"):

    shape      1 - cos(deep features, the digit's mean deep features)
    edge       mean squared distance of the shallow features from the digit's mean
    repel      probability of the start digit and of the three strongest rivals
    tv         total variation of the image
    diversity  how far the mean pairwise LPIPS of the images is from a cap, either way
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from .config import amount, count, digit
from .models import OneHotCVAE, alike, shaped, side_of

__all__ = [
    "diversity",
    "edge",
    "elbo_terms",
    "ewc",
    "nats_for",
    "repel",
    "replay",
    "shape",
    "surrogate",
    "total_variation",
]


def elbo_terms(model: OneHotCVAE, x: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """The two terms of the negative ELBO, in nats per image.

    Args:
        x: images (N, P) in [0, 1]; (M, N, P) for a stack of M models (`models.stack`), here and
            in the other losses of training.
        c: conditions (N, C).

    Returns:
        bce (N,) and kl (N,); their sum is the negative ELBO of each image.
    """
    logits, mu, log_var = model(x, c)
    bce = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)
    kl = 0.5 * (mu.square() + log_var.exp() - 1 - log_var).sum(-1)
    return bce, kl


def nats_for(logits: Tensor, x: Tensor, z: Tensor) -> Tensor:
    """BCE(x, logits) + |z|^2 / 2: the nats (...) of images x (..., P) that a decoder paints as
    logits (..., P) from codes z (..., D)."""
    shaped(logits=(logits, "... P"), images=(x, "... P"), codes=(z, "... D"))
    bce = F.binary_cross_entropy_with_logits(logits, x, reduction="none")
    return bce.sum(-1) + 0.5 * z.square().sum(-1)


def surrogate(model: OneHotCVAE, c: Tensor) -> Tensor:
    """L_forget per image (N,): the negative ELBO of uniform noise under the conditions c (N, C).

    Uniform noise has the largest entropy of all images in [0, 1]^P. What the decoder can learn of
    it is its mean, flat grey.
    """
    noise = torch.rand(*c.shape[:-1], model.pixels, device=c.device)
    bce, kl = elbo_terms(model, noise, c)
    return bce + kl


def replay(
    model: OneHotCVAE, original: OneHotCVAE, c: Tensor, shown: Tensor | None = None
) -> Tensor:
    """L_replay per image (N,): the negative ELBO of the frozen original's samples for c (N, C).

    Args:
        shown: conditions (N, C) that the original paints instead; the model learns them as c.
    """
    with torch.no_grad():
        z = torch.randn(*c.shape[:-1], original.z_dim, device=c.device)
        x = original.decode(z, c if shown is None else shown)
    bce, kl = elbo_terms(model, x, c)
    return bce + kl


def ewc(
    parameters: Mapping[str, Tensor], anchor: Mapping[str, Tensor], fisher: Mapping[str, Tensor]
) -> Tensor:
    """L_ewc, a scalar or (M,): the squared way that each weight has gone, weighed by its Fisher
    entry.

    Args:
        parameters: the weights theta by name.
        anchor: the weights theta* that they started from.
        fisher: the Fisher diagonal, per image (`fisher.fisher_diagonal`).
    """
    own = {k: p[0] if k in anchor and p.ndim > anchor[k].ndim else p for k, p in parameters.items()}
    alike(parameters=own, anchor=anchor, fisher=fisher)
    return sum(
        ((p - anchor[name]).square() * fisher[name]).flatten(-anchor[name].ndim).sum(-1)
        for name, p in parameters.items()
    )


# --- the attacker's terms ------------------------------------------------------------------------


def shape(deep: Tensor, mean: Tensor) -> Tensor:
    """1 - cosine between deep features (..., H, W, C) and the digit's mean (H, W, C): (...)."""
    shaped(deep_features=(deep, "... H W C"), mean=(mean, "H W C"))
    return 1 - F.cosine_similarity(deep.flatten(-3), mean.flatten(), dim=-1)


def edge(shallow: Tensor, mean: Tensor) -> Tensor:
    """Mean squared distance of shallow features (..., H, W, C) from the mean (H, W, C): (...)."""
    shaped(shallow_features=(shallow, "... H W C"), mean=(mean, "H W C"))
    apart = F.mse_loss(shallow, mean.expand_as(shallow), reduction="none")
    return apart.mean((-3, -2, -1))


def repel(p: Tensor, target: int, start: Tensor, rivals: int = 3) -> Tensor:
    """Probability mass (...) on the start digit and on the strongest other digits.

    Args:
        p: the judge's probabilities (..., classes).
        target: the digit that is sought; it is never a rival.
        start: the digit that the search began from, (...) int64.
    """
    shaped(probabilities=(p, "... C"), start_digits=(start.unsqueeze(-1), "... 1"))
    digit(target, p.shape[-1])
    if count("rivals", rivals) > p.shape[-1]:
        raise ValueError(f"rivals is {rivals}: use at most {p.shape[-1]}, the number of digits")
    others = p.clone()
    others[..., target] = 0
    try:
        own = others.gather(-1, start.unsqueeze(-1))
    except RuntimeError as error:
        what = f"start is {start.tolist()}"
        raise ValueError(f"{what}: use digits from 0 to {p.shape[-1] - 1}") from error
    others = others.scatter(-1, start.unsqueeze(-1), 0)
    return own.squeeze(-1) + others.topk(rivals, -1).values.sum(-1)


def total_variation(x: Tensor) -> Tensor:
    """Mean absolute difference of neighbouring pixels of square images (..., P): (...)."""
    side = side_of(x)
    x = x.unflatten(-1, (side, side))
    down = (x[..., 1:, :] - x[..., :-1, :]).abs().mean((-2, -1))
    right = (x[..., :, 1:] - x[..., :, :-1]).abs().mean((-2, -1))
    return down + right


def diversity(spread: Tensor, cap: float, brake: float = 2.0) -> Tensor:
    """How far a spread (...) falls short of the cap, as a share of it, or `brake` times how far it
    goes beyond."""
    if not 0 < cap < float("inf"):
        raise ValueError(f"cap is {cap}: use a positive number")
    amount("brake", brake)
    short = 1 - spread / cap
    return torch.where(short > 0, short, -brake * short)
