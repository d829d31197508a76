"""Certificates and kubeconfig files of a cluster that lives for hours, not years."""

from __future__ import annotations

import base64
import datetime as dt
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from .cache import write_private

_LIFETIME = dt.timedelta(days=365)
_CLOCK_SKEW = dt.timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate and its key, as files."""

    certificate: Path
    key: Path


class Authority:
    """One certificate authority; its files ca.crt and ca.key lie in the given folder and are made on first use."""

    def __init__(self, folder: Path) -> None:
        """Open the authority in folder, or make one."""
        self.folder = folder
        self.certificate = folder / "ca.crt"
        self._key_file = folder / "ca.key"
        if not (self.certificate.exists() and self._key_file.exists()):
            folder.mkdir(parents=True, exist_ok=True)
            self._create()
        loaded = serialization.load_pem_private_key(self._key_file.read_bytes(), password=None)
        if not isinstance(loaded, ec.EllipticCurvePrivateKey):
            message = f"{self._key_file} does not hold an elliptic-curve key"
            raise TypeError(message)
        self._key = loaded
        self._ca = x509.load_pem_x509_certificate(self.certificate.read_bytes())

    @property
    def key(self) -> Path:
        """The authority's own key (the controller manager signs certificate requests with it)."""
        return self._key_file

    def _create(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name("fairlead-ca", ())
        usage = x509.KeyUsage(
            digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False, key_encipherment=False,
            data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
        )  # fmt: skip
        certificate = (
            _builder(name, name, key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .sign(key, hashes.SHA256())
        )
        write_private(self._key_file, _pem(key))
        write_private(self.certificate, certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, file: str, user: str, groups: Sequence[str] = (), names: Sequence[str] = ()) -> KeyPair:
        """Issue a certificate for user in groups and for the host names and addresses given: file.crt and file.key.

        Kubernetes reads the user from the common name and the groups from the organizations.
        """
        pair = KeyPair(self.folder / f"{file}.crt", self.folder / f"{file}.key")
        key = ec.generate_private_key(ec.SECP256R1())
        purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH])
        builder = _builder(_name(user, groups), self._ca.subject, key.public_key())
        builder = builder.add_extension(purposes, critical=False)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName([_general(n) for n in names]), critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        write_private(pair.key, _pem(key))
        write_private(pair.certificate, certificate.public_bytes(serialization.Encoding.PEM))
        return pair


def service_account_key(path: Path) -> Path:
    """Write the key that signs service-account tokens, and return its path."""
    return write_private(path, _pem(rsa.generate_private_key(public_exponent=65537, key_size=2048)))


def kubeconfig(path: Path, server: str, authority: Path, user: KeyPair, context: str) -> Path:
    """Write a kubeconfig that carries everything it needs, readable by its owner only."""
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": context, "cluster": {"server": server, "certificate-authority-data": _base64(authority)}},
        ],
        "users": [
            {
                "name": context,
                "user": {
                    "client-certificate-data": _base64(user.certificate),
                    "client-key-data": _base64(user.key),
                },
            }
        ],
        "contexts": [{"name": context, "context": {"cluster": context, "user": context}}],
        "current-context": context,
    }
    return write_private(path, yaml.safe_dump(content, sort_keys=False))


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def _name(user: str, groups: Sequence[str]) -> x509.Name:
    organizations = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    return x509.Name([*organizations, x509.NameAttribute(NameOID.COMMON_NAME, user)])


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + _LIFETIME)
    )


def _pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
