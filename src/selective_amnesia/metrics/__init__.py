"""What is asked of a model that claims to have forgotten: one small file a metric, found by its
name.

A metric's file holds

    measure    task -> values (...), a tensor that is kept; tables and the never-saw test take its
               mean
    Settings   if it has numbers of its own: a subclass of `config.Config`
    NAME       if tables write it otherwise than the file
    VERSION    raised when the file changes what it measures
"""

from __future__ import annotations

from ..plugins import Plugins

__all__ = ["METRICS"]

SHARED = ("distinguish", "erasure", "frechet", "perceptual", "recognition", "statistics", "task")
METRICS = Plugins("metric", __name__, SHARED)
