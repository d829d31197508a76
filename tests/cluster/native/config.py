"""Configuration files of the node's programs. All their state lies below one folder, so that one sweep removes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from ..cache import write_private
from ..commands import run
from ..components import Pki
from . import network
from .cgroups import ROOT

NODE = "fairlead-native"
PAUSE_IMAGE = "fairlead.local/pause:1"
DNS_ADDRESS = "10.96.0.10"


def socket(state: Path) -> Path:
    """Return containerd's socket."""
    return state / "containerd.sock"


def write_containerd(state: Path) -> Path:
    """Write containerd's configuration and the pod network's, and return the former's path."""
    networks = state / "cni"
    networks.mkdir(parents=True, exist_ok=True)
    (networks / "10-pods.conflist").write_text(json.dumps(_pod_network(state)))
    text = f"""version = 2
root = "{state}/containerd"
state = "{state}/containerd-state"
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.internal.v1.tracing", "io.containerd.tracing.processor.v1.otlp",
]
[grpc]
  address = "{socket(state)}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{state}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  # Without CAP_SYS_RESOURCE every sandbox would die with "can't get final child's PID from pipe".
  restrict_oom_score_adj = true
  # So that the pods' network namespaces go with the rest of the state.
  netns_mounts_under_state_dir = true
  disable_tcp_service = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "{snapshotter(state)}"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        Root = "{state}/runc"
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{networks}"
"""
    return write_private(state / "containerd.toml", text)


def snapshotter(state: Path) -> str:
    """Return the snapshotter that works on the file system below the state folder."""
    kind = run(["stat", "--file-system", "--format=%T", state]).strip()
    # An overlay does not stack on an overlay (a root file system in a container is one).
    return "native" if kind in {"overlayfs", "aufs"} else "overlayfs"


def _pod_network(state: Path) -> dict[str, Any]:
    bridge = {
        "type": "bridge",
        "bridge": "cni0",
        "isGateway": True,
        "ipMasq": False,
        "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            "ranges": [[{"subnet": network.NODE_POD_RANGE}]],
            "routes": [{"dst": "0.0.0.0/0"}],
            "dataDir": str(state / "ipam"),
        },
    }
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {"cniVersion": "1.0.0", "name": "fairlead", "plugins": [bridge, ports]}


def write_kubelet(state: Path, pki: Pki) -> Path:
    """Write kubelet's configuration, with a serving certificate of its own, and return its path."""
    names = (NODE, network.NODE_ADDRESS)
    serving = pki.authority.issue("kubelet-serving", f"system:node:{NODE}", ("system:nodes",), names)
    content = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "x509": {"clientCAFile": str(pki.authority.certificate)},
            "webhook": {"enabled": True},
            "anonymous": {"enabled": False},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(serving.certificate),
        "tlsPrivateKeyFile": str(serving.key),
        "containerRuntimeEndpoint": f"unix://{socket(state)}",
        "clusterDNS": [DNS_ADDRESS],
        "clusterDomain": "cluster.local",
        "resolvConf": "/etc/resolv.conf",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{ROOT}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "oomScoreAdj": 0,
        "podLogsDir": str(state / "pod-logs"),
        "volumePluginDir": str(state / "volume-plugins"),
        # A full disk is the shared machine's, not this node's; images are loaded by hand, so none may be collected.
        "localStorageCapacityIsolation": False,
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {
            "memory.available": "100Mi",
            "nodefs.available": "0%",
            "imagefs.available": "0%",
            "nodefs.inodesFree": "0%",
        },
        "volumeStatsAggPeriod": "-1s",
        "enableProfilingHandler": False,
    }
    return write_private(state / "kubelet.yaml", yaml.safe_dump(content))


def write_proxy(state: Path, kubeconfig: Path) -> Path:
    """Write kube-proxy's configuration and return its path."""
    content = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(kubeconfig)},
        "hostnameOverride": NODE,
        "mode": "iptables",
        "oomScoreAdj": 0,
        "clusterCIDR": network.POD_RANGE,
        # Zero leaves the machine's own limits alone.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        "iptables": {"minSyncPeriod": "200ms"},
    }
    return write_private(state / "kube-proxy.yaml", yaml.safe_dump(content))
