"""TLS on both ports, from files that are replaced while the server runs."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.serving.certificates import Authority
from tests.serving.harness import PATIENCE_SECONDS, Server, table
from tests.serving.rawh2 import Client, request

Start = Callable[..., Server]


class Secured(NamedTuple):
    server: Server
    folder: Path
    authority: Authority
    clients: Authority

    def context(self, protocol: str = "http/1.1", client: Path | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.authority.write(self.folder / "for-clients.crt"))
        context.set_alpn_protocols([protocol])
        if client is not None:
            context.load_cert_chain(client / "tls.crt", client / "tls.key")
        return context

    def connect(self, port: int, context: ssl.SSLContext) -> ssl.SSLSocket:
        raw = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS)
        try:
            return context.wrap_socket(raw, server_hostname="127.0.0.1")
        except BaseException:
            raw.close()
            raise

    def subject(self, client: Path | None = None) -> str:
        """Return the name in the certificate that a new connection is shown. Raises PermissionError if it is cut."""
        with self.connect(self.server.port, self.context(client=client)) as connection:
            try:
                connection.sendall(b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n")
                answer = connection.recv(100)
            except OSError as error:
                raise PermissionError from error
            # With TLS 1.3 a client that is not let in learns so only when it reads.
            if not answer:
                raise PermissionError
            assert answer.startswith(b"HTTP/1.1 200")
            certificate: Any = connection.getpeercert()
        return str(dict(pair[0] for pair in certificate["subject"])["commonName"])


@pytest.fixture
def secured(start: Start, models: Path, tmp_path: Path) -> Secured:
    authority, clients = Authority("servers"), Authority("clients")
    certificate, key = authority.issue(tmp_path, "first")
    flags = ["--tls-certificate", str(certificate), "--tls-key", str(key)]
    return Secured(start(models / "onnx", *flags).ready(), tmp_path, authority, clients)


@pytest.fixture
def mutual(start: Start, models: Path, tmp_path: Path) -> Secured:
    authority, clients = Authority("servers"), Authority("clients")
    certificate, key = authority.issue(tmp_path, "first")
    client_ca = clients.write(tmp_path / "ca.crt")
    flags = ["--tls-certificate", str(certificate), "--tls-key", str(key), "--tls-client-ca", str(client_ca)]
    return Secured(start(models / "onnx", *flags).ready(), tmp_path, authority, clients)


def test_both_ports_speak_tls(secured: Secured) -> None:
    connection = http.client.HTTPSConnection(
        "127.0.0.1", secured.server.port, context=secured.context(), timeout=PATIENCE_SECONDS
    )
    connection.request("POST", "/v2/models/m/infer", json.dumps(table()))
    assert connection.getresponse().status == 200
    connection.close()
    with secured.connect(secured.server.grpc_port, secured.context("h2")) as tls:
        assert tls.selected_alpn_protocol() == "h2"
        client = Client(tls).greet()
        with client.stream:
            assert b"grpc-status\x010" in client.send(request(1)).end(1).payload


def test_without_tls_there_is_no_answer(secured: Secured) -> None:
    with secured.server.connect() as client, client.makefile("rb") as stream:
        client.sendall(b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        assert not stream.read().startswith(b"HTTP")


def test_a_response_that_closes_arrives_whole(secured: Secured) -> None:
    with secured.connect(secured.server.port, secured.context()) as tls, tls.makefile("rb") as stream:
        tls.sendall(b"GET /v2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert stream.read().endswith(b'"extensions":["binary_tensor_data"]}')


def test_a_new_certificate_is_used_for_new_connections(secured: Secured) -> None:
    with secured.connect(secured.server.port, secured.context()) as old:
        assert secured.subject() == "first"
        secured.authority.issue(secured.folder, "second")
        assert secured.subject() == "second"
        old.sendall(b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        assert old.recv(100).startswith(b"HTTP/1.1 200")


def test_files_that_cannot_be_used_leave_those_before_in_use(secured: Secured) -> None:
    (secured.folder / "tls.crt").write_text("half a certif")
    assert secured.subject() == "first"
    assert secured.server.wait_for("TLS: the files before stay in use")
    (secured.folder / "tls.crt").unlink()
    assert secured.subject() == "first"
    secured.authority.issue(secured.folder, "third")
    assert secured.subject() == "third"


def test_only_clients_with_a_certificate_are_let_in(mutual: Secured) -> None:
    mutual.clients.issue(mutual.folder / "known", "somebody")
    assert mutual.subject(mutual.folder / "known") == "first"
    with pytest.raises(PermissionError):
        mutual.subject()
    Authority("others").issue(mutual.folder / "unknown", "nobody")
    with pytest.raises(PermissionError):
        mutual.subject(mutual.folder / "unknown")
    with mutual.connect(mutual.server.grpc_port, mutual.context("h2", mutual.folder / "known")) as tls:
        client = Client(tls).greet()
        with client.stream:
            assert b"grpc-status\x010" in client.send(request(1)).end(1).payload


def test_a_new_client_ca_lets_its_clients_in_and_the_others_no_more(mutual: Secured) -> None:
    mutual.clients.issue(mutual.folder / "old", "old")
    assert mutual.subject(mutual.folder / "old") == "first"
    successor = Authority("successor")
    successor.issue(mutual.folder / "new", "new")
    with pytest.raises(PermissionError):
        mutual.subject(mutual.folder / "new")
    successor.write(mutual.folder / "ca.crt")
    assert mutual.subject(mutual.folder / "new") == "first"
    with pytest.raises(PermissionError):
        mutual.subject(mutual.folder / "old")


def test_files_that_cannot_be_used_from_the_start_end_the_server(start: Start, models: Path, tmp_path: Path) -> None:
    folder = tmp_path / "server-0"
    for path in ("tls.crt", "tls.key"):
        (tmp_path / path).write_text("nothing")
    with pytest.raises(AssertionError, match="TLS cannot be set up from"):
        start(models / "onnx", "--tls-certificate", str(tmp_path / "tls.crt"), "--tls-key", str(tmp_path / "tls.key"))
    assert (folder / "termination-log").read_text().startswith("TLS cannot be set up from")
