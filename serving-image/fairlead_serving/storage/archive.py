"""Unpacking a tar archive from outside: plain files into the model's folder, and nothing else anywhere."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import zlib
from typing import IO, TYPE_CHECKING, Final

from fairlead_serving.errors import LoadError
from fairlead_serving.storage.paths import inside, place

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_CHUNK: Final = 256 * 1024
_ENTRIES: Final = 100_000
# Real models hardly shrink when they are packed; what grows beyond this is there to fill the disk.
_SMALL: Final = 1024**3
_GROWTH: Final = 20
_REMOVED: Final = ".wh."


class _Careful(io.BufferedIOBase):
    """A file that is read in small parts only: tarfile takes the extended headers of an archive in one."""

    def __init__(self, file: IO[bytes] | gzip.GzipFile, uri: str) -> None:
        self._file = file
        self._uri = uri

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or not 0 <= size <= 2 * _CHUNK:
            message = f"{self._uri}: the archive has a header that is too large"
            raise LoadError(message)
        return self._file.read(size)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


def unpack(archive: Path, folder: Path, uri: str) -> dict[str, str]:
    """Unpack a tar archive, packed with gzip or not, and return the SHA-256 of each file in hex by its path.

    Raises LoadError for anything but files and folders inside the folder, for an archive that grows beyond measure and
    for a damaged one. OSError from the local disk passes through.
    """
    allowed = max(_SMALL, _GROWTH * archive.stat().st_size)
    digests: dict[str, str] = {}
    with archive.open("rb") as raw:
        start = raw.read(4)
        raw.seek(0)
        if start == _ZSTD:
            message = f"{uri} has a layer that is packed with zstd, which cannot be read here; pack it with gzip"
            raise LoadError(message)
        packed = start.startswith(_GZIP)
        try:
            with tarfile.open(fileobj=_Careful(gzip.GzipFile(fileobj=raw) if packed else raw, uri), mode="r:") as tar:
                for member in _files(tar, uri):
                    allowed -= member.size
                    if allowed < 0:
                        message = f"{uri}: the archive is far larger unpacked than packed, which no model is"
                        raise LoadError(message)
                    name = inside(member.name, uri)
                    digests[name] = _write(tar, member, place(folder, name, uri))
        except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
            message = f"{uri}: the archive is damaged: {error}"
            raise LoadError(message) from error
    return digests


def _files(tar: tarfile.TarFile, uri: str) -> Iterator[tarfile.TarInfo]:
    """Yield the plain files; folders come with them."""
    number = 0
    while (member := tar.next()) is not None:
        number += 1
        if number > _ENTRIES:
            message = f"{uri}: the archive has more than {_ENTRIES} entries"
            raise LoadError(message)
        # What has been seen is not needed again, and there may be many.
        tar.members.clear()  # type: ignore[attr-defined]  # typeshed does not know it
        if member.isdir():
            continue
        if not member.isfile() or member.issparse():
            message = f"{uri}: {member.name!r} in the archive is a link or a device; only files and folders are taken"
            raise LoadError(message)
        if member.name.rpartition("/")[2].startswith(_REMOVED):
            message = f"{uri} is an image whose layers remove files; let it be mounted as an image volume"
            raise LoadError(message)
        yield member


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> str:
    content = tar.extractfile(member)
    if content is None:
        raise AssertionError
    digest = hashlib.sha256()
    with path.open("xb") as file:
        while part := content.read(_CHUNK):
            digest.update(part)
            file.write(part)
    return digest.hexdigest()
