"""Running helm on the chart, and reading what it renders."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.cluster import ensure

CHART = Path(__file__).parents[3] / "charts" / "fairlead"
NAMESPACE = "fairlead-system"
# Without a cluster to ask, helm assumes a version of its own.
OFFLINE = ("--kube-version", "1.34")

Manifest = dict[str, Any]


def helm(*arguments: str, kubeconfig: Path | None = None, home: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run helm with no configuration of the user's; the caller looks at the status."""
    program = ensure(("helm",)) / "helm"
    environment = {"PATH": os.defpath, "HOME": str(home or "/nonexistent")}
    # Never the kubeconfig of whoever runs the tests.
    where = ("--kubeconfig", str(kubeconfig or os.devnull))
    command = [str(program), *where, "--namespace", NAMESPACE, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)  # noqa: S603


def template(*values: str) -> list[Manifest]:
    """The rendered manifests, with each of `values` given to --set."""
    settings = [word for value in values for word in ("--set", value)]
    done = helm("template", "fairlead", str(CHART), *OFFLINE, *settings)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def of_kind(manifests: list[Manifest], kind: str) -> list[Manifest]:
    """Those of one kind, in order."""
    return [manifest for manifest in manifests if manifest["kind"] == kind]
