"""How stages are kept: what names one, where its files lie, and how it is finished.

A stage's files are named by what it is and by a hash of every setting and parent that shaped it,
so a changed setting never meets a stale file. `lab.Lab` says which stages there are.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from . import checkpoint
from .checkpoint import Checkpoint, LabError, Snapshot
from .config import Profile, same_result
from .data import Dataset, load
from .locks import alone
from .training import MEMORY, Diverged, Keeper, Tensors

__all__ = ["Stage", "Stages", "facts_of", "home", "name_of", "under"]

COLAB, NAME = Path("/content"), "selective-amnesia-lab"
AT_ONCE = {"cpu": 2, "cuda": 64}  # models in one stack: more of them leave a processor's cache
RECIPE = 1  # part of every stage's hash: raise it when a recipe changes without its settings


Trained = tuple[nn.Module, Tensors, dict[str, Any]]  # a network, its history, facts


@dataclass(frozen=True)
class Stage:
    """What a stage is: its name, all settings that shape its result, and its parents."""

    name: str
    settings: dict[str, Any]
    parents: tuple[Stage, ...] = ()

    @cached_property
    def key(self) -> str:
        """The name with a hash: the name of its files."""
        shaped_by = {
            "name": self.name,
            "settings": self.settings,
            "parents": [parent.key for parent in self.parents],
            "recipe": RECIPE,
        }
        digest = hashlib.sha256(json.dumps(shaped_by, sort_keys=True).encode()).hexdigest()
        return f"{self.name}-{digest[:12]}"


class Stages:
    """The folder of one profile, seed and data set, and the stages kept there."""

    def __init__(
        self, profile: Profile, seed: int, dataset: str, folder: Path, device: torch.device
    ) -> None:
        self.profile, self.seed, self.dataset = profile, seed, dataset
        self.device = device
        self._folder = folder
        self.used: dict[str, str] = {}  # the stages asked for: name -> SHA-256 of the tensors

    @property
    def folder(self) -> Path:
        """Where the lab keeps its files.

        Raises:
            LabError: it has gone since the lab was opened, as a Drive does that is disconnected.
        """
        if not os.path.isdir(self._folder):
            raise LabError(
                f"the folder {self._folder} is gone: mount Drive again (run the notebook from its "
                "first cell) or bring the folder back; what is kept there is intact, and work "
                "goes on from it."
            )
        return self._folder

    @cached_property
    def data(self) -> Dataset:
        """The images, on the device; fetched on first use, which says from where."""
        data = load(self.dataset, self.folder / "data", self.device)
        print(data)
        return data

    def seed_of(self, name: str) -> int:
        """The seed of a stage: its own, derived from the lab's."""
        return int(hashlib.sha256(f"{self.seed} {name}".encode()).hexdigest()[:8], 16)

    def _stage(self, name: str, config: Any, parents: tuple[Stage, ...] = ()) -> Stage:
        shaped_by = same_result(config)
        if not parents:
            shaped_by |= {"seed": self.seed, "dataset": self.dataset}
        return Stage(name, shaped_by, parents)

    def _about(self, name: str, config: Any, **models: nn.Module) -> Stage:
        """A stage about finished models; `name` says of which.

        Raises:
            ValueError: a model is on another device than the lab.
        """
        for role, model in models.items():
            for weights in model.state_dict().values():
                if weights.device.type != self.device.type:
                    raise ValueError(
                        f"the {role} is on {weights.device.type} and this lab on "
                        f"{self.device.type}: move it with .to(lab.device)"
                    )
        files = {role: fingerprint(model) for role, model in models.items()}
        about = {"seed": self.seed, "dataset": self.dataset}
        return Stage(name, same_result(config) | files | about)

    def _path(self, stage: Stage) -> Path:
        return self.folder / "checkpoints" / stage.key

    def _finish(
        self, stage: Stage, make: Callable[[Keeper], tuple[Tensors, dict[str, Any]]]
    ) -> Checkpoint:
        """The stage's checkpoint: read if it is finished, else made, from its snapshot if any. Its
        tensors are on the CPU.

        Another process that makes it at this moment is waited for.
        """
        path = self._path(stage)
        if (found := checkpoint.read(path)) is None:
            with alone(path, stage.name):
                found = checkpoint.read(path) or self._make(stage, path, make)
        checkpoint.clear(path)
        self.used[stage.key] = found.facts["sha256"]
        return found

    def _make(
        self, stage: Stage, path: Path, make: Callable[[Keeper], tuple[Tensors, dict[str, Any]]]
    ) -> Checkpoint:
        checkpoint.sweep(path)
        try:
            tensors, facts = make(Snapshot(path))
        except torch.OutOfMemoryError as error:
            raise LabError(f"{stage.name}: the GPU ran out of memory. {MEMORY}") from error
        self._write(path, stage, tensors, facts)
        return checkpoint.read(path)

    def _write(self, path: Path, stage: Stage, tensors: Tensors, facts: dict[str, Any]) -> None:
        facts |= {
            "stage": stage.name,
            "settings": stage.settings,
            "parents": [parent.key for parent in stage.parents],
            "device": str(self.device),
            "versions": {"python": platform.python_version(), "torch": torch.__version__},
            "date": time.strftime("%Y-%m-%d"),
        }
        checkpoint.write(path, Checkpoint(tensors, facts))

    def _networks(
        self,
        stages: Sequence[Stage],
        make: Callable[[Sequence[int], Keeper], list[Trained]],
        blank: Callable[[], nn.Module],
    ) -> list[Any]:
        """The trained networks of stages of one kind. Those that nobody has begun are made side by
        side, as many as pays on this device, in a run with snapshots of its own.

        Args:
            make: which of the stages to make, by their places in `stages` -> the networks.
        """
        places = list({stage.key: i for i, stage in enumerate(stages)}.values())  # each once
        most = AT_ONCE.get(self.device.type, 1)
        for first in range(0, len(places), most):
            self._make_together(stages, places[first : first + most], make)
        return [
            self._network(stage, lambda keeper, i=i: make([i], keeper)[0], blank)
            for i, stage in enumerate(stages)
        ]

    def _make_together(
        self,
        stages: Sequence[Stage],
        places: Sequence[int],
        make: Callable[[Sequence[int], Keeper], list[Trained]],
    ) -> None:
        """Make those of the stages at some places that are not begun, if they are more than one or
        were begun together. What fails here is left to be made one by one."""
        paths = {i: self._path(stages[i]) for i in places}
        run = self._path(Stage("together", {"stages": [stages[i].key for i in places]}))
        keeper = Snapshot(run)
        if len(places) < 2 or all(_begun(path) for path in paths.values()):
            keeper.drop()
            return
        with ExitStack() as locks:
            for path in sorted(paths.values()):
                locks.enter_context(alone(path, path.name.rpartition("-")[0]))
            checkpoint.sweep(run)
            missing = [i for i in places if checkpoint.read(paths[i]) is None]
            if (state := keeper.load()) is not None:
                chosen = [places[k] for k in state["members"].tolist()]
            else:
                chosen = [i for i in missing if not _begun(paths[i])]
            if not set(chosen) & set(missing) or (state is None and len(chosen) < 2):
                keeper.drop()
                return
            keeper.also = {"members": torch.tensor([places.index(i) for i in chosen])}
            try:
                for i, trained in zip(chosen, make(chosen, keeper), strict=True):
                    if i in missing:
                        checkpoint.sweep(paths[i])
                        self._write(paths[i], stages[i], *_as_stored(trained))
            except (Diverged, torch.OutOfMemoryError) as error:
                print(f"{error} They are made one by one instead.")
            keeper.drop()

    def _network(
        self, stage: Stage, make: Callable[[Keeper], Trained], blank: Callable[[], nn.Module]
    ) -> Any:
        """A trained network with its `history` (tensors by name) and `facts` attached."""
        found = self._finish(stage, lambda keeper: _as_stored(make(keeper)))
        model = blank().to(self.device)
        model.load_state_dict(under("model.", found.tensors))
        model.eval()
        model.history = under("history.", found.tensors)
        model.facts = found.facts | {"weights": _hash(model)}
        return model


