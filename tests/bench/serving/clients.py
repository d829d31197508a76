"""The load: wrk and h2load, both pinned to the client's core, and what they say."""

from __future__ import annotations

import re
import shutil
import statistics
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

WARM_SECONDS = 0.4
_UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}
_LUA = 'wrk.method = "POST"\nwrk.headers["Content-Type"] = "application/json"\nwrk.body = [==[%s]==]\n'
_GRPC = "/inference.GRPCInferenceService/ModelInfer"


class LoadError(Exception):
    """A client is missing, or not every request was answered well."""


class Load(NamedTuple):
    """What a client saw."""

    rate: float
    """Requests a second."""
    p50: float
    """Milliseconds."""
    p99: float


def need() -> None:
    """Raise LoadError when a program is missing."""
    programs = {"wrk": "wrk", "h2load": "nghttp2-client", "taskset": "util-linux", "gcc": "gcc libc6-dev"}
    missing = [package for program, package in programs.items() if shutil.which(program) is None]
    if missing:
        message = f"programs are missing; on Debian: apt-get install {' '.join(missing)}"
        raise LoadError(message)


class Wrk:
    """Keep-alive connections that each send the next request when the last one is answered."""

    def __init__(self, folder: Path, core: int) -> None:
        self._script = folder / "post.lua"
        self._core = core

    def run(self, url: str, body: bytes, connections: int, seconds: float, *, warm: bool = True) -> Load:
        """Load a server, by default for a moment before that counts. Raises LoadError unless all answers are 2xx."""
        self._script.write_text(_LUA % body.decode())
        # wrk takes whole seconds only.
        options = ["-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--latency", "-s", str(self._script)]
        command = ["wrk", *options, url]
        if warm:
            pinned(self._core, ["timeout", "--preserve-status", "--signal=INT", f"{WARM_SECONDS:g}", *command])
        return parse_wrk(pinned(self._core, command))


class H2load:
    """gRPC calls, one stream a connection; or HTTP requests at a fixed rate."""

    def __init__(self, folder: Path, core: int) -> None:
        self._body, self._log, self._core = folder / "body", folder / "times", core

    def grpc(self, port: int, message: bytes, answer: bytes, connections: int, seconds: float) -> Load:
        """Call ModelInfer. Raises LoadError unless every call brought an answer as long as this one."""
        self._body.write_bytes(framed(message))
        self._log.unlink(missing_ok=True)
        options = [
            "-D",
            duration(seconds),
            f"--warm-up-time={duration(WARM_SECONDS)}",
            f"-c{connections}",
            "-m1",
            "-t1",
        ]
        options += ["-H", "content-type: application/grpc", "-H", "te: trailers", f"--log-file={self._log}"]
        command = ["h2load", *options, "-d", str(self._body), f"http://127.0.0.1:{port}{_GRPC}"]
        text = pinned(self._core, command)
        return Load(parse_h2load(text, len(framed(answer))), *percentiles(self._log.read_text()))

    def steady(self, url: str, body: bytes, rate: float, seconds: float) -> float:
        """Send so many HTTP requests a second over ten connections; return how many were answered."""
        self._body.write_bytes(body)
        options = ["--h1", "-D", duration(seconds), "-c10", "-t1", f"--rps={rate / 10:g}"]
        options += ["-H", "content-type: application/json", "-d", str(self._body)]
        return parse_h2load(pinned(self._core, ["h2load", *options, url]))


def pinned(core: int, command: Sequence[str]) -> str:
    """Run a client on its core and return what it says."""
    done = subprocess.run(  # noqa: S603  built above
        ["taskset", "-c", str(core), *command],  # noqa: S607  as the PATH has it
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        message = f"{command[0]} ended with {done.returncode}: {(done.stderr or done.stdout).strip()[-500:]}"
        raise LoadError(message)
    return done.stdout


def duration(seconds: float) -> str:
    """A time as h2load takes it: no fractions."""
    return f"{seconds * 1000:.0f}ms"


def framed(message: bytes) -> bytes:
    """A message as gRPC sends it: not compressed, with its length."""
    return b"\0" + len(message).to_bytes(4, "big") + message


def parse_wrk(text: str) -> Load:
    """Read wrk's report. Raises LoadError where it tells of errors, or of nothing."""
    wrong = re.findall(r"Socket errors:.*|Non-2xx.*", text)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
    shares = dict(re.findall(r"^\s+(50|99)%\s+(\S+)", text, re.MULTILINE))
    if wrong or rate is None or float(rate[1]) == 0 or len(shares) != 2:
        message = "; ".join(wrong) or f"wrk had no answer: {text.strip()[-300:]}"
        raise LoadError(message)
    return Load(float(rate[1]), milliseconds(shares["50"]), milliseconds(shares["99"]))


def milliseconds(text: str) -> float:
    """A time as wrk writes it. Raises LoadError for anything else."""
    match = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text)
    if match is None:
        message = f"{text!r} is no time"
        raise LoadError(message)
    return float(match[1]) * _UNITS[match[2]]


def parse_h2load(text: str, size: int = 0) -> float:
    """Requests a second by h2load's report.

    Raises LoadError where a request failed, or fewer bytes came than answers of this size have: HTTP knows nothing of a
    failed call of gRPC, but its answer is missing.
    """
    rate = re.search(r"finished in .*?, ([\d.]+) req/s", text)
    done = re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", text)
    codes = re.search(r"(\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", text)
    data = re.search(r"\((\d+)\) data", text)
    if not (rate and done and codes and data):
        message = f"h2load had no answer: {text.strip()[-300:]}"
        raise LoadError(message)
    succeeded, *others = map(int, done.groups())
    if succeeded == 0 or any(others) or any(map(int, codes.groups()[1:])):
        message = f"{done[0]}; {codes[0]}"
        raise LoadError(message)
    if int(data[1]) < succeeded * size:
        message = f"{succeeded} answers of {size} bytes should have come, and it were {data[1]} bytes"
        raise LoadError(message)
    return float(rate[1])


def percentiles(log: str) -> tuple[float, float]:
    """The 50th and 99th percentile, in milliseconds, of the times that h2load has logged."""
    times = sorted(int(line.split("\t")[2]) for line in log.splitlines())
    if not times:
        message = "h2load logged no request"
        raise LoadError(message)
    return statistics.median(times) / 1e3, times[min(len(times) - 1, len(times) * 99 // 100)] / 1e3
