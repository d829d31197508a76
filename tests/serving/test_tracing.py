"""Traces of requests, as a receiver of the OpenTelemetry protocol sees them."""

from __future__ import annotations

import json
import signal
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.serving.certificates import Authority
from tests.serving.harness import IRIS, PATIENCE_SECONDS, Server, table, until
from tests.serving.oip import messages
from tests.serving.receiver import Receiver, running_receiver

Start = Callable[..., Server]
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SERVER, INTERNAL = 2, 1


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with running_receiver() as running:
        yield running


@pytest.fixture
def traced(start: Start, receiver: Receiver, models: Path) -> Callable[..., Server]:
    def begin(model: str = "onnx", *flags: str, **environment: str) -> Server:
        variables = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.address,
            "OTEL_TRACES_SAMPLER": "parentbased_always_off",
            **environment,
        }
        return start(models / model, *flags, "--drain-seconds", "0", **variables).ready()

    return begin


def ended(server: Server) -> None:
    server.signal(signal.SIGTERM)
    assert server.ended() == 0


def spans(receiver: Receiver) -> list[Any]:
    """Return all spans that have come, in the order of their beginnings."""
    found = []
    for message in receiver.taken:
        assert message.path == "/v1/traces"
        request = ExportTraceServiceRequest.FromString(message.body)
        found += [span for group in request.resource_spans for scope in group.scope_spans for span in scope.spans]
    return sorted(found, key=lambda span: (span.start_time_unix_nano, span.name))


def attributes(holder: Any) -> dict[str, str | int]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in holder.attributes}


def header(trace: str = TRACE, flags: str = "01") -> str:
    return f"00-{trace}-{SPAN}-{flags}"


def infer(server: Server, rows: Any = None, path: str = "/v2/models/m/infer", **headers: str) -> int:
    return server.call("POST", path, json.dumps(table(rows, id="42")).encode(), **headers).status


def test_a_sampled_trace_goes_on_with_the_request_its_wait_and_its_run(
    traced: Callable[..., Server], receiver: Receiver
) -> None:
    server = traced(OTEL_SERVICE_NAME="scores", OTEL_RESOURCE_ATTRIBUTES="team=a")
    began = time.time_ns()
    assert infer(server, traceparent=header(), tracestate="vendor=1,other=2") == 200
    ended(server)
    request, queue, run = spans(receiver)
    assert (request.name, request.kind) == ("POST /v2/models/{model}/infer", SERVER)
    assert (request.trace_id.hex(), request.parent_span_id.hex()) == (TRACE, SPAN)
    assert request.trace_state == "vendor=1,other=2"
    assert [span.name for span in (queue, run)] == ["queue", "model"]
    assert {span.kind for span in (queue, run)} == {INTERNAL}
    assert {span.trace_id for span in (queue, run)} == {request.trace_id}
    assert {span.parent_span_id for span in (queue, run)} == {request.span_id}
    assert len({request.span_id, queue.span_id, run.span_id}) == 3
    edges = [
        (began, request.start_time_unix_nano, queue.start_time_unix_nano),
        (queue.start_time_unix_nano, queue.end_time_unix_nano, run.start_time_unix_nano + 1),
        (run.start_time_unix_nano, run.end_time_unix_nano, request.end_time_unix_nano),
        (request.end_time_unix_nano, time.time_ns(), time.time_ns()),
    ]
    assert all(first <= second <= third for first, second, third in edges), edges
    assert attributes(request) == {
        "http.request.method": "POST",
        "http.route": "/v2/models/{model}/infer",
        "http.response.status_code": 200,
        "url.path": "/v2/models/m/infer",
        "url.scheme": "http",
        "network.protocol.version": "1.1",
        "client.address": "127.0.0.1",
        "fairlead.model": "m",
        "fairlead.version": "7",
        "fairlead.revision": "0123456789",
        "fairlead.outcome": "success",
        "fairlead.rows": 2,
        "fairlead.request.id": "42",
    }
    assert attributes(run) == {"fairlead.batch.rows": 2, "fairlead.batch.requests": 1}
    (group,) = ExportTraceServiceRequest.FromString(receiver.taken[0].body).resource_spans
    assert {"service.name": "scores", "team": "a"}.items() <= attributes(group.resource).items()


