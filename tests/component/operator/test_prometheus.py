"""No evidence is not bad evidence: without Prometheus, or without requests, a rollout waits and says why."""

from __future__ import annotations

from collections.abc import Callable

from tests.component.operator import processes
from tests.component.operator.api import Object
from tests.component.operator.traffic import Load
from tests.component.operator.world import Steps, World, never

ANALYSIS: Steps = ({"setWeight": 50}, {"analysis": {}})
DISABLED = {"disabled": True}


def test_stopped_in_mid_rollout_it_holds_and_goes_on(idle_world: World) -> None:
    world = idle_world
    process, url = processes.prometheus(world.traffic.address, world.folder)
    with process:
        world.use_prometheus(url)
        world.operator.start()
        world.apply("1")
        world.until_healthy("1")
        # Evidence that comes slowly enough for the outage to fall into the step.
        world.load("1", Load(rate=100.0))
        world.load("2", Load(rate=100.0))
        world.apply("2", *ANALYSIS, analysis={"maxStep": "60s"})
        world.until(lambda status: status.get("canary", {}).get("stepIndex") == 1, "the analysis")
        process.kill()
        status = world.until(lambda status: status["phase"] == "Paused", "the outage to show")
        assert "Prometheus" in status["message"]
        assert world.condition("AnalysisHealthy")["status"] == "False"
        assert world.condition("Ready")["status"] == "True"
        never(lambda: world.status().get("canary", {}).get("stepIndex") != 1, "it went on blindly", 3.0)
        world.load("1", Load())
        world.load("2", Load())
        process.start()
        world.until(lambda status: status["phase"] != "Paused", "it to go on")
        world.until_healthy("2")
        assert not world.status().get("rejected")


def test_none_configured_waits_and_names_the_ways_on(idle_world: World) -> None:
    world = idle_world
    world.use_prometheus("")
    world.operator.start()
    world.apply("1")
    world.until_healthy("1")
    world.apply("2", *ANALYSIS)
    status = world.until(_waits_for("PrometheusNotConfigured"), "the wait to show")
    condition = world.condition("AnalysisHealthy")
    for way in ("Prometheus address", "analysis.disabled"):
        assert way in condition["message"]
        assert way in status["message"]
    world.apply("3", {"setWeight": 50}, {"analysis": {}}, analysis=DISABLED)
    world.until_healthy("3")


def test_disabled_goes_by_readiness_alone(idle_world: World) -> None:
    world = idle_world
    world.use_prometheus("http://127.0.0.1:1")
    world.operator.start()
    world.apply("1")
    world.until_healthy("1")
    world.apply("2", {"setWeight": 20}, {"analysis": {}}, {"setWeight": 50}, analysis=DISABLED)
    world.until_healthy("2")


def test_a_model_without_requests_waits(world: World) -> None:
    world.load("1", Load(rate=0.0))
    world.load("2", Load(rate=0.0))
    world.apply("1")
    world.until_healthy("1")
    world.apply("2", *ANALYSIS, analysis={"maxStep": "5s"})
    status = world.until(_waits_for("NoData"), "the wait to show")
    assert "no " in status["message"]
    never(lambda: world.status().get("canary", {}).get("stepIndex") != 1, "it went on blindly", 5.0)
    world.load("1", Load())
    world.load("2", Load())
    world.until_healthy("2")


def test_no_data_passes_where_the_user_says_so(world: World) -> None:
    world.load("1", Load(rate=0.0))
    world.load("2", Load(rate=0.0))
    world.apply("1")
    world.until_healthy("1")
    world.apply("2", *ANALYSIS, analysis={"onNoData": "Pass"})
    world.until_healthy("2")


def test_no_data_fails_where_the_user_says_so(world: World) -> None:
    world.load("1", Load(rate=0.0))
    world.load("2", Load(rate=0.0))
    world.apply("1")
    world.until_healthy("1")
    world.apply("2", *ANALYSIS, analysis={"onNoData": "Fail"})
    assert world.until_rejected("2")["reason"] == "NoData"


def test_waiting_ends_where_the_user_says_so(world: World) -> None:
    world.load("1", Load(rate=0.0))
    world.load("2", Load(rate=0.0))
    world.apply("1")
    world.until_healthy("1")
    world.apply("2", *ANALYSIS, rollout={"holdTimeout": {"after": "3s"}})
    assert world.until_rejected("2")["reason"] == "HoldTimeout"


def _waits_for(reason: str) -> Callable[[Object], bool]:
    """Whether a rollout is paused because nothing can be measured, for this reason."""

    def waits(status: Object) -> bool:
        said = [(item["status"], item["reason"]) for item in status["conditions"] if item["type"] == "AnalysisHealthy"]
        return status["phase"] == "Paused" and said == [("False", reason)]

    return waits
