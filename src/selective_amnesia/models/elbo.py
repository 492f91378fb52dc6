"""The evidence lower bound (ELBO) of the conditional VAE.

    -ELBO(x, c) = E_q [ -log p(x | z, c) ] + KL(q(z | x, c) || N(0, I))
                =       BCE(x, decoder(z, c)) + 1/2 sum_d (mu_d^2 + sigma_d^2 - 1 - log sigma_d^2)

in nats per image, with one z drawn from q (Kingma & Welling, arXiv:1312.6114).
"""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

Model = Callable[[Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]  # images, conditions -> `forward`


def reconstruction_bce(logits: Tensor, x: Tensor) -> Tensor:
    """The binary cross-entropy of images x (..., P) under logits (..., P), summed over pixels:
    (...) nats."""
    bce = F.binary_cross_entropy_with_logits(logits, x.expand_as(logits), reduction="none")
    return bce.sum(-1)


def kl_to_prior(mu: Tensor, log_var: Tensor) -> Tensor:
    """KL(N(mu, diag exp log_var) || N(0, I)) for mu and log_var (..., D): (...) nats."""
    return 0.5 * (mu.square() + log_var.exp() - 1 - log_var).sum(-1)


def elbo_terms(model: Model, x: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """The two terms of the negative ELBO, in nats per image.

    Args:
        x: images (N, P) in [0, 1].
        c: conditions (N, C).

    Returns:
        bce (N,) and kl (N,); their sum is the negative ELBO of each image.
    """
    logits, mu, log_var = model(x, c)
    return reconstruction_bce(logits, x), kl_to_prior(mu, log_var)


def nats_for(logits: Tensor, x: Tensor, z: Tensor) -> Tensor:
    """The energy BCE(x, logits) + |z|^2 / 2: the nats (...) of images x (..., P) that a decoder
    draws as logits (..., P) from codes z (..., D)."""
    return reconstruction_bce(logits, x) + 0.5 * z.square().sum(-1)
