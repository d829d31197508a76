"""A quick look at the server's speed with wrk, or at its end under load.

`python -m tests.serving.bench` measures one server after the other, pinned to the last core, with wrk on the first.
Medians of three runs. Figures of a busy machine mean nothing.

`python -m tests.serving.bench drain --times 100` ends servers by SIGTERM under load and counts lost requests.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import skops.io
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from tests.serving.drain import drain
from tests.serving.harness import IRIS, Server, table
from tests.serving.load import Load
from tests.serving.modelfiles import write_onnx

SECONDS = 3
RUNS = 3
CONNECTIONS = (1, 32)
LUA = 'wrk.method = "POST"\nwrk.body = [==[%s]==]\nwrk.headers["Content-Type"] = "application/json"\n'


def main() -> int:
    """Run one of the two."""
    parser = argparse.ArgumentParser(description=__doc__)
    kinds = parser.add_subparsers(dest="kind")
    drains = kinds.add_parser("drain")
    drains.add_argument("--times", type=int, default=100)
    drains.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    return end(arguments.times, arguments.workers) if arguments.kind == "drain" else speed()


def end(times: int, workers: int) -> int:
    """End servers under load, and print what became of the requests."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model, *_ = write_models(folder)
        numbers = iter(range(times + 1))

        def start(*flags: str) -> Server:
            own = folder / str(next(numbers))
            own.mkdir()
            return Server.start(own, model, "--drain-seconds", "1", *flags)

        steady = start().ready()
        try:
            with Load(json.dumps(table(IRIS[:1])).encode(), [steady.port]) as load:
                drain(lambda: start("--workers", str(workers)), load, times=times, workers=workers)
        finally:
            steady.stop()
    sys.stdout.write(f"{times} servers ended; {load}\n")
    return 1 if load.failures else 0


def speed() -> int:
    """Print requests a second and latencies by model and number of connections."""
    wrk = shutil.which("wrk")
    if wrk is None:
        sys.stderr.write("wrk is not installed (Debian: apt-get install wrk)\n")
        return 1
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        models = write_models(folder)
        script = folder / "post.lua"
        script.write_text(LUA % json.dumps(table(IRIS[:1])))
        sys.stdout.write(
            f"{'model':<10}{'connections':>12}{'requests/s':>12}{'p50 ms':>10}{'p99 ms':>10}{'CPU µs':>10}\n"
        )
        for model in models:
            measure(model, script, wrk)
    return 0


def write_models(folder: Path) -> list[Path]:
    x, y = load_iris(return_X_y=True)
    estimator = LogisticRegression(max_iter=500).fit(x, y)
    write_onnx(estimator, folder / "onnx/model.onnx", options={"zipmap": False})
    (folder / "sklearn").mkdir()
    skops.io.dump(estimator, folder / "sklearn/model.skops")
    return [folder / "onnx", folder / "sklearn"]


def measure(model: Path, script: Path, wrk: str) -> None:
    server = Server.start(model, model, "--max-connection-age-seconds", "0").ready()
    cores = sorted(os.sched_getaffinity(0))
    try:
        os.sched_setaffinity(server.process.pid, {cores[-1]})
        url = f"http://127.0.0.1:{server.port}/v2/models/m/infer"
        for connections in CONNECTIONS:
            runs = [run(wrk, script, url, connections, cores[0], server.process.pid) for _ in range(RUNS)]
            rate, median, tail, cost = (statistics.median(values) for values in zip(*runs, strict=True))
            sys.stdout.write(
                f"{model.name:<10}{connections:>12}{rate:>12.0f}{median:>10.2f}{tail:>10.2f}{cost:>10.1f}\n"
            )
    finally:
        server.stop()


def run(wrk: str, script: Path, url: str, connections: int, core: int, pid: int) -> tuple[float, float, float, float]:
    """Return requests a second, the 50th and 99th percentile in milliseconds, and the server's CPU time in µs each."""
    command = [wrk, "-t1", f"-c{connections}", f"-d{SECONDS}s", "-s", str(script), "--latency", url]
    pinned = ["taskset", "-c", str(core), *command]
    before = cpu_seconds(pid)
    text = subprocess.run(pinned, check=True, capture_output=True, text=True).stdout  # noqa: S603  built above
    if "Non-2xx" in text or "Socket errors" in text:
        raise RuntimeError(text)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
    latency = dict(re.findall(r"(50|99)%\s+([\d.]+(?:us|ms|s))", text))
    if rate is None:
        raise RuntimeError(text)
    requests = int(re.findall(r"(\d+) requests in", text)[0])
    cost = (cpu_seconds(pid) - before) / requests * 1e6
    return float(rate[1]), milliseconds(latency["50"]), milliseconds(latency["99"]), cost


def cpu_seconds(pid: int) -> float:
    """Return the CPU time a process has used; other load on the machine hardly changes it."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def milliseconds(text: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", text).groups()  # type: ignore[union-attr]
    return float(number) * {"us": 1e-3, "ms": 1.0, "s": 1e3}[unit]


if __name__ == "__main__":
    sys.exit(main())
