"""From raw counters per pod to what happened between two instants.

Increments are differences of raw values, never PromQL's `increase()`, which extrapolates. A pod whose counters
went down was restarted: its new values are the increments. A pod that was not seen at the earlier instant gives
nothing, since it is not known when its requests came; neither does one that is gone at the later instant.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from fairlead.analysis import native
from fairlead.analysis.native import Histogram
from fairlead.analysis.source import AmbiguousError, Sample

REQUESTS = "fairlead_requests_total"
DURATION = "fairlead_request_duration_seconds"
LATENCY = "fairlead_request_latency_seconds"
"""The same, as the serving image gives it to a Prometheus that scrapes native histograms."""
BUCKETS = f"{DURATION}_bucket"
CONNECTIONS = "fairlead_connections_opened_total"
PREDICTIONS = "fairlead_predictions_total"
SCORES = "fairlead_prediction_score_bucket"
INPUTS = "fairlead_inputs_total"
FEEDBACK = "fairlead_feedback_total"

INF = float("inf")
_LABEL = {
    REQUESTS: "outcome",
    BUCKETS: "le",
    PREDICTIONS: "class",
    SCORES: "le",
    INPUTS: "bin",
    FEEDBACK: "result",
}
OUTCOMES = ("success", "client_error", "server_error")

Label = str | float
"""What tells a metric's counters apart: an outcome, a class or a bucket edge; empty where there is one only."""


@dataclass(frozen=True, slots=True)
class PodCounters:
    """One pod's counters at one instant, or their increments: by metric and label; native histograms by metric.

    `restarted`: of increments, that the counters began anew in between.
    """

    revision: str
    values: Mapping[str, Mapping[Label, float]] = field(default_factory=dict)
    histograms: Mapping[str, Histogram] = field(default_factory=dict)
    restarted: bool = False

    def get(self, metric: str, label: Label = "") -> float:
        """The value, 0 when there is no such series."""
        return self.values.get(metric, {}).get(label, 0.0)

    def has(self, *metrics: str) -> bool:
        """Whether there is a series of one of the metrics."""
        return any(metric in self.values or metric in self.histograms for metric in metrics)


Snapshot = Mapping[str, PodCounters]
"""All pods' counters at one instant, by pod name."""


@dataclass(frozen=True, slots=True)
class Seen:
    """Everything counted until one instant.

    `own` has the counters of users' own ratios by metric; `complaints` say what could not be had of them, or of the
    built-in ones where their series contradict each other.
    """

    pods: Snapshot = field(default_factory=dict)
    own: Mapping[str, Snapshot] = field(default_factory=dict)
    complaints: tuple[str, ...] = ()


def snapshot(samples: Iterable[Sample]) -> Snapshot:
    """Sort the answer by pod. Raises AmbiguousError when a series has no pod or two series are one counter."""
    pods: dict[str, _Pod] = {}
    for sample in samples:
        if not sample.value >= 0 or sample.value == INF:  # NaN too: no such count exists
            continue
        name, pod = sample.labels.get("__name__", ""), sample.labels.get("pod", "")
        if not pod:
            message = f"{name} has no pod label: let the scrape configuration add namespace and pod"
            raise AmbiguousError(message)
        revision = sample.labels.get("revision", "")
        if not pods.setdefault(pod, _Pod(revision)).take(name, revision, sample):
            message = f"there are two series of {name} for pod {pod}: is it scraped by two jobs?"
            raise AmbiguousError(message)
    return {pod: PodCounters(own.revision, own.values, own.histograms) for pod, own in pods.items()}


def increments(before: Snapshot, now: Snapshot) -> Snapshot:
    """What each pod that is in both snapshots counted in between."""
    return {pod: _grown(before[pod], later) for pod, later in now.items() if pod in before}


def requests(own: PodCounters) -> float:
    """All inference requests."""
    return sum(own.get(REQUESTS, outcome) for outcome in OUTCOMES)


def traffic(grown: Snapshot) -> tuple[float, float]:
    """Connections opened and requests counted by all pods together."""
    return sum(own.get(CONNECTIONS) for own in grown.values()), sum(requests(own) for own in grown.values())


@dataclass(slots=True)
class _Pod:
    """A pod's series while they are being sorted."""

    revision: str
    values: dict[str, dict[Label, float]] = field(default_factory=dict)
    histograms: dict[str, Histogram] = field(default_factory=dict)

    def take(self, name: str, revision: str, sample: Sample) -> bool:
        """Keep the series; False when there is one already, or when the pod has two revisions."""
        if revision != self.revision:
            return False
        if sample.histogram is not None:
            known = name in self.histograms
            self.histograms[name] = sample.histogram
            return not known
        own, label = self.values.setdefault(name, {}), _label(name, sample.labels)
        known = label in own
        own[label] = sample.value
        return not known


def _grown(before: PodCounters, now: PodCounters) -> PodCounters:
    """A counter that the pod did not have yet began at 0, or the first errors of a pod would be lost.

    Not so a native histogram: a pod has it from the start, so a new one means that Prometheus was told to read it.
    """
    histograms = {
        name: native.grown(before.histograms[name], later)
        for name, later in now.histograms.items()
        if name in before.histograms
    }
    if None in histograms.values() or any(
        now.get(metric, label) < old
        for metric, own in before.values.items()
        for label, old in own.items()
        if label in now.values.get(metric, {})
    ):
        return PodCounters(now.revision, now.values, now.histograms, restarted=True)
    values = {
        metric: {label: value - before.get(metric, label) for label, value in own.items()}
        for metric, own in now.values.items()
    }
    return PodCounters(now.revision, values, {name: one for name, one in histograms.items() if one is not None})


def _label(name: str, labels: Mapping[str, str]) -> Label:
    label = _LABEL.get(name, "")
    text = labels.get(label, "")
    if label != "le":
        return text
    try:
        return float(text)
    except ValueError as error:
        message = f"{name} has the bucket edge {text!r}, which is not a number"
        raise AmbiguousError(message) from error
