"""The command `fairlead`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from pydantic import ValidationError

from fairlead.cli import replay, report


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand and return its exit code; 2 for a wrong command line or setting."""
    options = _parser().parse_args(arguments)
    code: int = options.command(options)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fairlead", description="Puts machine-learning models into service and replaces them safely."
    )
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser(
        "run",
        help="run the operator",
        description="Run the operator. All settings are environment variables FAIRLEAD_…; these options win over them.",
    )
    run.add_argument("--kubeconfig", metavar="FILE", help="use this kubeconfig, not the pod's service account")
    run.add_argument("--context", help="use this context of it, not its current one")
    run.add_argument("--namespace", help="the operator's own namespace, where its Lease is")
    run.set_defaults(command=_run)
    replay.add(commands)
    report.add(commands)
    return parser


def _run(options: argparse.Namespace) -> int:
    # Imported here, so that other commands do not wait for Kubernetes and Prometheus libraries.
    from fairlead.runtime import main as runtime  # noqa: PLC0415
    from fairlead.runtime import wiring  # noqa: PLC0415
    from fairlead.runtime.settings import Settings  # noqa: PLC0415

    given = {name: value for name in ("kubeconfig", "context", "namespace") if (value := getattr(options, name))}
    try:
        settings = Settings(**given)
    except ValidationError as exc:
        for problem in exc.errors():
            where = "_".join(str(part) for part in problem["loc"]).upper() or "settings"
            name = where if where.startswith(("FAIRLEAD_", "POD_")) else f"FAIRLEAD_{where}"
            sys.stderr.write(f"{name}: {problem['msg']}\n")
        return 2
    return runtime.run(settings, wiring.reconciler)


def _version() -> str:
    try:
        return version("fairlead")
    except PackageNotFoundError:
        return "unknown"


if __name__ == "__main__":
    sys.exit(main())
