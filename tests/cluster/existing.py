"""The user's own cluster, only ever by the name of its context."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import yaml

from .cache import Say, cache_dir, say, write_private
from .commands import run
from .errors import ClusterError
from .tools import CLIENT_TOOLS, ensure, tool


class Existing:
    """The existing provider: up only looks, down does nothing."""

    name = "existing"
    audit_log: Path | None = None

    def __init__(self, context: str | None, progress: Say = say) -> None:
        """Describe the cluster of a context of the user's kubeconfig; a context must be named, none is ever guessed."""
        if not context:
            message = "an existing cluster is used only if its context is named: --provider existing --context NAME"
            raise ClusterError(message)
        self.context = context
        self._say = progress

    def up(self) -> None:
        """Write a kubeconfig for that context alone and see whether the cluster answers; raise ClusterError if not."""
        ensure(CLIENT_TOOLS, self._say)
        shown = self._view()
        if self.context not in {entry["name"] for entry in shown.get("contexts") or []}:
            message = f"your kubeconfig has no context called {self.context}"
            raise ClusterError(message)
        write_private(self.kubeconfig(), yaml.safe_dump(shown | {"current-context": self.context}))
        run([tool("kubectl"), f"--kubeconfig={self.kubeconfig()}", "version", "--request-timeout=10s"])

    def down(self) -> None:
        """Leave the cluster as it is; forget the copied kubeconfig."""
        self.kubeconfig().unlink(missing_ok=True)
        self._say("an existing cluster is left running")

    def load_image(self, archive: Path) -> None:
        """Refuse: images come to somebody's cluster through a registry."""
        message = (
            f"{archive.name} cannot be put into an existing cluster's nodes: "
            "push the images to your registry (make images REGISTRY=...) and name it in the chart's values"
        )
        raise ClusterError(message)

    def kubeconfig(self) -> Path:
        """Return the copied kubeconfig, whose current context is the named one."""
        return cache_dir() / "existing.kubeconfig"

    def _view(self) -> dict[str, list[dict[str, str]]]:
        command = [str(tool("kubectl")), "config", "view", "--raw", "--flatten", "--minify", "--context", self.context]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=dict(os.environ))
        if done.returncode != 0:
            message = f"the context {self.context} cannot be read from your kubeconfig: {done.stderr.strip()}"
            raise ClusterError(message)
        content: dict[str, list[dict[str, str]]] = yaml.safe_load(done.stdout)
        return content
