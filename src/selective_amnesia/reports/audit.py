"""One model among the recorded controls: what gives it away, the strongest tell first."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .. import checks
from ..checks import forget_set, words
from ..forgetting import RETRAIN
from ..lab.identity import identify
from ..lab.lab import Lab
from ..metrics.distinguish import ACCESS
from ..storage.home import repository
from .features import access, features, is_feature, measures
from .population import ORIGINAL, like, read_population, record_of
from .told import LEAST, TOGETHER


def audit(
    model: Any, lab: Lab, forget: Iterable[int] | str, record: Path | None = None
) -> pd.DataFrame:
    """The audit of any model with the decoder's interface (`models.cvae.Decoder`) and weights. No
    control is trained: they are read from a record of populations. Of a set that has none there the
    model's own figures are given, and a sentence says so.

    Args:
        lab: where original, judge and panel come from, and where results are kept.
        forget: the forget set that the model claims.
        record: by default the lab's own or, where it has none, the committed one.

    Returns:
        Of each label a row for all that an access sees together, then one for each feature, the
        strongest tell first. Columns: "model"; the medians of "originals" and "controls";
        "percentile" of the model among the controls; "p", how often a further control would be as
        far out, on either side: at least 2 / (N + 1), of all together 1 / (N + 1), for N controls.
        Of equal p that feature is first which lies the most standard deviations from the mean.

    Raises:
        TypeError: the model lacks the interface.
        ValueError: it is a model of the lab that has forgotten something else.
        LabError: the record is damaged.
    """
    checks.decoder(model)
    forgotten = forget_set(forget, lab.data.classes)
    known = identify(model, lab.device).forget
    if known is not None and known != forgotten:
        raise ValueError(
            f"the model forgot {known}, the controls would never have seen {forgotten}: ask for "
            "the audit of what the model forgot"
        )
    rows = like(lab, read_population(record or recorded(lab)), forgotten)
    rows = rows[rows["failed"].eq("")]
    if rows.empty:
        print(
            f"the record has no controls without {words(forgotten)} of {lab.data.name}, profile "
            f"{lab.profile.name}, judged by seed {lab.seed}: figures of the model alone"
        )
    judges, original = measures(lab), lab.cvae()
    tables = {}
    for label in forgotten:
        found = features(judges, model, label, forgotten, original)
        mine = pd.Series({name: v for name, v in found.items() if is_feature(name)})
        tables[label] = placed(mine, rows[rows["label"].eq(label)])
    return pd.concat(tables, names=["label", "access", "feature"])


def recorded(lab: Lab) -> Path:
    """The lab's own record of populations or, where it has none, the committed one."""
    name = record_of(lab.data.name)
    own = lab.store.folder / name
    return own if own.is_file() else repository() / name


def placed(model: pd.Series, rows: pd.DataFrame) -> pd.DataFrame:
    """A model's features among those of recorded models of the same label (see `audit`)."""
    shared = [n for n in model.index if n in rows and rows[n].notna().all()]
    model, rows = model.astype(float), rows.reindex(columns=["kind", *model.index])
    controls, originals = (rows[rows["kind"].eq(k)] for k in (RETRAIN, ORIGINAL))
    table = pd.DataFrame({"model": model})
    for name, kind in (("originals", originals), ("controls", controls)):
        table[name] = kind[model.index].median()
    never = controls[model.index]
    below, above = (never < model).sum(), (never > model).sum()
    count = len(never)
    table["percentile"] = 100 * (1 + (below - above) / max(count, 1)) / 2
    table["p"] = (2 * (count - np.maximum(below, above) + 1) / (count + 1)).clip(upper=1)
    far = ((model - never.mean()) / never.std()).abs()
    table.loc[~table.index.isin(shared) | (count == 0), ["percentile", "p"]] = np.nan
    table = table.assign(far=-far).sort_values(["p", "far"]).drop(columns="far")
    tiers = {}
    if count >= LEAST:
        for tier in ACCESS:
            seen = [n for n in shared if ACCESS.index(access(n)) <= ACCESS.index(tier)]
            found = together(model[seen].to_numpy(), never[seen].to_numpy(float))
            tiers[f"{tier}: {TOGETHER}"] = {"p": found}
    table = pd.concat([pd.DataFrame.from_dict(tiers, orient="index"), table])[table.columns]
    table.index = pd.MultiIndex.from_tuples([tuple(n.split(": ", 1)) for n in table.index])
    return table


def together(model: NDArray[Any], controls: NDArray[Any]) -> float:
    """How often a further control would lie as far as the model (F,) from the controls (N, F), by
    its distance from all others in their shrunk covariance (Ledoit & Wolf); each control is
    measured in the same way, so the rank is fair."""
    from sklearn.covariance import LedoitWolf

    every = np.vstack([model, controls])
    spread = every.std(0)
    every = every[:, spread > 0] / spread[spread > 0]
    distances = np.array(
        [
            LedoitWolf().fit(np.delete(every, i, 0)).mahalanobis(every[i : i + 1])[0]
            for i in range(len(every))
        ]
    )
    return float((distances >= distances[0]).mean())
