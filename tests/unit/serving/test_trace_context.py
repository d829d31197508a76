"""Where requests belong in traces, and which of them are traced."""

from __future__ import annotations

import logging

import pytest

from fairlead_serving.metrics.counters import Metrics
from fairlead_serving.tracing import tracer
from fairlead_serving.tracing.context import Parent, declines, read
from fairlead_serving.tracing.sampling import sampling

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
HALF = 1 << 63


@pytest.mark.parametrize(
    ("header", "sampled"),
    [
        (f"00-{TRACE}-{SPAN}-01", True),
        (f"00-{TRACE}-{SPAN}-00", False),
        (f"00-{TRACE}-{SPAN}-03", True),
        (f" 00-{TRACE}-{SPAN}-01\t", True),
        # A later version may say more, and is read as far as it is known.
        (f"cc-{TRACE}-{SPAN}-01-what-the-future-brings", True),
        (f"cc-{TRACE}-{SPAN}-01", True),
        ("", None),
        (f"00-{TRACE}-{SPAN}", None),
        (f"00-{TRACE}-{SPAN}-01-", None),
        (f"00-{TRACE}-{SPAN}-01.", None),
        (f"cc-{TRACE}-{SPAN}-01.what", None),
        (f"ff-{TRACE}-{SPAN}-01", None),
        (f"00-{TRACE.upper()}-{SPAN}-01", None),
        (f"00-{'0' * 32}-{SPAN}-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"00-{TRACE[1:]}-{SPAN}-01", None),
        (f"00-{TRACE}-{SPAN}-1", None),
        (f"00-{TRACE}-{SPAN}-01" * 2, None),
        (f"00-{TRACE}-{SPAN}-01\n", None),
    ],
)
def test_a_parent_is_read_as_the_w3c_says(header: str, *, sampled: bool | None) -> None:
    parent = read(header.encode(), b"vendor=1")
    wanted = None if sampled is None else Parent(int(TRACE, 16), int(SPAN, 16), sampled, b"vendor=1")
    assert parent == wanted
    # The quick look knows the first version only.
    assert declines(header.encode()) == (sampled is False)


@pytest.mark.parametrize(
    ("header", "declined"),
    [
        (f"00-{TRACE}-{SPAN}-02", True),
        (f"00-{TRACE}-{SPAN}-fe", True),
        (f"00-{TRACE}-{SPAN}-0f", False),
        (f"01-{TRACE}-{SPAN}-00", False),
        (f"00-{'0' * 32}-{SPAN}-00", False),
        (f"00-{TRACE}-{'0' * 16}-00", False),
        (f"00-{TRACE}-{SPAN}-0G", False),
        (f"00-{TRACE.upper()}-{SPAN}-00", False),
        (f"00-{TRACE}-{SPAN}-000", False),
        (f"00{TRACE}-{SPAN}--00", False),
    ],
)
def test_what_declines_in_a_word_is_read_as_such(header: str, *, declined: bool) -> None:
    parent = read(header.encode(), b"")
    assert declines(header.encode()) == declined
    assert not declined or (parent is not None and not parent.sampled)


@pytest.mark.parametrize(
    ("name", "argument", "bound", "by_parent", "complaint"),
    [
        ("", "", 1 << 64, True, ""),
        ("always_on", "", 1 << 64, False, ""),
        ("always_off", "0.5", 0, False, ""),
        ("traceidratio", "0.5", HALF, False, ""),
        ("parentbased_always_on", "", 1 << 64, True, ""),
        ("parentbased_always_off", "", 0, True, ""),
        (" ParentBased_TraceIdRatio ", " 0.5 ", HALF, True, ""),
        ("traceidratio", "", 1 << 64, False, ""),
        ("traceidratio", "a half", 1 << 64, False, "'a half' is no number from 0 to 1"),
        ("traceidratio", "nan", 1 << 64, False, "'nan' is no number from 0 to 1"),
        ("parentbased_jaeger_remote", "", 1 << 64, True, "'parentbased_jaeger_remote' is not known here"),
    ],
)
def test_the_sampler_is_read_from_the_environment(
    caplog: pytest.LogCaptureFixture, name: str, argument: str, bound: int, complaint: str, *, by_parent: bool
) -> None:
    with caplog.at_level(logging.WARNING):
        assert sampling({"OTEL_TRACES_SAMPLER": name, "OTEL_TRACES_SAMPLER_ARG": argument}) == (bound, by_parent)
    assert complaint in caplog.text
    assert bool(complaint) == bool(caplog.records)


@pytest.mark.parametrize(
    ("environment", "on"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": " "}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_SDK_DISABLED": "true"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_TRACES_EXPORTER": "none"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_TRACES_EXPORTER": "zipkin"}, False),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://x", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc"}, False),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://x", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, True),
    ],
)
def test_traces_are_off_unless_there_is_somewhere_to_send_them(environment: dict[str, str], *, on: bool) -> None:
    found = tracer(environment, Metrics("m", "1", "r"))
    assert (found is not None) == on
    if found is not None:
        found.finish()


@pytest.mark.parametrize(
    ("name", "low", "flags", "taken"),
    [
        ("parentbased_always_off", 0, 1, True),
        ("parentbased_always_on", 0, 0, False),
        ("always_on", 0, 0, True),
        ("always_off", 0, 1, False),
        ("traceidratio", HALF - 1, 0, True),
        ("traceidratio", HALF, 1, False),
    ],
)
def test_a_parent_decides_where_it_is_asked_else_the_trace_does(
    name: str, low: int, flags: int, *, taken: bool
) -> None:
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_TRACES_SAMPLER": name}
    found = tracer({**environment, "OTEL_TRACES_SAMPLER_ARG": "0.5"}, Metrics("m", "1", "r"))
    assert found is not None
    trace = found.begin((f"00-{(1 << 64) + low:032x}-{SPAN}-{flags:02x}".encode(), b""))
    assert (trace is not None) == taken
    if trace is not None:
        assert (trace.trace_id, trace.parent_id) == ((1 << 64) + low, int(SPAN, 16))
    found.finish()
