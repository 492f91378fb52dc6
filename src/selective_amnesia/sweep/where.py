"""Which cluster a sweep runs on, as the command line names it."""

from __future__ import annotations

import os
from dataclasses import dataclass

from ..checks import count


@dataclass(frozen=True)
class Where:
    """Which cluster: a scheduler's by its address or file, or one of so many processes here.

    Raises:
        ValueError: what is given does not go together.
    """

    workers: int | None = None
    scheduler: str = ""
    scheduler_file: str = ""
    resources: tuple[str, ...] = ()  # what each task takes of its worker, as "GPU=1"

    def __post_init__(self) -> None:
        remote = bool(self.scheduler) + bool(self.scheduler_file) + (self.workers is not None)
        if remote > 1:
            raise ValueError("name one of --workers, --scheduler and --scheduler-file")
        if self.workers is not None:
            count("workers", self.workers)
        if self.resources and not (self.scheduler or self.scheduler_file):
            raise ValueError(
                "--resources belong to a scheduler's workers: name one by --scheduler or "
                "--scheduler-file"
            )
        self.taken()

    @property
    def processes(self) -> int:
        """How many processes a cluster here has."""
        return self.workers or os.cpu_count() or 1

    def taken(self) -> dict[str, float]:
        """The resources by name."""
        found = {}
        for given in self.resources:
            name, _, amount = given.partition("=")
            try:
                found[name] = float(amount)
            except ValueError as error:
                raise ValueError(f"resource {given!r} is not valid: use NAME=NUMBER") from error
        return found
