"""Copying a model's objects to the disk: several pieces at a time, each written once, however often it is tried."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

import obstore
from obstore.exceptions import BaseError

from fairlead_serving.digest import digest_of_files, hash_file
from fairlead_serving.errors import LoadError
from fairlead_serving.storage.explain import explain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from obstore import ObjectMeta

    from fairlead_serving.storage.stores import Source

# So many bytes at once are in memory, and so many of them are lost when an attempt fails.
_PIECE: Final = 4 * 1024 * 1024
_PARALLEL: Final = 8
_DONE: Final = b"\1"


@dataclass(frozen=True, slots=True)
class _File:
    """One object on its way to the disk; `journal` has a byte for each piece, 1 for those that have been written."""

    item: ObjectMeta
    content: Path
    journal: Path

    @property
    def pieces(self) -> int:
        """How many pieces there are."""
        return -(-self.item["size"] // _PIECE)


def download(source: Source, partial: Path) -> str:
    """Download a model into `partial/files` and return its digest.

    `partial/pieces` keeps what has come so far. Raises LoadError (missing, denied, refused) or StorageUnreachableError
    (no answer, 5xx, 429). OSError from the local disk passes through.
    """
    try:
        objects = _listed(source)
        files = {name: _prepared(item, partial / "pieces") for name, item in objects.items()}
        with ThreadPoolExecutor(_PARALLEL, "download") as pool:
            tasks = [(file, number) for file in files.values() for number in range(file.pieces)]
            waiting = [pool.submit(_fetch, source, file, number) for file, number in tasks]
            try:
                for future in waiting:
                    future.result()
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise
    except (BaseError, FileNotFoundError) as error:
        # obstore raises the built-in error for a missing object; the disk's own has an error number.
        if isinstance(error, FileNotFoundError) and error.errno is not None:
            raise
        raise explain(error, source.uri, source.where) from error
    return _moved(files, partial / "files")


def _listed(source: Source) -> Mapping[str, ObjectMeta]:
    objects = source.list()
    outside = [name for name in objects if ".." in PurePosixPath(name).parts or PurePosixPath(name).is_absolute()]
    if outside:
        message = f"{source.uri}: the object name {outside[0]!r} leads out of the model's folder"
        raise LoadError(message)
    return objects


def _prepared(item: ObjectMeta, pieces: Path) -> _File:
    """Open the files of an object; those of the same version that are there already are gone on with."""
    pieces.mkdir(parents=True, exist_ok=True)
    # Without an entity tag nothing says that the object is still the same.
    version = item["e_tag"] or os.urandom(8).hex()
    name = hashlib.sha256(f"{item['path']}|{version}|{item['size']}".encode()).hexdigest()
    file = _File(item, pieces / name, pieces / f"{name}.journal")
    for path, size in ((file.journal, file.pieces), (file.content, item["size"])):
        with path.open("ab") as handle:
            handle.truncate(size)
    return file


def _fetch(source: Source, file: _File, number: int) -> None:
    """Copy one piece, unless that has been done; it must be of the version that was listed."""
    with file.journal.open("r+b") as journal, file.content.open("r+b") as content:
        if os.pread(journal.fileno(), 1, number) == _DONE:
            return
        start = number * _PIECE
        stop = min(start + _PIECE, file.item["size"])
        options: obstore.GetOptions = {"range": (start, stop)}
        if file.item["e_tag"]:
            options["if_match"] = file.item["e_tag"]
        piece = memoryview(obstore.get(source.store, file.item["path"], options=options).bytes())
        written = 0
        while written < len(piece):
            written += os.pwrite(content.fileno(), piece[written:], start + written)
        os.pwrite(journal.fileno(), _DONE, number)


def _moved(files: Mapping[str, _File], folder: Path) -> str:
    """Give the files their names and return the digest."""
    with ThreadPoolExecutor(2, "digest") as pool:
        hashes = dict(zip(files, pool.map(lambda file: hash_file(file.content), files.values()), strict=True))
    folder.mkdir(exist_ok=True)
    for name, file in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        file.content.rename(folder / name)
        with suppress(OSError):
            file.journal.unlink()
    return digest_of_files(hashes)
