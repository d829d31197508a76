"""The operator's own metrics."""

from __future__ import annotations

from fairlead.runtime.metrics import Metrics


def series(metrics: Metrics, name: str) -> list[str]:
    return [line for line in metrics.render().decode().splitlines() if line.startswith(name)]


def test_a_model_deployment_has_one_phase_and_none_when_it_is_gone() -> None:
    metrics = Metrics()
    name = "fairlead_modeldeployment_phase"
    metrics.phase(("ns", "a"), "Pending")
    metrics.phase(("ns", "a"), "Healthy")
    metrics.phase(("ns", "a"), "Healthy")
    metrics.phase(("ns", "b"), "Degraded")
    assert series(metrics, name) == [
        f'{name}{{name="a",namespace="ns",phase="Healthy"}} 1.0',
        f'{name}{{name="b",namespace="ns",phase="Degraded"}} 1.0',
    ]
    metrics.forget(("ns", "a"))
    metrics.forget(("ns", "never"))
    assert len(series(metrics, name)) == 1


def test_who_no_longer_leads_tells_nothing_of_models() -> None:
    metrics = Metrics()
    metrics.leading(now=True)
    metrics.phase(("ns", "a"), "Healthy")
    assert series(metrics, "fairlead_operator_leader") == ["fairlead_operator_leader 1.0"]
    metrics.leading(now=False)
    assert series(metrics, "fairlead_operator_leader") == ["fairlead_operator_leader 0.0"]
    assert series(metrics, "fairlead_modeldeployment_phase") == []


def test_counts_exist_before_they_count_and_two_operators_do_not_share_them() -> None:
    one, other = Metrics(), Metrics()
    one.reconciled("success", 0.1)
    one.api_request("GET", 200, 0.01)
    one.rollout_ended("promoted")
    one.measuring_failed("unreachable")
    one.queue_depth(3)
    assert 'fairlead_operator_reconciles_total{result="success"} 1.0' in series(one, "fairlead_operator_reconciles")
    assert 'fairlead_operator_reconciles_total{result="error"} 0.0' in series(other, "fairlead_operator_reconciles")
    assert series(one, "fairlead_operator_api_requests_total") == [
        'fairlead_operator_api_requests_total{code="200",verb="GET"} 1.0'
    ]
    assert series(one, "fairlead_operator_queue_depth") == ["fairlead_operator_queue_depth 3.0"]
    assert not [line for line in one.render().decode().splitlines() if "_created" in line]
