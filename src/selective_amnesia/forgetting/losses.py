r"""The three terms of Selective Amnesia (Heng & Soh, arXiv:2305.10120, Eq. 9).

    forget   -ELBO of noise, x ~ U[0, 1]^P, under the forgotten labels (the surrogate)
    replay   -ELBO of the frozen original's samples under the kept labels
    ewc      sum_i F_i (theta_i - theta*_i)^2, elastic weight consolidation

In the paper's code the first two are *sums* over their batches of 256 images, and F is per image: a
mean instead would silently change what lambda = 100 means.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ..models.cvae import OneHotCVAE
from ..models.elbo import elbo_terms


def surrogate(model: OneHotCVAE, c: Tensor) -> Tensor:
    """L_forget per image (N,): the negative ELBO of uniform noise under the conditions c (N, C).

    Uniform noise has the largest entropy of all images in [0, 1]^P. What the decoder can learn of
    it is its mean, flat grey.
    """
    noise = torch.rand(len(c), model.pixels, device=c.device)
    bce, kl = elbo_terms(model, noise, c)
    return bce + kl


def replay(
    model: OneHotCVAE, original: OneHotCVAE, c: Tensor, shown: Tensor | None = None
) -> Tensor:
    """L_replay per image (N,): the negative ELBO of the frozen original's samples for c (N, C).

    Args:
        shown: conditions (N, C) that the original decodes instead; the model learns them as c.
    """
    with torch.no_grad():
        z = torch.randn(len(c), original.z_dim, device=c.device)
        x = original.decode(z, c if shown is None else shown)
    bce, kl = elbo_terms(model, x, c)
    return bce + kl


def ewc(
    parameters: Mapping[str, Tensor], anchor: Mapping[str, Tensor], fisher: Mapping[str, Tensor]
) -> Tensor:
    """L_ewc, (): the squared way that each weight has gone, weighed by its Fisher entry.

    Args:
        parameters: the weights theta by name.
        anchor: the weights theta* that they started from.
        fisher: the Fisher diagonal, per image (`fisher.fisher_diagonal`).
    """
    moved = (
        ((p - anchor[k]).square() * fisher[k]).flatten().sum(-1) for k, p in parameters.items()
    )
    return torch.as_tensor(sum(moved))
