"""Taking a node down, whatever state an earlier run left it in."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

from ..cache import cache_dir
from ..errors import ClusterError
from ..mounts import mounts_below, unmount_below
from ..process import Daemons, marked
from . import cgroups, network

_CNI_NOTES = Path("/var/lib/cni/results")
_CONTAINER_LOGS = Path("/var/log/containers")
_SHIM_SOCKETS = Path("/run/containerd/s")


def remove_node(state: Path) -> None:
    """End everything that works for the state folder and remove what it made; logs of the run stay in the cache.

    Safe to call at any time, also when there is nothing. The order matters: kubelet and the runtime first, or they
    would start anew what is killed; then the containers, by their control groups; then mounts, the network, the files.
    Raises ClusterError naming what is left when something resists.
    """
    network.refuse_other_owner(state)
    Daemons(state).kill_all()
    cgroups.destroy()
    _remove_outside_files(state)
    unmount_below(state)
    network.remove()
    _keep_logs(state)
    shutil.rmtree(state, ignore_errors=True)
    if leftovers := left(state):
        message = f"the node was not removed wholly; left: {'; '.join(leftovers)}"
        raise ClusterError(message)


def left(state: Path) -> list[str]:
    """Return what there still is of a node, each in words; empty after a removal."""
    found = [f"process {pid}" for pid in marked(state)]
    found += [f"control group {path}" for path in cgroups.left()]
    found += [f"mount {path}" for path in mounts_below(state)]
    found += ["network namespace fairlead"] if network.NAMESPACE_FILE.exists() else []
    found += [f"link {network.HOST_LINK}"] if network.owner() is not None else []
    found += [f"folder {state}"] if state.exists() else []
    return found


def _remove_outside_files(state: Path) -> None:
    """Remove the few files that these programs put in places that cannot be configured."""
    for address in state.glob("containerd-state/io.containerd.runtime.v2.task/*/*/address"):
        with contextlib.suppress(OSError):
            socket = Path(address.read_text().removeprefix("unix://"))
            if socket.parent == _SHIM_SOCKETS:
                socket.unlink(missing_ok=True)
    sandboxes = [path.name for path in state.glob("containerd*/io.containerd.grpc.v1.cri/sandboxes/*")]
    for note in [note for pod in sandboxes for note in _CNI_NOTES.glob(f"*-{pod}-*")]:
        note.unlink(missing_ok=True)
    for link in _CONTAINER_LOGS.glob("*.log"):
        if link.is_symlink() and str(link.readlink()).startswith(f"{state}/"):
            link.unlink(missing_ok=True)
    for folder in (_CNI_NOTES, _CNI_NOTES.parent, _CONTAINER_LOGS, _SHIM_SOCKETS):
        with contextlib.suppress(OSError):
            folder.rmdir()  # only if nobody else keeps anything there


def _keep_logs(state: Path) -> None:
    logs = state / "log"
    if not logs.exists():
        return
    kept = cache_dir() / "logs" / "node"
    shutil.rmtree(kept, ignore_errors=True)
    kept.parent.mkdir(exist_ok=True)
    logs.replace(kept)
