"""The environment of the checks: other people's clients, which cannot live in `.venv`, in the cache folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import Final

from tests.cluster.cache import REPOSITORY, Say, cache_dir, digest_of, locked, say

LOCK: Final = REPOSITORY / "requirements" / "conformance.txt"
RUN_SECONDS: Final = 400


class ConformanceError(Exception):
    """The environment cannot be made; says why."""


def python(progress: Say = say) -> Path:
    """Return the environment's Python, installed if need be. Raises ConformanceError where that fails."""
    folder = cache_dir() / f"conformance-{digest_of(LOCK, sys.version, sys.executable)}"
    program = folder / "bin" / "python"
    with locked("conformance", progress):
        if not (folder / "complete").exists():
            progress("installing the clients that check conformance, once")
            shutil.rmtree(folder, ignore_errors=True)
            venv.create(folder, with_pip=True, symlinks=True)
            options = ["--quiet", "--disable-pip-version-check", "--require-hashes", "--only-binary", ":all:"]
            run([str(program), "-m", "pip", "install", *options, "-r", str(LOCK)])
            (folder / "complete").touch()
    return program


def run(command: list[str], **environment: str) -> str:
    """Run a program in the top folder and return what it printed. Raises ConformanceError where it fails."""
    inherited = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    done = subprocess.run(  # noqa: S603  programs of ours
        command,
        cwd=REPOSITORY,
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=RUN_SECONDS,
    )
    if done.returncode != 0:
        message = f"`{' '.join(command)}` ended with {done.returncode}: {done.stderr.strip()[-2000:]}"
        raise ConformanceError(message)
    return done.stdout
