"""OCI artifacts for tests: what is pushed, and what comes back."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fairlead_serving.storage import Artifact, fetch
from tests.serving.harness import PATIENCE_SECONDS

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
FILES = {"model.onnx": b"the model", "assets/words.txt": b"a\nb\n", "assets/empty": b"", "copy.onnx": b"the model"}


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@dataclass
class Pushed:
    """What a registry holds: blobs by digest, and manifests by digest and tag."""

    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, tuple[str, bytes]] = field(default_factory=dict)

    def blob(self, content: bytes, media_type: str = "application/octet-stream", **notes: str) -> dict[str, Any]:
        """Keep a blob and return its descriptor; of a note's name each `__` stands for a dot."""
        self.blobs[sha256(content)] = content
        annotations = {name.replace("__", "."): value for name, value in notes.items()}
        found = {"mediaType": media_type, "digest": sha256(content), "size": len(content)}
        return {**found, "annotations": annotations} if annotations else found

    def file(self, name: str, content: bytes, media_type: str = LAYER) -> dict[str, Any]:
        """Keep a file as ORAS does; its media type says nothing."""
        return self.blob(content, media_type, org__opencontainers__image__title=name)

    def artifact(self, tag: str, layers: Sequence[Mapping[str, Any]]) -> str:
        """Keep an artifact and return its digest."""
        config = self.blob(b"{}", "application/vnd.oci.empty.v1+json")
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "artifactType": "application/x.model", "config": config}
        return self.manifest(tag, MANIFEST, {**manifest, "layers": layers})

    def index(self, tag: str, manifests: Sequence[Mapping[str, Any]]) -> str:
        """Keep an index of manifests and return its digest."""
        return self.manifest(tag, INDEX, {"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests})

    def manifest(self, tag: str, media_type: str, content: object) -> str:
        text = json.dumps(content).encode()
        digest = sha256(text)
        self.manifests[digest] = self.manifests[tag] = (media_type, text)
        return digest

    def descriptor(self, reference: str) -> dict[str, Any]:
        """Describe a manifest, for an index."""
        media_type, text = self.manifests[reference]
        return {"mediaType": media_type, "digest": sha256(text), "size": len(text)}

    def push(self, port: int, repository: str) -> None:
        """Push everything to a registry that lets anybody in."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)

        def call(method: str, path: str, body: bytes, media_type: str) -> str:
            connection.request(method, path, body, {"Content-Type": media_type})
            answer = connection.getresponse()
            assert answer.status in {201, 202}, answer.read()
            answer.read()
            return answer.headers["Location"]

        for digest, content in self.blobs.items():
            place = call("POST", f"/v2/{repository}/blobs/uploads/", b"", "")
            query = f"{urlsplit(place).query}&digest={digest}"
            call("PUT", f"{urlsplit(place).path}?{query}", content, "application/octet-stream")
        for reference, (media_type, text) in self.manifests.items():
            call("PUT", f"/v2/{repository}/manifests/{reference}", text, media_type)
        connection.close()


def archive(files: Mapping[str, bytes], *, packed: bool = True) -> bytes:
    """Pack files as a tar archive, by gzip or not."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return gzip.compress(content.getvalue(), 1, mtime=0) if packed else content.getvalue()


def models_in_every_form() -> Pushed:
    """FILES in all the forms that an artifact may have, and some that are refused."""
    found = Pushed()
    files = [found.file(name, content) for name, content in FILES.items()]
    found.artifact("files", files)
    rest = {name: content for name, content in FILES.items() if name != "model.onnx"}
    found.artifact("folder", [files[0], found.blob(archive(rest), f"{LAYER}+gzip")])
    unpack = {"org__opencontainers__image__title": "assets", "io__deis__oras__content__unpack": "true"}
    assets = archive({name: content for name, content in FILES.items() if "/" in name})
    plain = archive({"./copy.onnx": FILES["copy.onnx"]}, packed=False)
    found.artifact(
        "archives",
        [
            found.blob(assets, f"{LAYER}+gzip", **unpack),
            found.blob(plain, "application/vnd.docker.image.rootfs.diff.tar"),
            found.blob(
                FILES["model.onnx"], "application/vnd.cncf.model.weight.v1.raw", org__cncf__model__filepath="model.onnx"
            ),
        ],
    )
    one = found.descriptor("files")
    attestation = {**found.descriptor("folder"), "annotations": {"vnd.docker.reference.type": "attestation-manifest"}}
    found.index("index", [one, attestation])
    found.index("several", [one, found.descriptor("folder")])
    found.artifact("outside", [found.file("../model.onnx", b"x")])
    found.artifact("nameless", [found.blob(b"x")])
    found.artifact("twice", [found.file("model.onnx", b"x"), found.file("model.onnx", b"y")])
    found.artifact("empty", [])
    return found


def fetched(uri: str, cache: Path, expected: str | None = None, **environment: str) -> Artifact:
    return fetch(uri, cache, expected, environment)


def contents(artifact: Artifact) -> dict[str, bytes]:
    return {name: (artifact.folder / name).read_bytes() for name in artifact.files}
