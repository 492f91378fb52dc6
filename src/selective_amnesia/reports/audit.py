"""Everything that the lab can ask a model that claims to have forgotten, in one table."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd

from .. import checks
from ..attacks import ATTACKS
from ..checks import forget_set
from ..config import Config
from ..lab.identity import identify
from ..lab.lab import Lab
from ..lab.measurements import LABEL
from ..metrics import METRICS, rows
from ..metrics.description import erasure_with_interval


def ways() -> dict[str, str]:
    """The ways of asking a model for a label, and their words: the plain label, and each attack."""
    return {LABEL: "plain label"} | {
        name: f"attack {title}" for name, title in ATTACKS.titles().items()
    }


def audit(model: Any, lab: Lab, forget: Iterable[int] | str) -> pd.DataFrame:
    """The audit of any model with the decoder's interface (`models.cvae.Decoder`) and weights.

    Args:
        lab: where original, control, judge and panel come from, and where results are kept.
        forget: the forget set that the model claims.

    Returns:
        A row for each label and measure; columns "original", "model", "control". A number of
        steps is that of the mean over draws, NaN where the label did not come back.

    Raises:
        TypeError: the model lacks the interface.
        ValueError: it is a model of the lab that has forgotten something else.
    """
    checks.decoder(model)
    forgotten = forget_set(forget, lab.data.classes)
    known = identify(model, lab.device).forget
    if known is not None and known != forgotten:
        raise ValueError(
            f"the model forgot {known}, the control would never have seen {forgotten}: ask for "
            "the audit of what the model forgot"
        )
    models = {"original": lab.cvae(), "model": model, "control": lab.control(forgotten)}
    tables = {}
    for label in forgotten:
        table = pd.DataFrame({n: _rows(lab, m, label, forgotten) for n, m in models.items()})
        nats = {
            name: lab.measure.metric(m, label, "description", forgotten)
            for name, m in models.items()
        }
        ends = nats["original"], nats["control"]
        erased = [erasure_with_interval(values, *ends) for values in nats.values()]
        for row, each in zip(("", ", 2.5 %", ", 97.5 %"), zip(*erased, strict=True), strict=True):
            table.loc[f"erasure{row}"] = each
        tables[label] = table
    return pd.concat(tables, names=["label", "measure"])


def _rows(lab: Lab, model: Any, label: int, forget: tuple[int, ...]) -> dict[str, float]:
    """The rows of one label and model that need no other model."""
    found = {}
    for way, words in ways().items():
        seen = lab.measure.verdict(model, label, way)
        found[f"{words}: judge's P"] = float(seen.judge.mean())
        found[f"{words}: panel's share"] = float(seen.panel.mean())
        found[f"{words}: diversity"] = float(seen.diversity)
        found[f"{words}: Frechet distance"] = float(seen.frechet)
    for metric in METRICS:
        values = lab.measure.metric(model, label, metric, forget)
        found |= rows(metric, values, METRICS.settings(metric, Config, lab.profile))
    return found
