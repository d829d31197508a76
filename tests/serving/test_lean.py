"""What the lean image has is enough for ONNX models, and what it lacks is said.

The environment is made of the same locked requirements as the image, once, in the cache.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import venv
from pathlib import Path

import pytest

from tests.cluster.cache import REPOSITORY, cache_dir, digest_of, locked, silent
from tests.serving.conftest import Start
from tests.serving.harness import Server, table

REQUIREMENTS = REPOSITORY / "requirements" / "serving-lean.txt"
BODY = json.dumps(table()).encode()
MEGABYTE = 1 << 20
# What an ONNX model on the disk has no use for: it would only delay the start.
LATER = ("obstore", "opentelemetry", "requests", "urllib3", "google.protobuf", "yaml", "sklearn")


@pytest.fixture(scope="session")
def lean() -> Path:
    """The interpreter of an environment with the lean image's packages and nothing else."""
    folder = cache_dir() / "environments" / f"serving-lean-{digest_of(REQUIREMENTS, sys.version)}"
    with locked("environment-serving-lean", silent):
        if not folder.exists():
            partial = folder.with_suffix(".partial")
            venv.create(partial, clear=True)
            install = ["install", "--quiet", "--require-hashes", "--only-binary=:all:", "--no-deps"]
            where = ["--python", str(partial / "bin" / "python"), "--disable-pip-version-check"]
            subprocess.run([sys.executable, "-m", "pip", *where, *install, "-r", REQUIREMENTS], check=True)  # noqa: S603
            partial.rename(folder)
    return folder / "bin" / "python"


def load(server: Server, connections: int, requests: int) -> None:
    """Send requests over several connections at once."""

    def client() -> None:
        for _ in range(requests):
            assert server.infer(BODY).status == 200

    clients = [threading.Thread(target=client) for _ in range(connections)]
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join()


def test_an_onnx_model_is_served_in_90_megabytes(start: Start, models: Path, lean: Path) -> None:
    server = start(models / "onnx", python=lean).ready()
    assert server.infer(BODY).json["outputs"][0]["data"] == [0, 2]
    load(server, connections=32, requests=30)
    assert "fairlead_requests_total" in server.get("/metrics").body.decode()
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    most = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert most is not None
    assert int(most[1]) * 1024 < 90 * MEGABYTE


def test_nothing_is_imported_before_it_is_needed(start: Start, models: Path, lean: Path) -> None:
    server = start(models / "onnx", python=lean, PYTHONPROFILEIMPORTTIME="1").ready()
    imported = [line["message"].rpartition("|")[2].strip() for line in server.lines if line["level"] == "raw"]
    assert "onnxruntime" in imported
    assert not [name for name in imported if name in LATER]


@pytest.mark.parametrize(
    ("file", "lacks"),
    [
        ("model.skops", "scikit-learn, joblib, skops"),
        ("model.ubj", "XGBoost"),
        ("model.txt", "LightGBM"),
    ],
)
def test_another_format_is_refused_in_a_sentence(
    start: Start, tmp_path: Path, lean: Path, file: str, lacks: str
) -> None:
    (tmp_path / file).write_bytes(b"x")
    server = start(tmp_path / file, python=lean)
    assert server.ended() == 1
    assert server.lines[-1]["message"] == (
        f"{file} needs {lacks}, which this image does not have: "
        "serve it with the full image, or pip install 'fairlead-serving[full]'"
    )
