"""Models in OCI registries: artifacts whose layers are a model's files, or archives of them."""

from __future__ import annotations

import hashlib
import re
import shutil
from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from fairlead_serving.digest import digest_of_files
from fairlead_serving.errors import LoadError
from fairlead_serving.storage.archive import unpack
from fairlead_serving.storage.credentials import credentials
from fairlead_serving.storage.paths import inside, place
from fairlead_serving.storage.pieces import Remote, copied, hashes
from fairlead_serving.storage.registry import Registry, loopback

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from fairlead_serving.storage.pieces import Copy

_URI: Final = re.compile(
    r"oci://(?P<host>(?:[A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\])(?::\d{1,5})?)"
    r"/(?P<repository>[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*)"
    r"(?::(?P<tag>\w[\w.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?",
    re.ASCII,
)
_SHA256: Final = "sha256:"
_ACCEPT: Final = (
    "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, "
    "application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json"
)
# Docker's first registry has another name for clients than for people.
_HUB: Final = ("docker.io", "https://registry-1.docker.io")
_TITLE: Final = "org.opencontainers.image.title"
_UNPACK: Final = "io.deis.oras.content.unpack"
_FILEPATH: Final = "org.cncf.model.filepath"
_ATTESTATION: Final = "vnd.docker.reference.type"
_ARCHIVE: Final = re.compile(r"[.+](?:tar|tgz)(?:[.+-](?:gzip|gz|zstd))?$")


class _Descriptor(msgspec.Struct, rename="camel"):
    digest: Annotated[str, msgspec.Meta(pattern=r"^sha256:[0-9a-f]{64}\Z")]
    size: Annotated[int, msgspec.Meta(ge=0)]
    media_type: str = ""
    annotations: dict[str, str] | None = None

    @property
    def name(self) -> str | None:
        """The name of the file that this is, None for an archive."""
        notes = self.annotations or {}
        archive = _ARCHIVE.search(self.media_type)
        # ORAS gives files any media type, and says of archives that they are; ModelPack does it the other way round.
        if notes.get(_UNPACK) == "true" or (archive and _TITLE not in notes):
            return None
        return notes.get(_TITLE) or notes.get(_FILEPATH) or ""


class _Manifest(msgspec.Struct, rename="camel"):
    layers: list[_Descriptor] | None = None
    manifests: list[_Descriptor] | None = None


def pull(uri: str, environment: Mapping[str, str], partial: Path, *, pinned: bool) -> str:
    """Pull a model into `partial/files` and return its digest; `pinned` says that this digest is known.

    `partial/pieces` keeps what has come so far. Raises LoadError (missing, denied, refused) or StorageUnreachableError
    (no answer, 5xx, 429). OSError from the local disk passes through.
    """
    match = _URI.fullmatch(uri)
    if not match:
        message = f"{uri} should be oci://registry/repository, with :tag or @sha256:… behind it"
        raise LoadError(message)
    registry = _registry(uri, match, environment, pinned=pinned or bool(match["digest"]))
    layers = _layers(registry, match["digest"] or match["tag"] or "latest", uri)
    # The same content may be several files.
    blobs = {layer.digest: Remote(layer.digest, layer.size, layer.digest) for layer in layers}
    copies = copied(blobs, registry.piece, partial / "pieces")
    for digest, found in hashes(copies).items():
        if digest != _SHA256 + found:
            copies[digest].drop()
            message = f"wrong digest: the blob {digest} of {uri} came as {_SHA256}{found}"
            raise LoadError(message)
    # What an attempt that was killed has left.
    shutil.rmtree(partial / "files", ignore_errors=True)
    return digest_of_files(_arranged(layers, copies, partial / "files", uri))


def _registry(uri: str, match: re.Match[str], environment: Mapping[str, str], *, pinned: bool) -> Registry:
    host, repository = match["host"], match["repository"]
    base = f"https://{host}"
    if host == _HUB[0]:
        base = _HUB[1]
        repository = repository if "/" in repository else f"library/{repository}"
    known = credentials(host, repository, environment)
    listed = [item.strip() for item in environment.get("OCI_PLAIN_HTTP", "").split(",")]
    if loopback(host):
        base = f"http://{host}"
    elif host in listed:
        base = f"http://{host}"
        if not pinned:
            message = f"{uri} comes over a connection that anybody can change: name its @sha256:…, or use https"
            raise LoadError(message)
        if known:
            message = f"{uri}: credentials are not sent over a connection that anybody can read; use https"
            raise LoadError(message)
    return Registry(base, repository, uri, known, environment.get("SSL_CERT_FILE", ""))


def _layers(registry: Registry, reference: str, uri: str) -> Sequence[_Descriptor]:
    """Return the layers of a manifest, or of the only one of an index."""
    manifest = _manifest(registry, reference, uri)
    if manifest.manifests:
        found = [item for item in manifest.manifests if _ATTESTATION not in (item.annotations or {})]
        if len(found) != 1:
            message = f"{uri} has {len(found)} manifests, as for several platforms; name one of them by @sha256:…"
            raise LoadError(message)
        manifest = _manifest(registry, found[0].digest, uri)
    if not manifest.layers:
        message = f"{uri} has no files"
        raise LoadError(message)
    return manifest.layers


def _manifest(registry: Registry, reference: str, uri: str) -> _Manifest:
    content = registry.manifest(reference, _ACCEPT)
    found = _SHA256 + hashlib.sha256(content).hexdigest()
    if ":" in reference and reference != found:
        message = f"wrong digest: the manifest of {uri} is {found}, asked for was {reference}"
        raise LoadError(message)
    try:
        return msgspec.json.decode(content, type=_Manifest)
    except msgspec.MsgspecError as error:
        message = f"the manifest of {uri} cannot be understood: {error}"
        raise LoadError(message) from error


def _arranged(layers: Sequence[_Descriptor], copies: Mapping[str, Copy], folder: Path, uri: str) -> dict[str, str]:
    """Move files to their places, unpack archives, and return the SHA-256 of each file in hex by its path."""
    digests: dict[str, str] = {}
    moved: dict[str, Path] = {}
    folder.mkdir()
    for layer in layers:
        title = layer.name
        if title is None:
            digests.update(unpack(copies[layer.digest].content, folder, uri))
            continue
        if not title:
            message = f"{uri}: a layer of the type {layer.media_type!r} has no file name ({_TITLE})"
            raise LoadError(message)
        name = inside(title, uri)
        path = place(folder, name, uri)
        if layer.digest in moved:
            shutil.copyfile(moved[layer.digest], path)
        else:
            copies[layer.digest].move(path)
            moved[layer.digest] = path
        digests[name] = layer.digest.removeprefix(_SHA256)
    return digests
