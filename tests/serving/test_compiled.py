"""The package as it is shipped, compiled, and as plain Python: both answer, and each is what it is said to be."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.compiled import INTERPRETED, SOURCES, CompileError, build, package
from tests.serving.conftest import Start
from tests.serving.grpcclient import Code, connected, failure
from tests.serving.grpcclient import table as typed
from tests.serving.harness import Server, table

LIBRARY = "fairlead_serving__mypyc"


@pytest.fixture(scope="module", params=["compiled", "plain"])
def form(request: pytest.FixtureRequest) -> str:
    if request.param == "compiled" and INTERPRETED:
        pytest.skip("FAIRLEAD_TEST_INTERPRETED=1")
    return str(request.param)


@pytest.fixture(scope="module")
def server(form: str, models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = package() if form == "compiled" else SOURCES
    server = Server.start(tmp_path_factory.mktemp(form), models / "classifier", PYTHONPATH=str(folder))
    yield server.ready()
    server.stop()


def test_a_server_is_what_it_is_said_to_be(server: Server, form: str) -> None:
    loaded = Path(f"/proc/{server.process.pid}/maps").read_text()
    assert (LIBRARY in loaded) == (form == "compiled")


@pytest.mark.skipif(INTERPRETED, reason="FAIRLEAD_TEST_INTERPRETED=1")
def test_the_servers_of_all_other_tests_are_compiled(start: Start, models: Path) -> None:
    server = start(models / "onnx").ready()
    assert LIBRARY in Path(f"/proc/{server.process.pid}/maps").read_text()


def test_both_answer_by_http(server: Server) -> None:
    label, probabilities = server.infer(table()).json["outputs"]
    assert (label["data"], probabilities["shape"]) == ([0, 2], [2, 3])
    refused = server.infer(table([[1.0, 2.0]]))
    assert (refused.status, "shape" in refused.error) == (400, True)
    assert server.infer(b"{").status == 400
    assert server.get("/v2/models/other").status == 404


def test_both_answer_by_grpc(server: Server) -> None:
    with connected(server) as client:
        answer = client.infer(typed())
        assert list(answer.outputs[0].contents.int64_contents) == [0, 2]
        code, message = failure(lambda: client.infer(typed([[1.0, 2.0]])))
        assert (code, "shape" in message) == (Code.INVALID_ARGUMENT, True)


def test_both_count(server: Server) -> None:
    before = server.metrics()
    assert server.infer(table()).status == 200
    assert server.infer(b"{").status == 400
    after = server.metrics()
    changed = {name for name in after if after[name] != before.get(name)}
    assert {
        'fairlead_requests_total{outcome="success"}',
        'fairlead_requests_total{outcome="client_error"}',
        'fairlead_predictions_total{class="0"}',
    } <= changed


@pytest.mark.skipif(INTERPRETED, reason="FAIRLEAD_TEST_INTERPRETED=1")
def test_what_does_not_compile_is_said_with_its_line() -> None:
    with pytest.raises(CompileError, match=r"does not compile: mend it, or .*\nfairlead_serving/rows\.py:1: error: "):
        build(Path(sys.executable), {"rows.py": "wrong: int = 'text'\n"})


def test_without_a_compiler_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CompileError, match=r"without .+: on Debian, apt-get install gcc libc6-dev python3-dev; or "):
        build(Path(sys.executable), {"rows.py": "another = 1\n"})
