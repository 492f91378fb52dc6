"""A folder of files that may be anywhere: on another disk, on Drive, behind any URL of fsspec."""

from __future__ import annotations

import os
import time
import uuid
from contextlib import suppress
from functools import cached_property
from typing import Any

import fsspec
from fsspec.core import url_to_fs
from fsspec.utils import get_protocol

ABANDONED = 24 * 3600.0  # seconds after which a killed upload's temporary file is removed


class Place:
    """The folder `checkpoints` in a folder or URL. Everything but to name it may fail or stall.

    Args:
        url: a folder, which has to be there, or any URL that fsspec knows.

    Raises:
        ValueError: there is no such kind of place, or its package is missing.
    """

    def __init__(self, url: str) -> None:
        protocol = get_protocol(url)
        try:
            fsspec.get_filesystem_class(protocol)
        except (ValueError, ImportError) as error:
            raise ValueError(f"the mirror {url!r} cannot be opened: {error}") from error
        self.url = url
        self.local = protocol in ("file", "local")
        self.read_only = protocol in ("http", "https")

    @cached_property
    def _fs(self) -> Any:
        return url_to_fs(self.url)[0]

    @cached_property
    def root(self) -> str:
        """The path of the folder that holds `checkpoints`."""
        return str(url_to_fs(self.url)[1]).rstrip("/")

    def _at(self, name: str) -> str:
        return f"{self.root}/checkpoints/{name}"

    def read(self, name: str) -> bytes | None:
        """A file's content, or None where there is no such file.

        Raises:
            Exception: the place does not give it, or has gone; as all that follow.
        """
        self._fs.invalidate_cache()
        try:
            return bytes(self._fs.cat_file(self._at(name)))
        except FileNotFoundError:
            self._check_there()
            return None

    def write(self, name: str, content: bytes) -> None:
        """Write a file whole or not at all."""
        part = self._at(f".{name}.{uuid.uuid4().hex}.part")
        try:
            self._fs.pipe_file(part, content)
            self._fs.mv(part, self._at(name))
        except BaseException:
            with suppress(Exception):  # it may never have been there
                self._fs.rm_file(part)
            raise

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        with suppress(FileNotFoundError):
            self._fs.rm_file(self._at(name))

    def names(self) -> set[str]:
        """The files; their folder is made where it is missing, and abandoned uploads go."""
        folder = f"{self.root}/checkpoints"
        self._fs.invalidate_cache()
        self._check_there()
        if self.local:
            with suppress(FileExistsError):
                os.mkdir(folder)  # but none above it
        else:
            self._fs.makedirs(folder, exist_ok=True)
        try:
            paths = self._fs.ls(folder, detail=False)
        except FileNotFoundError:  # where folders are but a part of names
            return set()
        for path in paths:
            if path.endswith(".part"):
                with suppress(Exception):  # not every place tells a file's age
                    if time.time() - self._fs.modified(path).timestamp() > ABANDONED:
                        self._fs.rm_file(path)
        return {path.rpartition("/")[2] for path in paths}

    def _check_there(self) -> None:
        """A folder that has gone is a Drive that has gone: to make it anew on the local disk would
        keep Drive from coming back."""
        if self.local and not os.path.isdir(self.root):
            raise FileNotFoundError(f"the folder {self.root} is not there: mount or make it")
