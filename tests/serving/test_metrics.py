"""What a scrape says."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.serving.harness import Server, table

Start = Callable[..., Server]
OUTCOMES = ("success", "client_error", "server_error", "rejected", "cancelled")
HISTOGRAMS = ("prediction_score", "batch_rows", "queue_seconds")
EDGES = [
    "0.0005",
    "0.001",
    "0.0025",
    "0.005",
    "0.01",
    "0.025",
    "0.05",
    "0.1",
    "0.25",
    "0.5",
    "1.0",
    "2.5",
    "5.0",
    "10.0",
]


def test_every_known_series_is_there_at_zero_before_the_first_request(start: Start, models: Path) -> None:
    server = start(models / "classifier").ready()
    samples = server.metrics()
    zero = [f'fairlead_requests_total{{outcome="{kind}"}}' for kind in OUTCOMES]
    zero += [f'fairlead_request_duration_seconds_bucket{{le="{edge}"}}' for edge in [*EDGES, "+Inf"]]
    zero += ["fairlead_request_duration_seconds_count", "fairlead_request_duration_seconds_sum"]
    zero += ["fairlead_requests_in_flight", "fairlead_connections_opened_total", "fairlead_connections_closed_total"]
    zero += ["fairlead_prediction_value_sum", "fairlead_prediction_value_count"]
    zero += [f"fairlead_{name}_{end}" for name in HISTOGRAMS for end in ("count", "sum", 'bucket{le="+Inf"}')]
    zero += [f'fairlead_inputs_total{{bin="{number}"}}' for number in range(32)]
    zero += [f'fairlead_feedback_total{{result="{result}"}}' for result in ("right", "wrong")]
    zero += ["fairlead_feedback_unmatched_total", "fairlead_log_lines_dropped_total", "fairlead_worker_restarts_total"]
    zero += ["fairlead_trace_spans_dropped_total", "fairlead_worker_hangs_total"]
    zero += [f'fairlead_predictions_total{{class="{label}"}}' for label in ("0", "1", "2", "other")]
    assert {series: samples[series] for series in zero} == dict.fromkeys(zero, 0.0)
    assert samples["fairlead_model_load_duration_seconds"] > 0


def test_every_series_carries_model_version_and_revision(classifier: Server) -> None:
    lines = [line for line in classifier.get("/metrics").body.decode().splitlines() if line.startswith("fairlead_")]
    assert lines
    for line in lines:
        assert re.search(r'model="m",.*revision="0123456789",version="7"', line), line
    (info,) = [line for line in lines if line.startswith("fairlead_model_info")]
    assert re.search(r'digest="sha256:[0-9a-f]{64}",format="sklearn"', info)


def test_requests_are_counted_by_outcome_and_nothing_else_is(start: Start, models: Path) -> None:
    server = start(models / "picky").ready()
    for path in ("/v2", "/v2/models/m", "/v2/health/live", "/metrics", "/nothing"):
        server.get(path)
    assert server.infer(table([[1.0]])).status == 200
    assert server.infer(table([[2.0], [0.0]])).status == 200
    assert server.infer(table([[9.0]])).status == 500
    assert server.infer(b"{").status == 400
    assert server.infer(table([[1.0]]), "/v2/models/m/versions/6/infer").status == 404
    assert server.call("POST", "/v2/models/m/infer", b"", Expect="a miracle").status == 417
    samples = server.metrics()
    counted = {kind: samples[f'fairlead_requests_total{{outcome="{kind}"}}'] for kind in ("success", "client_error")}
    assert counted == {"success": 2, "client_error": 3}
    assert samples['fairlead_requests_total{outcome="server_error"}'] == 1
    assert samples["fairlead_request_duration_seconds_count"] == 6
    assert samples['fairlead_request_duration_seconds_bucket{le="+Inf"}'] == 6
    assert 0 < samples["fairlead_request_duration_seconds_sum"] < 60
    assert samples["fairlead_prediction_value_count"] == 3
    assert abs(samples["fairlead_prediction_value_sum"] - 3) < 1e-6
    assert samples["fairlead_connections_opened_total"] == 4  # one for each inference request of this model
    assert samples["fairlead_connections_opened_total"] >= samples["fairlead_connections_closed_total"] > 0


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)),
    max_leaves=10,
)


@settings(deadline=None, max_examples=150, suppress_health_check=list(HealthCheck))
@given(
    st.one_of(
        st.binary(max_size=200),
        JSON.map(lambda value: json.dumps(value).encode()),
        st.dictionaries(st.sampled_from(["name", "shape", "datatype", "data", "parameters"]), JSON).map(
            lambda fields: json.dumps(
                {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP64", "data": [1, 2, 3, 4], **fields}]}
            ).encode()
        ),
    )
)
def test_no_body_whatever_is_the_servers_fault(classifier: Server, body: bytes) -> None:
    answer = classifier.infer(body)
    assert answer.status < 500, (body, answer.body)
    assert classifier.metrics()['fairlead_requests_total{outcome="server_error"}'] == 0