def _begun(path: Path) -> bool:
    """Whether a stage is finished, or has a snapshot of its own."""
    return any(os.path.isfile(f"{path}{suffix}") for suffix in (".json", ".partial"))


def _as_stored(trained: Trained) -> tuple[Tensors, dict[str, Any]]:
    model, history, facts = trained
    tensors = {f"model.{k}": v for k, v in model.state_dict().items()}
    tensors |= {f"history.{k}": v for k, v in history.items() if k != "seconds"}
    return tensors, {**facts, "seconds": float(history["seconds"])}


def facts_of(model: nn.Module) -> dict[str, Any]:
    """What the lab knows of a model: nothing of a reader's own, nor of one of the lab's whose
    weights have been changed since."""
    facts = getattr(model, "facts", {})
    return facts if facts.get("weights") == _hash(model) else {}


def fingerprint(model: nn.Module) -> str:
    """The name of the model's files or, where the lab does not know it, a hash of its weights and
    of what it paints: its code may be a reader's own, and change."""
    return facts_of(model).get("name") or _hash(model, painting=True)


def name_of(model: nn.Module) -> str:
    """The model's stage, or its fingerprint."""
    return facts_of(model).get("stage") or fingerprint(model)


def _hash(model: nn.Module, painting: bool = False) -> str:
    digest = hashlib.sha256(type(model).__qualname__.encode())
    weights = model.state_dict()
    for name, tensor in weights.items():
        digest.update(name.encode() + _bytes(tensor))
    if painting and all(hasattr(model, name) for name in ("decode_logits", "classes", "z_dim")):
        device = next((tensor.device for tensor in weights.values()), None)
        c = torch.eye(model.classes, device=device)
        z = torch.linspace(-2, 2, model.classes * model.z_dim, device=device)
        with torch.no_grad():
            digest.update(_bytes(model.decode_logits(z.view(model.classes, -1), c)))
    return digest.hexdigest()[:12]


