"""A real registry for tests: Debian's, as a process, with each way of letting people in."""

from __future__ import annotations

import base64
import datetime as dt
import json
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from tests.cluster.cache import say
from tests.cluster.debian import unpacked
from tests.cluster.errors import ClusterError
from tests.cluster.waiting import until
from tests.serving.certificates import Authority
from tests.serving.harness import PATIENCE_SECONDS
from tests.serving.objects import answers, free_port

USER, PASSWORD = "reader", "open-sesame"
# Of that password, by bcrypt.
_HASH = "$2b$05$abcdefghijklmnopqrstuutXu9KzOt.1yBoZUeFWoT/914/JfszCO"


@contextmanager
def running_registry(folder: Path, **settings: Any) -> Iterator[int]:
    """Run Debian's registry on a folder and yield its port; `settings` are parts of its configuration."""
    try:
        program = unpacked("docker-registry", say) / "usr" / "bin" / "docker-registry"
    except ClusterError as error:
        pytest.skip(f"Debian's registry cannot be had: {error}")
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    configuration = {
        "version": 0.1,
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "root")}},
        **settings,
    }
    configuration["http"] = {"addr": f"127.0.0.1:{port}", **settings.get("http", {})}
    (folder / "config.yml").write_text(yaml.safe_dump(configuration))
    with (folder / "log").open("wb") as log:
        arguments = [str(program), "serve", str(folder / "config.yml")]
        process = subprocess.Popen(arguments, stdout=log, stderr=log)  # noqa: S603  Debian's program
    try:
        until(lambda: process.poll() is not None or answers(port), PATIENCE_SECONDS, "the registry", every=0.02)
        assert process.poll() is None, (folder / "log").read_text()
        yield port
    finally:
        process.terminate()
        process.wait()


def by_password(folder: Path) -> dict[str, Any]:
    """Settings of a registry that asks for name and password itself."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "htpasswd").write_text(f"{USER}:{_HASH}\n")
    return {"auth": {"htpasswd": {"realm": "test", "path": str(folder / "htpasswd")}}}


def by_token(folder: Path, issuer: Issuer) -> dict[str, Any]:
    """Settings of a registry that wants tokens of an issuer."""
    folder.mkdir(parents=True, exist_ok=True)
    bundle = folder / "issuer.pem"
    bundle.write_bytes(issuer.certificate.public_bytes(serialization.Encoding.PEM))
    return {
        "auth": {
            "token": {
                "realm": f"http://127.0.0.1:{issuer.port}/token",
                "service": "the registry",
                "issuer": "tests",
                "rootcertbundle": str(bundle),
            }
        }
    }


@dataclass
class Issuer:
    """Gives tokens for pulling, to anybody or only to USER."""

    public: bool
    port: int = 0
    asked: list[str] = field(default_factory=list)
    authority: Authority = field(default_factory=lambda: Authority("tests"))

    @property
    def certificate(self) -> x509.Certificate:
        return self.authority.certificate

    def token(self, scope: str) -> str:
        """Sign what a scope as repository:name:pull asks for."""
        kind, name, _ = scope.split(":")
        now = int(dt.datetime.now(dt.UTC).timestamp())
        chain = [base64.b64encode(self.certificate.public_bytes(serialization.Encoding.DER)).decode()]
        claims = {
            "iss": "tests",
            "sub": USER,
            "aud": "the registry",
            "nbf": now - 10,
            "iat": now,
            "exp": now + 60,
            "jti": "1",
            "access": [{"type": kind, "name": name, "actions": ["pull"]}],
        }
        signed = ".".join(_base64(json.dumps(part).encode()) for part in ({"alg": "ES256", "x5c": chain}, claims))
        pair = decode_dss_signature(self.authority._key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{_base64(b''.join(number.to_bytes(32, 'big') for number in pair))}"


def _base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


class _TokenHandler(BaseHTTPRequestHandler):
    issuer: Issuer

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        known = self.headers.get("authorization", "")
        self.issuer.asked.append(known)
        right = known == f"Basic {base64.b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}"
        match = re.search(r"scope=([^&]+)", self.path.replace("%3A", ":").replace("%2F", "/"))
        allowed = match is not None and (right or (self.issuer.public and not known))
        body = json.dumps({"token": self.issuer.token(match[1])} if match and allowed else {}).encode()
        self.send_response(200 if allowed else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def running_issuer(*, public: bool) -> Iterator[Issuer]:
    """Run a token server on a free port."""
    issuer = Issuer(public)
    with serving(type("Handler", (_TokenHandler,), {"issuer": issuer})) as issuer.port:
        yield issuer


class _Quiet(ThreadingHTTPServer):
    """Says nothing of clients that go."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[int]:
    """Serve on a free port."""
    with _Quiet(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()
