import json
from pathlib import Path

import pytest

from tests.cluster import tools
from tests.cluster.audit import position, writes
from tests.cluster.cache import digest_of, write_private
from tests.cluster.images.base import mirror
from tests.cluster.toolchain import go_version


@pytest.fixture(autouse=True)
def _cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FAIRLEAD_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("tool", tools.TOOLS.values(), ids=lambda tool: tool.name)
def test_every_tool_is_pinned_by_a_module_of_its_own(tool: tools.Tool) -> None:
    module = (tools.MODULES / tool.module / "go.mod").read_text()

    assert tool.package in module
    assert (tools.MODULES / tool.module / "go.sum").stat().st_size > 0


def test_kubernetes_is_the_version_it_says() -> None:
    assert f"k8s.io/kubernetes {tools.KUBERNETES}" in (tools.MODULES / "kubernetes" / "go.mod").read_text()


def test_the_toolchain_is_pinned_by_hash() -> None:
    assert go_version().count(".") == 2


def test_a_digest_follows_content_and_names_but_not_bytecode(tmp_path: Path) -> None:
    folder = tmp_path / "code"
    (folder / "__pycache__").mkdir(parents=True)
    (folder / "a.py").write_text("1")
    first = digest_of(folder)

    (folder / "__pycache__" / "a.pyc").write_text("compiled")
    same = digest_of(folder)
    (folder / "a.py").rename(folder / "b.py")

    assert first == same != digest_of(folder)
    assert digest_of("ab", "c") != digest_of("a", "bc")


def test_private_files_are_private(tmp_path: Path) -> None:
    path = write_private(tmp_path / "kubeconfig", "secret")

    assert path.read_text() == "secret"
    assert path.stat().st_mode & 0o077 == 0
    assert [p.name for p in tmp_path.glob(".kubeconfig*")] == []


def test_a_mirror_is_an_address() -> None:
    assert all(address.startswith(("http://", "https://")) for address in mirror())


def test_the_audit_log_is_read_by_user_and_from_a_position(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    assert position(log) == 0
    log.write_text(_event("ann", "create") + _event("bob", "patch"))
    here = position(log)
    with log.open("a") as file:
        file.write(_event("ann", "delete") + '{"half": ')

    assert [w.verb for w in writes(log, user="ann")] == ["create", "delete"]
    assert [(w.user, w.verb, w.resource) for w in writes(log, after=here)] == [("ann", "delete", "leases")]


def _event(user: str, verb: str) -> str:
    event = {
        "stage": "ResponseComplete",
        "user": {"username": user},
        "verb": verb,
        "objectRef": {"resource": "leases", "apiGroup": "coordination.k8s.io", "namespace": "n", "name": "x"},
        "responseStatus": {"code": 200},
    }
    return json.dumps(event) + "\n"
