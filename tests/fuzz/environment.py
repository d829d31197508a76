"""The fuzzers' environment: the lean image's requirements, atheris, and the libraries to compare with."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.cluster.cache import REPOSITORY, cache_dir, digest_of, locked, say

_LOCKS: Final = tuple(REPOSITORY / "requirements" / name for name in ("serving-lean.txt", "fuzz.txt"))


def python() -> Path:
    """Return its Python, made if need be."""
    folder = cache_dir() / f"fuzz-{digest_of(*_LOCKS)}"
    with locked("fuzz", say):
        if not (folder / "complete").exists():
            say("installing the environment of the fuzzers, once")
            shutil.rmtree(folder, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", folder], check=True)  # noqa: S603
            options = ["--quiet", "--disable-pip-version-check", "--require-hashes", "--only-binary", ":all:"]
            chosen = [item for lock in _LOCKS for item in ("-r", str(lock))]
            subprocess.run([folder / "bin/python", "-m", "pip", "install", *options, *chosen], check=True)  # noqa: S603
            (folder / "complete").touch()
    return folder / "bin" / "python"
