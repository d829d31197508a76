"""The command `fairlead-serve`."""

from __future__ import annotations

import logging
import os
import resource
import secrets
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fairlead_serving.digest import digest_of_path
from fairlead_serving.errors import LoadError, SettingsError
from fairlead_serving.logs import configure
from fairlead_serving.metrics.board import ENTRY_BYTES, Board
from fairlead_serving.settings import read
from fairlead_serving.termination import fail
from fairlead_serving.workers.cores import allowed_cores
from fairlead_serving.workers.port import refusal, reserve
from fairlead_serving.workers.supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fairlead_serving.settings import Settings
    from fairlead_serving.workers.link import Link

_USAGE: Final = 2
_THREADS: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a server, which ends the process, or `digest PATH`, and return the exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["digest"]:
        return _digest(arguments[1:])
    # ONNX Runtime would keep a device id in the home folder and report to its maker as soon as it is imported.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    if arguments[:1] == ["convert"]:
        from fairlead_serving.conversion.publish import main as convert  # noqa: PLC0415  the server has no use for it

        return convert(arguments[1:])
    configure("info")
    try:
        settings = read(arguments, os.environ)
    except SettingsError as error:
        fail(str(error), Path(os.environ.get("FAIRLEAD_TERMINATION_LOG") or "/dev/termination-log"))
        return _USAGE
    configure(settings.log_level)
    # A connection is an open file, and the soft limit is often 1024.
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    workers = settings.workers or allowed_cores()
    board = Board(workers, settings.feedback_rows * ENTRY_BYTES)
    status = _serve(settings, board) if workers == 1 else _supervise(settings, board)
    logging.shutdown()
    # The model may still be working for a client that has gone, or a download may hang in native code. Nothing is left
    # to save, so their threads are not waited for.
    os._exit(status)


def _serve(settings: Settings, board: Board, link: Link | None = None) -> int:
    # Here, and not above: the supervisor has no use for them, and should fork without their threads.
    import uvloop  # noqa: PLC0415

    from fairlead_serving.lifecycle import Lifecycle  # noqa: PLC0415

    async def run() -> int:
        return await Lifecycle(settings, os.environ, board, link).run()

    return uvloop.run(run())


def _supervise(settings: Settings, board: Board) -> int:
    held = []
    for port in (settings.http_port, settings.grpc_port):
        try:
            held.append(reserve(settings.host, port))
        except OSError as error:
            fail(refusal(settings.host, port, error), settings.termination_log)
            return 1
    http_port, grpc_port = (each.getsockname()[1] for each in held)
    shared = replace(settings, http_port=http_port, grpc_port=grpc_port, session=secrets.token_hex(8))
    for variable in _THREADS:
        # The workers share the cores, so that none needs more than one for its arithmetic.
        os.environ.setdefault(variable, "1")
    sure = settings.workers > 0
    patience = settings.hung_worker_seconds
    return Supervisor(board, lambda link: _serve(shared, board, link), sure=sure, patience=patience).run()


def _digest(arguments: Sequence[str]) -> int:
    """Print the digest of a model folder or file, as the server computes it."""
    if len(arguments) != 1:
        sys.stderr.write("usage: fairlead-serve digest PATH\n")
        return _USAGE
    try:
        sys.stdout.write(f"{digest_of_path(Path(arguments[0]))}\n")
    except LoadError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0