def test_requests_that_differ_in_their_trace_alone_each_go_on_with_their_own(
    traced: Callable[..., Server], receiver: Receiver
) -> None:
    server = traced()
    asked = [(f"{number:032x}", "01" if number % 3 else "00") for number in range(1, 10)]
    for trace, flags in asked:
        assert infer(server, traceparent=header(trace, flags), tracestate=f"vendor={trace[-1]}") == 200
    ended(server)
    roots = [span for span in spans(receiver) if span.kind == SERVER]
    assert [span.trace_id.hex() for span in roots] == [trace for trace, flags in asked if flags == "01"]
    assert all(span.trace_state == f"vendor={span.trace_id.hex()[-1]}" for span in roots)


def test_what_is_not_sampled_leaves_no_span(traced: Callable[..., Server], receiver: Receiver) -> None:
    server = traced()
    headers = [
        {},
        {"traceparent": header(flags="00")},
        {"traceparent": header(trace="0" * 32)},
        {"traceparent": header().upper()},
        {"traceparent": "ff" + header()[2:]},
        {"tracestate": "vendor=1"},
    ]
    assert [infer(server, **each) for each in headers] == [200] * len(headers)
    ended(server)
    assert receiver.tried == 0


def test_a_share_of_its_own(traced: Callable[..., Server], receiver: Receiver) -> None:
    server = traced(OTEL_TRACES_SAMPLER="parentbased_traceidratio", OTEL_TRACES_SAMPLER_ARG="0.5")
    for _ in range(100):
        assert infer(server) == 200
    assert infer(server, traceparent=header(flags="00")) == 200
    ended(server)
    roots = [span for span in spans(receiver) if span.kind == SERVER]
    assert 20 < len(roots) < 80
    assert len({span.trace_id for span in roots}) == len(roots)
    assert {span.parent_span_id for span in roots} == {b""}


def test_failures_say_whose_they_are(traced: Callable[..., Server], receiver: Receiver) -> None:
    server = traced("picky", "--convert-seconds", "0")
    assert infer(server, [[9.0]], traceparent=header()) == 500
    assert infer(server, [["x"]], "/v1/models/m:predict", traceparent=header()) == 400
    ended(server)
    by_path = {attributes(span)["url.path"]: span for span in spans(receiver) if span.kind == SERVER}
    ours, theirs = by_path["/v2/models/m/infer"], by_path["/v1/models/m:predict"]
    assert (ours.status.code, attributes(ours)["error.type"], attributes(ours)["fairlead.outcome"]) == (
        2,
        "500",
        "server_error",
    )
    assert (theirs.status.code, attributes(theirs)["http.response.status_code"]) == (0, 400)
    assert attributes(theirs)["fairlead.outcome"] == "client_error"


def test_tls_shows_in_the_scheme_and_a_client_that_goes_has_no_status(
    gated: Start, gate: Path, receiver: Receiver, tmp_path: Path
) -> None:
    authority = Authority("a")
    certificate, key = authority.issue(tmp_path / "tls", "server")
    context = ssl.create_default_context(cafile=authority.write(tmp_path / "ca.crt"))
    flags = ("--tls-certificate", str(certificate), "--tls-key", str(key))
    traces = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.address, "OTEL_BSP_SCHEDULE_DELAY": "100"}
    server = gated(*flags, **traces)
    gate.unlink()
    body = json.dumps(table([[1.0, 2.0]])).encode()
    fields = f"Host: x\r\ntraceparent: {header()}\r\nContent-Length: {len(body)}"
    with context.wrap_socket(server.connect(), server_hostname="127.0.0.1") as client:
        # The model gives no answer, so that the client has gone when the span ends.
        client.sendall(f"POST /v2/models/m/infer HTTP/1.1\r\n{fields}\r\n\r\n".encode() + body)
    receiver.wait_for(lambda: bool(receiver.taken))
    (request,) = [span for span in spans(receiver) if span.kind == SERVER]
    said = attributes(request)
    assert (said["fairlead.outcome"], request.status.code) == ("cancelled", 0)
    assert said["url.scheme"] == "https"
    assert "http.response.status_code" not in said


