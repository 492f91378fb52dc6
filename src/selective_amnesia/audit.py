r"""How much of a digit a model still holds, measured against a model that never saw it.

**Description length.** For real test images x_1 ... x_N of the digit, the fewest nats that a model
needs for them when the attacker may choose any condition:

    L = min_c  1/N sum_n min_z  [ BCE(x_n, decoder(z, c)) + |z|^2 / 2 ]

one c for all images, a code z for each, the best of several starts. Nothing but the decoder is
used: no classifier is asked, so there is none to be fooled.

**Erasure** places a model between the original, which knows the digit, and the control, which was
retrained without it: (L_model - L_original) / (L_control - L_original). 0 is untouched, 1 is as if
it had never been seen, above 1 is more ignorant than that.

**Relearning.** The decoder is fine-tuned on k real images of the digit under its own label; how
many steps until the referee recognises what it paints? A model in which the digit is only hidden
should be quicker than the control. Each image has a posterior N(mu_n, diag exp log_var_n) of its
own, which is fitted beside the weights, so that no encoder is needed:

    minimise  1/k sum_n  E_q [ BCE(x_n, decoder(z, e_digit)) ] + KL(q_n || N(0, I))

`audit` puts these and the attacks of `recovery.py` into one table, for any decoder.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from .config import DescriptionConfig, RelearningConfig, amount, count, forget_set
from .config import digit as a_digit
from .evaluation import bootstrap, probabilities
from .losses import nats_for
from .models import Referee, check_rows, one_hot, shaped
from .training import frame_steps, seeded

if TYPE_CHECKING:
    import pandas as pd

    from .lab import Lab

__all__ = [
    "area",
    "audit",
    "check_interface",
    "code_length",
    "description_length",
    "erasure",
    "erasure_with_interval",
    "relearning",
    "steps_to",
]


def description_length(
    model: nn.Module,
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
    check_interface(model)
    check_rows("images", images)
    starts = list(range(model.classes) if starts is None else starts)
    if not starts:
        raise ValueError("there are no starts: name at least one digit")
    for start in starts:
        a_digit(start, model.classes)
    c = torch.eye(model.classes, device=images.device)[starts].unsqueeze(1)
    if config.more_starts:
        with seeded(0, images.device):
            more = torch.randn(config.more_starts, 1, model.classes, device=images.device)
        c = torch.cat([c, more])
    found, c, z = _search(model, images, c, config, label, free=True)
    best = found.mean(1).argmin()
    if not config.polish:
        return found[best]
    return _polish(model, images, c[best, 0], z[best], config.polish)


def code_length(
    model: nn.Module, images: Tensor, c: Tensor, config: DescriptionConfig, label: str = "codes"
) -> Tensor:
    """The nats (N,) of images (N, P), each under its own condition c (N, C), which stays: what an
    honest user of the labels needs. `label` is what the progress bar says; without one there is
    none."""
    check_interface(model)
    check_rows("images", images)
    shaped(images=(images, "N P"), conditions=(c, f"N {model.classes}"))
    return _search(model, images, c.unsqueeze(0), config, label, free=False)[0][0]


def _nats(model: nn.Module, x: Tensor, z: Tensor, c: Tensor) -> Tensor:
    """BCE(x, decoder(z, c)) + |z|^2 / 2 for images (N, P), codes (S, N, D), conditions (S, 1 or N,
    C): (S, N)."""
    conditions = c.expand(*z.shape[:2], -1).flatten(0, 1)
    logits = model.decode_logits(z.flatten(0, 1), conditions).unflatten(0, z.shape[:2])
    return nats_for(logits, x.expand(len(z), -1, -1), z)


def _search(
    model: nn.Module, x: Tensor, c: Tensor, config: DescriptionConfig, label: str, *, free: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """The fewest nats (S, N) from S starts, with the conditions and codes that take them."""
    c = c.clone().requires_grad_(free)
    z = torch.zeros(len(c), len(x), model.z_dim, device=x.device, requires_grad=True)
    sought = [c, z] if free else [z]
    optimiser = torch.optim.Adam(sought, lr=config.lr)
    decay = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.05, config.steps)
    for _ in tqdm(range(config.steps), desc=label, unit="step", disable=not label):
        optimiser.zero_grad(set_to_none=True)
        _nats(model, x, z, c).sum().backward(inputs=sought)
        optimiser.step()
        decay.step()
    with torch.no_grad():
        return _nats(model, x, z, c), c, z


def _polish(model: nn.Module, x: Tensor, c: Tensor, z: Tensor, steps: int) -> Tensor:
    """The nats (N,) after L-BFGS from there."""
    c, z = (t.detach().clone().requires_grad_() for t in (c, z))
    optimiser = torch.optim.LBFGS([c, z], max_iter=steps, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        total = _nats(model, x, z[None], c[None, None]).mean()
        c.grad, z.grad = torch.autograd.grad(total, [c, z])
        return total

    optimiser.step(closure)
    with torch.no_grad():
        return _nats(model, x, z[None], c[None, None])[0]


def erasure(model: Tensor, original: Tensor, control: Tensor) -> float:
    """Where a model's nats (N,) lie between the original's (0) and the control's (1)."""
    shaped(model=(model, "N"), original=(original, "N"), control=(control, "N"))
    low, high = original.mean(), control.mean()
    if low == high:
        raise ValueError("original and control need the same nats: there is nothing to erase")
    return float((model.mean() - low) / (high - low))


