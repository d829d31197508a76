"""Everything the engine remembers, and its compact text form.

All numbers are kept as the text form keeps them (evidence as float32, counts as float64), so a judge that
goes on from the stored text gives bit for bit the same verdicts as one that was never interrupted.
"""

from __future__ import annotations

import base64
import binascii
import json
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from fairlead.analysis import evidence
from fairlead.analysis.dispersion import Spread
from fairlead.analysis.evidence import Counts, Logs

FORMAT = 1
MAX_PODS = 200
"""Pods whose first Ready is remembered; with more, the ones that are gone and the oldest are not counted."""
COMPARED_PODS = 8
"""Stable pods that the dispersion of blocks looks at: enough to estimate it, few enough to store."""
ZERO = Counts(0.0, 0.0)


@dataclass(slots=True)
class Process:
    """One test: a ratio metric, or one edge of a histogram."""

    bad: Logs = evidence.NOTHING_YET
    ok: Logs = evidence.ONES
    spread: Spread = field(default_factory=Spread)
    canary: Counts = ZERO
    """Judged in this stage, as `stable`."""
    stable: Counts = ZERO
    waiting: Counts = ZERO
    """The canary's newest interval, judged when the next stable window is there."""
    phi: float = 1.0
    """The dispersion that interval is judged with: from data before it."""
    before: Counts = ZERO
    """Stable in the interval before the waiting one."""
    beside: Counts = ZERO
    """Stable in the waiting interval."""


@dataclass(slots=True)
class State:
    """The engine's memory. Ticks count instants from the rollout's start; history has negative ones."""

    tick: int = -1
    stage: int = 0
    judged: int = 0
    stages_judged: int = 0
    stage_judged: int = 0
    """Intervals judged: ever, and in this stage; and the number of stages with any."""
    spent: float = 0.0
    """Prior mass on onsets that were possible so far."""
    last_data: int | None = None
    """Tick of the last interval with canary requests that were judged in this stage."""
    waiting: bool = False
    """The newest canary interval is settled and of this stage."""
    canary_seen: bool = False
    connections: float | None = None
    opened: float = 0.0
    """Connections opened to pods of both revisions, history included; `carried`: requests in the same intervals."""
    carried: float = 0.0
    first_request_at: float | None = None
    edges: tuple[float, ...] = ()
    """The latency edges judged; chosen once from stable's own distribution."""
    sketch: dict[float, float] = field(default_factory=dict)
    """Stable's requests above each edge (and all of them, at -1) until the edges are chosen."""
    processes: dict[str, Process] = field(default_factory=dict)
    block: int | None = None
    """First tick of the running block."""
    cells: dict[str, dict[str, Counts]] = field(default_factory=dict)
    """Sums of the running block by process and stable pod; `whole` has those of all intervals."""
    whole: dict[str, dict[str, Counts]] = field(default_factory=dict)
    ready: dict[int, float] = field(default_factory=dict)
    """First Ready of each pod (epoch seconds), by the checksum of its name."""

    def first_ready(self, pod: str) -> float | None:
        """When the pod was Ready first, as far as it was ever told."""
        return self.ready.get(checksum(pod))

    def meet(self, pods: Mapping[str, float]) -> None:
        """Remember the first Ready of the pods; a later one never replaces an earlier one."""
        for pod, since in pods.items():
            key = checksum(pod)
            self.ready[key] = min(since, self.ready.get(key, since))
        if len(self.ready) > MAX_PODS:
            living = {checksum(pod) for pod in pods}
            by_use = sorted(self.ready.items(), key=lambda item: (item[0] not in living, -item[1]))
            self.ready = dict(by_use[:MAX_PODS])


class LostStateError(ValueError):
    """The text is not a state of ours, or it is damaged."""


def checksum(pod: str) -> int:
    """A pod's name in four bytes."""
    return zlib.crc32(pod.encode())


_SMALL = ("tick", "stage", "judged", "stages_judged", "stage_judged", "spent", "last_data", "waiting",
          "canary_seen", "connections", "opened", "carried", "first_request_at", "block")  # fmt: skip


