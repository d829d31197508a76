"""The command line of `fairlead-serve`."""

from __future__ import annotations

import argparse
from typing import Final

from fairlead_serving import __version__, optimisation, trust

_EXAMPLES: Final = """\
every flag has a variable FAIRLEAD_…, over which it wins; a size is in bytes

examples:
  fairlead-serve ./fraud                        a folder or file on this machine
  fairlead-serve s3://models/fraud/7 --name fraud --version 7
  fairlead-serve ./fraud --host 127.0.0.1 --http-port 9000 --workers 1
  curl localhost:8080/v2/models/fraud           what the model takes and gives

other commands:
  fairlead-serve digest PATH                    the digest that --digest takes
  fairlead-serve convert SOURCE TARGET          a model as ONNX; has a --help
"""


def parser() -> argparse.ArgumentParser:
    """Return the command line. Every flag stands for an environment variable and wins over it."""
    flags = argparse.ArgumentParser(
        prog="fairlead-serve",
        usage="fairlead-serve MODEL_DIR_OR_URI [flags]",
        description="Serve one model over the Open Inference Protocol, by REST and gRPC.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    flags.add_argument(
        "-V",
        action="version",
        version=f"fairlead-serve {__version__}",
        help="show the version of this program (--version is the model's) and exit",
    )
    _model(flags)
    _network(flags)
    _limits(flags)
    _batching(flags)
    _logs(flags)
    return flags


def _model(flags: argparse.ArgumentParser) -> None:
    group = flags.add_argument_group("model")
    group.add_argument("uri", nargs="?", metavar="MODEL_DIR_OR_URI", help="its folder or file, or s3://, hf://, …")
    group.add_argument("--name", help="name in URLs and metrics; default: the last part of the URI")
    group.add_argument("--version", help="version in URLs and metrics; default: the revision, or 1")
    group.add_argument(
        "--format",
        help="sklearn, onnx, xgboost, lightgbm, mlflow, litert, pytorch or python; default: told by the files",
    )
    group.add_argument(
        "--allow-unsafe",
        action="store_const",
        const="true",
        help="read pickles and the like, which can run any code",
    )
    group.add_argument("--digest", metavar="DIGEST", help="sha256:… that the model's files must have")
    trust.add_flags(group)
    group.add_argument(
        "--convert-seconds", metavar="SECONDS", help="how long a conversion to ONNX may take; 0: never; default 60"
    )
    optimisation.add_flags(group)
    group.add_argument(
        "--cache-dir",
        metavar="FOLDER",
        help="folder for downloaded models; default /var/cache/fairlead, or ~/.cache/fairlead where that cannot be",
    )


def _network(flags: argparse.ArgumentParser) -> None:
    group = flags.add_argument_group("network")
    group.add_argument("--host", help="address to listen on; default: all")
    group.add_argument("--http-port", metavar="PORT", help="port to listen on; 0 takes a free one; default 8080")
    group.add_argument("--grpc-port", metavar="PORT", help="port for gRPC; 0 takes a free one; default 8081")
    group.add_argument(
        "--grpc-server", metavar="NAME", help="own, or grpcio for the reference, which is slower; default own"
    )
    group.add_argument(
        "--tls-certificate", metavar="FILE", help="file with the certificate chain, for both ports; default: no TLS"
    )
    group.add_argument("--tls-key", metavar="FILE", help="file with the certificate's key")
    group.add_argument(
        "--tls-client-ca", metavar="FILE", help="file with the CAs that clients need a certificate of; default: none"
    )
    group.add_argument(
        "--drain-seconds", metavar="SECONDS", help="how long to go on answering after SIGTERM; default 10"
    )


def _limits(flags: argparse.ArgumentParser) -> None:
    group = flags.add_argument_group("limits")
    group.add_argument("--max-body-bytes", metavar="BYTES", help="largest request body; default 64 MiB")
    group.add_argument(
        "--max-connections", metavar="N", help="most connections of one worker; 0: no limit; default 16384"
    )
    group.add_argument(
        "--max-connection-age-seconds", metavar="SECONDS", help="age at which connections end; 0: never; default 20"
    )
    group.add_argument(
        "--request-timeout-seconds", metavar="SECONDS", help="how long a header may take, or a body stall; default 30"
    )
    group.add_argument(
        "--idle-timeout-seconds", metavar="SECONDS", help="when an idle connection is closed; default 0: never"
    )


def _batching(flags: argparse.ArgumentParser) -> None:
    group = flags.add_argument_group("processes and batching")
    group.add_argument(
        "--workers", metavar="N", help="worker processes; default: one a core of the CPU limit, if memory suffices"
    )
    group.add_argument(
        "--hung-worker-seconds", metavar="SECONDS", help="when a stuck worker is replaced; 0: never; default 10"
    )
    group.add_argument(
        "--latency-target-seconds", metavar="SECONDS", help="latency that batches and the queue keep to; default 1"
    )
    group.add_argument(
        "--max-batch-rows", metavar="N", help="most rows that are joined into one run; 1: no joining; default 256"
    )
    group.add_argument(
        "--max-queued-bytes", metavar="BYTES", help="what all large requests of a worker may hold; default 256 MiB"
    )


def _logs(flags: argparse.ArgumentParser) -> None:
    group = flags.add_argument_group("logs and feedback")
    group.add_argument("--log-level", metavar="LEVEL", help="debug, info, warning or error; default info")
    group.add_argument("--access-log", metavar="SHARE", help="share of requests to log, 0 to 1; default 0")
    group.add_argument("--prediction-log", metavar="SHARE", help="share of predictions to log, 0 to 1; default 0")
    group.add_argument("--log-sink", metavar="URL", help="stdout, or where to post both as CloudEvents; default stdout")
    group.add_argument("--log-redact", metavar="NAMES", help="inputs, outputs or columns not to log, such as name,x[3]")
    group.add_argument(
        "--feedback-rows", metavar="N", help="predictions that a worker remembers for feedback; default 262144"
    )
    group.add_argument(
        "--feedback-tolerance", metavar="SHARE", help="how far from the truth a number is right; default 0.1 of it"
    )
