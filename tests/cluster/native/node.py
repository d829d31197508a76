"""Starting the node's programs in an order that wastes no time, and telling whether they all still run."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

from .. import components
from ..cache import Say
from ..commands import attempt, run
from ..errors import ClusterError
from ..images.static import SYSTEM
from ..process import Daemons
from ..tools import tool
from ..waiting import answers_ok, until
from . import cgroups, config, network

CONTEXT = "fairlead-native"
DAEMONS = ("etcd", "kube-apiserver", "containerd", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy")
_MANIFESTS = Path(__file__).resolve().parent / "manifests"
_READY_SECONDS = 120.0


class Node:
    """One native node whose whole state lies in a folder."""

    def __init__(self, state: Path) -> None:
        """Describe the node of a state folder, running or not."""
        self.state = state
        self.daemons = Daemons(state)
        self.kubeconfig = state / "kubeconfig"
        self.audit_log = state / "audit.log"
        self._server = components.ApiServer(network.NODE_ADDRESS, 6443, "http://127.0.0.1:2379", self.audit_log)

    def start(self, progress: Say) -> None:
        """Start everything and wait until the node is Ready and names resolve. Raises ClusterError when it does not."""
        pki = self._prepare()
        progress("starting etcd, the API server and containerd")
        self._run("etcd", components.etcd(self.state / "etcd", "http://127.0.0.1:2379", "http://127.0.0.1:2380"))
        self._until(self._store_listens, "etcd to listen")
        self._run("kube-apiserver", self._server.command(pki))
        self._run("containerd", ["containerd", "--config", str(config.write_containerd(self.state))])
        for image in SYSTEM:
            self.import_image(image.archive())
        ca = pki.authority.certificate
        self._until(lambda: answers_ok(f"{self._server.url}/readyz", ca), "the API server to be ready")
        progress("starting the controllers, the scheduler, kubelet and kube-proxy")
        self._start_clients(pki)
        self.kubectl("apply", "--server-side", "--filename", _MANIFESTS)
        self._until(self._ready, "the node to be Ready and CoreDNS to answer")

    def running(self) -> bool:
        """Tell whether all programs run and the node is Ready."""
        return all(self.daemons.alive(name) for name in DAEMONS) and self._ready()

    def dead(self) -> list[str]:
        """Return the names of the programs that do not run."""
        return [name for name in DAEMONS if not self.daemons.alive(name)]

    def kubectl(self, *arguments: str | Path) -> str:
        """Run kubectl as administrator of this node."""
        return run([tool("kubectl"), f"--kubeconfig={self.kubeconfig}", *arguments])

    def import_image(self, archive: Path) -> None:
        """Load an OCI archive into the node's image store."""
        control = ["ctr", f"--address={config.socket(self.state)}", "--namespace=k8s.io"]
        self._until(lambda: attempt([*control, "version"]).returncode == 0, "containerd to answer")
        run([*control, "images", "import", "--snapshotter", config.snapshotter(self.state), archive])

    def _prepare(self) -> components.Pki:
        self.state.mkdir(parents=True)
        self.state.chmod(0o700)
        network.create(self.state)
        cgroups.create()
        pki = components.Pki.create(self.state / "pki", (network.NODE_ADDRESS,))
        pki.kubeconfig(self.kubeconfig, self._server.url, "admin", ("system:masters",), context=CONTEXT)
        return pki

    def _start_clients(self, pki: components.Pki) -> None:
        def identity(name: str, user: str, groups: tuple[str, ...] = ()) -> Path:
            return pki.kubeconfig(self.state / f"{name}.kubeconfig", self._server.url, user, groups, context=CONTEXT)

        controllers = identity("controller-manager", "system:kube-controller-manager")
        scheduler = identity("scheduler", "system:kube-scheduler")
        kubelet = identity("kubelet", f"system:node:{config.NODE}", ("system:nodes",))
        proxy = identity("proxy", "system:kube-proxy")
        self._run("kube-controller-manager", components.controller_manager(pki, controllers, 10257))
        self._run("kube-scheduler", components.scheduler(scheduler, 10259))
        self._run("kubelet", self._kubelet(config.write_kubelet(self.state, pki), kubelet))
        self._run("kube-proxy", [str(tool("kube-proxy")), f"--config={config.write_proxy(self.state, proxy)}"])

    def _kubelet(self, settings: Path, identity: Path) -> list[str]:
        return [
            str(tool("kubelet")),
            f"--config={settings}",
            f"--kubeconfig={identity}",
            f"--hostname-override={config.NODE}",
            f"--node-ip={network.NODE_ADDRESS}",
            f"--root-dir={self.state / 'kubelet'}",
            f"--cert-dir={self.state / 'kubelet-pki'}",
        ]

    def _run(self, name: str, command: list[str]) -> None:
        self.daemons.start(name, command, network.INSIDE)

    def _store_listens(self) -> bool:
        look = ["ss", "--no-header", "--listening", "--tcp", "sport", "=", "2379"]
        return attempt([*network.INSIDE, *look]).stdout != ""

    def _ready(self) -> bool:
        return self._condition("node", config.NODE, "Ready") and self._condition(
            "deployment", "coredns", "Available", "--namespace=kube-system"
        )

    def _condition(self, kind: str, name: str, condition: str, *more: str) -> bool:
        path = f"jsonpath={{.status.conditions[?(@.type=='{condition}')].status}}"
        done: subprocess.CompletedProcess[str] = attempt(
            [tool("kubectl"), f"--kubeconfig={self.kubeconfig}", "get", kind, name, f"--output={path}", *more]
        )
        return done.returncode == 0 and done.stdout.strip() == "True"

    def _until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for a condition, and end the wait when a program has ended."""

        def met() -> bool:
            self.daemons.check(path.name for path in (self.state / "pids").iterdir())
            return condition()

        try:
            until(met, _READY_SECONDS, what, every=0.2)
        except ClusterError as error:
            message = f"{error} (logs: {self.state / 'log'})"
            raise ClusterError(message) from error
