"""What can be fuzzed: functions that take any bytes and raise only where an invariant does not hold."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.fuzz import calls, client, frames, heads, rest
from tests.fuzz.world import World

Target = Callable[[World, bytes], None]
SEEDS: Final = Path(__file__).parent / "seeds"
TARGETS: Final[dict[str, Target]] = {
    "http": rest.http,
    "heads": heads.heads,
    "v2": rest.v2,
    "v1": rest.v1,
    "feedback": rest.feedback,
    "compression": rest.compression,
    "http2": frames.http2,
    "http2client": client.http2client,
    "hpack": frames.header_blocks,
    "grpc": calls.grpc,
    "message": calls.message,
}
"""By name. An exception is a finding."""


def seeds(target: str) -> dict[str, bytes]:
    """Return a target's seeds by name; each line of the file is a name, = and a literal of bytes."""
    found = {}
    for line in (SEEDS / f"{target}.txt").read_text().splitlines():
        name, _, literal = line.partition(" = ")
        found[name] = ast.literal_eval(literal)
    return found
