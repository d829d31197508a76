"""Running other programs and reporting their failure in one line."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from .errors import ClusterError

# A bare shell, or one of a user who became root, often lacks the system folders.
_SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")


def search_path() -> str:
    """Return PATH with the system's own folders at its end."""
    own = os.environ.get("PATH", "").split(os.pathsep)
    return os.pathsep.join(dict.fromkeys([*filter(None, own), *_SYSTEM_FOLDERS]))


def which(program: str) -> Path | None:
    """Return where a program is, looking in the system's own folders too."""
    found = shutil.which(program, path=search_path())
    return Path(found) if found else None


def run(command: Sequence[str | Path], *, stdin: str | None = None, env: Mapping[str, str] | None = None) -> str:
    """Run a program to its end and return its standard output.

    Raises ClusterError with the end of its standard error when it fails or is not there.
    """
    done = attempt(command, stdin=stdin, env=env)
    if done.returncode != 0:
        words = (done.stderr.strip() or done.stdout.strip())[-1500:]
        shown = " ".join(map(str, command))
        message = f"`{shown[:200]}` failed with status {done.returncode}: {words}"
        raise ClusterError(message)
    return done.stdout


def attempt(
    command: Sequence[str | Path], *, stdin: str | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; the caller looks at its status."""
    program = which(str(command[0]))
    if program is None:
        message = f"the program {command[0]} is not installed"
        raise ClusterError(message)
    environment = dict(os.environ) | {"PATH": search_path()} | dict(env or {})
    # No input means an empty one, not the terminal.
    line = [str(program), *map(str, command[1:])]
    return subprocess.run(line, input=stdin or "", capture_output=True, text=True, check=False, env=environment)
