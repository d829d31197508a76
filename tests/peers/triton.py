"""Triton's Python backend with dynamic batching; the binaries are those inside PyTriton's wheel."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tests.peers.forms import V2_FLAT
from tests.peers.models import PROGRAMS, Model
from tests.peers.plan import Peer, Place, Plan

_CONFIG = """\
name: "m"
backend: "python"
max_batch_size: 256
input {{ name: "x" data_type: TYPE_FP32 dims: {columns} }}
output {{ name: "predict" data_type: TYPE_INT64 dims: 1 }}
instance_group {{ kind: KIND_CPU }}
dynamic_batching {{ }}
"""


def _plan(python: Path, model: Model, saved: Path, place: Place) -> Plan:
    packages = next((python.parent.parent / "lib").glob("python3*/site-packages"))
    triton = packages / "pytriton" / "tritonserver"
    version = packages.parent.name.removeprefix("python")
    backends = place.folder / "backends"
    shutil.copytree(triton / "backends" / "python", backends / "python")
    shutil.copy(triton / "python_backend_stubs" / version / "triton_python_backend_stub", backends / "python")
    served = place.folder / "models" / "m"
    shutil.copytree(saved, served / "1")
    shutil.copy(PROGRAMS / "triton_model.py", served / "1" / "model.py")
    shutil.copy(PROGRAMS / "busy.py", served / "1" / "busy.py")
    (served / "config.pbtxt").write_text(_CONFIG.format(columns=len(model.rows[0])))
    command = [
        str(triton / "bin" / "tritonserver"),
        f"--model-repository={served.parent}",
        f"--backend-directory={backends}",
    ]
    command += ["--http-address=127.0.0.1", "--grpc-address=127.0.0.1", "--metrics-address=127.0.0.1"]
    command += [f"--http-port={place.http}", f"--grpc-port={place.grpc}", f"--metrics-port={place.metrics}"]
    # The stub finds the wheel's libraries only from its place in the wheel, and packages by the Python of the PATH.
    search = f"{python.parent}:{os.environ.get('PATH', os.defpath)}"
    variables = {"PATH": search, "LD_LIBRARY_PATH": str(packages / "nvidia_pytriton.libs")}
    return Plan(command, "/v2/models/m/infer", variables)


PEERS = [
    Peer("triton", "Triton, Python backend", "triton", "nvidia-pytriton", V2_FLAT, ("onnx", "joblib"), _plan, grpc=True)
]
