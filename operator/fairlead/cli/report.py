"""`fairlead report`: a rollout as a page, from the cluster or from a file."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import yaml

from fairlead.report.page import render
from fairlead.report.story import UnreadableError

Manifest = dict[str, Any]

_FILES = (".yaml", ".yml", ".json")
_MODEL = "fairlead.dev/model-deployment"
_SAFE = re.compile(r"[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?")
_STDIO = "-"


class ReportError(Exception):
    """There is nothing to report on; the message says why and what to do, in one sentence."""


def add(commands: Any) -> None:
    """Adds the subcommand to the parsers of `fairlead`."""
    parser = commands.add_parser(
        "report",
        help="write a rollout's report as an HTML page",
        description="Write the report of a rollout as one HTML page that needs no network: what was measured, what "
        "was decided and why.",
    )
    parser.add_argument(
        "rollout",
        metavar="ROLLOUT",
        help="a ModelRollout, or a ModelDeployment (its newest rollout); or a file of one, which ends in .yaml or "
        ".json or has a slash in its name; - reads it from standard input",
    )
    parser.add_argument("-n", "--namespace", help="its namespace (default: that of the kubeconfig's context)")
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="where to write (default: NAME.html; - for standard output)"
    )
    parser.add_argument("--kubeconfig", metavar="FILE", help="default: $KUBECONFIG, else ~/.kube/config")
    parser.add_argument("--context", help="use this context of it, not its current one")
    parser.set_defaults(command=run)


def run(options: argparse.Namespace) -> int:
    """Write the report; 0, or 2 when there is none to write."""
    try:
        manifest = _from_file(options.rollout) if _is_file(options.rollout) else asyncio.run(_from_cluster(options))
        text = render(manifest)
        where = options.output or _name(manifest)
        if where == _STDIO:
            sys.stdout.write(text)
        else:
            Path(where).write_text(text, encoding="utf-8")
            sys.stdout.write(f"{where}\n")
    except (ReportError, UnreadableError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"cannot write the report: {error}\n")
        return 2
    return 0


def _name(manifest: Manifest) -> str:
    """The file in the current folder that is named after the rollout."""
    name = str((manifest.get("metadata") or {}).get("name", ""))
    return f"{name if _SAFE.fullmatch(name) else 'rollout'}.html"


def _is_file(name: str) -> bool:
    return name == _STDIO or "/" in name or name.endswith(_FILES)


def _from_file(name: str) -> Manifest:
    what = "standard input" if name == _STDIO else name
    try:
        text = sys.stdin.read() if name == _STDIO else Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        message = f"cannot read {what}: {getattr(error, 'strerror', None) or error}"
        raise ReportError(message) from error
    try:
        found = json.loads(text) if text.lstrip().startswith("{") else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError) as error:
        message = f"{what} is neither YAML nor JSON: {' '.join(str(error).split())}"
        raise ReportError(message) from error
    if not isinstance(found, dict):
        message = f"{what} holds no ModelRollout; write one with `kubectl get mro NAME -o yaml`"
        raise ReportError(message)
    if isinstance(found.get("items"), list):
        return _newest(
            [item for item in found["items"] if isinstance(item, dict)], f"{what} is a list without a ModelRollout"
        )
    return found


def _newest(items: list[Manifest], otherwise: str) -> Manifest:
    """The rollout that was created last. Raises ReportError when there is none."""
    rollouts = [item for item in items if item.get("kind") == "ModelRollout"]
    if not rollouts:
        raise ReportError(otherwise)
    return max(rollouts, key=lambda item: str((item.get("metadata") or {}).get("creationTimestamp", "")))


async def _from_cluster(options: argparse.Namespace) -> Manifest:
    # Imported here, so that a report from a file does not wait for the Kubernetes library.
    from fairlead.kube import kinds  # noqa: PLC0415
    from fairlead.kube.client import Cluster, NoCredentials  # noqa: PLC0415
    from fairlead.kube.errors import ApiError  # noqa: PLC0415

    config = _kubeconfig(options.kubeconfig)
    namespace = options.namespace or _namespace(config, options.context)
    name = options.rollout
    try:
        async with Cluster(str(config), options.context) as cluster:
            rollout = await cluster.get(kinds.MODEL_ROLLOUT, namespace, name)
            found = [rollout] if rollout else await cluster.list(kinds.MODEL_ROLLOUT, namespace, {_MODEL: name})
    except (ApiError, NoCredentials) as error:
        raise ReportError(str(error)) from error
    missing = f"no ModelRollout {name} in namespace {namespace}, and no rollout of a ModelDeployment {name}"
    return _newest(found, missing)


def _kubeconfig(given: str | None) -> Path:
    path = given or os.environ.get("KUBECONFIG") or "~/.kube/config"
    if not given and os.pathsep in path:
        message = "KUBECONFIG names several files; choose one of them with --kubeconfig"
        raise ReportError(message)
    found = Path(path).expanduser()
    if not found.is_file():
        message = f"there is no kubeconfig {found}; name one with --kubeconfig, or a file with the ModelRollout"
        raise ReportError(message)
    return found


def _namespace(config: Path, context: str | None) -> str:
    """The namespace of a kubeconfig's context; `default` where it has none."""
    try:
        known = yaml.safe_load(config.read_text(encoding="utf-8")) or {}
        wanted = context or known.get("current-context")
        chosen = next(item["context"] for item in known["contexts"] if item["name"] == wanted)
        return str(chosen.get("namespace") or "default")
    except (OSError, ValueError, LookupError, TypeError, AttributeError, StopIteration, yaml.YAMLError):
        return "default"  # whoever reads the whole of it will say what is wrong with it
