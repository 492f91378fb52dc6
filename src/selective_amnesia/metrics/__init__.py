"""What is asked of a model that claims to have forgotten: one small file a metric, found by its
name.

A metric's file holds

    measure    task -> values (...), a tensor that is kept
    Settings   if it has numbers of its own: a subclass of `config.Config`
    rows       if a table shows more than the values' mean: (values, settings) -> numbers by name
    NAME       if tables write it otherwise than the file
    VERSION    raised when the file changes what it measures
"""

from __future__ import annotations

from torch import Tensor

from ..config import Config
from ..plugins import Plugins

__all__ = ["METRICS", "rows"]

SHARED = ("distinguish", "erasure", "frechet", "perceptual", "recognition", "statistics", "task")
METRICS = Plugins("metric", __name__, SHARED)


def rows(metric: str, values: Tensor, settings: Config) -> dict[str, float]:
    """What a table shows of a metric's values."""
    module = METRICS[metric]
    if hasattr(module, "rows"):
        shown: dict[str, float] = module.rows(values, settings)
        return shown
    return {METRICS.title(metric): float(values.float().mean())}