def _bytes(tensor: Tensor) -> bytes:
    return tensor.detach().cpu().flatten().contiguous().view(torch.uint8).numpy().tobytes()


def under(prefix: str, tensors: Tensors) -> Tensors:
    """The tensors whose names begin with the prefix, without it."""
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def home() -> Path:
    """Where the lab keeps its files.

    SELECTIVE_AMNESIA_HOME if it is set; on Colab a folder in the mounted Drive, or on the local
    disk where Drive is refused; else the repository, or the current folder outside of one.
    """
    if chosen := os.environ.get("SELECTIVE_AMNESIA_HOME"):
        return Path(chosen).expanduser().absolute()
    try:
        from google.colab import drive
    except ImportError:
        repository = Path(__file__).resolve().parents[2]
        return repository if (repository / "pyproject.toml").is_file() else Path.cwd()
    local, mounted = COLAB / NAME, COLAB / "drive" / "MyDrive"
    try:
        drive.mount(str(COLAB / "drive"))
        if not os.path.isdir(mounted):  # a mount that has died still counts as one
            drive.mount(str(COLAB / "drive"), force_remount=True)
        if not os.path.isdir(mounted):
            raise OSError("it is mounted but does not answer")
    except Exception as error:  # whatever Colab raises: refused, timed out, no account
        print(
            f"Drive is not mounted ({error}): checkpoints stay in {local} "
            "and are lost when this runtime ends. Run this cell again to mount it."
        )
        return local
    if os.path.isdir(local / "checkpoints"):
        print(
            f"{local} holds checkpoints of this runtime; to keep them on Drive: "
            f"!mkdir -p {mounted / NAME} && cp -rn {local}/checkpoints {mounted / NAME}/"
        )
    return mounted / NAME
