"""Measures the cells: starts servers, loads them by turns, keeps what comes out."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc

from tests.bench.serving import machine
from tests.bench.serving.cells import STEADY_RATE, Block, Cell
from tests.bench.serving.clients import H2load, LoadError, Wrk
from tests.bench.serving.store import Result, Store
from tests.peers import Peer, Running, StartError, model
from tests.peers.environments import EnvironmentsError
from tests.serving.oip import messages

FOREIGN = 0.08
"""Share of the server's core that others may use during a measurement."""
ATTEMPTS = 3
SPARE_SECONDS = 300.0
"""For all measurements together that are taken again: on a machine that is never quiet it would be no use."""
_METHOD = "/inference.GRPCInferenceService/ModelInfer"
Say = Callable[[str], None]


def say(line: str) -> None:
    """Print a line of progress."""
    print(line, file=sys.stderr, flush=True)  # noqa: T201  a benchmark speaks to the terminal


class Bench:
    """Servers on one core, clients on another."""

    def __init__(self, store: Store, peers: dict[str, Peer], folder: Path, runs: int) -> None:
        self.store, self.peers, self.folder, self.runs = store, peers, folder, runs
        self.client, self.server = machine.cores()
        os.sched_setaffinity(0, {self.client})
        self._spare = SPARE_SECONDS
        self._wrk, self._h2load = Wrk(folder, self.client), H2load(folder, self.client)

    def measure(self, blocks: list[Block]) -> None:
        """Measure what is missing of the blocks of one model; servers run side by side, all but one stopped."""
        todo = [
            [(cell, run) for cell, run in block.rounds(self.runs) if cell.key(run) not in self.store]
            for block in blocks
        ]
        with contextlib.ExitStack() as stack:
            running: dict[str, Running | str] = {}
            for block, cells in zip(blocks, todo, strict=True):
                for cell, run in cells:
                    if cell.server not in running:
                        running[cell.server] = self._start(stack, cell)
                    server = running[cell.server]
                    result = {"failed": server} if isinstance(server, str) else self._take(server, cell, block.seconds)
                    self.store.put(cell.key(run), result)
                    say(f"{cell.key(run)}: {told(result)}")

    def cold(self, name: str, run: int) -> None:
        """Start a server with the first model, and end it."""
        key = f"cold/lr/{name}/{run}"
        if key in self.store:
            return
        with contextlib.ExitStack() as stack:
            server = self._start(stack, Cell("http", "lr", name, 1))
            result: Result = {"failed": server} if isinstance(server, str) else {"seconds": server.cold_seconds}
        self.store.put(key, result)
        say(f"{key}: {told(result)}")

    def workers(self, one: Peer, run: int, seconds: float) -> None:
        """Load the busy model on both cores, over 32 connections."""
        key = f"workers/busy/{one.name}/{run}"
        if key in self.store:
            return
        served = model("busy")
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        try:
            with Running.start(one, served, folder, (self.client, self.server)) as server:
                body = one.form.body(served.rows[:1])
                result: Result = self._wrk.run(server.url, body, 32, seconds)._asdict()
        except (StartError, LoadError) as error:
            result = {"failed": str(error)}
        self.store.put(key, result)
        say(f"{key}: {told(result)}")

    def _start(self, stack: contextlib.ExitStack, cell: Cell) -> Running | str:
        """Start a server, and stop it until its first turn; or say why it does not start."""
        folder = stack.enter_context(tempfile.TemporaryDirectory(dir=self.folder, ignore_cleanup_errors=True))
        try:
            server = Running.start(self.peers[cell.server], model(cell.model), Path(folder), (self.server,))
        except (StartError, EnvironmentsError, ValueError, subprocess.CalledProcessError) as error:
            return str(error)
        stack.enter_context(server)
        server.pause()
        return server

    def _take(self, server: Running, cell: Cell, seconds: float) -> Result:
        """One measurement, again while others use the server's core."""
        server.resume()
        result: Result = {}
        try:
            server.infer(server.model.rows[:1])
            for attempt in range(1, ATTEMPTS + 1):
                cpu, began = server.cpu_seconds(), time.monotonic()
                with machine.watched(self.client, self.server, server.cpu_seconds) as foreign:
                    result = self._load(server, cell, seconds)
                result |= {"foreign": foreign.server, "foreign_client": foreign.client, "attempts": attempt}
                if cell.kind == "steady":
                    result["cpu"] = (server.cpu_seconds() - cpu) / seconds
                if foreign.server <= FOREIGN or self._spare < 0:
                    break
                self._spare -= time.monotonic() - began
            result["disturbed"] = result["foreign"] > FOREIGN
            result |= server.memory()._asdict()
        except (LoadError, OSError, ValueError, grpc.RpcError) as error:
            result = {"failed": f"{type(error).__name__}: {error}"}
        finally:
            server.pause()
        return result

    def _load(self, server: Running, cell: Cell, seconds: float) -> Result:
        body = server.peer.form.body(server.model.rows[:1])
        if cell.kind == "grpc":
            message, answer = call(server)
            return self._h2load.grpc(server.place.grpc, message, answer, cell.connections, seconds)._asdict()
        if cell.kind == "steady":
            return {"rate": self._h2load.steady(server.url, body, STEADY_RATE, seconds)}
        return self._wrk.run(server.url, body, cell.connections, seconds)._asdict()


def call(server: Running) -> tuple[bytes, bytes]:
    """Ask once by gRPC, as gRPC's own client; return the request and the answer. Raises ValueError for a wrong one."""
    row, label = server.model.rows[0], server.model.labels[0]
    request: Any = messages["ModelInferRequest"](model_name="m")
    tensor = request.inputs.add(name="x", datatype="FP32", shape=[1, len(row)])
    tensor.contents.fp32_contents.extend(row)
    message: bytes = request.SerializeToString()
    with grpc.insecure_channel(f"127.0.0.1:{server.place.grpc}") as channel:
        answer: bytes = channel.unary_unary(_METHOD)(message, timeout=10)
    response: Any = messages["ModelInferResponse"].FromString(answer)
    raw = response.raw_output_contents
    found = int.from_bytes(raw[0], "little") if raw else response.outputs[0].contents.int64_contents[0]
    if found != label:
        text = f"{server.peer.name} says {found} by gRPC, and {server.model.name} says {label:g}"
        raise ValueError(text)
    return message, answer


def told(result: Result) -> str:
    """A result in a few words."""
    if "failed" in result:
        return f"FAILED {result['failed'][-600:]}"
    words = {"rate": "{:,.0f}/s", "p50": "p50 {:.2f} ms", "p99": "p99 {:.2f} ms", "seconds": "{:.2f} s"}
    words |= {"cpu": "CPU {:.1%}", "rss": "{:.0f} MB", "foreign": "others {:.0%}"}
    return ", ".join(text.format(result[name]) for name, text in words.items() if name in result)


def versions(peers: dict[str, Peer]) -> dict[str, str]:
    """The versions of what takes part, by the peers' names."""
    out = {}
    for name, one in peers.items():
        if one.package and not one.environment.startswith("fairlead"):
            code = f"import importlib.metadata as m; print(m.version({one.package!r}))"
            command = [str(one.python()), "-c", code]
            out[name] = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()  # noqa: S603
    return out
