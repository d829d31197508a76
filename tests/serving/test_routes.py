"""HTTP routes of a model's own: an ASGI application beside inference."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from textwrap import dedent

import pytest

from tests.serving.harness import IRIS, Server, in_flight, read_response, table, until

Start = Callable[..., Server]
PROGRAM = """
    import asyncio
    import json
    from urllib.parse import parse_qs

    import numpy as np


    class Model:
        inputs = {"x": ("FP32", [-1, 4])}
        outputs = {"sum": ("FP64", [-1])}
        batches = True

        def load(self, folder):
            pass

        def predict(self, inputs):
            return inputs["x"].sum(axis=1)

        def routes(self, infer):
            return App(infer)


    class App:
        def __init__(self, infer):
            self.infer = infer
            self.sent = 0
            self.gone = asyncio.Event()
            self.held = asyncio.Event()
            self.released = asyncio.Event()

        async def __call__(self, scope, receive, send):
            if scope["type"] == "lifespan":
                await receive()
                scope["state"]["greeting"] = "hello"
                await send({"type": "lifespan.startup.complete"})
                await receive()
                print("the end", flush=True)
                await send({"type": "lifespan.shutdown.complete"})
                return
            body = (await receive())["body"]
            await getattr(self, scope["path"].split("/")[1])(scope, receive, send, body)

        async def answer(self, send, status, content, *headers):
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": content})

        async def scope(self, scope, receive, send, body):
            headers = [[name.decode(), value.decode()] for name, value in scope["headers"]]
            told = {
                **scope,
                "headers": headers,
                "raw_path": scope["raw_path"].decode(),
                "query_string": scope["query_string"].decode(),
                "body": body.decode(),
            }
            await self.answer(send, 200, json.dumps(told).encode())

        async def recommend(self, scope, receive, send, body):
            answer = await self.infer({"x": json.loads(body)})
            await self.answer(send, 200, json.dumps(answer["sum"].tolist()).encode())

        async def status(self, scope, receive, send, body):
            code = int(parse_qs(scope["query_string"])[b"code"][0])
            await self.answer(send, code, b"" if code in (204, 304) else b"body", (b"X-Own", b"yes"))

        async def stream(self, scope, receive, send, body):
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
            for part in (b"one ", b"", b"two ", b"three"):
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body"})

        async def large(self, scope, receive, send, body):
            await send({"type": "http.response.start", "status": 200})
            for _ in range(1000):
                await send({"type": "http.response.body", "body": bytes(100_000), "more_body": True})
                self.sent += 1
            await send({"type": "http.response.body"})

        async def progress(self, scope, receive, send, body):
            await self.answer(send, 200, str(self.sent).encode())

        async def raises(self, scope, receive, send, body):
            raise KeyError("what")

        async def breaks(self, scope, receive, send, body):
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": b"half", "more_body": True})
            raise KeyError("late")

        async def silent(self, scope, receive, send, body):
            await send({"type": "http.response.start", "status": 200})

        async def short(self, scope, receive, send, body):
            await self.answer(send, 200, b"1", (b"content-length", b"5"))

        async def unsafe(self, scope, receive, send, body):
            await self.answer(send, 200, b"", (b"x", b"a\\r\\nset-cookie: b"))

        async def close(self, scope, receive, send, body):
            await self.answer(send, 200, b"last", (b"connection", b"close"))

        async def waits(self, scope, receive, send, body):
            self.held.set()
            if (await receive())["type"] == "http.disconnect":
                self.gone.set()

        async def left(self, scope, receive, send, body):
            await self.gone.wait()
            await self.answer(send, 200, b"it has gone")

        async def holds(self, scope, receive, send, body):
            self.held.set()
            await self.released.wait()
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": b"held"})

        async def waiting(self, scope, receive, send, body):
            await self.held.wait()
            await self.answer(send, 200, b"it waits")

        async def release(self, scope, receive, send, body):
            self.released.set()
            await self.answer(send, 200, b"")
