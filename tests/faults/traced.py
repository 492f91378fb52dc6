"""Loaded by every worker of a sweep that is disturbed (Dask's `preload`): each stage's beginning
and end is appended to the file that SWEEP_TRACE names, with the worker's process."""

from __future__ import annotations

import os

from selective_amnesia.storage import store

TRACE = os.open(os.environ["SWEEP_TRACE"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
# Dask loads this file more than once in a process
make, keep = vars(store).setdefault("untraced", (store.Store._make, store.Store._keep))


def note(key: str, what: str) -> None:
    os.write(TRACE, f"{key} {what} {os.getpid()}\n".encode())


def noted_make(self, stage, *rest):
    note(stage.key, "begun")
    return make(self, stage, *rest)


def noted_keep(self, key, *rest):
    keep(self, key, *rest)
    note(key, "made")


store.Store._make, store.Store._keep = noted_make, noted_keep