@pytest.mark.parametrize("kind", ["own", "grpcio"])
def test_grpc_metadata_carries_a_trace_too(traced: Callable[..., Server], receiver: Receiver, kind: str) -> None:
    grpc = pytest.importorskip("grpc", reason="grpcio is not installed")
    server = traced("onnx", "--grpc-server", kind)
    tensor = messages["ModelInferRequest"](model_name="m", id="42")
    given = tensor.inputs.add(name="x", datatype="FP32", shape=[2, 4])
    given.contents.fp32_contents.extend([value for row in IRIS for value in row])
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        call = channel.unary_unary(
            "/inference.GRPCInferenceService/ModelInfer",
            request_serializer=messages["ModelInferRequest"].SerializeToString,
            response_deserializer=messages["ModelInferResponse"].FromString,
        )
        for flags in ("01", "00"):
            call(
                tensor,
                timeout=PATIENCE_SECONDS,
                metadata=[("traceparent", header(flags=flags)), ("tracestate", "vendor=1")],
            )
        tensor.model_version = "8"
        with pytest.raises(grpc.RpcError):
            call(tensor, timeout=PATIENCE_SECONDS, metadata=[("traceparent", header())])
    ended(server)
    right, wrong = [span for span in spans(receiver) if span.kind == SERVER]
    assert right.name == wrong.name == "inference.GRPCInferenceService/ModelInfer"
    assert (right.trace_id.hex(), right.parent_span_id.hex(), right.trace_state) == (TRACE, SPAN, "vendor=1")
    said = [attributes(span) for span in (right, wrong)]
    assert [each["rpc.response.status_code"] for each in said] == ["OK", "NOT_FOUND"]
    assert [each["fairlead.outcome"] for each in said] == ["success", "client_error"]
    assert {each["rpc.system.name"] for each in said} == {"grpc"}


def test_a_receiver_that_does_not_answer_delays_nobody_and_what_is_lost_is_counted(
    traced: Callable[..., Server], receiver: Receiver
) -> None:
    receiver.open.clear()
    sizes = {"OTEL_BSP_MAX_QUEUE_SIZE": "30", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "3"}
    # The sender waits for longer than anything here does.
    server = traced(OTEL_EXPORTER_OTLP_TIMEOUT="1000", **sizes)
    assert infer(server, traceparent=header()) == 200
    receiver.wait_for(lambda: receiver.tried >= 1)
    for _ in range(100):
        assert infer(server, traceparent=header()) == 200
    assert server.metrics()["fairlead_trace_spans_dropped_total"] == 303 - 30
    ended(server)
    assert any("30 spans of traces are lost" in line["message"] for line in server.lines)


def test_traces_that_are_not_taken_are_logged_and_counted(traced: Callable[..., Server], receiver: Receiver) -> None:
    receiver.status = 400
    server = traced(OTEL_BSP_MAX_EXPORT_BATCH_SIZE="3")
    assert infer(server, traceparent=header()) == 200
    server.wait_for("Failed to export span")
    until(lambda: server.metrics()["fairlead_trace_spans_dropped_total"] == 3)
    assert infer(server) == 200


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "traces are off: they are sent by otlp and http/protobuf only"),
        ({"OTEL_TRACES_SAMPLER": "xray"}, "'xray' is not known here, parentbased_always_on is used"),
        ({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "2"}, "'2' is no number from 0 to 1"),
    ],
)
def test_settings_that_are_not_understood_are_said_and_harm_no_request(
    traced: Callable[..., Server], environment: dict[str, str], reason: str
) -> None:
    server = traced(**environment)
    assert infer(server, traceparent=header()) == 200
    ended(server)
    assert any(reason in line["message"] for line in server.lines), server.lines
