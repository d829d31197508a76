import json
import re
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.cluster.cache import REPOSITORY, silent
from tests.cluster.errors import ClusterError
from tests.cluster.images import base, oci, push, python
from tests.cluster.images.python import OPERATOR, SERVING, VARIANTS, PythonImage

IMAGES = pytest.mark.parametrize("image", [OPERATOR, SERVING, *VARIANTS], ids=lambda image: image.name)


class Recorder:
    """A builder that notes what it is given."""

    def __init__(self) -> None:
        self.arguments: dict[str, str] = {}
        self.files: set[str] = set()

    def build(self, context: Path, _reference: str, arguments: Mapping[str, str]) -> None:
        self.arguments = dict(arguments)
        self.files = {path.relative_to(context).as_posix() for path in context.rglob("*") if path.is_file()}

    def extract(self, context: Path, target: str, arguments: Mapping[str, str], folder: Path) -> None:
        raise NotImplementedError

    def save(self, _reference: str, archive: Path) -> None:
        archive.touch()

    def push(self, reference: str, remote: str) -> None:
        raise NotImplementedError

    def bases(self, *, compiler: bool) -> dict[str, str]:
        return {"BASE": "plain"} | ({"BUILDER": "with-gcc"} if compiler else {})


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


@IMAGES
def test_every_image_has_locked_requirements(image: PythonImage) -> None:
    assert "--hash=sha256:" in image.requirements.read_text()
    assert all(source.exists() for source in image.sources)


@IMAGES
def test_what_the_containerfile_copies_of_the_code_is_in_the_context_and_in_the_key(image: PythonImage) -> None:
    text = (REPOSITORY / "images" / "Containerfile").read_text()
    stage = text.partition(f"FROM scratch AS {image.project}-source\n")[2].partition("\n\n")[0]
    copied = {source for line in stage.splitlines() for source in line.split()[1:-1]}

    assert copied == {source.relative_to(REPOSITORY).as_posix() for source in image.sources}


@IMAGES
def test_only_code_that_is_compiled_is_built_where_a_compiler_is(
    image: PythonImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAIRLEAD_CACHE", str(tmp_path))
    monkeypatch.setattr(python, "ensure_wheels", lambda _file, _progress: tmp_path / "no-wheels")
    (tmp_path / "no-wheels").mkdir()
    builder = Recorder()

    image.archive(builder, silent)

    compiled = image.project == "serving"
    assert builder.arguments.get("BUILDER") == ("with-gcc" if compiled else None)
    assert ("serving-image/setup.py" in builder.files) == compiled


def test_the_two_bases_are_told_apart() -> None:
    plain, compiler = base.reference(), base.reference(compiler=True)

    assert re.fullmatch("localhost/fairlead-base:[0-9a-f]{16}", plain)
    assert re.fullmatch("localhost/fairlead-builder:[0-9a-f]{16}", compiler)


def test_an_image_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="no such image: serving-fat; there are operator, serving, serving-lean"):
        push("localhost:5000", only=["serving-fat"], parts=tmp_path)
