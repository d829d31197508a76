"""The operator's own Prometheus metrics."""

from __future__ import annotations

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from fairlead.controller.telemetry import ReconcileResult

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """The metrics of one operator in a registry of their own. Implements `controller.telemetry.Telemetry`.

    The number of series is bounded: the only labels with open values are those of `fairlead_modeldeployment_phase`,
    one series for each ModelDeployment there is.
    """

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        self._reconciles = Counter(
            "fairlead_operator_reconciles_total", "Passes over a ModelDeployment.", ["result"], registry=registry
        )
        self._reconcile_seconds = Histogram(
            "fairlead_operator_reconcile_duration_seconds", "Time of one pass.", buckets=_SECONDS, registry=registry
        )
        self._queue = Gauge(
            "fairlead_operator_queue_depth", "ModelDeployments that wait for a worker.", registry=registry
        )
        self._leader = Gauge("fairlead_operator_leader", "1 while this process leads.", registry=registry)
        self._requests = Counter(
            "fairlead_operator_api_requests_total",
            "Requests to the API server; code 0 had no answer.",
            ["verb", "code"],
            registry=registry,
        )
        self._request_seconds = Histogram(
            "fairlead_operator_api_request_duration_seconds",
            "Their time.",
            ["verb"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._phase = Gauge(
            "fairlead_modeldeployment_phase",
            "1 for the phase that a ModelDeployment is in.",
            ["namespace", "name", "phase"],
            registry=registry,
        )
        self._rollouts = Counter(
            "fairlead_operator_rollouts_total", "Rollouts that ended, and how.", ["outcome"], registry=registry
        )
        self._measuring = Counter(
            "fairlead_operator_measuring_failures_total",
            "Judgements for which Prometheus gave no usable answer.",
            ["reason"],
            registry=registry,
        )
        self._phases: dict[tuple[str, str], str] = {}
        for result in ("success", "error", "timeout"):
            self._reconciles.labels(result)

    def render(self) -> bytes:
        """All metrics in the text format (CONTENT_TYPE)."""
        return generate_latest(self.registry)

    def leading(self, *, now: bool) -> None:
        """Leadership begins or ends. What is known of ModelDeployments is another's to tell then."""
        self._leader.set(1 if now else 0)
        if not now:
            for key in list(self._phases):
                self.forget(key)

    def api_request(self, verb: str, status: int, seconds: float) -> None:
        """One request to the API server is over."""
        self._requests.labels(verb, str(status)).inc()
        self._request_seconds.labels(verb).observe(seconds)

    def reconciled(self, result: ReconcileResult, seconds: float) -> None:
        """See Telemetry."""
        self._reconciles.labels(result).inc()
        self._reconcile_seconds.observe(seconds)

    def queue_depth(self, waiting: int) -> None:
        """See Telemetry."""
        self._queue.set(waiting)

    def phase(self, key: tuple[str, str], phase: str) -> None:
        """See Telemetry."""
        if self._phases.get(key) != phase:
            self.forget(key)
            self._phases[key] = phase
            self._phase.labels(*key, phase).set(1)

    def forget(self, key: tuple[str, str]) -> None:
        """See Telemetry."""
        if (phase := self._phases.pop(key, None)) is not None:
            self._phase.remove(*key, phase)

    def rollout_ended(self, outcome: str) -> None:
        """See Telemetry."""
        self._rollouts.labels(outcome).inc()

    def measuring_failed(self, reason: str) -> None:
        """See Telemetry."""
        self._measuring.labels(reason).inc()
