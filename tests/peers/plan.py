"""What it takes to start one server for one model."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.peers import environments, models
from tests.peers.forms import Form
from tests.peers.models import PROGRAMS, Model

HIDDEN = ("FAIRLEAD_", "AWS_", "MLSERVER_", "OTEL_", "PYTHON")
"""Variables of the caller that a server must not see."""


@dataclass(frozen=True)
class Place:
    """Where a server may write, and its ports."""

    folder: Path
    http: int
    grpc: int
    metrics: int


@dataclass(frozen=True)
class Plan:
    """A command and how to ask what it starts."""

    command: list[str]
    path: str
    """Of inference requests by HTTP."""
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Peer:
    """One way to serve: a server with its settings."""

    name: str
    title: str
    environment: str
    """The name of its environment."""
    package: str
    """The package whose version is shown."""
    form: Form
    kinds: tuple[str, ...]
    """As what a model has to be saved, the first that there is."""
    plan: Callable[[Path, Model, Path, Place], Plan]
    """Of its Python, the model, where that is saved, and the place."""
    grpc: bool = False
    blind: bool = False
    """It gives the same answer to everything."""
    models: tuple[str, ...] = tuple(models.KINDS)
    """Which models it serves."""

    def python(self) -> Path:
        """Its Python, installed if need be."""
        return environments.python(self.environment)

    def saved(self, model: Model) -> Path:
        """The folder of the model as this server takes it."""
        for kind in self.kinds:
            if model.has(kind):
                own = (
                    models.model(model.name, triton=True) if (self.environment, kind) == ("triton", "joblib") else model
                )
                return own.folder / kind
        message = f"{self.name} takes {', '.join(self.kinds)}; {model.name} is saved as none of these"
        raise ValueError(message)


def environment_of(plan: Plan, folder: Path) -> dict[str, str]:
    """All variables of a server's process."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(HIDDEN)}
    # One core serves: numeric libraries that start more threads would only slow it down.
    own = {"PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1", "TMPDIR": str(folder)}
    return {**inherited, **own, **plan.environment}


def program(python: Path, file: str, *arguments: object) -> list[str]:
    """The command that runs one of our little programs."""
    return [str(python), str(PROGRAMS / file), *map(str, arguments)]
