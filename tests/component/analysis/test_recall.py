"""`fairlead replay --prometheus`: a past rollout is judged by what a real Prometheus remembers of it."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fairlead.analysis.prometheus import PrometheusSource
from fairlead.cli.main import main
from tests.component.analysis.conftest import Exporter, Prometheus, one_release
from tests.component.analysis.test_prometheus import scraped
from tests.component.patience import PATIENCE, until

SETTINGS = """
spec:
  rollout:
    canary: {steps: [{setWeight: 25}, {analysis: {}}]}
    analysis: {interval: 1s, warmUp: 1s, minStep: 3s, maxStep: 60s, metrics: [{name: error-rate}]}
"""


@one_release
async def test_a_past_regression_is_found_again(
    prometheus: Prometheus, exporter: Exporter, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exporter.pods["c"].errors = 40.0
    await scraped(PrometheusSource(prometheus.url, timeout=PATIENCE))
    began = time.time()

    await until(lambda: time.time() > began + 13)  # the past has to have happened
    settings = tmp_path / "rollout.yaml"
    settings.write_text(SETTINGS)
    command = ["replay", "--prometheus", prometheus.url, "--namespace", "ns", "--modeldeployment", "m"]
    command += ["--canary", "canary", "--stable", "stable", "--max-connection-age", "1", "--rollout", str(settings)]
    command += ["--start", datetime.fromtimestamp(began, UTC).isoformat(), "--end", str(began + 12)]

    code = await asyncio.to_thread(main, command)

    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert code == 0
    assert (lines[-1]["verdict"], lines[-1]["culprit"]) == ("Rollback", "error-rate")
    assert lines[-1]["t"] <= 12


@one_release
def test_a_prometheus_that_is_not_there_is_named(prometheus: Prometheus, capsys: pytest.CaptureFixture[str]) -> None:
    gone = prometheus.url.replace(str(prometheus.port), "1")
    command = ["replay", "--prometheus", gone, "--namespace", "ns", "--modeldeployment", "m", "--canary", "a"]

    assert main([*command, "--stable", "b", "--start", "1", "--end", "100"]) == 2
    assert "cannot be asked: connection refused" in capsys.readouterr().err
