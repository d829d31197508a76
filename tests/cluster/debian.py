"""Debian packages: missing ones are installed (said first), or only unpacked where installing starts a service."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from .cache import Say, cache_dir, locked
from .commands import attempt, run, which
from .errors import ClusterError

# Looked for by file, not by package: a machine may have them from elsewhere.
NODE_PROGRAMS = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
    "busybox": "busybox-static",
}
IMAGE_PROGRAMS = {
    "buildah": "buildah",
    "debootstrap": "debootstrap",
    "/usr/share/keyrings/debian-archive-keyring.gpg": "debian-archive-keyring",
}
_QUIET = {"DEBIAN_FRONTEND": "noninteractive"}


def is_debian() -> bool:
    """Tell whether this machine installs packages the Debian way."""
    return which("apt-get") is not None and which("dpkg") is not None


def ensure_programs(programs: dict[str, str], progress: Say) -> None:
    """Install the packages of those programs that are missing; raise ClusterError where that cannot be done."""
    missing = _missing(programs)
    if not missing:
        return
    if not (is_debian() and os.geteuid() == 0):
        message = f"packages are missing that only root on a Debian machine can install: {' '.join(missing)}"
        raise ClusterError(message)
    with locked("apt", progress):
        if missing := _missing(programs):
            progress(f"installing Debian packages: {' '.join(missing)}")
            run(["apt-get", "-q", "update"], env=_QUIET)
            run(["apt-get", "-q", "install", "--yes", "--no-install-recommends", *missing], env=_QUIET)


def _missing(programs: dict[str, str]) -> list[str]:
    return sorted({package for program, package in programs.items() if not _there(program)})


def _there(program: str) -> bool:
    return Path(program).exists() if program.startswith("/") else which(program) is not None


def unpacked(package: str, progress: Say) -> Path:
    """Return a folder of the cache with a package's files, fetched but not installed, so that no service starts."""
    target = cache_dir() / "debian" / package
    with locked("apt", progress):
        if not target.exists():
            progress(f"fetching the Debian package {package}")
            _unpack(package, target)
    return target


def _unpack(package: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        downloads = Path(folder) / "archives"
        downloads.mkdir()
        fetch = 'cd "$1" && apt-get -q -o APT::Sandbox::User=root download "$2"'
        command: list[str | Path] = ["sh", "-c", fetch, "sh", downloads, package]
        if attempt(command).returncode != 0:  # the package lists are old, or there are none yet
            run(["apt-get", "-q", "update"], env=_QUIET)
            run(command)
        partial = Path(folder) / "root"
        for archive in downloads.glob("*.deb"):
            run(["dpkg-deb", "--extract", archive, partial])
        shutil.rmtree(target, ignore_errors=True)
        partial.rename(target)