"""


def program(folder: Path, text: str = PROGRAM) -> Path:
    folder.mkdir()
    (folder / "model.py").write_text(dedent(text))
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("routes")
    running = Server.start(root, program(root / "model"), FAIRLEAD_MODEL_FORMAT="python")
    yield running.ready()
    running.stop()


def asked(server: Server, text: str) -> bytes:
    """Everything that comes back for a request as written, until the server ends the connection."""
    with server.connect() as client:
        client.sendall(text.encode().replace(b"\n", b"\r\n"))
        client.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: client.recv(65536), b""))


def test_an_application_is_told_all_of_a_request(server: Server) -> None:
    told = server.call("PUT", "/scope/%C3%BC/a%2Fb?q=1&r=%20", b"content", X_Own="Yes", Content_Encoding="gzip").json
    assert told["type"] == "http"
    assert told["asgi"] == {"version": "3.0", "spec_version": "2.4"}
    assert (told["method"], told["path"], told["raw_path"]) == ("PUT", "/scope/ü/a/b", "/scope/%C3%BC/a%2Fb")
    assert (told["query_string"], told["scheme"], told["http_version"]) == ("q=1&r=%20", "http", "1.1")
    assert (told["client"][0], told["server"]) == ("127.0.0.1", ["127.0.0.1", server.port])
    assert ["x-own", "Yes"] in told["headers"]
    assert ["content-encoding", "gzip"] in told["headers"]
    assert (told["root_path"], told["state"], told["body"]) == ("", {"greeting": "hello"}, "content")


def test_an_absolute_target_is_one_of_its_path(server: Server) -> None:
    answer = asked(server, "GET http://host/scope?a HTTP/1.1\nHost: host\nConnection: close\n\n")
    told = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert (told["path"], told["query_string"]) == ("/scope", "a")


def test_a_route_calls_the_model_like_any_client(server: Server) -> None:
    before = server.metrics()
    answer = server.call("POST", "/recommend", json.dumps(IRIS).encode())
    assert answer.json == pytest.approx([10.2, 16.0])
    refused = server.call("POST", "/recommend", b"[[1, 2]]")
    assert (refused.status, refused.error) == (400, "inputs[0].shape: the model takes [-1, 4] for x, not [1, 2]")
    odd = server.call("POST", "/recommend", b'["a"]')
    assert odd.status == 400
    assert odd.error.startswith("inputs.x: is not of type FP32")
    after = server.metrics()
    gained = {name: after[name] - before.get(name, 0) for name in after}
    assert gained['fairlead_requests_total{outcome="success"}'] == 1
    assert gained['fairlead_requests_total{outcome="client_error"}'] == 1
    assert gained['fairlead_route_requests_total{code="2xx"}'] == 1
    assert gained['fairlead_route_requests_total{code="4xx"}'] == 2
    assert gained["fairlead_route_duration_seconds_count"] == 3
    assert gained["fairlead_batch_rows_sum"] == 2


def test_requests_that_routes_make_together_run_together(start: Start, tmp_path: Path, gate: Path) -> None:
    # Slow enough to run beside the event loop.
    waits = """import os, time
            time.sleep(0.01)
            while not os.path.exists(os.environ["GATE"]):
                time.sleep(0.01)"""
    held = PROGRAM.replace('return inputs["x"]', f'{waits}\n            return inputs["x"]')
    server = start(program(tmp_path / "model", held), FAIRLEAD_MODEL_FORMAT="python", GATE=str(gate)).ready()
    body = json.dumps(IRIS).encode()
    gate.unlink()
    with ThreadPoolExecutor(40) as threads:
        calls = [threads.submit(server.call, "POST", "/recommend", body) for _ in range(40)]
        until(lambda: in_flight(server) == 40)
        gate.touch()
        answers = [call.result() for call in calls]
    assert [answer.status for answer in answers] == [200] * 40, answers
    assert all(answer.json == pytest.approx([10.2, 16.0]) for answer in answers)
    metrics = server.metrics()
    assert metrics["fairlead_batch_rows_sum"] == 80
    # Eight rows at least go together behind the first.
    assert metrics["fairlead_batch_rows_count"] <= 11


@pytest.mark.parametrize(
    "path", ["/v2/models/m", "/v2/health/ready", "/v1/models/m", "/metrics", "/fairlead/v1/status"]
)
def test_the_servers_own_paths_stay_its_own(server: Server, path: str) -> None:
    assert server.get(path).status == 200
    assert server.get(f"{path}/nothing").status == 404
    assert server.get(f"/%{ord(path[1]):x}{path[2:]}").status == 200
    assert server.infer(table(datatype="FP32")).status == 200


@pytest.mark.parametrize(
    ("method", "target", "version", "expected"),
    [
        (
            "GET",
            "/stream",
            "1.1",
            ["200 OK", "Transfer-Encoding: chunked", "4\r\none \r\n4\r\ntwo \r\n5\r\nthree\r\n0\r\n\r\n"],
        ),
        ("GET", "/stream", "1.0", ["200 OK", "Connection: close", "\r\n\r\none two three"]),
        ("HEAD", "/stream", "1.1", ["200 OK", "Transfer-Encoding: chunked", "\r\n\r\n"]),
        ("GET", "/status?code=404", "1.1", ["404 Not Found", "X-Own: yes", "Content-Length: 4", "\r\n\r\nbody"]),
        ("HEAD", "/status?code=200", "1.1", ["200 OK", "Content-Length: 4", "\r\n\r\n"]),
        ("GET", "/status?code=204", "1.1", ["204 No Content", "X-Own: yes", "\r\n\r\n"]),
        ("GET", "/status?code=304", "1.1", ["304 Not Modified", "\r\n\r\n"]),
        ("GET", "/status?code=299", "1.1", ["299 ", "\r\n\r\nbody"]),
        ("GET", "/status?code=100", "1.1", ["500 Internal", '{"error":"the application failed: ValueError"}']),
        ("GET", "/raises", "1.1", ["500 Internal", '{"error":"the application failed: KeyError"}']),
        ("GET", "/silent", "1.1", ["500 Internal", '{"error":"the application gave no answer"}']),
        ("GET", "/short", "1.1", ["500 Internal", '{"error":"the application failed: ValueError"}']),
        ("GET", "/unsafe", "1.1", ["500 Internal", '{"error":"the application failed: ValueError"}']),
        ("GET", "/close", "1.1", ["200 OK", "Connection: close", "\r\n\r\nlast"]),
        ("GET", "/breaks", "1.1", ["200 OK", "\r\n\r\n4\r\nhalf\r\n"]),
    ],
)
def test_answers_are_framed_as_http_wants(
    server: Server, method: str, target: str, version: str, expected: list[str]
) -> None:
    answer = asked(server, f"{method} {target} HTTP/{version}\nHost: x\n\n").decode()
    assert answer.startswith(f"HTTP/1.1 {expected[0]}")
    for text in expected[1:-1]:
        assert text in answer
    assert answer.endswith(expected[-1])
    assert answer.count("Content-Length") + answer.count("chunked") == (
        0 if "204" in target or version == "1.0" or "304" in target else 1
    )


def test_a_failure_is_logged_once_with_its_traceback(start: Start, tmp_path: Path) -> None:
    server = start(program(tmp_path / "model"), FAIRLEAD_MODEL_FORMAT="python", FAIRLEAD_DRAIN_SECONDS="0").ready()
    for _ in range(3):
        assert server.get("/raises").status == 500
    server.signal(signal.SIGTERM)
    server.ended()
    failures = [line for line in server.lines if "traceback" in line]
    assert len(failures) == 1
    assert "KeyError: 'what'" in failures[0]["traceback"]


def test_a_connection_goes_on_between_routes_and_inference(server: Server) -> None:
    body = json.dumps(table(IRIS, "FP32"))
    with server.connect() as client, client.makefile("rb") as stream:
        client.sendall(
            b"GET /status?code=200 HTTP/1.1\r\nHost: x\r\n\r\n"
            b"GET /raises HTTP/1.1\r\nHost: x\r\n\r\n"
            + f"POST /v2/models/m/infer HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
            + b"GET /scope HTTP/1.1\r\nHost: x\r\n\r\n"
        )
        assert [read_response(stream).status for _ in range(4)] == [200, 500, 200, 200]


def test_a_client_that_does_not_read_holds_up_its_own_route_only(server: Server) -> None:
    with server.connect() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        client.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        sent = [-2, -1]
        while sent[-1] != sent[-2]:
            sent.append(int(server.get("/progress").body))
        assert sent[-1] < 200
        received = sum(map(len, iter(lambda: client.recv(1 << 20), b"")))
    assert 100_000_000 < received < 101_000_000


def test_an_application_hears_of_a_client_that_goes(server: Server) -> None:
    before = server.metrics().get('fairlead_route_requests_total{code="cancelled"}', 0)
    client = server.connect()
    client.sendall(b"GET /waits HTTP/1.1\r\nHost: x\r\n\r\n")
    assert server.get("/waiting").body == b"it waits"
    client.close()
    assert server.get("/left").body == b"it has gone"
    assert server.metrics()['fairlead_route_requests_total{code="cancelled"}'] == before + 1


def test_the_drain_waits_for_routes_and_ends_the_application(start: Start, tmp_path: Path) -> None:
    with (tmp_path / "output").open("wb") as output:
        server = start(
            program(tmp_path / "model"), output=output, FAIRLEAD_MODEL_FORMAT="python", FAIRLEAD_DRAIN_SECONDS="60"
        ).ready()
    with server.connect() as client, client.makefile("rb") as stream:
        client.sendall(b"GET /holds HTTP/1.1\r\nHost: x\r\n\r\n")
        assert server.get("/waiting").status == 200
        server.signal(signal.SIGTERM)
        server.wait_for("draining")
        assert server.get("/release").headers["connection"] == "close"
        answer = read_response(stream)
        assert (answer.body, answer.headers["connection"]) == (b"held", "close")
        assert stream.read() == b""


def test_the_application_ends_after_the_last_request(start: Start, tmp_path: Path) -> None:
    with (tmp_path / "output").open("wb") as output:
        server = start(
            program(tmp_path / "model"), output=output, FAIRLEAD_MODEL_FORMAT="python", FAIRLEAD_DRAIN_SECONDS="0"
        ).ready()
    server.signal(signal.SIGTERM)
    assert server.ended() == 0
    assert (tmp_path / "output").read_text() == "the end\n"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            ("return App(infer)", "return None"),
            "routes should return an ASGI application or functions by path, not NoneType",
        ),
        (
            ("return App(infer)", "return 1 / 0"),
            "the model's routes cannot be made: ZeroDivisionError: division by zero",
        ),
        (
            ('"lifespan.startup.complete"', '"lifespan.startup.failed", "message": "no database"'),
            "the application of the model's routes cannot start: no database",
        ),
    ],
)
def test_routes_that_cannot_be_served_end_the_load(
    start: Start, tmp_path: Path, change: tuple[str, str], reason: str
) -> None:
    server = start(program(tmp_path / "model", PROGRAM.replace(*change)), FAIRLEAD_MODEL_FORMAT="python")
    assert server.ended() == 1
    assert server.termination.read_text() == f"the model cannot be served: {reason}\n"


def test_an_application_need_not_know_of_a_lifespan(start: Start, tmp_path: Path) -> None:
    text = PROGRAM.replace('"lifespan":', '"lifespan":\n                raise KeyError')
    server = start(program(tmp_path / "model", text), FAIRLEAD_MODEL_FORMAT="python").ready()
    assert server.get("/scope").json["state"] == {}


def test_a_model_without_routes_has_no_others(start: Start, tmp_path: Path) -> None:
    server = start(
        program(tmp_path / "model", PROGRAM.replace("def routes", "def other")), FAIRLEAD_MODEL_FORMAT="python"
    )
    assert server.ready().get("/scope").error == "nothing is at '/scope'"
    assert not any("route" in name for name in server.metrics())


def test_before_the_model_is_loaded_a_route_is_not_ready(start: Start, tmp_path: Path) -> None:
    waits = "while not (folder / 'go').exists():\n                pass"
    folder = program(tmp_path / "model", PROGRAM.replace("pass", waits, 1))
    server = start(folder, FAIRLEAD_MODEL_FORMAT="python")
    early = server.get("/scope")
    assert (early.status, early.error.partition(":")[0]) == (503, "model m is not ready")
    with server.connect() as client, client.makefile("rb") as stream:
        client.sendall(b"GET /v2/health/ready HTTP/1.1\r\nHost: x\r\n\r\n")
        assert read_response(stream).status == 503
        (folder / "go").touch()
        server.ready()
        client.sendall(b"GET /scope HTTP/1.1\r\nHost: own\r\n\r\n")
        assert ["host", "own"] in read_response(stream).json["headers"]


def test_routes_of_an_unnamed_program_are_not_overlooked(start: Start, tmp_path: Path) -> None:
    server = start(program(tmp_path / "model"), "--allow-unsafe")
    assert server.ended() == 1
    assert "the model has routes of its own, for which its format has to be named" in server.termination.read_text()


FUNCTIONS = """
    from dataclasses import dataclass

    import numpy as np


    @dataclass
    class Query:
        user: int
        names: list[str] = ()


    class Model:
        def load(self, folder):
            pass

        def predict(self, inputs):
            return inputs["x"]

        def routes(self, infer):
            async def double(body):
                return {"x": (await infer({"x": body}))["output"] * 2}

            def typed(query: Query):
                if not query.user:
                    raise ValueError("nobody is 0")
                return {"user": query.user, "names": query.names, "root": np.float32(0.5)}

            def odd(body):
                return object()

            return {"POST /double": double, "PUT /typed": typed, "GET /typed": typed, "POST /odd": odd}
