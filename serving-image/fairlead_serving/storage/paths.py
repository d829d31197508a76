"""Names of a model's files, as a storage gives them: none may lead out of the model's folder."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from fairlead_serving.errors import LoadError


def inside(name: str, uri: str) -> str:
    """Return a file's path below the model's folder, with `/` between its parts. Raises LoadError for any other."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        message = f"{uri}: the file name {name!r} leads out of the model's folder"
        raise LoadError(message)
    if not name.isprintable():
        # A line break would make the digest ambiguous, and what is not Unicode has none.
        message = f"{uri}: the file name {name!r} has characters that cannot be shown"
        raise LoadError(message)
    return path.as_posix()


def place(folder: Path, name: str, uri: str) -> Path:
    """Return where a file is to be written, its folder made. Raises LoadError where another one is there already."""
    path = folder / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        taken = path.exists()
    except (FileExistsError, NotADirectoryError):
        taken = True
    if taken:
        message = f"{uri} has two files of the name {name}"
        raise LoadError(message)
    return path
