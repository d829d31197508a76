"""What a model's `requirements.txt` asks for, held against what is installed."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Final

from packaging.requirements import InvalidRequirement, Requirement

from fairlead_serving.errors import LoadError

if TYPE_CHECKING:
    from pathlib import Path

FILE: Final = "requirements.txt"


def check(folder: Path) -> None:
    """Raise LoadError with all that a model needs and this image does not have. No file asks for nothing."""
    path = folder / FILE
    if not path.is_file():
        return
    lacking = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        text = line.partition("#")[0].strip()
        if not text or text.startswith("-"):
            continue
        try:
            requirement = Requirement(text)
        except InvalidRequirement as error:
            message = f"{FILE} line {number}: {text!r} is not a requirement"
            raise LoadError(message) from error
        lack = _lack(requirement)
        if lack:
            lacking.append(lack)
    if lacking:
        message = f"the model needs {', '.join(lacking)} ({FILE}): serve it with an image that has it (server.image)"
        raise LoadError(message)


def _lack(requirement: Requirement) -> str | None:
    if requirement.marker is not None and not requirement.marker.evaluate():
        return None
    try:
        have = version(requirement.name)
    except PackageNotFoundError:
        return f"{requirement.name}{requirement.specifier}, which this image does not have"
    if requirement.specifier.contains(have, prereleases=True):
        return None
    return f"{requirement.name}{requirement.specifier}, of which this image has {have}"
