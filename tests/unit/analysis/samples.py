"""Raw counters as a metric store gives them."""

from __future__ import annotations

from fairlead.analysis.counters import BUCKETS, CONNECTIONS, DURATION, REQUESTS
from fairlead.analysis.native import Histogram
from fairlead.analysis.source import Sample

Counters = dict[tuple[str, str], float]
_EXTRA = {
    "class": "fairlead_predictions_total",
    "score": "fairlead_prediction_score_bucket",
    "bin": "fairlead_inputs_total",
    "result": "fairlead_feedback_total",
}


def pod_samples(pod: str, revision: str, values: Counters) -> list[Sample]:
    """A pod's counters: ("success", "") → requests, ("le", "0.1") → bucket, ("class", "a") → predictions, …."""
    out = []
    for (kind, label), value in values.items():
        labels = {"pod": pod, "revision": revision}
        if kind == "le":
            labels |= {"__name__": BUCKETS, "le": label}
        elif kind == "connections":
            labels["__name__"] = CONNECTIONS
        elif kind in _EXTRA:
            labels |= {"__name__": _EXTRA[kind], "le" if kind == "score" else kind: label}
        else:
            labels |= {"__name__": REQUESTS, "outcome": kind}
        out.append(Sample(labels, value))
    return out


def native_sample(pod: str, revision: str, schema: int, buckets: dict[int, float]) -> Sample:
    """A pod's native latency histogram."""
    histogram = Histogram(schema, 0.0, buckets)
    return Sample({"__name__": DURATION, "pod": pod, "revision": revision}, histogram.count, histogram)
