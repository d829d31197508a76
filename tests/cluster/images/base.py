"""Base images made from Debian packages, which stand in for python:3.11-slim and python:3.11 without a registry."""

from __future__ import annotations

import os
import re
from pathlib import Path

from ..cache import Say, digest_of
from ..commands import run
from ..errors import ClusterError

_SUITE = "bookworm"
_PACKAGES = ("ca-certificates", "python3-minimal", "python3-venv", "libstdc++6")
_COMPILER = ("gcc", "libc6-dev", "python3-dev")
# Of both forms of apt's source files; security and backports are other paths.
_MIRROR = re.compile(r"^(?:deb\s+(?:\[.*?\]\s+)?|URIs:\s*)(https?://\S*/debian/?)(?:\s|$)", re.MULTILINE)
_SOURCES = Path("/etc/apt")
# What no program of ours reads: documentation, translations, package lists and caches.
_WASTE = ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info", "var/cache", "var/lib/apt", "var/log")


def reference(*, compiler: bool = False) -> str:
    """Return the name of the base image, or of the one with a C compiler; it changes with the recipe."""
    return f"localhost/fairlead-{'builder' if compiler else 'base'}:{digest_of(Path(__file__))}"


def make(folder: Path, progress: Say, *, compiler: bool = False) -> Path:
    """Make the root file system in a folder and return it as a tar archive; needs root.

    With a compiler it has gcc and what an extension of Python is compiled against, too.
    """
    if os.geteuid() != 0:
        message = "without Docker, images are built by root only (debootstrap needs it)"
        raise ClusterError(message)
    packages = _PACKAGES + _COMPILER if compiler else _PACKAGES
    progress(f"making the base image {'with a C compiler ' if compiler else ''}from Debian packages")
    root = folder / "root"
    run(["debootstrap", "--variant=minbase", f"--include={','.join(packages)}", _SUITE, root, *mirror()])
    for waste in _WASTE:
        run(["find", root / waste, "-mindepth", "1", "-delete"])
    archive = folder / "root.tar"
    # Devices belong to the container's runtime.
    run(["tar", "--create", "--file", archive, "--numeric-owner", "--exclude=./dev/*", "--directory", root, "."])
    return archive


def mirror() -> list[str]:
    """Return the Debian mirror of this machine as debootstrap's argument; without one it has its own default."""
    files = [_SOURCES / "sources.list", *sorted((_SOURCES / "sources.list.d").glob("*"))]
    for file in files:
        text = file.read_text() if file.is_file() else ""
        if found := _MIRROR.search(text):
            return [found[1]]
    return []