"""


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "answer"),
    [
        ("POST", "/double", "[1, 2]", 200, {"x": [2, 4]}),
        ("PUT", "/typed", '{"user": 3, "names": ["a"]}', 200, {"user": 3, "names": ["a"], "root": 0.5}),
        ("GET", "/typed?user=3", "", 200, {"user": 3, "names": [], "root": 0.5}),
        ("PUT", "/typed", '{"user": "x"}', 400, {"error": "user: Expected int, got str"}),
        ("PUT", "/typed", '{"user": 0}', 400, {"error": "nobody is 0"}),
        ("PUT", "/typed", "{", 400, {"error": "the body is not valid JSON: Input data was truncated"}),
        ("POST", "/typed", "{}", 405, {"error": "use PUT, GET here"}),
        ("POST", "/other", "{}", 404, {"error": "nothing is at '/other'"}),
        ("POST", "/odd", "{}", 500, {"error": "the application failed: TypeError"}),
    ],
)
def test_functions_are_routes_too(
    functions: Server, method: str, path: str, body: str, status: int, answer: object
) -> None:
    given = functions.call(method, path, body.encode())
    assert (given.status, given.json) == (status, answer)


@pytest.fixture(scope="module")
def functions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("functions")
    running = Server.start(root, program(root / "model", FUNCTIONS), FAIRLEAD_MODEL_FORMAT="python")
    yield running.ready()
    running.stop()


def test_the_example_recommends(start: Start) -> None:
    example = Path(__file__).parents[2] / "examples/recommender"
    server = start(example, FAIRLEAD_MODEL_FORMAT="python").ready()
    films = server.call("POST", "/recommend", b'{"user": "ada", "count": 2}').json["films"]
    assert films == ["Metropolis", "Amelie"]
    unknown = server.call("POST", "/recommend", b'{"user": "nobody"}')
    assert (unknown.status, unknown.error) == (400, "inputs: nobody is called nobody")


FASTAPI = """
    import numpy as np
    from fastapi import FastAPI
    from pydantic import BaseModel


    class Wish(BaseModel):
        sizes: list[float]


    class Model:
        inputs = {"x": ("FP64", [-1, 2])}

        def load(self, folder):
            pass

        def predict(self, inputs):
            return {"sum": np.asarray(inputs["x"]).sum(axis=1)}

        def routes(self, infer):
            app = FastAPI()

            @app.post("/recommend")
            async def recommend(wish: Wish) -> dict[str, float]:
                answer = await infer({"x": [wish.sizes]})
                return {"sum": float(answer["sum"][0])}

            return app
"""


def test_a_service_of_fastapi(start: Start, tmp_path: Path) -> None:
    folder = program(tmp_path / "model", FASTAPI)
    (folder / "requirements.txt").write_text("fastapi\n")
    server = start(folder, FAIRLEAD_MODEL_FORMAT="python").ready()
    good, wrong, refused = (
        server.call("POST", "/recommend", json.dumps({"sizes": sizes}).encode(), Content_Type="application/json")
        for sizes in ([1, 2], "many", [1, 2, 3])
    )
    assert good.json == {"sum": 3.0}
    assert (wrong.status, wrong.json["detail"][0]["loc"]) == (422, ["body", "sizes"])
    assert refused.status == 400
    assert "/recommend" in server.get("/openapi.json").json["paths"]
