"""A cluster in containers, by kind, where a Docker engine answers. Kept thin: CI machines cannot run it."""

from __future__ import annotations

from pathlib import Path

from .cache import Say, cache_dir, say
from .commands import attempt, run, which
from .tools import CLIENT_TOOLS, ensure

_NAME = "fairlead"


class Kind:
    """The kind provider: one cluster called fairlead."""

    name = "kind"
    context = f"kind-{_NAME}"
    audit_log: Path | None = None

    def __init__(self, progress: Say = say) -> None:
        """Describe the cluster called fairlead."""
        self._say = progress

    @staticmethod
    def missing() -> str | None:
        """Return what keeps kind from running on this machine, in words, or None."""
        if which("docker") is None:
            return "kind needs Docker, and there is no docker command"
        if attempt(["docker", "version", "--format", "{{.Server.Version}}"]).returncode != 0:
            return "kind needs Docker, and no Docker engine answers"
        if which("kind") is None:
            return "there is no kind command (https://kind.sigs.k8s.io)"
        return None

    def up(self) -> None:
        """Create the cluster, or do nothing when it is there. Raises ClusterError with kind's own words."""
        ensure(CLIENT_TOOLS, self._say)
        if _NAME in run(["kind", "get", "clusters"]).split():
            self._say("the kind cluster is up already")
            run(["kind", "export", "kubeconfig", "--name", _NAME, "--kubeconfig", self.kubeconfig()])
            return
        self._say("creating a kind cluster")
        run(["kind", "create", "cluster", "--name", _NAME, "--kubeconfig", self.kubeconfig(), "--wait", "120s"])

    def down(self) -> None:
        """Delete the cluster."""
        run(["kind", "delete", "cluster", "--name", _NAME, "--kubeconfig", self.kubeconfig()])
        self.kubeconfig().unlink(missing_ok=True)

    def load_image(self, archive: Path) -> None:
        """Load an image archive into the cluster's node."""
        run(["kind", "load", "image-archive", "--name", _NAME, archive])

    def kubeconfig(self) -> Path:
        """Return the kubeconfig, in the cache so that the user's own is never touched."""
        return cache_dir() / "kind.kubeconfig"
