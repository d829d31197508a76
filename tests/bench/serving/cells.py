"""What is measured, in which order."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tests.peers import Peer

Kind = Literal["http", "grpc", "steady"]
SEED = 20_260_101
FIRST, MORE = (1, 32), (8, 128)
STEADY_RATE = 500.0
NOT_ON_ALL = {"mlserver-default", "fairlead-onnx", "fairlead-lean", "ray", "echo"}
"""Servers with the first model only."""


@dataclass(frozen=True)
class Cell:
    """One measurement, to be taken several times."""

    kind: Kind
    model: str
    server: str
    connections: int

    def key(self, run: int) -> str:
        """The name of one of its results."""
        return f"{self.kind}/{self.model}/{self.server}/{self.connections}/{run}"


@dataclass(frozen=True)
class Block:
    """Cells that are measured by turns, in shuffled rounds."""

    cells: tuple[Cell, ...]
    seconds: float

    def rounds(self, runs: int) -> list[tuple[Cell, int]]:
        """Each cell with the number of its run, shuffled anew in each round."""
        chance, out = random.Random(SEED), []  # noqa: S311  not for secrets
        for run in range(runs):
            turn = list(self.cells)
            chance.shuffle(turn)
            out += [(cell, run) for cell in turn]
        return out


def blocks(model: str, peers: Mapping[str, Peer], seconds: float, *, quick: bool) -> list[Block]:
    """The blocks of one model. What matters most comes first."""
    if model != "lr":
        others = [name for name in peers if name not in NOT_ON_ALL]
        return [Block(_cells("http", model, others, FIRST), seconds / 2)]
    typed = [name for name, peer in peers.items() if peer.grpc and name != "fairlead-onnx"]
    out = [
        Block(_cells("http", model, peers, FIRST), seconds),
        Block(_cells("grpc", model, typed, FIRST), seconds),
        Block(_cells("steady", model, [name for name in peers if name != "echo"], (10,)), seconds),
    ]
    if not quick:
        out += [
            Block(_cells("http", model, peers, MORE), seconds / 2),
            Block(_cells("grpc", model, typed, MORE), seconds / 2),
        ]
    return out


def _cells(kind: Kind, model: str, servers: Collection[str], connections: Sequence[int]) -> tuple[Cell, ...]:
    return tuple(Cell(kind, model, server, count) for count in connections for server in servers)
