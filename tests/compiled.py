"""The serving package as it is shipped, compiled: a folder for PYTHONPATH, in the cache, built once a change.

`python -m tests.compiled` has it ready beforehand. With FAIRLEAD_TEST_INTERPRETED=1 it is the plain source instead.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

from tests.cluster.cache import REPOSITORY, Say, cache_dir, digest_of, locked, say

SOURCES: Final = REPOSITORY / "serving-image"
"""The package as plain Python, for PYTHONPATH."""
INTERPRETED: Final = os.environ.get("FAIRLEAD_TEST_INTERPRETED") == "1"
_PARTS: Final = ("fairlead_serving", "pyproject.toml", "setup.py")
_INSTEAD: Final = "or run the tests on the plain source: FAIRLEAD_TEST_INTERPRETED=1"
# Branches go to and fro, and a run under way may use an older one.
_KEPT: Final = 8
_REASONS: Final = 20
_ABOUT: Final = """
import setuptools, sys, sysconfig
from mypy.version import __version__ as mypy
print(sysconfig.get_config_var("SOABI"), *sys.version.split(), sys.base_prefix, mypy, setuptools.__version__)
print(sysconfig.get_path("include") + "/Python.h")
print(sysconfig.get_config_var("CC").split()[0])
"""


class CompileError(Exception):
    """The package cannot be compiled; says why, and what to do about it."""


def package() -> Path:
    """Return what tests put on PYTHONPATH of servers that run with this interpreter, or another one of its version.

    It is the same for as long as this process lives, whatever is edited meanwhile. Raises CompileError.
    """
    found = _package()
    if isinstance(found, CompileError):
        raise found
    return found


@cache
def _package() -> Path | CompileError:
    """An error is kept too: not each of a thousand tests has to find it out anew."""
    try:
        return SOURCES if INTERPRETED else build(Path(sys.executable))
    except CompileError as error:
        return error


def build(python: Path, replaced: Mapping[str, str] | None = None, progress: Say = say) -> Path:
    """Return the folder with the package compiled for an interpreter that has mypy and setuptools.

    `replaced` has other content for some files, by their paths in the package. Raises CompileError where something is
    missing, or the code does not compile.
    """
    replaced = replaced or {}
    about = _about(python)
    folder = cache_dir() / "compiled" / f"{about[0].split()[0]}-{digest_of(about[0])}"
    target = folder / _digest(SOURCES, replaced)
    if not target.exists():
        with locked(f"compiled-{folder.name}", progress):
            if not target.exists():
                progress(f"compiling the serving package for {python}, once a change: about a minute")
                began = time.monotonic()
                _need(python, *about[1:])
                _make(python, replaced, target)
                _forget(folder)
                progress(f"compiled in {time.monotonic() - began:.0f} s")
    # What counts as its age is its last use. Another process may be dropping it just now, as too old.
    with contextlib.suppress(FileNotFoundError):
        os.utime(target)
    return target


@cache
def _about(python: Path) -> list[str]:
    """What the outcome hangs on beside the sources, binary interface first; Python's header; the C compiler."""
    done = subprocess.run(  # noqa: S603  given by our own code
        [python, "-c", _ABOUT], capture_output=True, text=True, check=False, env=_environment()
    )
    if done.returncode != 0:
        message = f"{python} has no mypy or no setuptools: {done.stderr.strip()[-500:]}"
        raise CompileError(message)
    return done.stdout.splitlines()


def _digest(sources: Path, replaced: Mapping[str, str]) -> str:
    changes = (text for item in sorted(replaced.items()) for text in item)
    return digest_of(*(sources / part for part in _PARTS), *changes)


def _need(python: Path, header: str, compiler: str) -> None:
    """Say what is missing. Raises CompileError."""
    missing = [
        name for name, found in ((compiler, shutil.which(compiler)), (header, Path(header).exists())) if not found
    ]
    if missing:
        message = (
            f"the serving package cannot be compiled for {python} without {' and '.join(missing)}: "
            f"on Debian, apt-get install gcc libc6-dev python3-dev; {_INSTEAD}"
        )
        raise CompileError(message)


def _make(python: Path, replaced: Mapping[str, str], target: Path) -> None:
    """Compile a copy, which becomes visible when it is whole."""
    work, whole = target.with_name(".work"), target.with_name(".whole")
    for leftover in (work, whole):
        shutil.rmtree(leftover, ignore_errors=True)
    work.mkdir(parents=True)
    shutil.copytree(SOURCES / _PARTS[0], work / _PARTS[0], ignore=shutil.ignore_patterns("__pycache__"))
    for part in _PARTS[1:]:
        shutil.copy(SOURCES / part, work)
    if _digest(work, replaced) != target.name:
        message = "the serving package was edited while it was copied: start again"
        raise CompileError(message)
    for name, content in replaced.items():
        (work / _PARTS[0] / name).write_text(content)
    _run([str(python), "setup.py", "--quiet", "build_ext", "--inplace"], work, FAIRLEAD_COMPILE="1")
    whole.mkdir()
    for path in (work / _PARTS[0], *work.glob("*.so")):
        path.rename(whole / path.name)
    # Bytecode beforehand, as the image has it: the tests' servers write none.
    _run([str(python), "-m", "compileall", "-q", "-s", str(whole), "-p", str(target), str(whole)], whole)
    whole.rename(target)
    shutil.rmtree(work)


def _run(command: list[str], where: Path, **more: str) -> None:
    """Run a step. Raises CompileError with what the compiler complains of."""
    done = subprocess.run(  # noqa: S603  built above
        command,
        cwd=where,
        env={**_environment(), **more},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        lines = [line for line in done.stdout.splitlines() if line.strip()]
        # The command lines of the C compiler are as long as a page.
        told = ([line for line in lines if "error:" in line] or lines[-_REASONS:])[:_REASONS]
        reasons = "\n".join(line[:300] for line in told)
        message = f"the serving package does not compile: mend it, {_INSTEAD}\n{reasons}\n(in {where})"
        raise CompileError(message)


def _environment() -> dict[str, str]:
    """What a compiler needs; a PYTHONPATH of ours would let it find the sources twice."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "FAIRLEAD_", "MYPY"))}


def _forget(folder: Path) -> None:
    """Drop all but the few that were used last."""
    used = sorted(folder.glob("[!.]*"), key=lambda path: path.stat().st_mtime)
    for path in used[:-_KEPT]:
        shutil.rmtree(path)


def main() -> int:
    """Have it ready before tests start."""
    try:
        say(f"the tests' servers run {'the plain source' if INTERPRETED else 'compiled'}: {package()}")
    except CompileError as error:
        print(f"compiled: {error}", file=sys.stderr)  # noqa: T201  a tool speaks to the terminal
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
