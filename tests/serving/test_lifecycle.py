"""Start, drain and end of a server process."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.compiled import package
from tests.serving.drain import drain
from tests.serving.harness import PATIENCE_SECONDS, Server, in_flight, read_response, table, until
from tests.serving.load import Load
from tests.serving.objects import free_port

Start = Callable[..., Server]
BODY = json.dumps(table()).encode()
REQUEST = b"POST /v2/models/m/infer HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
LIVE = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n"


def test_on_sigterm_readiness_fails_and_requests_are_answered_until_the_drain_is_over(
    start: Start, models: Path
) -> None:
    server = start(models / "onnx", "--drain-seconds", "500").ready()
    with server.connect() as busy, busy.makefile("rb") as stream:
        busy.sendall(LIVE)
        assert "connection" not in read_response(stream).headers
        server.signal(signal.SIGTERM)
        server.wait_for("^draining for 500 s: SIGTERM")
        for path in ("/v2/health/ready", "/v2/models/m/ready", "/v2/models/m/versions/7/ready"):
            answer = server.get(path)
            assert (answer.status, answer.json["ready"], answer.headers["connection"]) == (503, False, "close")
        assert server.get("/v2/health/live").status == 200
        assert server.get("/fairlead/v1/status").json["state"] == "draining"
        busy.sendall(REQUEST)
        answer = read_response(stream)
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert stream.read() == b""
        assert server.infer(table()).status == 200


def test_the_drain_takes_its_time_and_idle_connections_last_as_long(start: Start, models: Path) -> None:
    server = start(models / "onnx", "--drain-seconds", "1").ready()
    with server.connect() as idle:
        assert server.get("/v2/health/live").status == 200
        began = time.monotonic()
        server.signal(signal.SIGTERM)
        assert idle.recv(1) == b""
        assert time.monotonic() - began > 0.95
    assert server.ended() == 0


def test_sigterm_under_load_loses_no_request(start: Start, models: Path) -> None:
    servers = [start(models / model, "--drain-seconds", "3").ready() for model in ("onnx", "forest", "onnx")]
    load = Load(BODY, [server.port for server in servers])
    with load:
        load.wait_for(500)
        for server in servers[:2]:
            load.drains(server.port, 3)
            server.signal(signal.SIGTERM)
            server.wait_for("^draining")
            # As in a cluster, the address goes away some time after the signal.
            load.wait_for(load.answered + 300)
            load.forget(server.port)
            assert server.ended() == 0
        load.wait_for(load.answered + 300)
    assert load.failures == []
    assert load.answered >= 1400


@pytest.mark.parametrize(("times", "workers"), [(5, 1), (2, 2)])
def test_sigterm_under_load_again_and_again_loses_no_request(
    start: Start, models: Path, times: int, workers: int
) -> None:
    flags = ("--drain-seconds", "1", "--workers", str(workers))
    with Load(BODY, [start(models / "onnx").ready().port]) as load:
        drain(lambda: start(models / "onnx", *flags), load, times=times, workers=workers)
    assert load.failures == []


def test_a_request_that_is_being_worked_on_at_the_end_of_the_drain_is_answered(gated: Start, gate: Path) -> None:
    server = gated("--drain-seconds", "0")
    gate.unlink()
    body = json.dumps(table([[1.0, 2.0]] * 20_000)).encode()
    with server.connect() as client, client.makefile("rb") as stream:
        client.sendall(b"POST /v2/models/m/infer HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        until(lambda: in_flight(server) == 1)
        server.signal(signal.SIGTERM)
        server.wait_for("^draining")
        gate.touch()
        answer = read_response(stream)
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert answer.json["outputs"][0]["shape"] == [20_000]
    assert server.ended() == 0


def test_an_answer_that_the_client_reads_slowly_is_not_cut_off_by_the_end(start: Start, models: Path) -> None:
    server = start(models / "onnx", "--drain-seconds", "0").ready()
    body = json.dumps(table([[5.1, 3.5, 1.4, 0.2]] * 100_000)).encode()
    with server.connect() as client, client.makefile("rb") as stream:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        client.sendall(b"POST /v2/models/m/infer HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        assert stream.peek(1)
        server.signal(signal.SIGTERM)
        server.wait_for("^draining")
        assert read_response(stream).json["outputs"][0]["shape"] == [100_000]
    assert server.ended() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_at_once(start: Start, models: Path, number: signal.Signals) -> None:
    server = start(models / "onnx", "--drain-seconds", "60").ready()
    server.signal(signal.SIGTERM)
    server.wait_for("^draining")
    server.signal(number)
    assert server.ended() == 128 + number


def test_ctrl_c_ends_without_the_drain_time(start: Start, models: Path) -> None:
    server = start(models / "onnx", "--drain-seconds", "60").ready()
    server.signal(signal.SIGINT)
    server.wait_for("^draining for 0 s")
    assert server.ended() == 0


def test_a_signal_before_the_model_is_loaded_ends_at_once(start: Start) -> None:
    endpoint = f"http://127.0.0.1:{free_port()}"
    server = start("s3://models/x", AWS_ENDPOINT_URL=endpoint, AWS_ACCESS_KEY_ID="a", AWS_SECRET_ACCESS_KEY="b")
    server.wait_for("storage unreachable")
    server.signal(signal.SIGTERM)
    assert server.ended() == 0


def test_a_connection_past_its_age_ends_after_a_response_that_says_so(start: Start, models: Path) -> None:
    server = start(models / "onnx", "--max-connection-age-seconds", "0.5").ready()
    began = time.monotonic()
    with server.connect() as client, client.makefile("rb") as stream:
        while True:
            client.sendall(REQUEST)
            answer = read_response(stream)
            assert answer.status == 200
            if answer.headers.get("connection") == "close":
                break
        # Ages are jittered by a fifth.
        assert time.monotonic() - began >= 0.4
        assert stream.read() == b""


def test_an_idle_connection_past_its_age_is_not_closed_under_the_client(start: Start, models: Path) -> None:
    server = start(models / "onnx", "--max-connection-age-seconds", "0.1").ready()
    with server.connect() as client, client.makefile("rb") as stream:
        # Once a later one is answered, this connection has been accepted, from when on it ages.
        assert server.get("/v2/health/live").status == 200
        client.settimeout(0.5)
        with pytest.raises(TimeoutError):
            client.recv(1)
        client.settimeout(PATIENCE_SECONDS)
        client.sendall(REQUEST)
        answer = read_response(stream)
        assert (answer.status, answer.headers["connection"]) == (200, "close")


def test_pipelined_requests_are_all_answered_before_an_old_connection_ends(start: Start, models: Path) -> None:
    server = start(models / "onnx", "--max-connection-age-seconds", "0.000001").ready()
    with server.connect() as client, client.makefile("rb") as stream:
        client.sendall(REQUEST * 20)
        answers = [read_response(stream) for _ in range(20)]
        assert [answer.status for answer in answers] == [200] * 20
        assert [answer.headers.get("connection") for answer in answers] == [None] * 19 + ["close"]


def test_ages_are_jittered(start: Start, models: Path) -> None:
    server = start(models / "onnx", "--max-connection-age-seconds", "1").ready()
    with Load(BODY, [server.port], connections=16) as load:
        load.wait_for_ends(32)
    ages = sorted(load.ages)
    assert load.failures == []
    assert 0.8 <= ages[0] < ages[-1]
    assert ages[-1] - ages[0] > 0.1


def test_age_zero_means_no_limit(start: Start, models: Path) -> None:
    server = start(models / "onnx", "--max-connection-age-seconds", "0").ready()
    with Load(BODY, [server.port], connections=2) as load:
        load.wait_for(500)
    assert load.ages == []


def test_wrong_settings_end_with_one_line(models: Path, tmp_path: Path) -> None:
    for flags, reason in (
        (["--http-port", "eighty"], "FAIRLEAD_HTTP_PORT (--http-port) should be a number of at least 0, not 'eighty'"),
        (["--http-port", "70000"], "the port 70000 is not between 0 and 65535"),
        (["--drain-seconds", "-1"], "should be a number of at least 0, not '-1'"),
        (["--digest", "sha256:abc"], "the digest 'sha256:abc' should be sha256: and 64"),
        (["--log-level", "loud"], "the log level 'loud' is not known"),
    ):
        log = tmp_path / "termination"
        log.touch()
        ended = subprocess.run(  # noqa: S603  our own program
            [sys.executable, "-m", "fairlead_serving", str(models / "onnx"), *flags],
            env={**os.environ, "PYTHONPATH": str(package()), "FAIRLEAD_TERMINATION_LOG": str(log)},
            capture_output=True,
            check=False,
        )
        assert ended.returncode == 2
        assert reason in log.read_text()
        assert json.loads(ended.stderr)["message"] == log.read_text().rstrip()


def test_a_taken_port_ends_with_one_line(models: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(AssertionError, match="cannot listen on port"):
        Server.start(tmp_path, models / "onnx", "--http-port", str(taken.getsockname()[1]))
    assert (tmp_path / "termination-log").read_text().startswith("cannot listen on port")


def test_nothing_is_written_but_the_cache_and_the_termination_log(start: Start, models: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    server = start(models / "classifier", HOME=str(home)).ready()
    assert server.infer(table()).status == 200
    server.signal(signal.SIGINT)
    assert server.ended() == 0
    assert list(home.iterdir()) == []
    assert {path.name for path in server.termination.parent.iterdir()} <= {"cache", "termination-log"}
