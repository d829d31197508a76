"""Settings from the environment."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from fairlead.cli import main as cli
from fairlead.runtime.settings import Settings


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("POD_NAME", "POD_NAMESPACE", "KUBECONFIG"):
        monkeypatch.delenv(name, raising=False)


def test_nothing_set_is_a_cluster_wide_operator() -> None:
    settings = Settings()
    assert settings.watch_namespaces == ()
    assert settings.kubeconfig is None
    assert settings.pod_name is None
    assert (settings.lease.duration, settings.lease.renew_deadline, settings.lease.retry) == (15, 10, 2)


def test_as_the_chart_sets_them(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "POD_NAME": "fairlead-0",
        "POD_NAMESPACE": "ml",
        "FAIRLEAD_LEASE_NAME": "fairlead",
        "FAIRLEAD_WATCH_NAMESPACES": "a, b,,a",
        "FAIRLEAD_PROMETHEUS_URL": "",
        "FAIRLEAD_PROMETHEUS_TIMEOUT": "5",
        "FAIRLEAD_KUBECONFIG": "",
        "FAIRLEAD_LOG_LEVEL": "debug",
    }.items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    assert settings.watch_namespaces == ("a", "b")
    assert (settings.lease.namespace, settings.lease.name) == ("ml", "fairlead")
    assert settings.pod_name == "fairlead-0"
    assert settings.kubeconfig is None


def test_options_win_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POD_NAMESPACE", "ml")
    monkeypatch.setenv("FAIRLEAD_KUBECONFIG", "/env")
    settings = Settings(namespace="other", kubeconfig="/option")
    assert (settings.namespace, settings.kubeconfig) == ("other", "/option")


def test_lease_times_that_cannot_work_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAIRLEAD_LEASE_DURATION", "5")
    with pytest.raises(ValidationError, match="duration > renew deadline > retry"):
        Settings()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("FAIRLEAD_WORKERS", "0", "FAIRLEAD_WORKERS: Input should be greater than or equal to 1"),
        ("FAIRLEAD_LOG_FORMAT", "xml", "FAIRLEAD_LOG_FORMAT: Input should be 'json' or 'console'"),
        ("FAIRLEAD_PROMETHEUS_USERNAME_FILE", "/u", "FAIRLEAD_PROMETHEUS_PASSWORD_FILE belong together"),
        ("FAIRLEAD_PROMETHEUS_KEY_FILE", "/k", "set both or none"),
        ("FAIRLEAD_LEASE_RETRY", "11", "lease times must satisfy duration > renew deadline > retry > 0"),
    ],
)
def test_a_wrong_setting_ends_the_command_with_its_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(name, value)
    assert cli.main(["run"]) == 2
    assert said in capsys.readouterr().err


def test_prometheus_is_shown_one_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TOKEN", "USERNAME", "PASSWORD"):
        monkeypatch.setenv(f"FAIRLEAD_PROMETHEUS_{name}_FILE", "/file")
    with pytest.raises(ValidationError, match="exclude each other"):
        Settings()
    monkeypatch.setenv("FAIRLEAD_PROMETHEUS_TOKEN_FILE", "")
    monkeypatch.setenv("FAIRLEAD_PROMETHEUS_HEADERS", '{"X-Scope-OrgID": "a"}')
    settings = Settings()
    assert settings.prometheus_token_file is None
    assert settings.prometheus_headers == {"X-Scope-OrgID": "a"}


def test_every_setting_is_described() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []
