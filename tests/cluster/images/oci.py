"""Writing an image of a few files as an OCI archive, without any builder.

Enough for static programs: one layer, reproducible to the byte. See the OCI image layout specification 1.0.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ..errors import ClusterError

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
_NAME = "io.containerd.image.name"
_REFERENCE = "org.opencontainers.image.ref.name"
USER = 65532


@dataclass(frozen=True, slots=True)
class _Blob:
    media_type: str
    content: bytes

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def descriptor(self) -> dict[str, Any]:
        return {"mediaType": self.media_type, "digest": f"sha256:{self.digest}", "size": len(self.content)}


def write(archive: Path, reference: str, files: Mapping[str, Path], entrypoint: Sequence[str]) -> Path:
    """Write an image that holds programs at the given absolute paths and runs as user 65532.

    It has a writable /tmp and nothing else. The archive appears whole or not at all.
    """
    layer = _Blob("application/vnd.oci.image.layer.v1.tar", _layer(files))
    config = _json(
        "application/vnd.oci.image.config.v1+json",
        {
            "architecture": _ARCHITECTURES[platform.machine()],
            "os": "linux",
            "config": {
                "User": f"{USER}:{USER}",
                "Entrypoint": list(entrypoint),
                "Env": ["PATH=/"],
                "Labels": {"org.opencontainers.image.title": reference},
            },
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer.digest}"]},
        },
    )
    manifest = _json(
        "application/vnd.oci.image.manifest.v1+json",
        {"schemaVersion": 2, "config": config.descriptor, "layers": [layer.descriptor]},
    )
    names = {_NAME: reference, _REFERENCE: reference}
    index = {"schemaVersion": 2, "manifests": [manifest.descriptor | {"annotations": names}]}
    partial = archive.with_name(f".{archive.name}.partial")
    with tarfile.open(partial, "w") as tar:
        _add(tar, "oci-layout", json.dumps({"imageLayoutVersion": "1.0.0"}).encode())
        _add(tar, "index.json", json.dumps(index).encode())
        for blob in (config, manifest, layer):
            _add(tar, f"blobs/sha256/{blob.digest}", blob.content)
    return partial.replace(archive)


def forget_others(archive: Path) -> None:
    """Delete the archives of earlier editions of the same image, named NAME-KEY.tar beside this one."""
    stem, _, key = archive.name.rpartition("-")
    for other in archive.parent.glob(f"{stem}-*.tar"):
        # The key's length tells `operator` from an `operator-something`.
        if other != archive and len(other.name) == len(stem) + 1 + len(key):
            other.unlink()


def contents(archive: Path) -> dict[str, str]:
    """Return the images in an archive: reference to a digest that changes with the image.

    Reads OCI archives and those of `docker save`. Raises ClusterError when it is neither or does not name its image.
    """
    try:
        with tarfile.open(archive) as tar:
            names = tar.getnames()
            if "manifest.json" in names:
                saved = json.loads(_read(tar, "manifest.json"))
                found = {tag: image["Config"] for image in saved for tag in image["RepoTags"] or []}
            else:
                manifests = json.loads(_read(tar, "index.json"))["manifests"]
                found = {_reference(entry.get("annotations", {})): entry["digest"] for entry in manifests}
    except (OSError, KeyError, TypeError, ValueError, tarfile.TarError) as error:
        message = f"{archive} is not an image archive: {str(error).splitlines()[0].rstrip(':')}"
        raise ClusterError(message) from error
    if "" in found or not found:
        message = f"{archive} does not say the name of its image (annotation {_REFERENCE})"
        raise ClusterError(message)
    return found


def _read(tar: tarfile.TarFile, name: str) -> bytes:
    member = tar.extractfile(name)
    return member.read() if member else b""


def _reference(annotations: Mapping[str, str]) -> str:
    return annotations.get(_NAME) or annotations.get(_REFERENCE, "")


def _json(media_type: str, content: dict[str, Any]) -> _Blob:
    return _Blob(media_type, json.dumps(content, sort_keys=True).encode())


def _layer(files: Mapping[str, Path]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        _folder(tar, "tmp", 0o1777)
        for parent in sorted({p for path in files for p in PurePosixPath(path).parents if p.name}):
            _folder(tar, str(parent).lstrip("/"), 0o755)
        for path, source in sorted(files.items()):
            _add(tar, path.lstrip("/"), source.read_bytes(), 0o755)
    return buffer.getvalue()


def _folder(tar: tarfile.TarFile, name: str, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = tarfile.DIRTYPE, mode
    tar.addfile(entry)


def _add(tar: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))
