"""Where models come from: each source fetches a model's files into a local folder."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from fairlead_serving.digest import digest_of_path, files_of
from fairlead_serving.errors import LoadError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_PARTIAL: Final = ".partial-"


@dataclass(frozen=True, slots=True)
class Artifact:
    """A model's files on the local disk, with their digest `sha256:<hex>`."""

    folder: Path
    files: Sequence[str]
    digest: str


def fetch(uri: str, cache: Path, expected: str | None, environment: Mapping[str, str]) -> Artifact:
    """Bring a model's files here and check their digest.

    `expected` is the digest to insist on, if any. A folder that is in the cache under that digest is used without
    asking the storage. Raises LoadError for what a retry cannot mend, StorageUnreachableError for what it may.
    """
    scheme = urlsplit(uri).scheme if "://" in uri else ""
    if scheme == "s3":
        artifact = _cached(cache, expected) if expected else None
        artifact = artifact or _download(uri, cache, environment)
    elif scheme in ("", "file"):
        artifact = _local(_path(uri))
    else:
        message = f"storage {scheme}:// is not supported; supported are s3://bucket/path, file:///path and a path"
        raise LoadError(message)
    if expected and artifact.digest != expected:
        message = f"wrong digest: {uri} is {artifact.digest}, asked for was {expected}"
        raise LoadError(message)
    return artifact


def _path(uri: str) -> Path:
    return Path(unquote(urlsplit(uri).path)) if uri.startswith("file://") else Path(uri)


def _local(path: Path) -> Artifact:
    folder, files = files_of(path)
    return Artifact(folder, files, digest_of_path(path))


def _cached(cache: Path, digest: str) -> Artifact | None:
    folder = cache / digest.replace(":", "-")
    if not folder.is_dir():
        return None
    artifact = _local(folder)
    return artifact if artifact.digest == digest else None


def _download(uri: str, cache: Path, environment: Mapping[str, str]) -> Artifact:
    """Fetch into a folder beside the final one, then rename: a cache entry is whole or not there."""
    # obstore is 15 MB of native code; models that lie on the disk do not wait for it.
    from fairlead_serving.storage.s3 import S3Source  # noqa: PLC0415

    for stale in cache.glob(f"{_PARTIAL}*"):
        shutil.rmtree(stale, ignore_errors=True)
    partial = cache / f"{_PARTIAL}download"
    try:
        partial.mkdir(parents=True)
        digest = S3Source(uri, environment).fetch(partial)
        folder = cache / digest.replace(":", "-")
        if folder.is_dir():
            shutil.rmtree(folder)
        partial.rename(folder)
    except OSError as error:
        message = f"cannot write to the cache {cache}: {error.strerror}"
        raise LoadError(message) from error
    return Artifact(folder, files_of(folder)[1], digest)
