"""An API server without a node: etcd and kube-apiserver (and the controllers, if asked for) on free loopback ports.

For tests of what talks to the API only. Needs neither root nor any package, and is ready in a few seconds:

    with ControlPlane.start(controllers=True) as plane:
        plane.kubectl("apply", "-f", "crds/")
        viewer = plane.kubeconfig_for("ann", ("viewers",))
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from . import components
from .cache import Say, say
from .errors import ClusterError
from .process import Daemons
from .tools import CONTROL_PLANE_TOOLS, ensure, tool
from .waiting import answers_ok, until

_CONTEXT = "fairlead-component"
_PREFIX = "fairlead-plane-"
_READY_SECONDS = 120.0
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class ControlPlane:
    """A running control plane."""

    server: components.ApiServer
    pki: components.Pki
    state: Path

    @property
    def url(self) -> str:
        """The API server's address."""
        return self.server.url

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig (group system:masters)."""
        return self.state / "admin.kubeconfig"

    @property
    def audit_log(self) -> Path:
        """The log of all write requests, one JSON event a line (read it with tests.cluster.audit)."""
        return self.state / "audit.log"

    @classmethod
    @contextmanager
    def start(cls, *, controllers: bool = False, progress: Say = say) -> Iterator[ControlPlane]:
        """Start a control plane and yield it ready; its folder and processes are gone afterwards.

        With controllers, kube-controller-manager runs too: Deployments get ReplicaSets, owner references are collected,
        namespaces get their default service account. Raises ClusterError when a program ends or is not ready in time.
        """
        ensure(CONTROL_PLANE_TOOLS, progress)
        with ExitStack() as stack:
            for attempt in range(1, _ATTEMPTS + 1):
                state = stack.enter_context(_folder())
                try:
                    plane = cls._launch(state, Daemons(state))
                    if controllers:
                        plane.start_controllers()
                    break
                except ClusterError as error:
                    # On a busy machine one of them may end for no reason of its own, such as a port taken meanwhile.
                    if attempt == _ATTEMPTS:
                        raise
                    progress(f"starting the control plane again: {error}")
                    stack.close()
            yield plane

    @classmethod
    def _launch(cls, state: Path, daemons: Daemons) -> ControlPlane:
        client, peer, https = _free_ports(3)
        store = f"http://127.0.0.1:{client}"
        pki = components.Pki.create(state / "pki")
        server = components.ApiServer("127.0.0.1", https, store, state / "audit.log")
        plane = cls(server, pki, state)
        pki.kubeconfig(plane.kubeconfig, server.url, "admin", ("system:masters",), context=_CONTEXT)
        daemons.start("etcd", components.etcd(state / "etcd", store, f"http://127.0.0.1:{peer}"))
        daemons.start("kube-apiserver", server.command(pki))
        plane.wait(lambda: answers_ok(f"{server.url}/readyz", pki.authority.certificate), "the API server")
        return plane

    def start_controllers(self) -> None:
        """Start kube-controller-manager and wait until it works (the default service account is there)."""
        config = self.kubeconfig_for("system:kube-controller-manager")
        command = components.controller_manager(self.pki, config, _free_ports(1)[0])
        Daemons(self.state).start("kube-controller-manager", command)
        look = ("get", "serviceaccount", "default", "--namespace", "default")
        self.wait(lambda: self._kubectl(look).returncode == 0, "the controllers")

    def kubeconfig_for(self, user: str, groups: Sequence[str] = ()) -> Path:
        """Return a kubeconfig for a user in groups, by a client certificate: to try out what RBAC lets them do.

        A service account is the user system:serviceaccount:NAMESPACE:NAME in the groups system:serviceaccounts and
        system:serviceaccounts:NAMESPACE.
        """
        path = self.state / f"{user.replace(':', '-').replace('/', '-')}.kubeconfig"
        return self.pki.kubeconfig(path, self.url, user, groups, context=_CONTEXT)

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl as administrator and return what it prints; raise ClusterError when it fails."""
        done = self._kubectl(arguments, stdin)
        if done.returncode != 0:
            message = f"kubectl {' '.join(arguments)}: {done.stderr.strip()}"
            raise ClusterError(message)
        return done.stdout

    def wait(self, condition: Callable[[], bool], what: str, seconds: float = _READY_SECONDS) -> None:
        """Wait for a condition; a program that ends meanwhile ends the wait with its last log lines."""
        daemons = Daemons(self.state)
        started = [path.name for path in (self.state / "pids").iterdir()]

        def met() -> bool:
            daemons.check(started)
            return condition()

        until(met, seconds, what)

    def stop_server(self) -> None:
        """Stop the API server, as an outage would; etcd keeps the objects. See restart_server."""
        Daemons(self.state).stop(["kube-apiserver"])

    def restart_server(self) -> None:
        """Start the API server again at the same address and wait until it is ready."""
        Daemons(self.state).start("kube-apiserver", self.server.command(self.pki))
        self.wait(lambda: answers_ok(f"{self.url}/readyz", self.pki.authority.certificate), "the API server")

    def _kubectl(self, arguments: Sequence[str], stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        command = [str(tool("kubectl")), f"--kubeconfig={self.kubeconfig}", *arguments]
        environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(self.state)}
        return subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, env=environment)


@contextmanager
def _folder() -> Iterator[Path]:
    """Make a folder for one control plane. In the end it goes, and all processes that work for it."""
    with _sweeping():
        state = Path(tempfile.mkdtemp(prefix=_PREFIX))
        owner = (state / "owner").open("w")
        fcntl.flock(owner, fcntl.LOCK_EX)
    with owner:
        try:
            yield state
        finally:
            _remove(state)


@contextmanager
def _sweeping() -> Iterator[None]:
    """Remove what killed test runs left: folders whose owner no longer holds its lock. One process does so at a time.

    Nobody else looks meanwhile, so that a folder that is being made is not taken for one that was left.
    """
    folder = Path(tempfile.gettempdir())
    with (folder / f"{_PREFIX}sweep.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for owner in folder.glob(f"{_PREFIX}*/owner"):
            with contextlib.suppress(OSError), owner.open("r+") as handle:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(owner.parent)
        yield


def _remove(state: Path) -> None:
    Daemons(state).kill_all()
    shutil.rmtree(state, ignore_errors=True)


def _free_ports(count: int) -> list[int]:
    """Return ports that were free a moment ago; all are held while the others are looked for."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [held.getsockname()[1] for held in sockets]
