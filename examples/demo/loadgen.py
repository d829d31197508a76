"""The steady load, as it runs in a pod: standard library only. One JSON line a second on standard output.

People and services come and go, so a connection carries at most ten requests and lives at most five seconds. What the
line counts as failed is whatever a caller would call so: no answer, no connection, or a status other than 200.
Arguments: HOST PORT MODEL REQUESTS_A_SECOND CONNECTIONS FILE, the last with one JSON object a line:
{"scan": [grey values], "digit": what it shows}.
"""

from __future__ import annotations

import asyncio
import json
import random
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REQUESTS_A_CONNECTION = 10
CONNECTION_SECONDS = 5.0
TIMEOUT_SECONDS = 10.0
# A caller that could not keep up does not make up for more than this.
LONGEST_LAG_SECONDS = 1.0
OK = 200


@dataclass
class Tally:
    """What happened since the last line."""

    sent: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    versions: dict[str, Counter[str]] = field(default_factory=dict)
    latencies: list[float] = field(default_factory=list)

    def answered(self, version: str, *, right: bool, seconds: float) -> None:
        """Count an answer of a version of the model."""
        self.versions.setdefault(version, Counter()).update({"answered": 1, "right": int(right)})
        self.latencies.append(seconds)

    def line(self) -> str:
        """The tally as one JSON line."""
        ordered = sorted(self.latencies)
        at = [ordered[int(q * (len(ordered) - 1))] * 1000 for q in (0.5, 0.99)] if ordered else []
        return json.dumps(
            {
                "at": round(time.time(), 3),
                "sent": self.sent,
                "failed": sum(self.failures.values()),
                "failures": self.failures,
                "versions": self.versions,
                "latency_ms": [round(value, 2) for value in at],
            }
        )


@dataclass(frozen=True)
class Question:
    """A request, ready to send, and its right answer."""

    body: bytes
    digit: int


class Load:
    """Callers that share a rate of requests between them."""

    def __init__(self, host: str, port: int, rate: float, connections: int, questions: list[Question]) -> None:
        self.host, self.port, self.connections = host, port, connections
        self.pause = connections / rate
        self.questions = questions
        self.tally = Tally()
        self.ending = asyncio.Event()

    async def caller(self) -> None:
        """One caller: a connection after another, requests at its share of the rate, give or take a half."""
        due = time.monotonic() + random.uniform(0, self.pause)
        while not self.ending.is_set():
            due = await self.connection(due)

    async def connection(self, due: float) -> float:
        """Use one connection until it is spent or broken; return when the next request is due."""
        due = await self.wait_until(due)
        began = time.monotonic()
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                reader, writer = await asyncio.open_connection(self.host, self.port)
        except (OSError, TimeoutError) as error:
            self.tally.sent += 1
            self.tally.failures[f"connect: {type(error).__name__}"] += 1
            return due + self.pause
        try:
            for _ in range(REQUESTS_A_CONNECTION):
                again = await self.request(reader, writer)
                due += self.pause * random.uniform(0.5, 1.5)
                if not again or self.ending.is_set() or max(due, time.monotonic()) - began > CONNECTION_SECONDS:
                    break
                due = await self.wait_until(due)
        finally:
            writer.close()
        return due

    async def wait_until(self, due: float) -> float:
        """Sleep until a request is due; after a long lag the schedule begins anew."""
        now = time.monotonic()
        if due > now:
            await asyncio.sleep(due - now)
            return due
        return max(due, now - LONGEST_LAG_SECONDS)

    async def request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Send one request and count its answer; tell whether the connection may be used again."""
        question = random.choice(self.questions)
        self.tally.sent += 1
        began = time.monotonic()
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                writer.write(question.body)
                status, keep, body = await self.response(reader)
        except TimeoutError:
            self.tally.failures["timeout"] += 1
            return False
        except (OSError, asyncio.IncompleteReadError, ValueError) as error:
            self.tally.failures[f"connection: {type(error).__name__}"] += 1
            return False
        if status == OK:
            answer: dict[str, Any] = json.loads(body)
            right = answer["outputs"][0]["data"][0] == question.digit
            self.tally.answered(answer["model_version"], right=right, seconds=time.monotonic() - began)
        else:
            self.tally.failures[f"status {status}"] += 1
        return keep

    @staticmethod
    async def response(reader: asyncio.StreamReader) -> tuple[int, bool, bytes]:
        """Read one response: status, whether the connection stays open, body."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        lines = head.split("\r\n")
        headers = {
            name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])
        }
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        return int(lines[0].split(" ", 2)[1]), headers.get("connection", "").lower() != "close", body

    async def report(self) -> None:
        """Print a line a second, and what is left at the end."""
        while not self.ending.is_set():
            await asyncio.sleep(1)
            self.print_line()

    def print_line(self) -> None:
        """Print the tally and begin a new one."""
        line, self.tally = self.tally.line(), Tally()
        print(line, flush=True)


def question(host: str, model: str, example: dict[str, Any]) -> Question:
    """The V2 inference request for one example."""
    scan = example["scan"]
    tensor = {"name": "scan", "shape": [1, len(scan)], "datatype": "FP64", "data": scan}
    body = json.dumps({"inputs": [tensor], "outputs": [{"name": "predict"}]}).encode()
    head = f"POST /v2/models/{model}/infer HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
    return Question(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body, example["digit"])


def load_from(host: str, port: str, model: str, rate: str, connections: str, file: str) -> Load:
    """The load that the command line describes."""
    examples = [json.loads(line) for line in Path(file).read_text(encoding="utf-8").splitlines()]
    questions = [question(host, model, example) for example in examples]
    return Load(host, int(port), float(rate), int(connections), questions)


async def run(load: Load) -> None:
    """Run the load until SIGTERM or SIGINT."""
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, load.ending.set)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(load.report())
        for _ in range(load.connections):
            tasks.create_task(load.caller())
    load.print_line()


if __name__ == "__main__":
    asyncio.run(run(load_from(*sys.argv[1:])))
