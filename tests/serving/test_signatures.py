"""Signed models: what the right one has signed is served, and nothing else."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from fairlead_serving.errors import LoadError
from fairlead_serving.signatures import verify
from fairlead_serving.trust import Trust
from tests.serving.certificates import Authority
from tests.serving.harness import Server, table
from tests.serving.objects import S3

pytest.importorskip("model_signing", reason="model-signing is not installed whole", exc_type=ImportError)

from model_signing import hashing, signing

Start = Callable[..., Server]
KEY = ec.generate_private_key(ec.SECP256R1())
PUBLIC = KEY.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def private(folder: Path, key: ec.EllipticCurvePrivateKey = KEY) -> Path:
    path = folder / "private.pem"
    form, none = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, none))
    return path


def sign(model: Path, config: signing.Config, way: hashing.Config | None = None, *aside: str) -> Path:
    """Sign a folder as `model_signing sign --ignore-paths` does."""
    way = (way or hashing.Config()).set_ignored_paths(paths=["model.sig", *aside])
    config.set_hashing_config(way).sign(model, model / "model.sig")
    return model


def by_key(folder: Path, key: ec.EllipticCurvePrivateKey = KEY) -> signing.Config:
    return signing.Config().use_elliptic_key_signer(private_key=private(folder, key))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    (folder / "assets").mkdir(parents=True)
    (folder / "model.onnx").write_bytes(b"the model" * 1000)
    (folder / "assets/words.txt").write_bytes(b"a\nb\n")
    return folder


@pytest.fixture
def trust() -> Trust:
    return Trust(key=PUBLIC.decode())


@pytest.mark.parametrize(
    "way",
    [
        hashing.Config(),
        hashing.Config().use_file_serialization(hashing_algorithm="blake3"),
        hashing.Config().use_shard_serialization(shard_size=1000),
    ],
)
def test_a_signed_model_is_taken(model: Path, tmp_path: Path, trust: Trust, way: hashing.Config) -> None:
    verify(sign(model, by_key(tmp_path), way), trust, "s3://m/1")
    (tmp_path / "public.pem").write_bytes(PUBLIC)
    verify(model, Trust(key=str(tmp_path / "public.pem")), "s3://m/1")


def tampered(model: Path) -> None:
    path = model / "model.onnx"
    path.write_bytes(path.read_bytes()[:-1] + b"L")


def added(model: Path) -> None:
    (model / "model.py").write_text("import os\n")


def hidden(model: Path) -> None:
    (model / ".github").mkdir()
    (model / ".github/model.pkl").write_bytes(b"x")


def removed(model: Path) -> None:
    (model / "assets/words.txt").unlink()


def linked(model: Path) -> None:
    (model / "assets/words.txt").rename(model / "../words.txt")
    (model / "assets/words.txt").symlink_to(model / "../words.txt")


def unsigned(model: Path) -> None:
    (model / "model.sig").unlink()


def emptied(model: Path) -> None:
    (model / "model.sig").write_text("{}")


def garbled(model: Path) -> None:
    text = (model / "model.sig").read_text()
    at = text.index('"sig":') + 20
    (model / "model.sig").write_text(text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :])


def resigned(model: Path) -> None:
    sign(model, by_key(model.parent, ec.generate_private_key(ec.SECP256R1())))


def swapped(model: Path) -> None:
    """Put another model's contents under this one's signature."""
    text = (model / "model.sig").read_text()
    tampered(model)
    resigned(model)
    mark = '"payload":'
    other = (model / "model.sig").read_text().partition(mark)[2].split('"')[1]
    was = text.partition(mark)[2].split('"')[1]
    (model / "model.sig").write_text(text.replace(was, other))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (tampered, "model.sig of s3://m/1 does not hold: Signature mismatch: .*Hash mismatch for 'model.onnx'"),
        (added, "does not hold: .*Extra files found in model 'model': model.py"),
        (hidden, "does not hold: .*Extra files found in model 'model': .github/model.pkl"),
        (removed, "does not hold: .*Missing files in model 'model': assets/words.txt"),
        (linked, "does not hold: .*is a symlink"),
        (unsigned, "s3://m/1 has no signature model.sig, and only a signed model is to be served"),
        (emptied, "model.sig of s3://m/1 does not hold: KeyError: 'dsseEnvelope'"),
        (garbled, "model.sig of s3://m/1 is not by the key it should be by"),
        (resigned, "does not hold: Key mismatch"),
        (swapped, "is not by the key it should be by"),
    ],
)
def test_anything_else_is_refused(
    model: Path, tmp_path: Path, trust: Trust, change: Callable[[Path], None], reason: str
) -> None:
    sign(model, by_key(tmp_path))
    change(model)
    with pytest.raises(LoadError, match=reason):
        verify(model, trust, "s3://m/1")


def test_what_the_signer_left_out_is_not_served(model: Path, tmp_path: Path, trust: Trust) -> None:
    sign(model, by_key(tmp_path), None, "assets")
    with pytest.raises(LoadError, match=r"Extra files found in model 'model': assets/words\.txt"):
        verify(model, trust, "s3://m/1")


@pytest.mark.parametrize("key", ["/no/such/key.pem", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"])
def test_a_key_that_is_none_is_said(model: Path, tmp_path: Path, key: str) -> None:
    sign(model, by_key(tmp_path))
    with pytest.raises(LoadError, match="the key to verify signatures with cannot be read"):
        verify(model, Trust(key=key), "s3://m/1")


def certified(folder: Path, name: str) -> tuple[signing.Config, Path]:
    """A signer with a certificate, and the CA that gave it."""
    authority = Authority(name)
    ours = authority.write(folder / f"{name}.crt")
    (folder / "signer.crt").write_bytes(authority.signer(KEY.public_key()))
    signer = signing.Config().use_certificate_signer(
        private_key=private(folder), signing_certificate=folder / "signer.crt", certificate_chain=[ours]
    )
    return signer, ours


def test_a_certificate_of_the_right_authority_is_taken(model: Path, tmp_path: Path) -> None:
    signer, ours = certified(tmp_path, "ours")
    theirs = certified(tmp_path, "theirs")[1]
    sign(model, signer)
    verify(model, Trust(certificate=str(ours)), "s3://m/1")
    with pytest.raises(LoadError, match=r"does not hold: X509StoreContextError: self-signed certificate"):
        verify(model, Trust(certificate=theirs.read_text()), "s3://m/1")


def test_the_server_serves_signed_models_only_and_its_cache_is_no_way_round(
    start: Start, models: Path, tmp_path: Path, s3: S3
) -> None:
    folder = Path(shutil.copytree(models / "onnx", tmp_path / "signed"))
    sign(folder, by_key(tmp_path))
    for name in ("model.onnx", "model.sig"):
        s3.put(f"signed/{name}", (folder / name).read_bytes())
    s3.put("bare/model.onnx", (folder / "model.onnx").read_bytes())
    asked = {"FAIRLEAD_VERIFY_KEY": PUBLIC.decode(), "FAIRLEAD_CACHE_DIR": str(tmp_path / "cache"), **s3.environment}
    server = start("s3://models/signed", **asked).ready()
    assert server.infer(table()).status == 200
    assert [line["signature"] for line in server.lines if line["message"] == "the signature holds"] == ["model.sig"]

    careless = {name: value for name, value in asked.items() if name != "FAIRLEAD_VERIFY_KEY"}
    digest = start("s3://models/bare", **careless).ready().get("/fairlead/v1/status").json["digest"]
    server = start("s3://models/bare", **asked, FAIRLEAD_MODEL_DIGEST=digest)
    assert server.ended() == 1
    assert server.termination.read_text().startswith("s3://models/bare has no signature model.sig")
