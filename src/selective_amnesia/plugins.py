"""Methods, attacks, metrics and data sets: one file each, found by the file's name.

A file of a reader's own lies in a folder that `SELECTIVE_AMNESIA_PLUGINS` names (several, as in
PATH), in a sub-folder named like the room that it belongs to: `forgetting`, `attacks`, `metrics` or
`data`. Everything that lists, makes, audits or draws finds it there.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import os
import pkgutil
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from types import ModuleType
from typing import Any

from .config import Config, Profile

VARIABLE = "SELECTIVE_AMNESIA_PLUGINS"


class Plugins(Mapping[str, ModuleType]):
    """The files of one room, by name; a file is imported when it is asked for.

    Args:
        kind: what one is called in messages: "method".
        package: the room, as "selective_amnesia.forgetting".
        shared: files of the room that are no plug-ins.
    """

    def __init__(self, kind: str, package: str, shared: Collection[str] = ()) -> None:
        self.kind, self.package, self.shared = kind, package, frozenset(shared)

    def _own(self) -> dict[str, Path]:
        """Files of the reader's own."""
        room = self.package.rpartition(".")[2]
        folders = [Path(f) / room for f in os.environ.get(VARIABLE, "").split(os.pathsep) if f]
        return {file.stem: file for folder in folders for file in sorted(folder.glob("[!_]*.py"))}

    def __iter__(self) -> Iterator[str]:
        room = sys.modules[self.package].__path__
        ours = {m.name for m in pkgutil.iter_modules(room) if m.name[0] != "_"} - self.shared
        return iter(sorted(ours | self._own().keys()))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __contains__(self, name: object) -> bool:
        return name in list(self)

    def __getitem__(self, name: str) -> ModuleType:
        """The file of that name.

        Raises:
            ValueError: there is none.
        """
        if name not in self:
            raise ValueError(f"{self.kind} {name!r} is unknown: use one of {', '.join(self)}")
        if (file := self._own().get(name)) is None:
            return importlib.import_module(f"{self.package}.{name}")
        known = f"selective_amnesia_plugins.{name}_{self.version(name)}"  # edited: loaded anew
        if (loaded := sys.modules.get(known)) is None:
            spec = importlib.util.spec_from_file_location(known, file)
            assert spec is not None
            assert spec.loader is not None
            loaded = importlib.util.module_from_spec(spec)
            sys.modules[known] = loaded
            try:
                spec.loader.exec_module(loaded)
            except BaseException:
                del sys.modules[known]  # half of it is not taken for all of it at the next call
                raise
        return loaded

    def title(self, name: str) -> str:
        """Its name as tables and figures write it: its NAME, or the file's with spaces."""
        return str(getattr(self[name], "NAME", name.replace("_", " ")))

    def titles(self) -> dict[str, str]:
        """Name -> title, in the order of the titles."""
        return dict(sorted(((name, self.title(name)) for name in self), key=lambda pair: pair[1]))

    def version(self, name: str) -> int | str:
        """What stands for its code in a stage's key: its VERSION, or a hash of a reader's file."""
        if (file := self._own().get(name)) is not None:
            return hashlib.sha256(file.read_bytes()).hexdigest()[:12]
        return int(getattr(self[name], "VERSION", 1))

    def settings(self, name: str, base: type[Config], profile: Profile, **changes: Any) -> Any:
        """Its settings: its own numbers, all others as the profile has them, and then the changes.

        Args:
            base: the class of its settings, where it has none of its own.

        Raises:
            ValueError: there is none of that name, or no such setting.
        """
        kind = getattr(self[name], "Settings", base)
        like = profile.like(kind)
        theirs = [each for each in kind.__mro__ if each not in type(like).__mro__]
        own = {name for each in theirs for name in inspect.get_annotations(each)}
        inherited = [] if like is None else [f.name for f in fields(like) if f.name not in own]
        known = [f.name for f in fields(kind)]
        if unknown := sorted(changes.keys() - set(known)):
            raise ValueError(
                f"{self.title(name)} has no {', '.join(unknown)}: use {', '.join(known)}"
            )
        return kind(**{setting: getattr(like, setting) for setting in inherited} | changes)
