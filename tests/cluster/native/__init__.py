"""One real node on this machine: no container engine, no virtual machine, no image registry."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from ..cache import Say, cache_dir, digest_of, locked, say
from ..debian import NODE_PROGRAMS, ensure_programs, is_debian
from ..errors import ClusterError
from ..images import oci
from ..mounts import unmount_below
from ..tools import TOOLS, ensure
from .cleanup import remove_node
from .node import CONTEXT, DAEMONS, Node


class Native:
    """The native provider. Everything lives in the folder `node` of the cache."""

    name = "native"
    context = CONTEXT

    def __init__(self, progress: Say = say) -> None:
        """Describe the node of this cache folder."""
        self._say = progress
        self._node = Node(cache_dir() / "node")

    @staticmethod
    def missing() -> str | None:
        """Return what keeps a node from running on this machine, in words, or None."""
        if sys.platform != "linux":
            return "a native node needs Linux"
        if os.geteuid() != 0:
            return "a native node needs root"
        if not is_debian():
            return "a native node needs Debian (or a system with its packages)"
        return None

    @property
    def audit_log(self) -> Path:
        """The API server's log of write requests; read it with tests.cluster.audit."""
        return self._node.audit_log

    def up(self) -> None:
        """Bring the node up, or do nothing when it is; a damaged or half-started one is replaced.

        Returns when the node is Ready and CoreDNS answers; metrics-server follows some seconds later.
        Raises ClusterError with the reason, after removing what was started.
        """
        ensure(progress=self._say)
        ensure_programs(NODE_PROGRAMS, self._say)
        with locked("node", self._say):
            if self._intact():
                self._say(f"the node is up already; kubeconfig: {self.kubeconfig()}")
                return
            if self._node.state.exists():
                self._say("removing what an earlier run left")
            remove_node(self._node.state)
            self._start()

    def down(self) -> None:
        """Remove the node and everything it made but the cache of programs and images."""
        with locked("node", self._say):
            remove_node(self._node.state)
        with locked("buildah", self._say):  # a build that was killed leaves its mounts
            unmount_below(cache_dir() / "buildah")
        self._say("the node is down; nothing of it is left")

    def load_image(self, archive: Path) -> None:
        """Load an OCI archive; one that was loaded before, unchanged, is skipped.

        Raises ClusterError when the node is not up or the archive is no image.
        """
        record = self._node.state / "loaded.json"
        with locked("node", self._say):
            if not self._marker.exists():
                message = "the node is not up: run `python -m tests.cluster up` first"
                raise ClusterError(message)
            loaded: dict[str, str] = json.loads(record.read_text()) if record.exists() else {}
            # By reference, not by file: of two archives of one reference the one loaded last counts.
            wanted = oci.contents(archive)
            if wanted.items() <= loaded.items():
                return
            self._node.import_image(archive)
            record.write_text(json.dumps(loaded | wanted))

    def kubeconfig(self) -> Path:
        """Return the administrator's kubeconfig; its context is fairlead-native."""
        return self._node.kubeconfig

    @property
    def _marker(self) -> Path:
        """Written last, so its presence means that the start was finished; it names the programs that were started."""
        return self._node.state / "up"

    def _intact(self) -> bool:
        if not self._marker.exists() or self._marker.read_text() != _edition():
            return False
        if dead := self._node.dead():
            self._say(f"the earlier node is damaged ({', '.join(dead)} not running); starting afresh")
            return False
        return self._node.running()

    def _start(self) -> None:
        began = time.monotonic()
        try:
            self._node.start(self._say)
        except BaseException:
            remove_node(self._node.state)
            raise
        self._marker.write_text(_edition())
        self._say(f"the node is Ready after {time.monotonic() - began:.0f} s; kubeconfig: {self.kubeconfig()}")


def _edition() -> str:
    """Return what changes when a running node no longer is what this code would start."""
    here = Path(__file__).resolve().parent
    started_by = (here / "node.py", here / "config.py", here / "network.py", here.parent / "components.py")
    programs = [TOOLS[name].folder.name for name in DAEMONS if name in TOOLS]
    return digest_of(*programs, here / "manifests", *started_by)
