"""Small pure parts of the serving image: digest, settings, choice of file, storage errors, back-off."""

from __future__ import annotations

import hashlib
import itertools
from pathlib import Path

import pytest

from fairlead_serving.digest import digest_of_files, digest_of_path
from fairlead_serving.errors import LoadError, SettingsError, StorageUnreachableError
from fairlead_serving.loading import delays
from fairlead_serving.models.formats import Choice, choose
from fairlead_serving.settings import TlsFiles, read
from fairlead_serving.storage.explain import explain


def test_the_digest_is_over_one_line_a_file_in_the_order_of_the_paths(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b/two").write_bytes(b"2")
    (tmp_path / "a").write_bytes(b"1")
    one, two = hashlib.sha256(b"1").hexdigest(), hashlib.sha256(b"2").hexdigest()
    expected = "sha256:" + hashlib.sha256(f"{one}  a\n{two}  b/two\n".encode()).hexdigest()
    assert digest_of_path(tmp_path) == expected
    assert digest_of_files({"b/two": two, "a": one}) == expected
    assert digest_of_path(tmp_path / "a") == digest_of_files({"a": one})


@pytest.mark.parametrize("missing", ["nothing", "empty"])
def test_no_files_have_no_digest(tmp_path: Path, missing: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(LoadError, match=f"{missing} (does not exist|is empty)"):
        digest_of_path(tmp_path / missing)


def test_flags_win_over_variables_and_defaults_follow_from_the_model() -> None:
    settings = read(["/models/fraud", "--http-port", "0"], {"FAIRLEAD_HTTP_PORT": "9000", "FAIRLEAD_REVISION": "abc"})
    assert (settings.name, settings.version, settings.revision, settings.http_port) == ("fraud", "abc", "abc", 0)
    settings = read([], {"FAIRLEAD_STORAGE_URI": "s3://b/fraud/model.onnx", "FAIRLEAD_MODEL_VERSION": "7"})
    assert (settings.uri, settings.name, settings.version) == ("s3://b/fraud/model.onnx", "model", "7")
    assert (settings.drain_seconds, settings.max_connection_age_seconds, settings.http_port) == (10, 20, 8080)
    assert (settings.digest, settings.format, settings.host) == (None, None, None)
    assert read(["x"], {"FAIRLEAD_MODEL_VERSION": "", "FAIRLEAD_DRAIN_SECONDS": ""}).version == "1"


def test_ports_and_tls_files() -> None:
    settings = read(["m", "--grpc-port", "0", "--tls-key", "k"], {"FAIRLEAD_TLS_CERTIFICATE": "c"})
    assert (settings.http_port, settings.grpc_port, settings.tls) == (8080, 0, TlsFiles(Path("c"), Path("k")))
    assert read(["m"], {}).tls is None
    with pytest.raises(SettingsError, match="the port 65536 is not between 0 and 65535"):
        read(["m"], {"FAIRLEAD_GRPC_PORT": "65536"})
    for flags in (["--tls-certificate", "c"], ["--tls-client-ca", "c"]):
        with pytest.raises(SettingsError, match="TLS needs both"):
            read(["m", *flags], {})


def test_without_a_model_there_are_no_settings() -> None:
    with pytest.raises(SettingsError, match="no model given"):
        read([], {})


@pytest.mark.parametrize(
    ("files", "wanted", "expected"),
    [
        (["model.onnx"], None, Choice("onnx", "model.onnx")),
        (["iris.skops", "README.md"], None, Choice("sklearn", "iris.skops")),
        (["model.onnx", "other.onnx"], None, Choice("onnx", "model.onnx")),
        (["model.onnx", "model.skops"], "sklearn", Choice("sklearn", "model.skops")),
        (["model.onnx", "model.pkl"], None, Choice("onnx", "model.onnx")),
        (["model.joblib"], None, Choice("sklearn", "model.joblib")),
        (["model.pkl", "other.joblib"], None, Choice("sklearn", "model.pkl")),
        (["model.skops", "model.pkl"], "sklearn", Choice("sklearn", "model.skops")),
        (["config.json", "model.ubj"], None, Choice("xgboost", "model.ubj")),
        (["model.json"], None, Choice("xgboost", "model.json")),
        (["fraud.json"], "xgboost", Choice("xgboost", "fraud.json")),
        (["model.txt", "requirements.txt"], None, Choice("lightgbm", "model.txt")),
        (["fraud.txt", "requirements.txt"], "lightgbm", Choice("lightgbm", "fraud.txt")),
        (["MLmodel", "model.pkl", "model.onnx"], None, Choice("mlflow", "MLmodel")),
        (["fraud.tflite"], None, Choice("litert", "fraud.tflite")),
        (["model.pt2"], None, Choice("pytorch", "model.pt2")),
        (["conversion.json", "golden.jsonl", "model.onnx"], None, Choice("onnx", "model.onnx")),
        (["helper.py", "model.py"], None, Choice("python", "model.py")),
        (["model.onnx", "model.py"], "python", Choice("python", "model.py")),
    ],
)
def test_the_file_to_load(files: list[str], wanted: str | None, expected: Choice) -> None:
    assert choose(files, wanted) == expected


@pytest.mark.parametrize(
    ("files", "wanted", "reason"),
    [
        (["model.onnx", "model.skops"], None, "several files could be the model"),
        (["a.onnx", "b.onnx"], None, "several files could be the model"),
        (["model.onnx", "model.py"], None, "several files could be the model"),
        (["model.joblib", "model.pkl"], "sklearn", "several files could be the model"),
        (["model.onnx"], "sklearn", "expected model.skops, found model.onnx"),
        (
            ["fraud.json"],
            None,
            "no model found: expected model.skops or model.onnx or model.ubj or .*, found fraud.json",
        ),
        ([f"{number}.txt" for number in range(9)], None, "found 0.txt, 1.txt, 2.txt, 3.txt, 4.txt, …"),
        (["model.pt"], None, "model.pt is a pickled PyTorch file or TorchScript: write the model with"),
        (["saved_model.pb", "variables/a"], None, "saved_model.pb is a TensorFlow model, which is served as ONNX: con"),
        (["fraud.keras"], None, "fraud.keras is a Keras model, which is served as ONNX: convert it with"),
        (["weights.npy"], None, "weights.npy is an array, which is no model"),
        (["x"], "tflite", "the format 'tflite' is not supported"),
    ],
)
def test_no_file_to_load(files: list[str], wanted: str | None, reason: str) -> None:
    with pytest.raises(LoadError, match=reason):
        choose(files, wanted)


def answered(status: str, body: str = "") -> str:
    return f"Generic S3 error: GET http://s3/b in 1ms - Server returned non-2xx status code: {status}: {body}"


DENIED = "<Error><Code>AccessDenied</Code><Message>Access Denied.</Message></Error>"
REFUSED = (
    'Generic S3 error: … - HTTP error: error sending request\n\nDebug source:\nOs { message: "Connection refused" }'
)


@pytest.mark.parametrize(
    ("text", "kind", "reason"),
    [
        (answered("403 Forbidden", DENIED), LoadError, "denied (403 Forbidden, AccessDenied: Access Denied.)"),
        (answered("401 Unauthorized"), LoadError, "denied (401 Unauthorized)"),
        (answered("404 Not Found"), LoadError, "does not exist at http://s3 (404 Not Found)"),
        (answered("400 Bad Request"), LoadError, "cannot be read at http://s3 (400 Bad Request)"),
        (answered("408 Request Timeout"), StorageUnreachableError, "408 Request Timeout at http://s3"),
        (answered("412 Precondition Failed"), StorageUnreachableError, "412"),
        (answered("429 Too Many Requests"), StorageUnreachableError, "429 Too Many Requests at http://s3"),
        (answered("503 Slow Down"), StorageUnreachableError, "503 Slow Down at http://s3"),
        (REFUSED, StorageUnreachableError, "connection refused at http://s3"),
        ("Generic S3 error: something new", StorageUnreachableError, "something new at http://s3"),
    ],
)
def test_storage_errors(text: str, kind: type[Exception], reason: str) -> None:
    from obstore.exceptions import GenericError  # noqa: PLC0415

    explained = explain(GenericError(text), "s3://b/x", "http://s3")
    assert type(explained) is kind
    assert reason in str(explained)
    assert "\n" not in str(explained)


def test_the_back_off_doubles_up_to_a_minute() -> None:
    first = list(itertools.islice(delays(), 12))
    assert all(0.75 * step <= delay <= 1.25 * step for step, delay in zip([1, 2, 4, 8, 16, 32], first, strict=False))
    assert all(45 <= delay <= 75 for delay in first[6:])
