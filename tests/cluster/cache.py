"""Where built things are kept between runs, and the locks that let two runs share them."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

Say = Callable[[str], None]
"""Receives one line of progress, without its line end."""

REPOSITORY = Path(__file__).resolve().parents[2]
"""The top folder of the source tree."""


def say(line: str) -> None:
    """Print a line of progress at once, also into a pipe."""
    print(line, flush=True)  # noqa: T201 (this is the tool's output)


def silent(_line: str) -> None:
    """Swallow progress, for callers that show their own."""


def cache_dir() -> Path:
    """Return the cache folder ($FAIRLEAD_CACHE, else ~/.cache/fairlead), created if need be."""
    chosen = os.environ.get("FAIRLEAD_CACHE")
    path = Path(chosen) if chosen else Path.home() / ".cache" / "fairlead"
    path = path.absolute()
    path.mkdir(parents=True, exist_ok=True)
    return path


def digest_of(*parts: str | bytes | Path) -> str:
    """Return 16 hex characters that change when any part does; a path stands for its content.

    A folder counts with the relative paths and contents of its files, but for bytecode.
    """
    total = hashlib.sha256()
    for part in parts:
        for item in _pieces(part):
            total.update(len(item).to_bytes(8, "big"))
            total.update(item)
    return total.hexdigest()[:16]


def _pieces(part: str | bytes | Path) -> Iterator[bytes]:
    if isinstance(part, bytes):
        yield part
    elif isinstance(part, str):
        yield part.encode()
    elif part.is_dir():
        for path in sorted(p for p in part.rglob("*") if p.is_file()):
            if "__pycache__" not in path.parts:
                yield path.relative_to(part).as_posix().encode()
                yield path.read_bytes()
    else:
        yield part.read_bytes()


@contextmanager
def locked(name: str, progress: Say = say) -> Iterator[None]:
    """Hold the lock called name among all processes that use this cache folder.

    The kernel frees it when the holder dies, so a killed run never blocks the next one.
    """
    folder = cache_dir() / "locks"
    folder.mkdir(exist_ok=True)
    with (folder / f"{name}.lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress(f"waiting: another process is busy with the same work ({name})")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def write_private(path: Path, content: str | bytes) -> Path:
    """Write a file that only its owner may read, in one step: never half-written, never readable for a moment."""
    data = content.encode() if isinstance(content, str) else content
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
    partial.replace(path)
    return path
