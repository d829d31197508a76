"""The server under test: where it is, and the two models it serves."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Self

OURS: Final = "Fairlead"


@dataclass(frozen=True)
class Place:
    """One model at one server; addresses are `host:port`. The version is empty where the server has none."""

    http: str
    grpc: str
    model: str
    version: str


@dataclass(frozen=True)
class Target:
    """A server by its two models.

    `table` is a classifier of the iris flowers with one input of FP32 and shape [-1, 4]; its outputs are `outputs`, the
    label first. `echo` answers each input `in_…` with an output `out_…`, and waits for as long as an input `seconds` of
    FP64 and shape [1] says. `any_rank` is false where a model has to declare how many dimensions a tensor has.
    """

    server: str
    table: Place
    echo: Place
    input: str
    outputs: tuple[str, ...]
    any_rank: bool = True

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what `write` wrote."""
        fields = json.loads(path.read_text())
        fields |= {name: Place(**fields[name]) for name in ("table", "echo")}
        return cls(**{**fields, "outputs": tuple(fields["outputs"])})

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        path.write_text(json.dumps(asdict(self)))
