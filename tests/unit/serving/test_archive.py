"""Archives from outside are unpacked into the model's folder, and what is not a plain file there is refused."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from fairlead_serving.errors import LoadError
from fairlead_serving.storage import archive
from fairlead_serving.storage.archive import unpack

URI = "oci://registry/model:1"


def entry(name: str, kind: bytes = tarfile.REGTYPE, target: str = "", size: int = 1) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname, member.size = kind, target, size if kind == tarfile.REGTYPE else 0
    return member


def tar(*members: tarfile.TarInfo, form: int = tarfile.PAX_FORMAT) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=form) as file:
        for member in members:
            file.addfile(member, io.BytesIO(b"x" * member.size))
    return content.getvalue()


def written(folder: Path, content: bytes) -> Path:
    path = folder / "archive"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("packed", [gzip.compress, bytes])
@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_files_come_with_their_digests(tmp_path: Path, packed: Callable[[bytes], bytes], form: int) -> None:
    long = "deep/" * 19 + "model.bin"
    members = [entry("a", tarfile.DIRTYPE), entry("a/b", size=700_000), entry("./c"), entry(long), entry("d", size=0)]
    found = unpack(written(tmp_path, packed(tar(*members, form=form))), tmp_path / "files", URI)
    sizes = {"a/b": 700_000, "c": 1, long: 1, "d": 0}
    assert found == {name: hashlib.sha256(b"x" * size).hexdigest() for name, size in sizes.items()}
    assert {name: (tmp_path / "files" / name).stat().st_size for name in found} == sizes


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        (entry("../a"), "leads out of the model's folder"),
        (entry("a/../../b"), "leads out of the model's folder"),
        (entry("/etc/passwd"), "leads out of the model's folder"),
        (entry("a\nb"), "has characters that cannot be shown"),
        (entry("a", tarfile.SYMTYPE, "/etc/passwd"), "'a' in the archive is a link or a device"),
        (entry("a", tarfile.SYMTYPE, "first"), "is a link or a device"),
        (entry("a", tarfile.LNKTYPE, "../first"), "is a link or a device"),
        (entry("a", tarfile.CHRTYPE), "is a link or a device"),
        (entry("a", tarfile.FIFOTYPE), "is a link or a device"),
        (entry("first"), "has two files of the name first"),
        (entry("./first"), "has two files of the name first"),
        (entry("first/a"), "has two files of the name first/a"),
        (entry("a/.wh.model"), "an image whose layers remove files"),
    ],
)
def test_what_is_no_plain_file_inside_is_refused(tmp_path: Path, member: tarfile.TarInfo, reason: str) -> None:
    with pytest.raises(LoadError, match=reason):
        unpack(written(tmp_path, tar(entry("first"), member)), tmp_path / "inside/files", URI)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["archive", "files", "first", "inside"]


def test_an_archive_that_fills_the_disk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "_SMALL", 10_000)
    path = written(tmp_path, gzip.compress(tar(entry("small"), entry("bomb", size=1_000_000))))
    with pytest.raises(LoadError, match="far larger unpacked than packed"):
        unpack(path, tmp_path / "files", URI)
    assert [item.name for item in (tmp_path / "files").iterdir()] == ["small"]


def test_a_header_that_fills_the_memory_is_refused(tmp_path: Path) -> None:
    member = entry("a")
    member.pax_headers = {"comment": "x" * 2_000_000}
    with pytest.raises(LoadError, match="has a header that is too large"):
        unpack(written(tmp_path, gzip.compress(tar(member))), tmp_path / "files", URI)


def test_an_archive_of_countless_entries_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "_ENTRIES", 3)
    members = [entry(str(number), tarfile.DIRTYPE) for number in range(4)]
    with pytest.raises(LoadError, match="more than 3 entries"):
        unpack(written(tmp_path, tar(*members)), tmp_path / "files", URI)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is damaged"),
        (b"no archive at all" * 100, "is damaged"),
        (gzip.compress(tar(entry("a", size=100_000)))[:-200], "is damaged"),
        (b"\x1f\x8b" + b"x" * 100, "is damaged"),
        (tar(entry("a", size=5000))[:2000], "is damaged"),
        (b"\x28\xb5\x2f\xfd" + b"x" * 100, "packed with zstd, which cannot be read here; pack it with gzip"),
    ],
)
def test_a_damaged_archive_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    with pytest.raises(LoadError, match=reason):
        unpack(written(tmp_path, content), tmp_path / "files", URI)
