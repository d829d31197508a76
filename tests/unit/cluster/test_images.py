import json
import tarfile
from pathlib import Path

import pytest

from tests.cluster.errors import ClusterError
from tests.cluster.images import oci, push
from tests.cluster.images.python import OPERATOR, SERVING, VARIANTS, PythonImage


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "program"
    path.write_bytes(b"\x7fELF and so on")
    return path


def test_an_image_of_one_program_is_reproducible_and_says_its_name(tmp_path: Path, program: Path) -> None:
    first, second = (
        oci.write(tmp_path / name, "example.local/thing:1", {"/bin/thing": program}, ["/bin/thing", "serve"])
        for name in ("a.tar", "b.tar")
    )

    assert first.read_bytes() == second.read_bytes()
    assert list(oci.contents(first)) == ["example.local/thing:1"]
    assert not list(tmp_path.glob(".*"))


def test_its_program_is_executable_and_the_user_is_nobody_in_particular(tmp_path: Path, program: Path) -> None:
    archive = oci.write(tmp_path / "a.tar", "example.local/thing:1", {"/bin/thing": program}, ["/bin/thing"])

    with tarfile.open(archive) as tar:
        blobs = {m.name: tar.extractfile(m) for m in tar.getmembers() if m.name.startswith("blobs/")}
        documents = [handle.read() for handle in blobs.values() if handle]
    layer = next(d for d in documents if not d.startswith(b"{"))
    config = next(c for d in documents if d.startswith(b"{") and "rootfs" in (c := json.loads(d)))
    unpacked = tmp_path / "layer.tar"
    unpacked.write_bytes(layer)
    with tarfile.open(unpacked) as tar:
        modes = {m.name: m.mode for m in tar.getmembers()}

    assert modes == {"tmp": 0o1777, "bin": 0o755, "bin/thing": 0o755}
    assert config["config"]["User"] == "65532:65532"
    assert config["config"]["Entrypoint"] == ["/bin/thing"]


def test_an_archive_of_docker_save_is_read_too(tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps([{"Config": "abc.json", "RepoTags": ["example.local/thing:2"], "Layers": []}]))
    archive = tmp_path / "saved.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(manifest, "manifest.json")

    assert oci.contents(archive) == {"example.local/thing:2": "abc.json"}


@pytest.mark.parametrize("content", [b"", b"not a tar at all", None])
def test_what_is_no_image_archive_is_refused_in_words(tmp_path: Path, content: bytes | None) -> None:
    archive = tmp_path / "thing.tar"
    if content is not None:
        archive.write_bytes(content)

    with pytest.raises(ClusterError, match="is not an image archive"):
        oci.contents(archive)


def test_only_older_editions_of_the_same_image_are_forgotten(tmp_path: Path) -> None:
    names = (
        "thing-0123456789abcdef.tar",
        "thing-fedcba9876543210.tar",
        "thing-dev-0123456789abcdef.tar",
        "thing-x.tar",
    )
    for name in names:
        (tmp_path / name).touch()

    oci.forget_others(tmp_path / names[0])

    assert {path.name for path in tmp_path.iterdir()} == {names[0], names[2], names[3]}


@pytest.mark.parametrize("image", [OPERATOR, SERVING, *VARIANTS], ids=lambda image: image.name)
def test_every_image_has_locked_requirements(image: PythonImage) -> None:
    assert "--hash=sha256:" in image.requirements.read_text()
    assert all(source.exists() for source in image.sources)


def test_an_image_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="no such image: serving-fat; there are operator, serving, serving-lean"):
        push("localhost:5000", only=["serving-fat"], parts=tmp_path)
