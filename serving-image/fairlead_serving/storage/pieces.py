"""Copying a model's objects to the disk: several pieces at a time, each written once, however often it is tried."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fairlead_serving.digest import hash_file
from fairlead_serving.errors import LoadError

# So many bytes at once are in memory, and so many of them are lost when an attempt fails.
_PIECE: Final = 4 * 1024 * 1024
_PARALLEL: Final = 8
_DONE: Final = b"\1"


@dataclass(frozen=True, slots=True)
class Remote:
    """An object of a storage. What has its key, version and size is the same object; without a version nothing is."""

    key: str
    size: int
    version: str | None


Read = Callable[[Remote, int, int], memoryview]
"""Reads the bytes of an object from a start to a stop; raises LoadError or StorageUnreachableError."""


@dataclass(frozen=True, slots=True)
class Copy:
    """One object on its way to the disk; `journal` has a byte for each piece, 1 for those that have been written."""

    remote: Remote
    content: Path
    journal: Path

    @property
    def pieces(self) -> int:
        """How many pieces there are."""
        return -(-self.remote.size // _PIECE)

    def move(self, path: Path) -> None:
        """Give the content its place."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.content.rename(path)
        self.drop()

    def drop(self) -> None:
        """Forget what has been copied."""
        for path in (self.content, self.journal):
            with suppress(OSError):
                path.unlink()


def copied(objects: Mapping[str, Remote], read: Read, folder: Path) -> dict[str, Copy]:
    """Copy objects into a folder and return the copies by the objects' names.

    What has been copied so far stays in the folder for the next attempt. Raises LoadError where the disk is too small;
    what `read` raises passes through.
    """
    folder.mkdir(parents=True, exist_ok=True)
    size, room = sum(remote.size for remote in objects.values()), shutil.disk_usage(folder).total
    if size > room:
        message = f"the model has {size} bytes, and the whole disk of the cache {room}"
        raise LoadError(message)
    copies = {name: _prepared(remote, folder) for name, remote in objects.items()}
    with ThreadPoolExecutor(_PARALLEL, "download") as pool:
        tasks = [(copy, number) for copy in copies.values() for number in range(copy.pieces)]
        waiting = [pool.submit(_fetch, read, copy, number) for copy, number in tasks]
        try:
            for future in waiting:
                future.result()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return copies


def hashes(copies: Mapping[str, Copy]) -> dict[str, str]:
    """Return the SHA-256 of each copy in hex."""
    with ThreadPoolExecutor(2, "digest") as pool:
        return dict(zip(copies, pool.map(lambda copy: hash_file(copy.content), copies.values()), strict=True))


def _prepared(remote: Remote, folder: Path) -> Copy:
    """Open the files of an object; those of the same version that are there already are gone on with."""
    # Without a version nothing says that the object is still the same.
    version = remote.version or os.urandom(8).hex()
    name = hashlib.sha256(f"{remote.key}|{version}|{remote.size}".encode()).hexdigest()
    copy = Copy(remote, folder / name, folder / f"{name}.journal")
    for path, size in ((copy.journal, copy.pieces), (copy.content, remote.size)):
        with path.open("ab") as handle:
            handle.truncate(size)
    return copy


def _fetch(read: Read, copy: Copy, number: int) -> None:
    """Copy one piece, unless that has been done."""
    with copy.journal.open("r+b") as journal, copy.content.open("r+b") as content:
        if os.pread(journal.fileno(), 1, number) == _DONE:
            return
        start = number * _PIECE
        piece = read(copy.remote, start, min(start + _PIECE, copy.remote.size))
        written = 0
        while written < len(piece):
            written += os.pwrite(content.fileno(), piece[written:], start + written)
        os.pwrite(journal.fileno(), _DONE, number)