def erasure_with_interval(
    model: Tensor, original: Tensor, control: Tensor, draws: int = 2000, seed: int = 0
) -> tuple[float, float, float]:
    """The erasure and its 95 % bootstrap interval over the test images, the same for all three."""
    value = erasure(model, original, control)
    rows = bootstrap(len(model), draws, seed)
    m, o, c = (nats.cpu().double()[rows].mean(1) for nats in (model, original, control))
    low, high = ((m - o) / (c - o)).quantile(torch.tensor([0.025, 0.975], dtype=torch.float64))
    return value, float(low), float(high)


def relearning(
    model: nn.Module,
    images: Tensor,
    digit: int,
    referee: Referee,
    config: RelearningConfig,
    *,
    seed: int,
) -> Tensor:
    """Fine-tune a copy of the decoder on real images of the digit, and watch it come back.

    Args:
        model: anything with the decoder's interface and weights; it is left as it was.
        images: (k, P) in [0, 1].

    Returns:
        The referee's mean probability of the digit for samples under its plain label, at the
        steps `frame_steps(config.steps, config.looks)`, one each.
    """
    check_interface(model)
    check_rows("images", images)
    a_digit(digit, model.classes)
    model = copy.deepcopy(model).requires_grad_(True)
    device, k = images.device, len(images)
    c = one_hot(digit, model.classes, device)
    watched, curve = frame_steps(config.steps, config.looks), []

    def look(z: Tensor) -> None:
        with torch.no_grad():
            painted = model.decode(z, c.expand(len(z), -1))
        curve.append(probabilities(referee, painted)[:, digit].mean())

    with seeded(seed, device):
        z = torch.randn(config.samples, model.z_dim, device=device)
        mu = torch.zeros(k, model.z_dim, device=device, requires_grad=True)
        log_var = torch.zeros(k, model.z_dim, device=device, requires_grad=True)
        groups = [
            {"params": [p for p in model.parameters() if p.requires_grad], "lr": config.lr},
            {"params": [mu, log_var], "lr": config.code_lr},
        ]
        optimiser = torch.optim.Adam(groups)
        look(z)
        for step in range(1, config.steps + 1):
            drawn = mu + (0.5 * log_var).exp() * torch.randn_like(mu)
            logits = model.decode_logits(drawn, c.expand(k, -1))
            bce = F.binary_cross_entropy_with_logits(logits, images, reduction="none").sum(-1)
            kl = 0.5 * (mu.square() + log_var.exp() - 1 - log_var).sum(-1)
            optimiser.zero_grad(set_to_none=True)
            (bce + kl).mean().backward()
            optimiser.step()
            if step in watched:
                look(z)
    return torch.stack(curve)


