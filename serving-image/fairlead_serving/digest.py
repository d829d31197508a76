"""The canonical digest of a model: one hash over all of its files, wherever they lie."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from fairlead_serving.errors import LoadError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def digest_of_files(hashes: Mapping[str, str]) -> str:
    """Return `sha256:<hex>` for files given as relative POSIX path → SHA-256 of the content in hex.

    The hash is over one line `<hex>  <path>` for each file, sorted by path, each ended by a newline.
    """
    lines = "".join(f"{hashes[path]}  {path}\n" for path in sorted(hashes))
    return "sha256:" + hashlib.sha256(lines.encode()).hexdigest()


def digest_of_path(path: Path) -> str:
    """Return the digest of a folder, or of a single file as if it were alone in one. Raises LoadError."""
    root, names = files_of(path)
    return digest_of_files({name: hash_file(root / name) for name in names})


def files_of(path: Path) -> tuple[Path, list[str]]:
    """Return a folder and the relative paths of all files below it. Raises LoadError where there is none."""
    try:
        if path.is_file():
            return path.parent, [path.name]
        names = sorted(item.relative_to(path).as_posix() for item in path.rglob("*") if item.is_file())
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror}"
        raise LoadError(message) from error
    if not names:
        message = f"{path} is empty" if path.is_dir() else f"{path} does not exist"
        raise LoadError(message)
    return path, names


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file in hex, read in pieces."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror}"
        raise LoadError(message) from error
