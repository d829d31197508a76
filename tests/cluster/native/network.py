"""The node's network: a namespace of its own and one cable to the host; all of it goes with the namespace."""

from __future__ import annotations

import json
from pathlib import Path

from ..commands import attempt, run, which
from ..components import SERVICE_RANGE
from ..errors import ClusterError
from ..process import marked

NAMESPACE = "fairlead"
NAMESPACE_FILE = Path("/run/netns") / NAMESPACE
HOST_LINK = "fairlead0"
HOST_ADDRESS = "10.250.0.1"
NODE_ADDRESS = "10.250.0.2"
POD_RANGE = "10.244.0.0/16"
NODE_POD_RANGE = "10.244.0.0/24"
# Not `ip netns exec`: that remounts /sys and hides the control groups from kubelet.
INSIDE = ("nsenter", f"--net={NAMESPACE_FILE}")


def create(state: Path) -> None:
    """Make the namespace, the cable and the routes; raise ClusterError when they are someone else's already."""
    _refuse_taken_ranges()
    run(["ip", "netns", "add", NAMESPACE])
    run(["ip", "link", "add", HOST_LINK, "type", "veth", "peer", "name", "eth0", "netns", NAMESPACE])
    # The alias tells another cache folder's run whose node this is.
    run(["ip", "link", "set", HOST_LINK, "alias", str(state), "up"])
    run(["ip", "address", "add", f"{HOST_ADDRESS}/30", "dev", HOST_LINK])
    for arguments in (
        ["address", "add", f"{NODE_ADDRESS}/30", "dev", "eth0"],
        ["link", "set", "eth0", "up"],
        ["link", "set", "lo", "up"],
        ["route", "add", "default", "via", HOST_ADDRESS],
    ):
        run(["ip", "-netns", NAMESPACE, *arguments])
    for destination in (SERVICE_RANGE, POD_RANGE):
        run(["ip", "route", "add", destination, "via", NODE_ADDRESS])
    _setting("ipv4/ip_forward")
    # Without it, what two pods of one bridge say to each other through a Service would not be translated back.
    if which("modprobe"):
        attempt(["modprobe", "br_netfilter"])
    _setting("bridge/bridge-nf-call-iptables", optional=True)


def remove() -> None:
    """Delete the cable and the namespace; the routes go with the cable."""
    if which("ip") is not None:
        attempt(["ip", "link", "delete", HOST_LINK])
    if NAMESPACE_FILE.exists():
        attempt(["ip", "netns", "delete", NAMESPACE])
    # The first `ip netns add` on a machine mounts this folder onto itself; the last namespace takes the mount with it.
    # Without a mount there is nothing to do, which umount says and nobody hears.
    if NAMESPACE_FILE.parent.is_dir() and not any(NAMESPACE_FILE.parent.iterdir()):
        attempt(["umount", str(NAMESPACE_FILE.parent)])


def owner() -> Path | None:
    """Return the state folder of the node whose cable is plugged in, or None."""
    if which("ip") is None:  # so there never was a node
        return None
    shown = attempt(["ip", "-json", "link", "show", HOST_LINK])
    if shown.returncode != 0:
        return None
    alias = json.loads(shown.stdout)[0].get("ifalias")
    return Path(alias) if alias else None


def refuse_other_owner(state: Path) -> None:
    """Raise ClusterError when a node of another cache folder lives on this machine: there is room for one."""
    other = owner()
    if other is not None and other != state and marked(other):
        command = f"FAIRLEAD_CACHE={other.parent} python -m tests.cluster down"
        message = f"another node runs on this machine; take it down first: {command}"
        raise ClusterError(message)


def _refuse_taken_ranges() -> None:
    for destination in (SERVICE_RANGE, POD_RANGE, f"{HOST_ADDRESS}/30"):
        taken = run(["ip", "route", "show", "to", "root", destination]).strip()
        if taken:
            message = f"the node needs the addresses {destination}, but this machine has a route there: {taken}"
            raise ClusterError(message)


def _setting(name: str, *, optional: bool = False) -> None:
    """Switch on a kernel setting of the namespace's own."""
    path = f"/proc/sys/net/{name}"
    done = attempt([*INSIDE, "tee", path], stdin="1")
    if done.returncode != 0 and not optional:
        message = f"{path} could not be set: {done.stderr.strip()}"
        raise ClusterError(message)
