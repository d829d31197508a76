"""A real S3 server for tests: versitygw on a folder."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cluster.tools import tool
from tests.cluster.waiting import until
from tests.serving.harness import PATIENCE_SECONDS

_HELD: list[socket.socket] = []
ACCESS = "key"
SECRET = "secret"  # noqa: S105  of a server that lives as long as the tests


@dataclass(frozen=True)
class S3:
    """One running server."""

    root: Path
    port: int

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables that lead a model server here."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": ACCESS,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
        }

    def put(self, key: str, content: bytes) -> None:
        """Store an object in the bucket `models`; versitygw serves the files below its root as they are."""
        path = self.root / "models" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


@contextmanager
def running_s3(folder: Path, port: int = 0) -> Iterator[S3]:
    """Run an S3 server on a folder; its buckets are the folders below `root`."""
    program = tool("versitygw")
    if not program.exists():
        pytest.skip("versitygw is not built: python -m tests.cluster tools")
    server = S3(folder / "root", port or free_port())
    (server.root / "models").mkdir(parents=True, exist_ok=True)
    (folder / "meta").mkdir(exist_ok=True)
    command = [str(program), "--access", ACCESS, "--secret", SECRET, "--port", f"127.0.0.1:{server.port}", "--quiet"]
    with (folder / "log").open("wb") as log:
        arguments = [*command, "posix", "--sidecar", str(folder / "meta"), str(server.root)]
        process = subprocess.Popen(arguments, stdout=log, stderr=log)  # noqa: S603  our own program
    try:
        until(lambda: process.poll() is not None or answers(server.port), PATIENCE_SECONDS, "the S3 server", every=0.02)
        assert process.poll() is None, (folder / "log").read_text()
        yield server
    finally:
        process.terminate()
        process.wait()


def free_port() -> int:
    """Return a port where nobody listens.

    It is bound until the tests end, so that the system gives it to nobody else; who asks for it by name still gets it.
    """
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    _HELD.append(held)
    return int(held.getsockname()[1])


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
