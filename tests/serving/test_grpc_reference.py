"""Our gRPC server against grpcio's: the same answers to the same requests. And the health service of both."""

from __future__ import annotations

import contextlib
import importlib.util
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fairlead_serving import settings
from fairlead_serving.errors import SettingsError
from tests.serving.certificates import Authority
from tests.serving.grpcclient import Code, also_raw, changed, connected, grpc, only_raw, table, wanting
from tests.serving.harness import IRIS, Server
from tests.serving.oip import messages

Start = Callable[..., Server]
SERVICE = "/inference.GRPCInferenceService/"
HEALTH = "/grpc.health.v1.Health/"


@pytest.fixture(scope="module")
def both(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Server]]:
    """Our server and the reference."""
    with contextlib.ExitStack() as stack:
        servers = []
        for kind in ("own", "grpcio"):
            server = Server.start(tmp_path_factory.mktemp(kind), models / "onnx", "--grpc-server", kind)
            stack.callback(server.stop)
            servers.append(server.ready())
        yield servers[0], servers[1]


def ask(server: Server, path: str, request: bytes, **options: Any) -> tuple[Any, str, bytes]:
    """Return status, details and answer of a call."""
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        try:
            return Code.OK, "", bytes(channel.unary_unary(path)(request, **{"timeout": 60, **options}))
        except grpc.RpcError as error:
            return error.code(), error.details(), b""


RAW = only_raw(np.array(IRIS[:1], dtype="<f4").tobytes())
CALLS: list[tuple[str, bytes]] = [
    *((name, b"") for name in ("ServerLive", "ServerReady", "ServerMetadata", "ModelReady", "ModelMetadata")),
    *((name, messages["ModelRequest"](name="m").SerializeToString()) for name in ("ModelReady", "ModelMetadata")),
    *((name, messages["ModelRequest"](name="other").SerializeToString()) for name in ("ModelReady", "ModelMetadata")),
    ("ModelReady", messages["ModelRequest"](name="m", version="8").SerializeToString()),
    ("ModelReady", b"\xff"),
    *(
        ("ModelInfer", each.SerializeToString())
        for each in (
            *(RAW, table(), table(id="é"), table(IRIS * 3000), table(model_version="7"), table(model_name="x")),
            *(wanting("output_label"), wanting("what"), also_raw(b"1"), only_raw(b"1"), changed(datatype="FLOAT")),
            *(changed(shape=[8]), changed(shape=[-1, 4]), changed(shape=[2, 3]), changed(datatype="FP16")),
        )
    ),
    ("ModelInfer", b""),
    ("ModelInfer", b"\xff" * 20),
    ("ModelInfer", b"\0\0"),
]


@pytest.mark.parametrize("which", range(len(CALLS)))
def test_both_give_the_same_answer(both: tuple[Server, Server], which: int) -> None:
    method, request = CALLS[which]
    ours, theirs = (ask(each, SERVICE + method, request) for each in both)
    assert ours == theirs


@pytest.mark.parametrize("path", [SERVICE + "Nothing", "/other.Service/ModelInfer", HEALTH + "Watch", "/"])
def test_both_have_the_same_methods(both: tuple[Server, Server], path: str) -> None:
    assert [ask(each, path, b"")[0] for each in both] == [Code.UNIMPLEMENTED] * 2


def test_both_count_alike(both: tuple[Server, Server]) -> None:
    for each in both:
        ask(each, SERVICE + "ModelInfer", b"")
    counts = [{key: value for key, value in each.metrics().items() if "requests" in key} for each in both]
    assert counts[0] == counts[1]
    assert counts[0]['fairlead_requests_total{outcome="client_error"}'] > 0


def service(name: str) -> bytes:
    return b"\x0a" + bytes((len(name),)) + name.encode()


@pytest.mark.parametrize("name", ["", "readiness", "liveness", "inference.GRPCInferenceService", "m"])
def test_health_of_what_serves(both: tuple[Server, Server], name: str) -> None:
    for each in both:
        assert ask(each, HEALTH + "Check", service(name) if name else b"") == (Code.OK, "", b"\x08\x01")


def test_health_of_what_is_not_there(both: tuple[Server, Server]) -> None:
    for each in both:
        assert ask(each, HEALTH + "Check", service("other"))[:2] == (Code.NOT_FOUND, "unknown service 'other'")


@pytest.mark.parametrize("kind", ["own", "grpcio"])
def test_health_before_the_model_is_loaded(start: Start, kind: str) -> None:
    nowhere = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ALLOW_HTTP": "true"}
    server = start("s3://models/none", "--grpc-server", kind, **nowhere)
    assert ask(server, HEALTH + "Check", b"") == (Code.OK, "", b"\x08\x02")
    assert ask(server, HEALTH + "Check", service("liveness")) == (Code.OK, "", b"\x08\x01")


def test_the_reference_speaks_tls_with_clients_that_are_known(start: Start, models: Path, tmp_path: Path) -> None:
    servers, clients = Authority("servers"), Authority("clients")
    certificate, key = servers.issue(tmp_path / "server", "first")
    flags = ["--tls-certificate", str(certificate), "--tls-key", str(key)]
    flags += ["--tls-client-ca", str(clients.write(tmp_path / "ca.crt"))]
    server = start(models / "onnx", "--grpc-server", "grpcio", *flags)
    own = clients.issue(tmp_path / "client", "client")
    address, roots = f"127.0.0.1:{server.grpc_port}", servers.write(tmp_path / "roots.crt").read_bytes()
    known = grpc.ssl_channel_credentials(roots, own[1].read_bytes(), own[0].read_bytes())
    with grpc.secure_channel(address, known) as channel:
        assert channel.unary_unary(SERVICE + "ServerLive")(b"", timeout=60) == b"\x08\x01"
    with grpc.secure_channel(address, grpc.ssl_channel_credentials(roots)) as channel:
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary(SERVICE + "ServerLive")(b"", timeout=60)
        assert caught.value.code() is Code.UNAVAILABLE


@pytest.mark.parametrize("kind", ["own", "grpcio"])
def test_a_port_that_is_taken_is_said(start: Start, models: Path, kind: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(AssertionError, match=f"(?s)ended with 1.*{port}"):
            start(models / "onnx", "--grpc-server", kind, "--grpc-port", str(port))


def test_workers_share_the_port_of_the_reference(start: Start, models: Path) -> None:
    server = start(models / "onnx", "--grpc-server", "grpcio", FAIRLEAD_WORKERS="2").ready()
    server.wait_for("^ready$")
    for _ in range(10):
        with connected(server) as client:
            assert client.infer(table()).outputs
    assert server.metrics()['fairlead_requests_total{outcome="success"}'] == 10


def test_where_grpcio_is_not_installed_a_sentence_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(SettingsError, match="grpcio, which is not installed; the full image has it"):
        settings.read(["m", "--grpc-server", "grpcio"], {})
    assert settings.read(["m"], {}).grpc_server == "own"
    with pytest.raises(SettingsError, match="should be own or grpcio, not 'other'"):
        settings.read(["m"], {"FAIRLEAD_GRPC_SERVER": "other"})
