"""The command line: python -m tests.cluster up|down|load-image|kubeconfig|tools|images."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from . import images
from .cache import say
from .errors import ClusterError
from .providers import PROVIDERS, Choice, choose
from .tools import ensure


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status (1 after an error, which is one line on standard error)."""
    options = _parser().parse_args(arguments)
    try:
        _run(options)
    except ClusterError as error:
        _complain(str(error))
        return 1
    except KeyboardInterrupt:
        _complain("interrupted; run it again to go on, or `down` to clean up")
        return 130
    return 0


def _run(options: argparse.Namespace) -> None:
    match options.command:
        case "tools":
            say(str(ensure(progress=_complain)))
        case "push":
            images.push(options.registry, options.tag, say, only=options.only, parts=options.sbom)
        case "kubeconfig":
            say(str(_chosen(options, quiet=True).cluster.kubeconfig()))
        case "up":
            _chosen(options).cluster.up()
        case "down":
            _chosen(options).cluster.down()
        case "load-image":
            cluster = _chosen(options).cluster
            for archive in options.archive:
                cluster.load_image(archive)
                say(f"loaded {archive}")
        case "images":
            images.load_all(_chosen(options).cluster, say, only=options.only)


def _chosen(options: argparse.Namespace, *, quiet: bool = False) -> Choice:
    """Choose the cluster; where standard output is the answer itself, the choice is told on standard error."""
    choice = choose(options.provider, options.context, _complain if quiet else say)
    (_complain if quiet else say)(f"cluster: {choice.cluster.name}, because {choice.reason}")
    return choice


def _complain(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201 (this is the tool's output)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description="A real Kubernetes on this machine.")
    where = argparse.ArgumentParser(add_help=False)
    where.add_argument("--provider", choices=PROVIDERS, help="default: $FAIRLEAD_CLUSTER, else auto")
    where.add_argument("--context", help="kubeconfig context of an existing cluster")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", parents=[where], help="bring the cluster up; does nothing when it is")
    commands.add_parser("down", parents=[where], help="remove the cluster and everything it left on the machine")
    commands.add_parser("kubeconfig", parents=[where], help="print the path of the kubeconfig file")
    load = commands.add_parser("load-image", parents=[where], help="load OCI image archives into the cluster")
    load.add_argument("archive", type=Path, nargs="+")
    build = commands.add_parser("images", parents=[where], help="build the project's images and load them")
    build.add_argument("only", nargs="*", help="which; default: " + ", ".join(images.NAMES))
    commands.add_parser("tools", help="build kubectl, helm, kube-apiserver and so on; print their folder")
    push = commands.add_parser("push", help="build the operator's and the serving image and push them")
    push.add_argument("registry", help="for example registry.example.com/team")
    push.add_argument("only", nargs="*", help="which; default: operator, serving")
    push.add_argument("--tag", default="dev")
    push.add_argument("--sbom", type=Path, default=Path("build/sbom"), help="folder for their lists of parts")
    return parser


if __name__ == "__main__":
    sys.exit(main())
