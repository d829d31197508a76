"""The programs a cluster is made of, built once from pinned Go modules into the cache."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .cache import Say, cache_dir, digest_of, locked, say
from .errors import ClusterError
from .toolchain import drop_build_caches, ensure_go, go_environment, go_version

MODULES = Path(__file__).resolve().parent / "go"
KUBERNETES = "v1.34.4"
_HEARTBEAT_SECONDS = 30.0
_VERSION = "k8s.io/component-base/version"
_KUBERNETES_FLAGS = (
    f"-X {_VERSION}.gitVersion={KUBERNETES} -X {_VERSION}.gitMajor=1 -X {_VERSION}.gitMinor=34 "
    f"-X k8s.io/client-go/pkg/version.gitVersion={KUBERNETES}"
)


@dataclass(frozen=True, slots=True)
class Tool:
    """One program: its module folder below go/, the package, extra linker flags, the system if not this one's, tags."""

    name: str
    module: str
    package: str
    ldflags: str = ""
    goos: str = ""
    tags: str = ""

    @property
    def folder(self) -> Path:
        """The cache folder of the built program; it moves when the pins, the compiler or the flags do."""
        source = MODULES / self.module
        flags = [self.ldflags, *filter(None, [self.tags])]
        pins = digest_of(source / "go.mod", source / "go.sum", go_version(), platform.machine(), *flags)
        return cache_dir() / "tools" / f"{self.module}-{pins}"

    @property
    def path(self) -> Path:
        """The built program."""
        return self.folder / self.name


def _kubernetes(name: str) -> Tool:
    return Tool(name, "kubernetes", f"k8s.io/kubernetes/cmd/{name}", _KUBERNETES_FLAGS)


# Ordered so that what starts an API server is ready first.
TOOLS: dict[str, Tool] = {
    tool.name: tool
    for tool in (
        Tool("etcd", "etcd", "go.etcd.io/etcd/server/v3"),
        *map(_kubernetes, ("kube-apiserver", "kubectl", "kube-controller-manager")),
        *map(_kubernetes, ("kubelet", "kube-scheduler", "kube-proxy")),
        Tool("helm", "helm", "helm.sh/helm/v3/cmd/helm", "-X helm.sh/helm/v3/internal/version.version=v3.22.0"),
        # These run in images, so they are for Linux wherever they are built.
        Tool("versitygw", "versitygw", "github.com/versity/versitygw/cmd/versitygw", goos="linux"),
        Tool("coredns", "coredns", "github.com/coredns/coredns", goos="linux"),
        # Debian's Prometheus leaves Kubernetes discovery out; of all discoveries this one has it alone.
        Tool(
            "prometheus",
            "prometheus",
            "github.com/prometheus/prometheus/cmd/prometheus",
            "-X github.com/prometheus/common/version.Version=3.15.0",
            goos="linux",
            tags="remove_all_sd,enable_kubernetes_sd",
        ),
        Tool("metrics-server", "metrics-server", "sigs.k8s.io/metrics-server/cmd/metrics-server", goos="linux"),
    )
}
CLIENT_TOOLS = ("kubectl", "helm")
CONTROL_PLANE_TOOLS = ("etcd", "kube-apiserver", "kubectl", "kube-controller-manager")


def bin_dir() -> Path:
    """Return the folder that holds a link to every built program, fit for PATH."""
    key = digest_of(*(str(tool.folder.name) for tool in TOOLS.values()))
    return cache_dir() / "bin" / key


def tool(name: str) -> Path:
    """Return the path of a built program, built or not."""
    return bin_dir() / name


def ensure(names: Iterable[str] = tuple(TOOLS), progress: Say = say) -> Path:
    """Build what is missing of the named programs and return the folder they are in.

    Programs that are there already cost nothing. An interrupted build goes on where it was, because the compiler's
    own cache is kept until everything is built. Raises ClusterError with the compiler's last words on failure.
    """
    wanted = [TOOLS[name] for name in names]
    folder = bin_dir()
    if all((folder / tool.name).exists() for tool in wanted):
        return folder
    with locked("tools", progress):
        missing = [tool for tool in wanted if not tool.path.exists()]
        if missing:
            _build_all(missing, progress)
        _link(folder)
    return folder


def _build_all(missing: list[Tool], progress: Say) -> None:
    go = ensure_go(progress)
    began = time.monotonic()
    progress(f"building {len(missing)} programs, once: {', '.join(tool.name for tool in missing)}")
    for number, tool in enumerate(missing, 1):
        _build(go, tool, f"[{number}/{len(missing)}] {tool.name}", progress)
    progress(f"built {len(missing)} programs in {time.monotonic() - began:.0f} s into {cache_dir()}")
    if all(tool.path.exists() for tool in TOOLS.values()):
        drop_build_caches()


def _build(go: Path, tool: Tool, label: str, progress: Say) -> None:
    tool.folder.mkdir(parents=True, exist_ok=True)
    partial = tool.folder / f".{tool.name}.{os.getpid()}"
    log = cache_dir() / "logs" / f"build-{tool.name}.log"
    log.parent.mkdir(exist_ok=True)
    environment = go_environment() | ({"GOOS": tool.goos} if tool.goos else {})
    flags = ["-tags", tool.tags, "-ldflags", f"-s -w {tool.ldflags}".strip()]
    command = [str(go), "build", *flags, "-o", str(partial), tool.package]
    began = time.monotonic()
    with log.open("w") as output:
        place = MODULES / tool.module
        running = subprocess.Popen(command, cwd=place, env=environment, stdout=output, stderr=output)
        try:
            status = _wait(running, label, began, progress)
        finally:
            if running.poll() is None:
                running.terminate()
                running.wait()
    if status != 0:
        partial.unlink(missing_ok=True)
        message = f"{tool.name} could not be built (whole log: {log}): {log.read_text()[-1500:].strip()}"
        raise ClusterError(message)
    partial.replace(tool.path)
    progress(f"{label} built in {time.monotonic() - began:.0f} s")


def _wait(running: subprocess.Popen[bytes], label: str, began: float, progress: Say) -> int:
    """Wait for the compiler, with a sign of life now and then."""
    while True:
        try:
            return running.wait(timeout=_HEARTBEAT_SECONDS)
        except subprocess.TimeoutExpired:
            progress(f"{label} still building, {time.monotonic() - began:.0f} s")


def _link(folder: Path) -> None:
    """Give every built program its link, relative so that the cache folder can be moved."""
    folder.mkdir(parents=True, exist_ok=True)
    for tool in TOOLS.values():
        link = folder / tool.name
        if tool.path.exists() and not link.exists():
            partial = folder / f".{tool.name}.{os.getpid()}"
            partial.unlink(missing_ok=True)
            partial.symlink_to(os.path.relpath(tool.path, folder))
            partial.replace(link)
