r"""The Fisher information diagonal of a conditional VAE, exact and in batches.

    F_i = E_{x ~ model} [ (d loss(x) / d theta_i)^2 ],     loss = the negative ELBO of one image

with x drawn from the model itself: c uniform over the classes, z ~ N(0, I), x = decoder(z, c).
The square is of each *sample's* gradient. (The square of a batch's mean gradient is a smaller and
different number: at the optimum it is nearly zero, whatever the weights are worth.)

No loop over samples is needed. For a linear layer y = W a + b the gradient of sample n is the
outer product of g_n = d loss_n / d y_n and a_n, so

    sum_n (d loss_n / d W_ij)^2 = sum_n g_ni^2 a_nj^2 = ( (g^2)^T a^2 )_ij

is one matrix product of squared output gradients and squared inputs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn
from tqdm import tqdm

from ..config import FisherConfig
from ..models.cvae import OneHotCVAE
from ..models.elbo import elbo_terms
from ..training.random import seeded

VERSION = 1

Loss = Callable[[OneHotCVAE, Tensor, Tensor], Sequence[Tensor]]


def squared_gradients(
    model: OneHotCVAE, x: Tensor, c: Tensor, loss: Loss = elbo_terms
) -> dict[str, Tensor]:
    """The squared gradient of each image's own loss, summed over the images.

    Args:
        x: images (N, P).
        c: conditions (N, C).
        loss: (model, x, c) -> terms (N,) whose sum is each image's loss; image n's may depend on
            row n alone.

    Returns:
        name -> a tensor of that parameter's shape.

    Raises:
        TypeError: the model has weights outside linear layers.
    """
    linears = {name: m for name, m in model.named_modules() if isinstance(m, nn.Linear)}
    covered = {f"{name}.{k}" for name, m in linears.items() for k, _ in m.named_parameters()}
    if odd := {name for name, _ in model.named_parameters()} - covered:
        raise TypeError(f"{', '.join(sorted(odd))}: the Fisher diagonal knows linear layers only")

    seen: dict[str, tuple[Tensor, Tensor]] = {}

    def remember(name: str) -> Callable[..., None]:
        def hook(_module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            seen[name] = (inputs[0].detach(), output)

        return hook

    hooks = [m.register_forward_hook(remember(name)) for name, m in linears.items()]
    try:
        total = torch.as_tensor(sum(term.sum() for term in loss(model, x, c)))
    finally:
        for hook in hooks:
            hook.remove()
    gradients = torch.autograd.grad(total, [output for _, output in seen.values()])
    squares = {}
    for (name, (a, _)), g in zip(seen.items(), gradients, strict=True):
        g2 = g.square()
        squares[f"{name}.weight"] = g2.T @ a.square()
        if linears[name].bias is not None:
            squares[f"{name}.bias"] = g2.sum(0)
    return {name: squares[name] for name, _ in model.named_parameters()}


def _own_samples(model: OneHotCVAE, config: FisherConfig) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches (x, c) of the model's own images, `config.samples` in all."""
    device = next(model.parameters()).device
    for start in range(0, config.samples, config.batch_size):
        n = min(config.batch_size, config.samples - start)
        c = torch.eye(model.classes, device=device)[
            torch.randint(model.classes, (n,), device=device)
        ]
        with torch.no_grad():
            x = model.decode(torch.randn(n, model.z_dim, device=device), c)
        yield x, c


def fisher_diagonal(
    model: OneHotCVAE,
    config: FisherConfig,
    seed: int,
    on_batch: Callable[[int, dict[str, Tensor]], None] | None = None,
) -> dict[str, Tensor]:
    """The Fisher diagonal of every weight, per image.

    Args:
        on_batch: called after each batch with the number of samples so far and the sums so far.
    """
    device = next(model.parameters()).device
    sums = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    seen = 0
    with seeded(seed, device):
        bar = tqdm(total=config.samples, desc="Fisher", unit="sample", mininterval=1)
        for x, c in _own_samples(model, config):
            for name, square in squared_gradients(model, x, c).items():
                sums[name] += square
            seen += len(x)
            bar.update(len(x))
            if on_batch is not None:
                on_batch(seen, sums)
        bar.close()
    return {name: total / seen for name, total in sums.items()}


def squared_batch_mean(model: OneHotCVAE, config: FisherConfig, seed: int) -> dict[str, Tensor]:
    """The common mistake, for comparison: the square of each batch's *mean* gradient, averaged."""
    device = next(model.parameters()).device
    total = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    batches = 0
    with seeded(seed, device):
        for x, c in _own_samples(model, config):
            bce, kl = elbo_terms(model, x, c)
            gradients = torch.autograd.grad((bce + kl).mean(), list(model.parameters()))
            for name, g in zip(total, gradients, strict=True):
                total[name] += g.square()
            batches += 1
    return {name: t / batches for name, t in total.items()}


def relative_error(estimate: dict[str, Tensor], reference: dict[str, Tensor]) -> float:
    """|estimate - reference| / |reference|, over all weights."""
    size = torch.stack([t.square().sum() for t in reference.values()]).sum()
    gap = torch.stack([(estimate[k] - t).square().sum() for k, t in reference.items()]).sum()
    return float((gap / size).sqrt())


def settling(
    model: OneHotCVAE, reference: dict[str, Tensor], counts: Sequence[int], seed: int
) -> list[float]:
    """The relative errors, against `reference`, of one estimate as its samples grow to each count.

    Use another seed than the reference's: the two must not share samples.
    """
    errors = []

    def compare(seen: int, sums: dict[str, Tensor]) -> None:
        if seen in counts:
            errors.append(relative_error({k: v / seen for k, v in sums.items()}, reference))

    config = FisherConfig(samples=max(counts), batch_size=math.gcd(*counts))
    fisher_diagonal(model, config, seed, on_batch=compare)
    return errors
