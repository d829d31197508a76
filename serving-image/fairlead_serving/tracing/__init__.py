"""Traces of sampled requests, sent by the OpenTelemetry protocol over HTTP. Nothing of it is imported when off."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fairlead_serving.metrics.counters import Metrics
    from fairlead_serving.tracing.tracer import Tracer

_log = logging.getLogger(__name__)


def tracer(environment: Mapping[str, str], metrics: Metrics) -> Tracer | None:
    """Return what traces requests, or None unless the environment names a place to send traces to."""

    def text(variable: str) -> str:
        return environment.get(variable, "").strip()

    if not (text("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or text("OTEL_EXPORTER_OTLP_ENDPOINT")):
        return None
    exporter = text("OTEL_TRACES_EXPORTER") or "otlp"
    if exporter == "none" or text("OTEL_SDK_DISABLED").lower() == "true":
        return None
    protocol = text("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or text("OTEL_EXPORTER_OTLP_PROTOCOL") or "http/protobuf"
    if exporter != "otlp" or protocol != "http/protobuf":
        _log.warning("traces are off: they are sent by otlp and http/protobuf only, not %s and %s", exporter, protocol)
        return None
    from fairlead_serving.tracing.tracer import Tracer  # noqa: PLC0415  only where it is switched on

    return Tracer(environment, metrics)
