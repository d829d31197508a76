"""Where models come from: each source fetches a model's files into a local folder."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from fairlead_serving.digest import digest_of_path, files_of
from fairlead_serving.errors import LoadError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_PARTIAL: Final = ".partial-"
_SESSION: Final = ".session-"
_REMOTE: Final = ("s3", "gs", "az", "https", "http", "hf", "oci")
_SUPPORTED: Final = (
    "s3://bucket/path, gs://bucket/path, az://container/path, https://host/file, hf://owner/name, "
    "oci://registry/repository:tag, file:///path and a path"
)


@dataclass(frozen=True, slots=True)
class Artifact:
    """A model's files on the local disk, with their digest `sha256:<hex>`."""

    folder: Path
    files: Sequence[str]
    digest: str


def fetch(uri: str, cache: Path, expected: str | None, environment: Mapping[str, str], session: str = "") -> Artifact:
    """Bring a model's files here and check their digest.

    `expected` is the digest to insist on, if any. A folder that is in the cache under that digest is used without
    asking the storage; so is one that another process of the same `session` has fetched, since all of them should
    serve the same bytes. Raises LoadError for what a retry cannot mend, StorageUnreachableError for what it may.
    """
    scheme = urlsplit(uri).scheme if "://" in uri else ""
    if scheme in _REMOTE:
        _refuse_secrets(uri)
        if scheme == "http" and not expected:
            message = f"{uri} comes over a connection that anybody can change: set the digest, or use https"
            raise LoadError(message)
        artifact = _remote(uri, cache, expected, environment, session)
    elif scheme in ("", "file"):
        artifact = _local(_path(uri))
    else:
        message = f"storage {scheme}:// is not supported; supported are {_SUPPORTED}"
        raise LoadError(message)
    if expected and artifact.digest != expected:
        message = f"wrong digest: {uri} is {artifact.digest}, asked for was {expected}"
        raise LoadError(message)
    return artifact


def _refuse_secrets(uri: str) -> None:
    """URIs are shown in logs, status and metrics, so nothing secret may be in them."""
    parts = urlsplit(uri)
    if parts.username is not None and parts.scheme != "hf":
        message = "the storage URI holds credentials; give them as environment variables"
        raise LoadError(message)
    if parts.query or parts.fragment:
        message = f"{parts.scheme}://{parts.netloc}{parts.path} has a query or fragment, which is not supported"
        raise LoadError(message)


def _path(uri: str) -> Path:
    return Path(unquote(urlsplit(uri).path)) if uri.startswith("file://") else Path(uri)


def _local(path: Path) -> Artifact:
    folder, files = files_of(path)
    return Artifact(folder, files, digest_of_path(path))


def _remote(uri: str, cache: Path, expected: str | None, environment: Mapping[str, str], session: str) -> Artifact:
    name = hashlib.sha256(uri.encode()).hexdigest()[:16]
    try:
        with alone(cache):
            note = cache / f"{_SESSION}{session}-{name}" if session else None
            known = expected or (note.read_text() if note and note.is_file() else None)
            artifact = _cached(cache, known) if known else None
            artifact = artifact or _download(uri, cache, cache / f"{_PARTIAL}{name}", expected, environment)
            if note:
                for old in cache.glob(f"{_SESSION}*"):
                    old.unlink()
                note.write_text(artifact.digest)
            return artifact
    except OSError as error:
        message = f"cannot write to the cache {cache}: {error.strerror}"
        raise LoadError(message) from error


def _cached(cache: Path, digest: str) -> Artifact | None:
    folder = cache / digest.replace(":", "-")
    if not folder.is_dir():
        return None
    artifact = _local(folder)
    return artifact if artifact.digest == digest else None


def _download(uri: str, cache: Path, partial: Path, expected: str | None, environment: Mapping[str, str]) -> Artifact:
    """Fetch into a folder beside the final one, then rename: a cache entry is whole or not there.

    What has been fetched so far stays for the next attempt.
    """
    for stale in cache.glob(f"{_PARTIAL}*"):
        if stale != partial:
            shutil.rmtree(stale, ignore_errors=True)
    partial.mkdir(exist_ok=True)
    digest = _fetched(uri, partial, expected, environment)
    folder = cache / digest.replace(":", "-")
    if folder.is_dir():
        shutil.rmtree(folder)
    (partial / "files").rename(folder)
    shutil.rmtree(partial, ignore_errors=True)
    return Artifact(folder, files_of(folder)[1], digest)


def _fetched(uri: str, partial: Path, expected: str | None, environment: Mapping[str, str]) -> str:
    """Fetch into `partial/files` and return the digest."""
    # obstore is 15 MB of native code; models that lie on the disk do not wait for it.
    if uri.startswith("oci://"):
        from fairlead_serving.storage.oci import pull  # noqa: PLC0415

        return pull(uri, environment, partial, pinned=expected is not None)
    from fairlead_serving.storage.download import download  # noqa: PLC0415
    from fairlead_serving.storage.stores import open_source  # noqa: PLC0415

    return download(open_source(uri, environment), partial)


@contextmanager
def alone(cache: Path) -> Iterator[None]:
    """Let one process at a time work on the cache. Raises OSError where it cannot be made."""
    cache.mkdir(parents=True, exist_ok=True)
    handle = os.open(cache, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
