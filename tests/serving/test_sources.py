"""Sources other than S3 and the disk, and what holds for all: resumed, checked, alone in the cache."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fairlead_serving.digest import digest_of_path
from fairlead_serving.errors import LoadError, StorageUnreachableError
from fairlead_serving.storage import Artifact, fetch
from tests.serving.web import COMMIT, Web, running_web

MIB = 1024 * 1024
FILES = {"model.onnx": b"the model", "assets/words.txt": b"a\nb\n", "assets/empty": b""}


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    """A web server that all sources are led to."""
    with running_web() as server:
        for name in list(os.environ):
            if name.startswith(("GOOGLE_", "AZURE_", "HF_", "AWS_")):
                monkeypatch.delenv(name)
        monkeypatch.setenv("GOOGLE_BASE_URL", server.address)
        monkeypatch.setenv("GOOGLE_SKIP_SIGNATURE", "true")
        monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
        monkeypatch.setenv("AZURE_STORAGE_ENDPOINT", server.address)
        monkeypatch.setenv("AZURE_SKIP_SIGNATURE", "true")
        monkeypatch.setenv("HF_ENDPOINT", server.address)
        yield server


def put(web: Web, below: str, files: dict[str, bytes] | None = None) -> None:
    web.files.update({f"{below}/{name}": content for name, content in (FILES if files is None else files).items()})


def fetched(uri: str, cache: Path, expected: str | None = None, session: str = "") -> Artifact:
    return fetch(uri, cache, expected, os.environ, session)


def digest(folder: Path, files: dict[str, bytes]) -> str:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return digest_of_path(folder)


@pytest.mark.parametrize(
    ("uri", "place"),
    [
        ("gs://bucket/fraud/7", "bucket/fraud/7"),
        ("az://container/fraud/7/", "container/fraud/7"),
        ("hf://owner/fraud", "owner/fraud"),
    ],
)
def test_a_folder_comes_whole_with_its_digest(web: Web, tmp_path: Path, uri: str, place: str) -> None:
    put(web, place)
    artifact = fetched(uri, tmp_path / "cache")
    assert artifact.digest == digest(tmp_path / "same", FILES)
    assert {name: (artifact.folder / name).read_bytes() for name in artifact.files} == FILES
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [artifact.digest.replace(":", "-")]


@pytest.mark.parametrize(
    ("uri", "place"),
    [
        ("gs://bucket/a/model.onnx", "bucket/a"),
        ("az://container/a/model.onnx", "container/a"),
        ("hf://owner/fraud@main/model.onnx", "owner/fraud"),
    ],
)
def test_one_object_is_a_folder_of_one_file(web: Web, tmp_path: Path, uri: str, place: str) -> None:
    put(web, place, {"model.onnx": b"one"})
    artifact = fetched(uri, tmp_path / "cache")
    assert (list(artifact.files), (artifact.folder / "model.onnx").read_bytes()) == (["model.onnx"], b"one")


def test_a_file_on_the_web_needs_a_digest_where_the_connection_is_open(web: Web, tmp_path: Path) -> None:
    put(web, "models")
    uri = f"{web.address}/models/model.onnx"
    expected = digest(tmp_path / "same", {"model.onnx": FILES["model.onnx"]})
    assert fetched(uri, tmp_path / "cache", expected).digest == expected
    with pytest.raises(LoadError, match="a connection that anybody can change: set the digest, or use https"):
        fetched(uri, tmp_path / "cache")


def test_the_hubs_token_goes_to_the_hub_only_and_all_files_are_of_one_commit(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(web, "owner/fraud", {**FILES, "README.md": b"words", ".gitattributes": b"x", "other/model.onnx": b"two"})
    web.token = "hf_secret"  # noqa: S105  of this test
    with pytest.raises(LoadError, match=r"access to hf://owner/fraud at .* without HF_TOKEN set was denied \(401"):
        fetched("hf://owner/fraud", tmp_path / "cache")
    monkeypatch.setenv("HF_TOKEN", web.token)
    artifact = fetched("hf://owner/fraud", tmp_path / "cache")
    assert sorted(artifact.files) == sorted([*FILES, "README.md", "other/model.onnx"])
    assert list(fetched("hf://owner/fraud/other", tmp_path / "cache").files) == ["model.onnx"]
    moved = [headers for _, path, headers in web.asked if path.startswith("cdn/")]
    assert moved
    assert not any("authorization" in headers for headers in moved)
    assert {path.split("/")[3] for _, path, _ in web.asked if "/resolve/" in path} == {COMMIT}


def test_an_interrupted_download_goes_on_where_it_was(web: Web, tmp_path: Path) -> None:
    files = {"model.onnx": os.urandom(30 * MIB + 5), "small": b"x"}
    put(web, "bucket/large", files)
    web.failures = 3
    attempts = 0
    while True:
        attempts += 1
        try:
            artifact = fetched("gs://bucket/large", tmp_path / "cache")
            break
        except StorageUnreachableError as error:
            assert "503" in str(error)  # noqa: PT017  of the attempts that fail
    assert 2 <= attempts <= 4
    assert artifact.digest == digest(tmp_path / "same", files)
    ranges = [line for line in web.contents() if "model.onnx bytes=" in line]
    # Each of the eight pieces came once, and once more only where it had failed.
    assert len(set(ranges)) == 8
    assert len(ranges) <= 8 + 3
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [artifact.folder.name]


def test_a_new_version_of_an_object_is_not_mixed_with_the_old(web: Web, tmp_path: Path) -> None:
    old, new = {"model.onnx": b"o" * (9 * MIB)}, {"model.onnx": b"n" * (9 * MIB)}
    put(web, "bucket/moving", old)
    web.failures = 1
    with pytest.raises(StorageUnreachableError):
        fetched("gs://bucket/moving", tmp_path / "cache")
    put(web, "bucket/moving", new)
    assert fetched("gs://bucket/moving", tmp_path / "cache").digest == digest(tmp_path / "same", new)


def test_processes_of_one_server_fetch_once_and_serve_the_same_bytes(web: Web, tmp_path: Path) -> None:
    put(web, "bucket/shared")
    found: list[str] = []

    def work() -> None:
        found.append(fetched("gs://bucket/shared", tmp_path / "cache", session="one").digest)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert len([line for line in web.contents() if "model.onnx" in line]) == 1
    put(web, "bucket/shared", {"model.onnx": b"newer"})
    assert fetched("gs://bucket/shared", tmp_path / "cache", session="one").digest == found[0]
    assert fetched("gs://bucket/shared", tmp_path / "cache", session="two").digest != found[0]


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("gs://bucket/nothing", "gs://bucket/nothing does not exist at http"),
        ("az://container/nothing", "az://container/nothing does not exist at http"),
        ("hf://owner/nothing", "hf://owner/nothing has no files at http"),
        ("hf://owner", "hf://owner should be hf://owner/name"),
        ("gs://bucket", "gs://bucket should be gs://bucket/path"),
        ("az://container", "az://container should be az://container/path"),
        ("https://host.example/", "a web server does not list its folders"),
        ("https://me:secret@host.example/model.onnx", "the storage URI holds credentials"),
        ("https://host.example/model.onnx?sig=secret", "https://host.example/model.onnx has a query"),
    ],
)
def test_what_cannot_succeed_is_said_without_secrets(web: Web, tmp_path: Path, uri: str, reason: str) -> None:
    assert web.port
    with pytest.raises(LoadError, match=reason) as caught:
        fetched(uri, tmp_path / "cache")
    assert "secret" not in str(caught.value)


def test_a_redirects_signature_is_not_repeated(web: Web, tmp_path: Path) -> None:
    put(web, "owner/fraud")
    web.failures = 100
    with pytest.raises(StorageUnreachableError, match="503") as caught:
        fetched("hf://owner/fraud", tmp_path / "cache")
    assert "secret" not in str(caught.value)
