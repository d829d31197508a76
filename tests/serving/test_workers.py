"""Several worker processes behind one port."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.serving.drain import drain
from tests.serving.grpcload import GrpcLoad
from tests.serving.harness import IRIS, Server, in_flight, table, until
from tests.serving.load import Load
from tests.serving.objects import free_port
from tests.serving.oip import messages
from tests.serving.promproto import ACCEPT, read

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


def test_workers_share_the_port_and_are_counted_as_one(start: Start, models: Path) -> None:
    server = serving(start(models / "onnx", "--workers", "3"), 3)
    assert len(server.workers()) == 3
    for _ in range(60):
        assert server.infer(table()).status == 200
    assert server.infer(b"{").status == 400
    # A worker may tell the others of its last requests a few milliseconds later.
    until(lambda: server.metrics()["fairlead_request_duration_seconds_count"] == 61)
    samples = server.metrics()
    assert samples['fairlead_requests_total{outcome="success"}'] == 60
    assert samples['fairlead_requests_total{outcome="client_error"}'] == 1
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


def test_histograms_are_added_up_and_outlive_a_worker(start: Start, models: Path) -> None:
    server = serving(start(models / "onnx", "--workers", "2"), 2)

    def ask(times: int) -> None:
        for _ in range(times):
            assert server.infer(table()).status == 200

    def counted() -> dict[str, int]:
        """How many requests or runs each histogram knows of, which is the same in both formats."""
        families = read(server.call("GET", "/metrics", Accept=ACCEPT).body)
        (native,) = families["fairlead_request_latency_seconds"].metric
        level, levels = 0, []
        for delta in native.histogram.positive_delta:
            level += delta
            levels.append(level)
        text = server.metrics()
        found = {"native": native.histogram.sample_count, "native buckets": sum(levels)}
        for name in ("request_duration_seconds", "queue_seconds", "batch_rows"):
            (metric,) = families[f"fairlead_{name}"].metric
            assert text[f"fairlead_{name}_sum"] >= metric.histogram.sample_sum > 0
            found[name] = metric.histogram.bucket[-1].cumulative_count
            for part in ('_bucket{le="+Inf"}', "_count"):
                found[name + part] = int(text[f"fairlead_{name}{part}"])
        return found

    def knows(requests: int) -> bool:
        return set(counted().values()) == {requests}

    ask(40)
    until(lambda: knows(40))
    os.kill(server.workers()[0], signal.SIGKILL)
    server.wait_for("ended with status -9")
    assert knows(40)
    server.wait_for("^ready$")
    ask(40)
    until(lambda: knows(80))


def test_a_worker_that_hangs_is_replaced(start: Start, models: Path) -> None:
    server = serving(start(models / "onnx", "--workers", "2", "--hung-worker-seconds", "4"), 2)
    stopped, other = server.workers()
    os.kill(stopped, signal.SIGSTOP)
    line = server.wait_for("hangs: its event loop has not turned for 4 s; it is killed")
    assert line["level"] == "error"
    server.wait_for("ended with status -9")
    server.wait_for("^ready$")
    assert other in server.workers()
    assert stopped not in server.workers()
    samples = server.metrics()
    assert (samples["fairlead_worker_hangs_total"], samples["fairlead_worker_restarts_total"]) == (1, 1)
    assert server.infer(table()).status == 200


# Python's regular expressions hold the interpreter's lock; this one takes for ever.
STUCK = """
import re
import time

class Model:
    def load(self, folder):
        pass

    def predict(self, inputs):
        first = inputs["x"][0, 0]
        if first == 1:
            time.sleep(6)
        if first == 2:
            re.match("(a+)+$", "a" * 60 + "b")
        return inputs["x"]
"""


def test_a_model_that_holds_the_interpreter_hangs_its_worker_and_one_that_is_slow_does_not(
    start: Start, tmp_path: Path
) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model/model.py").write_text(STUCK)
    flags = ("--format", "python", "--allow-unsafe", "--workers", "2", "--hung-worker-seconds", "4")
    server = serving(start(tmp_path / "model", *flags), 2)
    workers = server.workers()
    assert server.infer(table([[1.0]])).status == 200
    assert server.workers() == workers
    with pytest.raises(ConnectionError):
        server.infer(table([[2.0]]))
    server.wait_for("hangs")
    server.wait_for("^ready$")
    assert server.infer(table([[0.0]])).status == 200
    samples = server.metrics()
    assert samples["fairlead_worker_hangs_total"] == 1
    assert samples['fairlead_requests_total{outcome="server_error"}'] == 1


def test_the_only_worker_is_for_the_liveness_probe(start: Start, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model/model.py").write_text(STUCK)
    server = start(tmp_path / "model", "--format", "python", "--allow-unsafe").ready()
    body = json.dumps(table([[2.0]])).encode()
    with server.connect() as stuck, server.connect() as probe:
        assert server.get("/v2/health/live").status == 200
        stuck.sendall(b"POST /v2/models/m/infer HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        probe.settimeout(2)

        def answered() -> bool:
            probe.sendall(b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n")
            try:
                return probe.recv(4096).startswith(b"HTTP/1.1 200")
            except TimeoutError:
                return False

        until(lambda: not answered())


def test_what_a_worker_was_answering_when_it_died_counts_as_the_servers_error(gated: Start, gate: Path) -> None:
    server = serving(gated("--workers", "2"), 1)
    gate.unlink()
    body = json.dumps(table([[1.0, 2.0]])).encode()
    with server.connect() as client:
        head = b"POST /v2/models/m/infer HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
        client.sendall(head + body)
        until(lambda: in_flight(server) == 1)
        for pid in server.workers():
            os.kill(pid, signal.SIGKILL)
        gate.touch()
        serving(server, 2)
    samples = server.metrics()
    assert samples['fairlead_requests_total{outcome="server_error"}'] == 1
    assert samples["fairlead_requests_in_flight"] == 0


def test_sigterm_drains_all_workers_and_loses_no_request(start: Start, models: Path) -> None:
    servers = [serving(start(models / "onnx", "--drain-seconds", "2", "--workers", "2"), 2) for _ in range(2)]
    load = Load(BODY, [server.port for server in servers])
    with load:
        load.wait_for(300)
        load.drains(servers[0].port, 2)
        servers[0].signal(signal.SIGTERM)
        for _ in range(2):
            servers[0].wait_for("^draining for 2 s")
        load.wait_for(load.answered + 300)
        load.forget(servers[0].port)
        assert servers[0].ended() == 0
        load.wait_for(load.answered + 300)
    assert load.failures == []


@pytest.mark.parametrize("workers", [1, 2])
def test_sigterm_under_a_load_of_grpc_loses_no_request(start: Start, models: Path, workers: int) -> None:
    request = messages["ModelInferRequest"](model_name="m")
    request.inputs.add(name="x", datatype="FP32", shape=[1, 4]).contents.fp32_contents.extend(IRIS[0])
    flags = ("--drain-seconds", "2", "--workers", str(workers))
    with GrpcLoad(request.SerializeToString(), [start(models / "onnx").ready().grpc_port]) as load:
        drain(lambda: start(models / "onnx", *flags), load, times=2, workers=workers, drain_seconds=2)
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