def dump(state: State) -> str:
    """The state as text: a few KiB of JSON with packed numbers and a checksum."""
    data: dict[str, Any] = {name: getattr(state, name) for name in _SMALL}
    data["edges"] = list(state.edges)
    data["sketch"] = [[edge, count] for edge, count in state.sketch.items()]
    data["keys"] = list(state.processes)
    for name in ("cells", "whole"):
        data[name] = _dump_cells(getattr(state, name))
    data["logs"] = _pack("f", (value for p in state.processes.values() for value in (*p.bad, *p.ok)))
    data["sums"] = _pack("d", (value for p in state.processes.values() for value in _sums(p)))
    data["ready"] = _pack("d", state.ready.values())
    data["names"] = _pack("I", state.ready)
    body = json.dumps(data, separators=(",", ":"))
    return f"{FORMAT}.{zlib.crc32(body.encode()):08x}.{body}"


def load(text: str) -> State:
    """The state from its text. Raises LostStateError when it is damaged or of another format."""
    version, _, rest = text.partition(".")
    check, _, body = rest.partition(".")
    if version != str(FORMAT) or check != f"{zlib.crc32(body.encode()):08x}":
        message = "the stored evidence is damaged or of another release"
        raise LostStateError(message)
    try:
        return _parse(json.loads(body))
    except (ValueError, KeyError, TypeError, StopIteration, struct.error, binascii.Error) as error:
        message = f"the stored evidence cannot be read: {error}"
        raise LostStateError(message) from error


def _parse(data: dict[str, Any]) -> State:
    state = State(**{name: data[name] for name in _SMALL})
    state.edges = tuple(data["edges"])
    state.sketch = dict(data["sketch"])
    state.cells, state.whole = _load_cells(data["cells"]), _load_cells(data["whole"])
    logs, sums = _unpack("f", data["logs"]), _unpack("d", data["sums"])
    for key in data["keys"]:
        bad = tuple(next(logs) for _ in range(evidence.POINTS))
        ok = tuple(next(logs) for _ in range(evidence.POINTS))
        state.processes[key] = _process(bad, ok, sums)
    names = [int(name) for name in _unpack("I", data["names"])]
    state.ready = dict(zip(names, _unpack("d", data["ready"]), strict=True))
    return state


def _dump_cells(cells: Mapping[str, Mapping[str, Counts]]) -> list[Any]:
    """Pods, processes, and a number pair for each of both; -1 where a process has no such pod."""
    pods = list(dict.fromkeys(pod for own in cells.values() for pod in own))
    pairs = (value for own in cells.values() for pod in pods for value in own.get(pod, (-1.0, -1.0)))
    return [pods, list(cells), _pack("d", pairs)]


def _load_cells(data: list[Any]) -> dict[str, dict[str, Counts]]:
    pods, keys, packed = data
    numbers = _unpack("d", packed)
    table = {key: {pod: Counts(next(numbers), next(numbers)) for pod in pods} for key in keys}
    return {key: {pod: pair for pod, pair in own.items() if pair.n >= 0} for key, own in table.items()}


def _sums(p: Process) -> Iterator[float]:
    spread = p.spread
    yield from (spread.tick_chi, spread.tick_df, spread.block_chi, spread.block_df, p.phi)
    for counts in (p.canary, p.stable, p.waiting, p.before, p.beside):
        yield from counts


def _process(bad: Logs, ok: Logs, sums: Iterator[float]) -> Process:
    spread = Spread(next(sums), next(sums), next(sums), next(sums))
    phi = next(sums)
    canary, stable, waiting, *others = [Counts(next(sums), next(sums)) for _ in range(5)]
    return Process(bad, ok, spread, canary, stable, waiting, phi, *others)


def _pack(kind: str, values: Any) -> str:
    numbers = list(values)
    return base64.b64encode(struct.pack(f"<{len(numbers)}{kind}", *numbers)).decode()


def _unpack(kind: str, text: str) -> Iterator[float]:
    raw = base64.b64decode(text, validate=True)
    return iter(struct.unpack(f"<{len(raw) // struct.calcsize(kind)}{kind}", raw))
