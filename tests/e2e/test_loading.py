"""Models that cannot be loaded: the reason stands where a person looks, long before any deadline."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from examples.demo import environment
from tests.e2e.field import Field, condition

ONE = {"minReplicas": 1, "maxReplicas": 1}
CASES: dict[str, tuple[dict[str, Any], str]] = {
    "missing": ({"storageUri": "s3://models/digits/none"}, "digits/none"),
    "wrong-digest": ({"digest": f"sha256:{0:064x}"}, "digest"),
    "corrupt": ({"storageUri": "s3://models/corrupt"}, "model.skops"),
    "pickled": ({"storageUri": "s3://models/pickled", "modelFormat": None}, "skops"),
}
UNREACHABLE = {"storageUri": "s3://models/digits/1", "storage": {"endpoint": "http://127.0.0.1:9"}}


@pytest.fixture(scope="module")
def bad(field: Field, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    """Given a corrupt and a pickled model in the object storage, and a ModelDeployment for each kind of fault."""
    folder = tmp_path_factory.mktemp("bad")
    _upload(field, folder / "corrupt", "model.skops", b"PK\x03\x04 this is no archive")
    _upload(field, folder / "pickled", "model.pkl", pickle.dumps({"a": 1}))
    for name, (model, _) in CASES.items():
        field.apply(name, model, **ONE)
    field.apply("unreachable", UNREACHABLE, **ONE)
    yield field
    field.delete(*CASES, "unreachable")


def _upload(field: Field, folder: Path, name: str, content: bytes) -> None:
    folder.mkdir()
    (folder / name).write_bytes(content)
    environment.upload(field.kubectl, field.credentials, folder, folder.name)


@pytest.mark.parametrize(("name", "part"), [(name, part) for name, (_, part) in CASES.items()])
def test_the_reason_is_in_status(bad: Field, name: str, part: str) -> None:
    def told(status: dict[str, Any]) -> bool:
        return condition(status, "ModelLoaded").get("reason") == "ModelLoadFailed"

    status = bad.until(name, told, 60)

    assert part in condition(status, "ModelLoaded")["message"]
    assert part in status["message"]
    assert condition(status, "Ready")["status"] == "False"


def test_unreachable_storage_is_tried_again_and_shown(bad: Field) -> None:
    status = bad.until("unreachable", lambda status: "attempt" in status.get("message", ""), 60)

    assert condition(status, "ModelLoaded")["status"] == "False"
    assert "127.0.0.1:9" in status["message"]
    (pod,) = bad.pods("unreachable")
    assert pod["status"]["containerStatuses"][0]["restartCount"] == 0
