from pathlib import Path

import pytest

from tests.cluster.errors import ClusterError
from tests.cluster.kind import Kind
from tests.cluster.native import Native
from tests.cluster.providers import choose


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("FAIRLEAD_CLUSTER", raising=False)
    monkeypatch.setenv("FAIRLEAD_CACHE", str(tmp_path))


def _allow(monkeypatch: pytest.MonkeyPatch, *, kind: bool, native: bool) -> None:
    for provider, possible, reason in ((Kind, kind, "no Docker engine answers"), (Native, native, "it needs root")):
        answer = None if possible else reason
        monkeypatch.setattr(provider, "missing", staticmethod(lambda answer=answer: answer))


@pytest.mark.parametrize(
    ("kind", "native", "asked", "variable", "chosen", "because"),
    [
        (True, True, None, None, "kind", "Docker engine answers"),
        (False, True, None, None, "native", "no Docker engine answers"),
        (True, True, "native", None, "native", "asked for"),
        (True, True, None, "native", "native", "FAIRLEAD_CLUSTER"),
        (True, True, "auto", "native", "native", "FAIRLEAD_CLUSTER"),
        (True, True, "kind", "native", "kind", "asked for"),
        (True, True, None, "auto", "kind", "Docker engine answers"),
    ],
)
def test_the_way_to_a_cluster_is_chosen_and_explained(
    monkeypatch: pytest.MonkeyPatch,
    *,
    kind: bool,
    native: bool,
    asked: str | None,
    variable: str | None,
    chosen: str,
    because: str,
) -> None:
    _allow(monkeypatch, kind=kind, native=native)
    if variable:
        monkeypatch.setenv("FAIRLEAD_CLUSTER", variable)

    choice = choose(asked)

    assert choice.cluster.name == chosen
    assert because in choice.reason


@pytest.mark.parametrize(
    ("asked", "context", "complaint"),
    [
        (None, None, "no cluster can be had here: no Docker engine answers; it needs root; .*--context NAME"),
        ("native", None, "^it needs root$"),
        ("kind", None, "^no Docker engine answers$"),
        ("existing", None, "context is named"),
        ("existing", "", "context is named"),
        ("minikube", None, "no cluster provider 'minikube'"),
        ("native", "production", "--context goes with --provider existing only"),
        (None, "production", "--context goes with --provider existing only"),
    ],
)
def test_what_is_missing_is_said_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, asked: str | None, context: str | None, complaint: str
) -> None:
    _allow(monkeypatch, kind=False, native=False)

    with pytest.raises(ClusterError, match=complaint):
        choose(asked, context)


def test_a_cluster_of_ones_own_is_never_chosen_by_itself(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("{current-context: production, contexts: [{name: production, context: {}}]}")
    monkeypatch.setenv("KUBECONFIG", str(config))
    _allow(monkeypatch, kind=False, native=False)

    with pytest.raises(ClusterError):
        choose()


def test_an_image_for_a_cluster_of_ones_own_goes_through_a_registry(tmp_path: Path) -> None:
    cluster = choose("existing", "mine").cluster

    with pytest.raises(ClusterError, match="push the images to your registry"):
        cluster.load_image(tmp_path / "image.tar")
