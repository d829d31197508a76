"""Environments of the servers, from locked requirements, in the cache folder."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from tests import compiled
from tests.cluster.cache import REPOSITORY, Say, cache_dir, digest_of, locked, say

REQUIREMENTS = REPOSITORY / "requirements"
DEBIAN = Path("/usr/bin/python3")
VERSION = "3.11"
OURS = {"fairlead": "serving.txt", "fairlead-lean": "serving-lean.txt", "build": "build.txt"}
"""Our own images' requirements, and those of building them; all others are under peers/."""
PEERS = ("fastapi", "mlserver", "kserve", "bentoml", "litserve", "triton", "ray")


class EnvironmentsError(Exception):
    """An environment cannot be made; says why."""


def lock_of(name: str) -> Path:
    """The locked requirements of an environment."""
    return REQUIREMENTS / OURS[name] if name in OURS else REQUIREMENTS / "peers" / f"{name}.txt"


@cache
def folder_of(name: str) -> Path:
    """Where an environment is or will be, as the requirements were when this was first asked."""
    return cache_dir() / "peers" / f"{name}-{digest_of(lock_of(name), VERSION)}"


def installed(name: str) -> bool:
    """Tell whether an environment is there."""
    return (folder_of(name) / "complete").exists()


def python(name: str, progress: Say = say) -> Path:
    """Return an environment's Python, installed if need be.

    Raises EnvironmentsError when that fails.
    """
    folder = folder_of(name)
    with locked(f"peers-{name}", progress):
        if not installed(name):
            progress(f"installing the environment of {name}, once")
            _forget(name)
            _install(lock_of(name), folder)
            (folder / "complete").touch()
    return folder / "bin" / "python"


@cache
def source(*replaced: tuple[str, str]) -> Path:
    """Return a folder with our serving package compiled, to be put on PYTHONPATH; some files may be replaced.

    It is the same for as long as this process lives, whatever is edited meanwhile. Raises EnvironmentsError.
    """
    try:
        return compiled.build(python("build"), dict(replaced))
    except compiled.CompileError as error:
        raise EnvironmentsError(str(error)) from None


def ensure(names: Iterable[str]) -> None:
    """Make these environments."""
    for name in names:
        python(name)


def _forget(name: str) -> None:
    """Remove an environment made from older requirements, or half made."""
    for folder in (cache_dir() / "peers").glob(f"{name}-*"):
        if not folder.name.removeprefix(f"{name}-").strip("0123456789abcdef"):
            shutil.rmtree(folder)


def _install(lock: Path, folder: Path) -> None:
    uv = Path(sys.executable).with_name("uv")
    if not uv.exists():
        message = f"{uv} is missing: make {uv.parent.parent.name}/bin/uv"
        raise EnvironmentsError(message)
    folder.parent.mkdir(parents=True, exist_ok=True)
    _run([str(uv), "venv", "--quiet", "--python", str(_base()), str(folder)])
    # Bytecode beforehand, as pip would: else the first cold start is another one than the second.
    options = ["--quiet", "--require-hashes", "--only-binary", ":all:", "--compile-bytecode"]
    _run([str(uv), "pip", "install", *options, "--python", str(folder / "bin" / "python"), "-r", str(lock)])


def _base() -> Path:
    """Debian's Python is built with all optimisations; others take up to 40 % longer."""
    for candidate in (DEBIAN, Path(sys.executable)):
        command = [str(candidate), "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
        if candidate.exists() and _run(command).strip() == VERSION:
            return candidate
    message = f"the environments need Python {VERSION}: neither {DEBIAN} nor {sys.executable} is that"
    raise EnvironmentsError(message)


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  built above
    if done.returncode != 0:
        message = f"`{' '.join(command)}` failed: {done.stderr.strip()[-1000:]}"
        raise EnvironmentsError(message)
    return done.stdout
