"""Other servers with the two models of the checks, out of the environments of tests/peers."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sklearn.linear_model import LogisticRegression

from tests.cluster.waiting import until
from tests.conformance.target import Place, Target
from tests.peers import environments
from tests.peers.process import family, free_ports
from tests.serving.modelfiles import X, Y

PROGRAMS: Final = Path(__file__).parent / "programs"
_START_SECONDS: Final = 90
_MESSAGE_BYTES: Final = 64 * 1024 * 1024
_VERSION: Final = "1"
_SETTINGS: Final = {
    "name": "table",
    "implementation": "mlserver_sklearn.SKLearnModel",
    "platform": "sklearn",
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
    "outputs": [
        {"name": "predict", "datatype": "INT64", "shape": [-1]},
        {"name": "predict_proba", "datatype": "FP64", "shape": [-1, 3]},
    ],
}
_TYPES: Final = (
    *("BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64"),
    *("FP16", "BF16", "FP32", "FP64", "BYTES"),
)


@dataclass(frozen=True)
class Ports:
    """Where a server listens."""

    http: int
    grpc: int
    metrics: int


@dataclass(frozen=True)
class Peer:
    """A server: how it is called, its environment in tests/peers, what starts it, and its table's names."""

    title: str
    environment: str
    start: Callable[[Path, Path, Ports], tuple[list[str], Mapping[str, str]]]
    outputs: tuple[str, str] = ("label", "probabilities")
    version: str = _VERSION


@contextmanager
def serving(peer: Peer, folder: Path) -> Iterator[Target]:
    """Run a peer's server for as long as the context lasts. `folder` is an empty one of its own."""
    ports = Ports(*free_ports(3))
    command, variables = peer.start(environments.python(peer.environment), folder, ports)
    hidden = ("FAIRLEAD_", "AWS_", "MLSERVER_", "OTEL_", "PYTHON")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603  our own commands
            command, cwd=folder, stdout=log, stderr=log, env={**inherited, **variables}, start_new_session=True
        )
    try:
        until(lambda: process.poll() is not None or _ready(ports), _START_SECONDS, peer.title, every=0.1)
        if process.poll() is not None:
            message = f"{peer.title} ended: {(folder / 'log').read_text(errors='replace')[-1000:]}"
            raise environments.EnvironmentsError(message)
        address = (f"127.0.0.1:{ports.http}", f"127.0.0.1:{ports.grpc}")
        yield Target(
            peer.title,
            Place(*address, "table", peer.version),
            Place(*address, "echo", peer.version),
            "x",
            peer.outputs,
            any_rank=peer.environment != "triton",
        )
    finally:
        _end(process)


def _ready(ports: Ports) -> bool:
    try:
        return all(_status(ports.http, f"/v2/models/{model}/ready") == http.client.OK for model in ("table", "echo"))
    except (OSError, http.client.HTTPException):
        return False


def _status(port: int, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    pids = set(family(process.pid))
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
    for pid in pids | set(family(process.pid)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()


def _weights(path: Path) -> None:
    trained: Any = LogisticRegression(max_iter=500).fit(X, Y)
    path.write_text(json.dumps({"matrix": trained.coef_.T.tolist(), "bias": trained.intercept_.tolist()}))


def _mlserver(python: Path, folder: Path, ports: Ports) -> tuple[list[str], Mapping[str, str]]:
    from tests.peers.models import model  # noqa: PLC0415  what trains is needed here only

    settings = {
        "host": "127.0.0.1",
        "http_port": ports.http,
        "grpc_port": ports.grpc,
        "metrics_port": ports.metrics,
        "parallel_workers": 0,
        "grpc_max_message_length": _MESSAGE_BYTES,
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    uri = str(model("lr").folder / "joblib" / "model.joblib")
    echo = {"name": "echo", "implementation": "mlserver_echo.Echo", "parameters": {"version": _VERSION}}
    for name, fields in (("table", {**_SETTINGS, "parameters": {"version": _VERSION, "uri": uri}}), ("echo", echo)):
        (folder / name).mkdir()
        (folder / name / "model-settings.json").write_text(json.dumps(fields))
    return [str(python.with_name("mlserver")), "start", str(folder)], {"PYTHONPATH": str(PROGRAMS)}


def _kserve(python: Path, folder: Path, ports: Ports) -> tuple[list[str], Mapping[str, str]]:
    _weights(folder / "weights.json")
    program = str(PROGRAMS / "kserve_models.py")
    room = [f"--grpc_max_{way}_message_length={_MESSAGE_BYTES}" for way in ("send", "receive")]
    return [str(python), program, str(ports.http), str(ports.grpc), str(folder / "weights.json"), *room], {}


def _triton(python: Path, folder: Path, ports: Ports) -> tuple[list[str], Mapping[str, str]]:
    packages = next((python.parent.parent / "lib").glob("python3*/site-packages"))
    triton = packages / "pytriton" / "tritonserver"
    version = packages.parent.name.removeprefix("python")
    backend = folder / "backends" / "python"
    shutil.copytree(triton / "backends" / "python", backend)
    shutil.copy(triton / "python_backend_stubs" / version / "triton_python_backend_stub", backend)
    for name, config in (("table", _triton_table()), ("echo", _triton_echo())):
        served = folder / "models" / name / _VERSION
        served.mkdir(parents=True)
        shutil.copy(PROGRAMS / f"triton_{name}.py", served / "model.py")
        (served.parent / "config.pbtxt").write_text(config)
    _weights(folder / "models" / "table" / _VERSION / "weights.json")
    addresses = [f"--{kind}-address=127.0.0.1" for kind in ("http", "grpc", "metrics")]
    listening = [f"--http-port={ports.http}", f"--grpc-port={ports.grpc}", f"--metrics-port={ports.metrics}"]
    program = [str(triton / "bin" / "tritonserver"), f"--model-repository={folder / 'models'}"]
    command = [*program, f"--backend-directory={backend.parent}", *addresses, *listening]
    # The backend's stub, which is copied, looks for its libraries beside where it came from.
    return command, {"PYTHONPATH": str(packages), "LD_LIBRARY_PATH": str(packages / "nvidia_pytriton.libs")}


def _triton_table() -> str:
    return """\
name: "table"
backend: "python"
max_batch_size: 0
input { name: "x" data_type: TYPE_FP32 dims: [-1, 4] }
output { name: "label" data_type: TYPE_INT64 dims: -1 }
output { name: "probabilities" data_type: TYPE_FP64 dims: [-1, 3] }
instance_group { kind: KIND_CPU }
"""


def _triton_echo() -> str:
    lines = ['name: "echo"', 'backend: "python"', "max_batch_size: 0", "instance_group { kind: KIND_CPU }"]
    lines.append('input { name: "seconds" data_type: TYPE_FP64 dims: 1 optional: true }')
    for name in _TYPES:
        kind = {"BYTES": "STRING"}.get(name, name)
        lines.append(f'input {{ name: "in_{name}" data_type: TYPE_{kind} dims: [-1, -1] optional: true }}')
        lines.append(f'output {{ name: "out_{name}" data_type: TYPE_{kind} dims: [-1, -1] }}')
    return "\n".join(lines)


PEERS: Final = (
    Peer("MLServer", "mlserver", _mlserver, ("predict", "predict_proba")),
    Peer("KServe", "kserve", _kserve, version=""),
    Peer("Triton", "triton", _triton),
)
