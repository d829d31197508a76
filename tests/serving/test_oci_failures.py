"""A registry that fails, lies or sends elsewhere: what is tried again, what is refused, and what is never shown."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from fairlead_serving.errors import LoadError, StorageUnreachableError
from tests.serving.artifacts import FILES, INDEX, contents, fetched, models_in_every_form, sha256
from tests.serving.faulty import Faulty, running_faulty
from tests.serving.registry import PASSWORD, USER

MIB = 1024 * 1024


@pytest.fixture
def faulty() -> Iterator[Faulty]:
    with running_faulty(models_in_every_form()) as registry:
        yield registry


@pytest.mark.parametrize("status", [503, 429])
def test_an_interrupted_pull_goes_on_where_it_was(tmp_path: Path, faulty: Faulty, status: int) -> None:
    large = os.urandom(30 * MIB + 5)
    faulty.pushed.artifact("large", [faulty.pushed.file("model.onnx", large)])
    faulty.failures, faulty.status = 3, status
    attempts = 0
    while True:
        attempts += 1
        try:
            artifact = fetched(f"oci://{faulty.host}/m:large", tmp_path / "cache")
            break
        except StorageUnreachableError as error:
            assert str(error).startswith(f"{status} ")  # noqa: PT017  of the attempts that fail
            assert "TOOMANYREQUESTS: slow down" in str(error)  # noqa: PT017
    assert 2 <= attempts <= 4
    assert contents(artifact) == {"model.onnx": large}
    ranges = faulty.ranges_of(sha256(large))
    assert (len(set(ranges)), len(ranges)) == (8, 8 + 3)
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [artifact.folder.name]


def test_a_registry_that_knows_no_ranges_will_do(tmp_path: Path, faulty: Faulty) -> None:
    large = os.urandom(9 * MIB)
    faulty.pushed.artifact("large", [faulty.pushed.file("model.onnx", large)])
    faulty.ranges = False
    assert contents(fetched(f"oci://{faulty.host}/m:large", tmp_path / "cache")) == {"model.onnx": large}


def test_a_token_that_ends_is_renewed(tmp_path: Path, faulty: Faulty) -> None:
    large = os.urandom(40 * MIB)
    faulty.pushed.artifact("large", [faulty.pushed.file("model.onnx", large)])
    faulty.token_uses = 4
    assert contents(fetched(f"oci://{faulty.host}/m:large", tmp_path / "cache")) == {"model.onnx": large}
    assert faulty.tokens > 1


def test_another_host_gets_neither_password_nor_token(tmp_path: Path, faulty: Faulty) -> None:
    (tmp_path / ".netrc").write_text("machine localhost login me password secret\n")
    faulty.token_uses, faulty.elsewhere = 1000, True
    who = {"OCI_USERNAME": USER, "OCI_PASSWORD": PASSWORD, "HOME": str(tmp_path)}
    assert contents(fetched(f"oci://{faulty.host}/m:files", tmp_path / "cache", **who)) == FILES
    moved = [headers for path, headers in faulty.asked if path.startswith("/cdn/")]
    assert moved
    assert not any("authorization" in headers for headers in moved)


@pytest.mark.parametrize("realm", ["http://tokens.example/token", "ftp://127.0.0.1/token", "token"])
def test_a_password_is_not_sent_over_an_open_connection(tmp_path: Path, faulty: Faulty, realm: str) -> None:
    faulty.token_uses, faulty.realm = 1000, realm
    with pytest.raises(LoadError, match=f"asks for tokens at '{realm}', which is no address to show credentials"):
        fetched(f"oci://{faulty.host}/m:files", tmp_path / "cache", OCI_USERNAME=USER, OCI_PASSWORD=PASSWORD)


def test_what_a_redirect_says_is_not_repeated(tmp_path: Path, faulty: Faulty) -> None:
    faulty.elsewhere, faulty.failures = True, 0
    faulty.cut = 3
    with pytest.raises(StorageUnreachableError, match=r"the connection broke at http://127\.0\.0\.1") as caught:
        fetched(f"oci://{faulty.host}/m:files", tmp_path / "cache")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("target", "reason"),
    [("/v2/", "redirects too often"), ("ftp://host/x", "redirects to a connection that anybody can read")],
)
def test_a_bad_redirect_ends_the_load(tmp_path: Path, faulty: Faulty, target: str, reason: str) -> None:
    faulty.redirect = target
    with pytest.raises(LoadError, match=reason):
        fetched(f"oci://{faulty.host}/m:files", tmp_path / "cache")


def test_other_bytes_are_refused_and_not_kept(tmp_path: Path, faulty: Faulty) -> None:
    right = faulty.pushed.blobs[sha256(b"a\nb\n")]
    faulty.pushed.blobs[sha256(right)] = b"a\nc\n"
    with pytest.raises(LoadError, match=f"wrong digest: the blob {sha256(right)} of oci://.* came as sha256:"):
        fetched(f"oci://{faulty.host}/m:files", tmp_path / "cache")
    faulty.pushed.blobs[sha256(right)] = right
    assert contents(fetched(f"oci://{faulty.host}/m:files", tmp_path / "cache")) == FILES


def test_another_manifest_is_refused(tmp_path: Path, faulty: Faulty) -> None:
    wanted = faulty.pushed.descriptor("files")["digest"]
    faulty.pushed.manifests[wanted] = faulty.pushed.manifests["folder"]
    with pytest.raises(LoadError, match=f"wrong digest: the manifest of .* is sha256:.*, asked for was {wanted}"):
        fetched(f"oci://{faulty.host}/m@{wanted}", tmp_path / "cache")
    with pytest.raises(LoadError, match="wrong digest: the manifest"):
        fetched(f"oci://{faulty.host}/m:index", tmp_path / "cache")


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "<html>",
        '{"layers": [{"digest": "sha256:../../secret", "size": 1}]}',
        f'{{"layers": [{{"digest": "sha256:{"0" * 64}", "size": -1}}]}}',
    ],
)
def test_a_manifest_that_is_none_is_refused(tmp_path: Path, faulty: Faulty, text: str) -> None:
    faulty.pushed.manifests["odd"] = (INDEX, text.encode())
    with pytest.raises(LoadError, match=r"the manifest of oci://.*/m:odd cannot be understood"):
        fetched(f"oci://{faulty.host}/m:odd", tmp_path / "cache")


def test_a_model_larger_than_the_disk_is_not_begun(tmp_path: Path, faulty: Faulty) -> None:
    faulty.pushed.artifact("vast", [{**faulty.pushed.file("model.onnx", b"x"), "size": 10**18}])
    with pytest.raises(LoadError, match=f"the model has {10**18} bytes, and the whole disk of the cache [0-9]+"):
        fetched(f"oci://{faulty.host}/m:vast", tmp_path / "cache")


def test_a_registry_that_is_not_there_is_tried_again(tmp_path: Path) -> None:
    with pytest.raises(StorageUnreachableError, match=re.escape("connection refused at http://127.0.0.1:1")):
        fetched("oci://127.0.0.1:1/m:1", tmp_path / "cache")
