"""Several worker processes behind one port."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.serving.harness import Server, table
from tests.serving.load import Load
from tests.serving.objects import free_port

Start = Callable[..., Server]
BODY = json.dumps(table()).encode()


def serving(server: Server, workers: int) -> Server:
    """Wait until so many workers have loaded the model and listen."""
    for _ in range(workers):
        server.wait_for("^ready$")
    return server


def cpu_seconds(server: Server) -> float:
    lines = server.get("/metrics").body.decode().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("process_cpu_seconds_total "))


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_workers_share_the_port_and_are_counted_as_one(start: Start, models: Path) -> None:
    server = serving(start(models / "onnx", "--workers", "3"), 3)
    assert len(server.workers()) == 3
    for _ in range(60):
        assert server.infer(table()).status == 200
    assert server.infer(b"{").status == 400
    samples = server.metrics()
    assert samples['fairlead_requests_total{outcome="success"}'] == 60
    assert samples['fairlead_requests_total{outcome="client_error"}'] == 1
    assert samples["fairlead_request_duration_seconds_count"] == 61
    assert samples["fairlead_connections_opened_total"] == 61
    assert sum(value for name, value in samples.items() if name.startswith("fairlead_predictions_total")) == 120
    assert (samples["fairlead_workers"], samples["fairlead_worker_restarts_total"]) == (3, 0)
    assert {server.get("/fairlead/v1/status").json["state"] for _ in range(20)} == {"ready"}


def test_a_dead_worker_is_replaced_and_its_counts_are_kept(start: Start, models: Path) -> None:
    server = serving(start(models / "onnx", "--workers", "2"), 2)
    for _ in range(20):
        assert server.infer(table()).status == 200
    before = cpu_seconds(server)
    first, second = server.workers()
    os.kill(first, signal.SIGKILL)
    assert server.wait_for("ended with status -9")["level"] == "error"
    assert server.infer(table()).status == 200
    server.wait_for("^ready$")
    until(lambda: server.metrics()["fairlead_workers"] == 2)
    assert second in server.workers()
    assert len(server.workers()) == 2
    for _ in range(20):
        assert server.infer(table()).status == 200
    after = server.metrics()
    assert after['fairlead_requests_total{outcome="success"}'] == 41
    assert after['fairlead_requests_total{outcome="server_error"}'] == 0
    assert after["fairlead_worker_restarts_total"] == 1
    assert cpu_seconds(server) >= before


def test_what_a_worker_was_answering_when_it_died_counts_as_the_servers_error(start: Start, models: Path) -> None:
    server = serving(start(models / "forest", "--workers", "2"), 2)
    body = json.dumps(table([[5.1, 3.5, 1.4, 0.2]] * 100_000)).encode()
    with server.connect() as client:
        head = b"POST /v2/models/m/infer HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
        client.sendall(head + body)
        until(lambda: server.metrics()["fairlead_requests_in_flight"] == 1)
        for pid in server.workers():
            os.kill(pid, signal.SIGKILL)
        serving(server, 2)
    samples = server.metrics()
    assert samples['fairlead_requests_total{outcome="server_error"}'] == 1
    assert samples["fairlead_requests_in_flight"] == 0


def test_sigterm_drains_all_workers_and_loses_no_request(start: Start, models: Path) -> None:
    servers = [serving(start(models / "onnx", "--drain-seconds", "2", "--workers", "2"), 2) for _ in range(2)]
    load = Load(BODY, [server.port for server in servers])
    with load:
        load.wait_for(300)
        servers[0].signal(signal.SIGTERM)
        for _ in range(2):
            servers[0].wait_for("^draining for 2 s")
        load.wait_for(load.answered + 300)
        load.forget(servers[0].port)
        assert servers[0].ended() == 0
        load.wait_for(load.answered + 300)
    assert load.failures == []


def test_a_second_signal_ends_all_workers_at_once(start: Start, models: Path) -> None:
    server = serving(start(models / "onnx", "--drain-seconds", "60", "--workers", "2"), 2)
    server.signal(signal.SIGTERM)
    for _ in range(2):
        server.wait_for("^draining")
    server.signal(signal.SIGTERM)
    assert server.ended() == 128 + signal.SIGTERM


def test_a_signal_while_the_first_worker_loads_ends_at_once(start: Start) -> None:
    endpoint = f"http://127.0.0.1:{free_port()}"
    keys = {"AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    server = start("s3://models/x", "--workers", "2", **keys)
    server.wait_for("storage unreachable")
    assert server.get("/v2/health/live").status == 200
    until(lambda: "storage unreachable" in server.get("/fairlead/v1/status").json["message"])
    assert len(server.workers()) == 1
    server.signal(signal.SIGTERM)
    assert server.ended() == 0


def test_a_model_that_cannot_be_loaded_ends_all_with_status_1_and_one_line(start: Start, models: Path) -> None:
    server = start(models / "damaged", "--workers", "2")
    assert server.ended() == 1
    assert "cannot be loaded by ONNX Runtime" in server.termination.read_text()


def test_a_worker_never_serves_other_files_than_the_first_one(start: Start, models: Path, tmp_path: Path) -> None:
    shutil.copytree(models / "onnx", tmp_path / "model")
    server = serving(start(tmp_path / "model", "--workers", "2"), 2)
    shutil.copy(models / "zipmap/model.onnx", tmp_path / "model/model.onnx")
    os.kill(server.workers()[1], signal.SIGKILL)
    server.wait_for("ended with status -9")
    server.wait_for("wrong digest")
    server.wait_for("ended with status 1 after")
    assert server.infer(table()).status == 200


def test_workers_end_when_their_supervisor_is_killed(start: Start, models: Path) -> None:
    server = serving(start(models / "onnx", "--workers", "2", "--drain-seconds", "0"), 2)
    pids = server.workers()
    server.signal(signal.SIGKILL)
    server.process.wait()
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])  # noqa: S104  what is tested is that it is noticed
def test_a_port_that_another_server_has_is_not_shared_with_it(
    start: Start, models: Path, tmp_path: Path, host: str
) -> None:
    first = serving(start(models / "onnx", "--workers", "2"), 2)
    with pytest.raises(AssertionError, match="cannot listen on port"):
        Server.start(tmp_path, models / "onnx", "--workers", "2", "--http-port", str(first.port), "--host", host)
    assert (tmp_path / "termination-log").read_text().startswith("cannot listen on port")
