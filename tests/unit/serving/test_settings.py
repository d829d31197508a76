"""Settings of batching, workers, logs and feedback."""

from __future__ import annotations

import pytest

from fairlead_serving.errors import SettingsError
from fairlead_serving.settings import read


def test_defaults() -> None:
    settings = read(["x"], {})
    assert (settings.workers, settings.latency_target_seconds, settings.max_batch_rows) == (0, 1, 256)
    assert (settings.max_connections, settings.idle_timeout_seconds) == (16384, 0)
    assert (settings.access_log, settings.prediction_log, settings.log_redact) == (0, 0, frozenset())
    assert (settings.feedback_rows, settings.feedback_tolerance) == (262144, 0.1)


def test_variables_and_flags() -> None:
    environment = {"FAIRLEAD_ACCESS_LOG": "0.5", "FAIRLEAD_LOG_REDACT": "name, x[3],", "FAIRLEAD_WORKERS": "3"}
    settings = read(["x", "--max-batch-rows", "0", "--workers", "2", "--feedback-rows", "0"], environment)
    assert (settings.access_log, settings.log_redact) == (0.5, frozenset(["name", "x[3]"]))
    assert (settings.workers, settings.max_batch_rows, settings.feedback_rows) == (2, 1, 0)


@pytest.mark.parametrize("value", ["1.5", "-1", "many", "nan"])
def test_shares_are_from_0_to_1(value: str) -> None:
    with pytest.raises(SettingsError, match=r"FAIRLEAD_PREDICTION_LOG \(--prediction-log\) should be"):
        read(["x", "--prediction-log", value], {})


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("kafka://x", "should be stdout or an http or https URL, not 'kafka://x'"),
        ("stderr", "should be stdout or an http or https URL, not 'stderr'"),
        ("http://", "should be stdout or"),
        ("http://x:y", "should be stdout or"),
        ("https://me:secret@x/", "should have no password"),
    ],
)
def test_a_log_sink_is_stdout_or_a_url(place: str, reason: str) -> None:
    assert read(["x"], {}).log_sink == "stdout"
    assert read(["x", "--log-sink", "https://x:8/y?z=1"], {}).log_sink == "https://x:8/y?z=1"
    with pytest.raises(SettingsError, match=reason) as refusal:
        read(["x"], {"FAIRLEAD_LOG_SINK": place})
    assert "secret" not in str(refusal.value)
