"""The wheels of an image, fetched beforehand by hash, so that building an image needs no network."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from pathlib import Path

from ..cache import Say, cache_dir, digest_of, locked
from ..errors import ClusterError

PYTHON = "3.11"
"""The interpreter of the images, which is Debian 12's; not that of the machine that builds them."""

_MACHINES = {"x86_64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}
_NEWEST_GLIBC_MINOR = 36  # of Debian 12
_OLDEST_GLIBC_MINOR = 5


def ensure_wheels(requirements: Path, progress: Say) -> Path:
    """Return a folder with the wheels that a locked requirements file names, for the images' Python and system.

    Raises ClusterError when one cannot be had or its hash is not the locked one.
    """
    machine = _MACHINES[platform.machine()]
    name = requirements.stem
    target = cache_dir() / "wheels" / f"{name}-{digest_of(requirements, PYTHON, machine)}"
    with locked(f"wheels-{name}", progress):
        if not target.exists():
            progress(f"fetching the {name} image's Python packages")
            partial = target.with_name(f"{target.name}.partial")
            partial.mkdir(parents=True, exist_ok=True)
            _download(requirements, partial, machine)
            _drop_older(target)
            partial.rename(target)
    return target


def _download(requirements: Path, folder: Path, machine: str) -> None:
    minors = range(_NEWEST_GLIBC_MINOR, _OLDEST_GLIBC_MINOR - 1, -1)
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in minors]
    platforms += [f"manylinux2014_{machine}", f"manylinux2010_{machine}", f"manylinux1_{machine}"]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
               "--require-hashes", "--only-binary=:all:", "--implementation=cp", f"--python-version={PYTHON}",
               *(f"--abi={abi}" for abi in (f"cp{PYTHON.replace('.', '')}", "abi3", "none")),
               *(f"--platform={name}" for name in platforms),
               f"--dest={folder}", f"--requirement={requirements}"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        message = f"the packages of {requirements.name} could not be fetched: {done.stderr.strip()[-1000:]}"
        raise ClusterError(message)


def _drop_older(target: Path) -> None:
    stem = target.name.rpartition("-")[0]
    for folder in target.parent.glob(f"{stem}-*"):
        # The length tells `serving` from `serving-lean`, and leaves out what is under way.
        if len(folder.name) == len(target.name):
            shutil.rmtree(folder)
