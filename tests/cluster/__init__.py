"""A real Kubernetes for the demo, the tests and CI: a native node, kind, or a cluster of one's own.

    choice = choose()
    choice.cluster.up()
    load_all(choice.cluster)

The command line is `python -m tests.cluster`. An API server without a node: tests.cluster.control_plane.
"""

from __future__ import annotations

from .audit import Write, position, writes
from .cache import cache_dir
from .control_plane import ControlPlane
from .errors import ClusterError
from .providers import Choice, Cluster, choose
from .tools import bin_dir, ensure

__all__ = [
    "Choice",
    "Cluster",
    "ClusterError",
    "ControlPlane",
    "Write",
    "bin_dir",
    "cache_dir",
    "choose",
    "ensure",
    "position",
    "writes",
]