def steps_to(curve: Tensor, watched: Sequence[int], level: float = 0.5) -> int | None:
    """The first watched step at which a curve has reached the level, or None."""
    _check_watched(watched, curve, "L")
    reached = (curve >= amount("level", level)).nonzero()
    return watched[int(reached[0])] if len(reached) else None


def audit(model: nn.Module, lab: Lab, forget: Iterable[int] | str) -> pd.DataFrame:
    """Everything that the lab can ask a model that claims to have forgotten, in one table.

    Args:
        model: anything with the decoder's interface: `decode(z, c)` and `decode_logits(z, c)` for
            codes (N, z_dim) and conditions (N, classes), and weights.
        lab: where original, control, judge and referee come from, and where results are kept.
        forget: the forget set that the model claims.

    Returns:
        A row for each digit and measure; columns "original", "model", "control". A number of
        steps is that of the mean over draws, NaN where the digit did not come back.

    Raises:
        TypeError: the model lacks the interface.
        ValueError: it is a model of the lab that has forgotten something else.
    """
    import pandas as pd

    from .stages import facts_of

    check_interface(model)
    forget = forget_set(forget, lab.classes)
    known = facts_of(model).get("forget", forget)
    if tuple(known) != forget:
        raise ValueError(
            f"the model forgot {tuple(known)}, the control would never have seen {forget}: ask "
            "for the audit of what the model forgot"
        )
    models = {"original": lab.cvae(), "model": model, "control": lab.control(forget)}
    tables = {}
    for digit in forget:
        table = pd.DataFrame({name: _measures(m, lab, digit) for name, m in models.items()})
        nats = {name: lab.description_length(m, digit) for name, m in models.items()}
        ends = nats["original"], nats["control"]
        erased = [erasure_with_interval(n, *ends) for n in nats.values()]
        for row, values in zip(("", ", 2.5 %", ", 97.5 %"), zip(*erased, strict=True), strict=True):
            table.loc[f"erasure{row}"] = values
        tables[digit] = table
    return pd.concat(tables, names=["digit", "measure"])


def _measures(model: nn.Module, lab: Lab, digit: int) -> dict[str, float]:
    """The rows of one digit and model that need no other model."""
    rows = {}
    for method, name in (("label", "plain label"), ("a", "attack A"), ("b", "attack B")):
        seen = lab.verdict(model, digit, method)
        rows[f"{name}: judge's P"] = float(seen.judge.mean())
        rows[f"{name}: referee's P"] = float(seen.referee.mean())
        rows[f"{name}: diversity"] = float(seen.diversity)
        rows[f"{name}: Frechet distance"] = float(seen.frechet)
    config, curves = lab.profile.relearning, lab.relearning(model, digit)
    watched = frame_steps(config.steps, config.looks)
    for k, draws in zip(config.images, curves, strict=True):
        back = steps_to(draws.mean(0), watched)
        rows[f"relearning from {k}: steps"] = float("nan") if back is None else back
        rows[f"relearning from {k}: mean P"] = float(area(draws, watched).mean())
    rows["description length (nats)"] = float(lab.description_length(model, digit).mean())
    return rows


def area(curves: Tensor, watched: Sequence[int]) -> Tensor:
    """The mean over all steps of curves (..., looks) that were watched at some: (...)."""
    _check_watched(watched, curves, "... L")
    steps = torch.tensor(watched, dtype=curves.dtype)
    return torch.trapezoid(curves, steps) / (steps[-1] - steps[0])


def _check_watched(watched: Sequence[int], curves: Tensor, shape: str) -> None:
    """Raises ValueError where curves were not watched at those steps."""
    steps = [count("a watched step", step, 0) for step in watched]
    if len(steps) < 2 or steps != sorted(set(steps)):
        raise ValueError(f"watched are {watched}: use two or more steps, one after another")
    shaped(curves=(curves, shape.replace("L", str(len(steps)))))


def check_interface(model: nn.Module) -> None:
    """Raises TypeError where the model lacks what an audit needs of a decoder."""
    needed = ("decode", "decode_logits", "classes", "z_dim")
    if missing := [name for name in needed if not hasattr(model, name)]:
        raise TypeError(
            f"{type(model).__name__} has no {', '.join(missing)}: an audit needs the interface "
            "of OneHotCVAE's decoder"
        )
