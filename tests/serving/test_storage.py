"""Models from S3 and from the disk."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fairlead_serving.digest import digest_of_path
from tests.compiled import package
from tests.serving.harness import Server, table
from tests.serving.objects import S3, free_port, running_s3

Start = Callable[..., Server]


def upload(s3: S3, folder: Path, prefix: str) -> str:
    for path in filter(Path.is_file, folder.rglob("*")):
        s3.put(f"{prefix}/{path.relative_to(folder).as_posix()}", path.read_bytes())
    return digest_of_path(folder)


def test_a_model_comes_from_s3_with_the_digest_of_its_folder(start: Start, models: Path, s3: S3) -> None:
    digest = upload(s3, models / "onnx", "fetched/7")
    server = start("s3://models/fetched/7", **s3.environment, FAIRLEAD_MODEL_DIGEST=digest).ready()
    status = server.get("/fairlead/v1/status").json
    assert status == {
        "model": "m",
        "version": "7",
        "revision": "0123456789",
        "state": "ready",
        "message": "",
        "digest": digest,
    }
    assert server.infer(table()).status == 200
    assert [path.name for path in server.cache.iterdir()] == [digest.replace(":", "-")]


def test_a_trailing_slash_and_a_sibling_prefix_do_not_matter(start: Start, models: Path, s3: S3) -> None:
    digest = upload(s3, models / "onnx", "sibling/1")
    upload(s3, models / "classifier", "sibling/10")
    server = start("s3://models/sibling/1/", **s3.environment).ready()
    assert server.get("/fairlead/v1/status").json["digest"] == digest


def test_a_single_object_counts_as_a_folder_with_one_file(start: Start, models: Path, s3: S3) -> None:
    digest = upload(s3, models / "onnx", "single")
    server = start("s3://models/single/model.onnx", **s3.environment).ready()
    assert server.get("/fairlead/v1/status").json["digest"] == digest


def test_large_and_nested_files_come_whole(start: Start, models: Path, s3: S3, tmp_path: Path) -> None:
    folder = tmp_path / "large"
    (folder / "assets/deep").mkdir(parents=True)
    (folder / "model.onnx").write_bytes((models / "onnx/model.onnx").read_bytes())
    (folder / "assets/deep/blob.bin").write_bytes(os.urandom(20 * 1024 * 1024 + 13))
    (folder / "assets/empty.txt").write_bytes(b"")
    digest = upload(s3, folder, "large")
    server = start("s3://models/large", **s3.environment, FAIRLEAD_MODEL_DIGEST=digest).ready()
    assert server.get("/fairlead/v1/status").json["digest"] == digest


@pytest.mark.parametrize(
    ("uri", "changed", "reason"),
    [
        ("s3://models/nothing/here", {}, "s3://models/nothing/here does not exist at http"),
        ("s3://absent/model", {}, "s3://absent/model does not exist at http"),
        ("s3://models/denied", {"AWS_SECRET_ACCESS_KEY": "wrong"}, "access to s3://models/denied at .* was denied"),
        # versitygw answers 404 here, and says why in the body.
        ("s3://models/denied", {"AWS_ACCESS_KEY_ID": "nobody"}, "s3://models/denied .* access key"),
        ("s3://models", {}, "should be s3://bucket/path"),
        ("s3://models/x", {"AWS_ENDPOINT_URL": "over there"}, "endpoint 'over there' should be http"),
        ("ftp://models/x", {}, "storage ftp:// is not supported; supported are s3://"),
        ("/no/such/folder", {}, "/no/such/folder does not exist"),
        ("file:///no/such/file.onnx", {}, "/no/such/file.onnx does not exist"),
    ],
)
def test_what_cannot_succeed_ends_the_server_with_one_line(
    start: Start, s3: S3, uri: str, changed: dict[str, str], reason: str
) -> None:
    server = start(uri, **{**s3.environment, **changed})
    assert server.ended() == 1
    (error,) = [line["message"] for line in server.lines if line["level"] == "error"]
    assert server.termination.read_text() == f"{error}\n"
    assert re.search(reason, error)


def test_a_wrong_digest_is_refused(start: Start, models: Path, s3: S3) -> None:
    digest = upload(s3, models / "onnx", "pinned")
    server = start("s3://models/pinned", **s3.environment, FAIRLEAD_MODEL_DIGEST="sha256:" + "0" * 64)
    assert server.ended() == 1
    assert server.termination.read_text() == (
        f"wrong digest: s3://models/pinned is {digest}, asked for was sha256:{'0' * 64}\n"
    )


def test_unreachable_storage_is_retried_shown_and_used_once_it_is_there(
    start: Start, models: Path, tmp_path: Path
) -> None:
    port = free_port()
    environment = S3(tmp_path, port).environment
    server = start("s3://models/late", **environment)
    server.wait_for("storage unreachable, attempt 1, next try in 1 s: connection refused at http://127.0.0.1:")
    server.wait_for("storage unreachable, attempt 2, next try in ")
    shown = server.get("/fairlead/v1/status").json
    assert shown["state"] == "loading"
    assert shown["message"].startswith("storage unreachable, attempt ")
    ready = server.get("/v2/models/m/versions/7/ready")
    assert (ready.status, ready.json["ready"]) == (503, False)
    assert "storage unreachable" in ready.json["error"]
    assert server.get("/v2/health/live").status == 200
    assert server.infer(table()).status == 503
    with running_s3(tmp_path / "late", port) as s3:
        upload(s3, models / "onnx", "late")
        server.ready()
    assert server.infer(table()).status == 200


def test_a_pinned_model_in_the_cache_needs_no_storage(start: Start, models: Path, s3: S3, tmp_path: Path) -> None:
    digest = upload(s3, models / "onnx", "cached")
    pinned = {"FAIRLEAD_MODEL_DIGEST": digest, "FAIRLEAD_CACHE_DIR": str(tmp_path / "shared")}
    start("s3://models/cached", **s3.environment, **pinned).ready()
    elsewhere = {**s3.environment, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}"}
    start("s3://models/cached", **elsewhere, **pinned).ready()


def test_the_workers_of_a_server_fetch_once(start: Start, models: Path, s3: S3) -> None:
    digest = upload(s3, models / "onnx", "workers")
    server = start("s3://models/workers", "--workers", "2", **s3.environment).ready()
    server.ready()
    notes: list[Path] = []
    folders: list[Path] = []
    for path in server.cache.iterdir():
        (folders if path.is_dir() else notes).append(path)
    assert [path.name for path in folders] == [digest.replace(":", "-")]
    assert [path.read_text() for path in notes] == [digest]


def test_a_half_downloaded_model_is_thrown_away(start: Start, models: Path, s3: S3, tmp_path: Path) -> None:
    digest = upload(s3, models / "onnx", "half")
    cache = tmp_path / "half"
    (cache / ".partial-download").mkdir(parents=True)
    (cache / ".partial-download/model.onnx").write_bytes(b"half of")
    (cache / digest.replace(":", "-")).mkdir()
    (cache / digest.replace(":", "-") / "model.onnx").write_bytes(b"damaged")
    start("s3://models/half", **s3.environment, FAIRLEAD_CACHE_DIR=str(cache), FAIRLEAD_MODEL_DIGEST=digest).ready()
    assert [path.name for path in cache.iterdir()] == [digest.replace(":", "-")]


def test_the_disk_by_path_and_by_url(start: Start, models: Path) -> None:
    digest = digest_of_path(models / "onnx")
    for uri in (models / "onnx", f"file://{models}/onnx", models / "onnx/model.onnx"):
        server = start(uri).ready()
        assert server.get("/fairlead/v1/status").json["digest"] == digest
        assert not server.cache.exists()


def test_the_digest_command_prints_what_the_server_reports(models: Path) -> None:
    command = [sys.executable, "-m", "fairlead_serving", "digest", str(models / "onnx")]
    printed = subprocess.run(  # noqa: S603  our own program
        command, env={**os.environ, "PYTHONPATH": str(package())}, check=True, capture_output=True, text=True
    )
    assert printed.stdout == f"{digest_of_path(models / 'onnx')}\n"
