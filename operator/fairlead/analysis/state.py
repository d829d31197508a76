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
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from fairlead.analysis import evidence
from fairlead.analysis.dispersion import Spread
from fairlead.analysis.estimate import Curve, Estimate
from fairlead.analysis.split import Split
from fairlead.analysis.witness import Witness

FORMAT = 2
MAX_PODS = 200
"""Pods whose first Ready is remembered; with more, the ones that are gone and the oldest are not counted."""
COMPARED_PODS = 8
"""Stable pods that blocks and the noise floor look at: enough to estimate them, few enough to store."""


@dataclass(slots=True)
class Process:
    """One test: a ratio, one edge of a histogram, or a witness of a distribution."""

    bad: list[float] = field(default_factory=lambda: list(evidence.NOTHING_YET))
    ok: list[float] = field(default_factory=lambda: list(evidence.ONES))
    spread: Spread = field(default_factory=Spread)
    estimate: Estimate = field(default_factory=Estimate)
    canary: float = 0.0
    """Bad requests judged in this stage, as `stable`."""
    stable: float = 0.0
    phi: float = 1.0
    """The dispersion that the waiting interval is judged with, from data before it; `floor`: the noise floor."""
    floor: float = 1.0


class Window(NamedTuple):
    """One arm's counts in one interval: all requests, and for each process the bad ones."""

    n: float = 0.0
    bad: tuple[float, ...] = ()
    lenient: tuple[float, ...] = ()
    """The canary's bad ones for the test of promotion, where its cut is another one (native histograms)."""


NO_REQUESTS = Window()


@dataclass(slots=True)
class Metric:
    """All tests of one metric: they share the requests."""

    kind: str = ""
    """As intervals.Kind; empty until the first counts."""
    cuts: tuple[float, ...] = ()
    """A histogram's judged edges in seconds, or a native one's bucket indices."""
    schema: int = 0
    sketch: dict[float, float] = field(default_factory=dict)
    """Requests by bucket edge (or index) until the cuts are chosen."""
    processes: list[Process] = field(default_factory=list)
    witness: Witness = field(default_factory=Witness)
    canary: float = 0.0
    """Requests judged in this stage, as `stable`."""
    stable: float = 0.0
    waiting: Window = NO_REQUESTS
    """The canary's newest interval, judged when the next stable window is there."""
    before: Window = NO_REQUESTS
    """Stable in the interval before the waiting one; `beside`: in the waiting one."""
    beside: Window = NO_REQUESTS
    last_data: int | None = None
    """Tick of the last interval with judged requests of both arms in this stage."""
    block: dict[str, list[float]] = field(default_factory=dict)
    """The running block by stable pod: requests, then the bad ones of each process; `whole`: everything so far."""
    whole: dict[str, list[float]] = field(default_factory=dict)
    last: list[float] = field(default_factory=list)
    """Before the rollout, where an arm is counted as a whole: its previous interval."""
    late: bool = False
    """Ground truth, judged on a clock of its own."""


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
    late_judged: int = 0
    late_spent: float = 0.0
    """The same for late ground truth, which has a clock of its own."""
    last_data: int | None = None
    """Tick of the last interval with canary requests that were judged in this stage."""
    waiting: bool = False
    """The newest canary interval is settled and of this stage."""
    canary_seen: bool = False
    canary_pods: int = 1
    stable_pods: int = 0
    """Pods counted in the newest interval, 0 where arms are counted as a whole."""
    connections: float | None = None
    opened: float = 0.0
    """Connections opened to pods of both revisions, history included; `carried`: requests in the same intervals."""
    carried: float = 0.0
    seconds: float = 0.0
    """Length of the intervals in which `carried` were counted."""
    first_request_at: float | None = None
    metrics: dict[str, Metric] = field(default_factory=dict)
    split: Split = field(default_factory=Split)
    traffic: tuple[float, float, float] | None = None
    """Of the waiting interval: the canary's count, both arms' count, and the share it should have had."""
    block: int | None = None
    """First tick of the running block."""
    ready: dict[int, float] = field(default_factory=dict)
    """First Ready of each pod (epoch seconds), by the checksum of its name."""
    thresholds: dict[str, list[float]] = field(default_factory=dict)
    """Users' thresholds: what `thresholds.py` remembers of each."""
    acted: tuple[str, ...] = ()
    """Rules that acted on the interval that was judged last."""
    intervals: bool = True
    """Whether to keep what the intervals of the ratios need."""

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


_SMALL = ("tick", "stage", "judged", "stages_judged", "stage_judged", "spent", "late_judged", "late_spent", "last_data",
          "waiting", "canary_seen", "canary_pods", "stable_pods", "connections", "opened", "carried", "seconds",
          "first_request_at", "block", "thresholds", "intervals")  # fmt: skip


def dump(state: State) -> str:
    """The state as text: a few KiB, compressed, with a checksum."""
    data: dict[str, Any] = {name: getattr(state, name) for name in _SMALL}
    data["acted"] = list(state.acted)
    data["ready"] = [_pack("I", state.ready), _pack("d", state.ready.values())]
    split = state.split
    data["traffic"] = state.traffic
    data["split"] = [_pack("f", split.mixture), split.canary, split.total, split.expected, split.pooled]
    data["metrics"] = {name: _dump_metric(metric) for name, metric in state.metrics.items()}
    body = base64.b64encode(zlib.compress(json.dumps(data, separators=(",", ":")).encode(), 6)).decode()
    return f"{FORMAT}.{zlib.crc32(body.encode()):08x}.{body}"


