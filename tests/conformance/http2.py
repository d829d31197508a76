"""HTTP/2 as nghttp2 sees it: h2load with many streams on few connections."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from tests.conformance.grpcio_calls import answered, connected, flowers
from tests.conformance.registry import NotRun, check, expect
from tests.conformance.target import Target

_GROUP: Final = "HTTP/2, h2load"
_PREFIX_BYTES: Final = 5
_SECONDS: Final = 50


@check(_GROUP, "3000 calls, one connection, one stream at a time")
def single(target: Target) -> None:
    _load(target, calls=3000, connections=1, streams=1)


@check(_GROUP, "3000 calls, one connection, 100 streams")
def one_connection(target: Target) -> None:
    _load(target, calls=3000, connections=1, streams=100)


@check(_GROUP, "6400 calls, 64 connections, 10 streams each")
def many_connections(target: Target) -> None:
    _load(target, calls=6400, connections=64, streams=10)


def _load(target: Target, calls: int, connections: int, streams: int) -> None:
    """Make calls; all must be answered by 200 and by as many bytes as one answer that was read has."""
    program = shutil.which("h2load")
    if program is None:
        reason = "h2load is not installed (Debian: nghttp2-client)"
        raise NotRun(reason)
    message = flowers(target)
    with connected(target.table) as service:
        response = service.ModelInfer(message, timeout=_SECONDS)
    answered(target, response)
    with tempfile.NamedTemporaryFile() as body:
        data = message.SerializeToString()
        Path(body.name).write_bytes(b"\0" + len(data).to_bytes(4, "big") + data)
        command = [program, f"-n{calls}", f"-c{connections}", f"-m{streams}", "-t1", f"-d{body.name}"]
        headers = ("-Hcontent-type: application/grpc", "-Hte: trailers")
        url = f"http://{target.table.grpc}/inference.GRPCInferenceService/ModelInfer"
        done = subprocess.run([*command, *headers, url], capture_output=True, text=True, timeout=_SECONDS, check=True)  # noqa: S603
    _compare(done.stdout, calls, response.ByteSize() + _PREFIX_BYTES)


def _compare(text: str, calls: int, size: int) -> None:
    counts = {name: int(number) for number, name in re.findall(r"(\d+) (total|succeeded|failed|errored|timeout)", text)}
    expect("calls", counts, {"total": calls, "succeeded": calls, "failed": 0, "errored": 0, "timeout": 0})
    codes = {name: int(number) for number, name in re.findall(r"(\d+) (\dxx)", text)}
    expect("statuses", codes, {"2xx": calls, "3xx": 0, "4xx": 0, "5xx": 0})
    data = re.search(r"\((\d+)\) data", text)
    expect("bytes of answers", int(data[1]) if data else None, calls * size)
