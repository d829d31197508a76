"""What the server is told about signatures and names; a slip must not switch the verification off."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from fairlead_serving.errors import LoadError, SettingsError
from fairlead_serving.settings import read
from fairlead_serving.signatures import verify
from fairlead_serving.trust import Trust

PEM = "-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----\n"


@pytest.mark.parametrize(
    ("flags", "environment", "expected"),
    [
        ([], {}, None),
        (["--verify-key", "/etc/key.pem"], {}, Trust(key="/etc/key.pem")),
        ([], {"FAIRLEAD_VERIFY_KEY": PEM}, Trust(key=PEM.strip())),
        (["--verify-key", "a"], {"FAIRLEAD_VERIFY_KEY": "b"}, Trust(key="a")),
        (["--verify-certificate", "ca.pem", "--signature", "sig/v1"], {}, Trust("sig/v1", certificate="ca.pem")),
        (
            ["--verify-identity", "me@example.com", "--verify-identity-provider", "https://id.example"],
            {},
            Trust(identity="me@example.com", provider="https://id.example"),
        ),
    ],
)
def test_whose_signature_is_wanted(flags: list[str], environment: dict[str, str], expected: Trust | None) -> None:
    assert read(["x", *flags], environment).trust == expected


@pytest.mark.parametrize(
    ("flags", "environment", "reason"),
    [
        (["--verify-key", ""], {}, r"FAIRLEAD_VERIFY_KEY \(--verify-key\) is empty"),
        ([], {"FAIRLEAD_VERIFY_KEY": " \n"}, "FAIRLEAD_VERIFY_KEY .* is empty"),
        ([], {"FAIRLEAD_SIGNATURE": "model.sig"}, "a signature is verified with one of"),
        (["--verify-key", "a", "--verify-certificate", "b"], {}, "with one of"),
        (["--verify-identity", "me"], {}, "together with FAIRLEAD_VERIFY_IDENTITY_PROVIDER"),
        (["--verify-identity-provider", "https://id.example"], {}, "together with"),
        (["--verify-key", "a", "--signature", "../sig"], {}, "should be a file in the model's folder"),
        (["--verify-key", "a", "--signature", "/sig"], {}, "should be a file in the model's folder"),
    ],
)
def test_what_is_unclear_is_refused(flags: list[str], environment: dict[str, str], reason: str) -> None:
    with pytest.raises(SettingsError, match=reason):
        read(["x", *flags], environment)


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("/models/fraud/", "fraud"),
        ("s3://models/fraud.onnx", "fraud"),
        ("oci://registry/ml/fraud:1.2", "fraud"),
        ("oci://registry:5000/fraud:1.2@sha256:0", "fraud"),
        ("oci://registry/fraud", "fraud"),
        ("/", "model"),
    ],
)
def test_a_model_is_called_by_the_last_part_of_its_uri(uri: str, name: str) -> None:
    assert read([uri], {}).name == name


def test_an_image_that_cannot_verify_serves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "model_signing", None)
    with pytest.raises(LoadError, match="this image has no model_signing; the full image does"):
        verify(tmp_path, Trust(key=PEM), "s3://m/1")
