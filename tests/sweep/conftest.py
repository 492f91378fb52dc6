from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import pytest

from selective_amnesia.sweep import worker

collect_ignore = [] if importlib.util.find_spec("distributed") else ["test_sweep.py"]


@pytest.fixture(autouse=True)
def fresh_labs() -> Iterator[None]:
    """A worker keeps its labs for as long as it lives: here for one test."""
    worker._opened.cache_clear()
    worker._lab.cache_clear()
    yield
    worker._opened.cache_clear()
    worker._lab.cache_clear()