def load(text: str) -> State:
    """The state from its text. Raises LostStateError when it is damaged or of another format."""
    version, _, rest = text.partition(".")
    check, _, body = rest.partition(".")
    if version != str(FORMAT) or check != f"{zlib.crc32(body.encode()):08x}":
        message = "the stored evidence is damaged or of another release"
        raise LostStateError(message)
    try:
        return _parse(json.loads(zlib.decompress(base64.b64decode(body, validate=True))))
    except (ValueError, KeyError, TypeError, StopIteration, struct.error, binascii.Error, zlib.error) as error:
        message = f"the stored evidence cannot be read: {error}"
        raise LostStateError(message) from error


def _parse(data: dict[str, Any]) -> State:
    state = State(**{name: data[name] for name in _SMALL})
    state.acted = tuple(data["acted"])
    names = [int(name) for name in _unpack("I", data["ready"][0])]
    state.ready = dict(zip(names, _unpack("d", data["ready"][1]), strict=True))
    state.traffic = tuple(data["traffic"]) if data["traffic"] else None
    packed, canary, total, expected, pooled = data["split"]
    state.split = Split(list(_unpack("f", packed)), canary, total, expected, tuple(pooled))
    state.metrics = {name: _load_metric(metric) for name, metric in data["metrics"].items()}
    return state


def _dump_metric(metric: Metric) -> dict[str, Any]:
    processes = metric.processes
    return {
        "kind": metric.kind,
        "cuts": list(metric.cuts),
        "schema": metric.schema,
        "sketch": list(metric.sketch.items()),
        "sums": [metric.canary, metric.stable, metric.last_data],
        "windows": [[w.n, *w.bad, *w.lenient] for w in (metric.waiting, metric.before, metric.beside)],
        "lenient": bool(metric.waiting.lenient),
        "block": metric.block,
        "whole": metric.whole,
        "last": metric.last,
        "late": metric.late,
        "witness": _dump_witness(metric.witness),
        "evidence": _pack("f", (value for p in processes for value in (*p.bad, *p.ok))),
        "processes": _pack("d", (value for p in processes for value in _numbers(p))),
        "curves": [[_dump_curve(curve) for curve in p.estimate.curves] for p in processes],
        "number": len(processes),
    }


def _load_metric(data: dict[str, Any]) -> Metric:
    evidences, numbers = _unpack("f", data["evidence"]), _unpack("d", data["processes"])
    processes = []
    for place in range(data["number"]):
        bad = [next(evidences) for _ in range(evidence.POINTS)]
        ok = [next(evidences) for _ in range(evidence.POINTS)]
        spread = Spread(*(next(numbers) for _ in range(4)))
        above, below, *rest = (next(numbers) for _ in range(6))
        curves = [_load_curve(curve) for curve in data["curves"][place]]
        processes.append(Process(bad, ok, spread, Estimate(above, below, curves), *rest))
    size = data["number"]
    waiting, before, beside = (_window(row, size) for row in data["windows"])
    canary, stable, last_data = data["sums"]
    return Metric(
        kind=data["kind"],
        cuts=tuple(data["cuts"]),
        schema=data["schema"],
        sketch=dict(data["sketch"]),
        processes=processes,
        witness=_load_witness(data["witness"]),
        canary=canary,
        stable=stable,
        waiting=waiting,
        before=before,
        beside=beside,
        last_data=last_data,
        block=data["block"],
        whole=data["whole"],
        last=data["last"],
        late=data["late"],
    )


def _window(numbers: list[float], size: int) -> Window:
    n, *rest = numbers
    return Window(n, tuple(rest[:size]), tuple(rest[size:])) if rest or n else NO_REQUESTS


def _numbers(p: Process) -> Iterator[float]:
    spread, estimate = p.spread, p.estimate
    yield from (spread.tick_chi, spread.tick_df, spread.block_chi, spread.block_df)
    yield from (estimate.above, estimate.below, p.canary, p.stable, p.phi, p.floor)


def _dump_curve(curve: Curve) -> str:
    return _pack("f", (curve.canary_bad, *(value for stage in curve.stages for value in stage)))


def _load_curve(packed: str) -> Curve:
    canary_bad, *rest = _unpack("f", packed)
    stages = [(rest[i], rest[i + 1], rest[i + 2]) for i in range(0, len(rest), 3)]
    return Curve(canary_bad, stages)


def _dump_witness(seen: Witness) -> list[Any]:
    waiting = [[number, _dump_tally(canary), _dump_tally(stable)] for number, canary, stable in seen.waiting]
    return [_dump_tally(seen.canary), _dump_tally(seen.stable), waiting]


def _load_witness(packed: list[Any]) -> Witness:
    canary, stable, waiting = packed
    pairs = [(number, _load_tally(first), _load_tally(second)) for number, first, second in waiting]
    return Witness(_load_tally(canary), _load_tally(stable), pairs)


def _dump_tally(tally: Mapping[int, float]) -> list[str]:
    return [_pack("I", tally), _pack("f", tally.values())]


def _load_tally(packed: list[str]) -> dict[int, float]:
    return dict(zip((int(key) for key in _unpack("I", packed[0])), _unpack("f", packed[1]), strict=True))


def _pack(kind: str, values: Iterable[float]) -> str:
    numbers = list(values)
    return base64.b64encode(struct.pack(f"<{len(numbers)}{kind}", *numbers)).decode()


def _unpack(kind: str, text: str) -> Iterator[float]:
    raw = base64.b64decode(text, validate=True)
    return iter(struct.unpack(f"<{len(raw) // struct.calcsize(kind)}{kind}", raw))
