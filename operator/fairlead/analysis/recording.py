"""Recorded intervals, as `fairlead replay` reads them: one JSON object for each metric and interval.

An optional header comes first, then lines in the order of their time `t` (seconds; up to 0: before the rollout):

    {"v": 1, "interval": 15, "source": "pod", "routing": "request", "maxConnectionAge": 20, "cumulative": false}
    {"t": 60, "metric": "error-rate", "kind": "ratio", "canary": {"n": 300, "k": 3}, "stable": {"n": 5700, "k": 21}}

docs/replay.md describes every field. Here lines become the engine's intervals, and wrong ones a sentence.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, Literal, NamedTuple, cast

from fairlead.analysis.counting import coarser
from fairlead.analysis.intervals import WHOLE, ZERO_BUCKET, Kind, MetricCounts

Record = Mapping[str, Any]
MOST_BUCKETS = 1000
MOST_NUMBER = 1e15
"""No count and no time is larger."""


class RecordError(ValueError):
    """A line cannot be read; `line` counts from 1."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}")
        self.line = line
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Header:
    """How the intervals were counted. Times are in seconds."""

    interval: float = 15.0
    source: Literal["pod", "router"] = "pod"
    routing: Literal["request", "connection"] = "request"
    max_connection_age: float = 20.0
    cumulative: bool = False


@dataclass(slots=True)
class Instant:
    """All that was recorded for one interval, which ends at `t`."""

    t: float
    line: int
    metrics: dict[str, MetricCounts] = field(default_factory=dict)
    late: list[tuple[float, str, MetricCounts]] = field(default_factory=list)
    """Ground truth: when it became known, of which metric, and the counts."""
    errors: dict[str, str] = field(default_factory=dict)
    weight: float | None = None
    opened: dict[str, float] = field(default_factory=dict)
    """Connections opened to `canary` and `stable`, where that was recorded."""
    acted: dict[str, None] = field(default_factory=dict)
    named: set[str] = field(default_factory=set)


def header(record: Any, line: int = 1) -> Header | None:
    """The header, if the record is one. Raises RecordError."""
    if not isinstance(record, Mapping) or "v" not in record:
        return None
    if record["v"] != 1:
        raise RecordError(line, f"the header's v is {record['v']!r}; this release reads v 1")
    known = {"v", "interval", "source", "routing", "maxConnectionAge", "cumulative"}
    if unknown := record.keys() - known:
        raise RecordError(line, f"the header has an unknown field {min(unknown)!r}; known: {', '.join(sorted(known))}")
    found = Header()
    source, routing = record.get("source", found.source), record.get("routing", found.routing)
    if source not in ("pod", "router"):
        raise RecordError(line, f"source is {source!r}; write pod or router")
    if routing not in ("request", "connection"):
        raise RecordError(line, f"routing is {routing!r}; write request or connection")
    cumulative = record.get("cumulative", False)
    if not isinstance(cumulative, bool):
        raise RecordError(line, f"cumulative is {cumulative!r}; write true or false")
    return Header(
        _positive(record, "interval", found.interval, line),
        source,
        routing,
        _positive(record, "maxConnectionAge", found.max_connection_age, line, least=0.0),
        cumulative,
    )


class _Form(NamedTuple):
    """How an arm's counts are to be read."""

    kind: Kind
    edges: tuple[float, ...]
    schema: int
    """The one that a native histogram is judged at; `finer`: the one that its arm was recorded at."""
    line: int
    finer: int


_NUMBERS = (int, float)


class Reader:
    """Turns records into instants. `warm_up` in seconds: what younger pods counted is left out."""

    def __init__(self, head: Header, warm_up: float, names: Callable[[str, Kind, int], bool]) -> None:
        self._head = head
        self._warm_up = warm_up
        self._wanted = names
        self._before: dict[tuple[str, str, str, int], Any] = {}
        self._now: dict[tuple[str, str, str, int], Any] = {}
        self._shapes: dict[str, tuple[Kind, tuple[float, ...] | int]] = {}

    def instants(self, records: Iterable[tuple[int, Record]]) -> Iterator[Instant]:
        """One instant after the other, each when the next one or the end comes. Raises RecordError."""
        current: Instant | None = None
        for line, record in records:
            t = _time(record, line)
            if current is not None and t < current.t:
                raise RecordError(line, f"t is {t:g} after {current.t:g}: lines must come in the order of their time")
            if current is None or t > current.t:
                if current is not None:
                    yield current
                current = Instant(t, line)
                self._before, self._now = self._now, {}
            self._read(record, line, current)
        if current is not None:
            yield current

    def _read(self, record: Record, line: int, into: Instant) -> None:
        name, kind = record.get("metric"), record.get("kind")
        if not isinstance(name, str) or not name:
            raise RecordError(line, "metric is missing; write its name, as error-rate")
        if "weight" in record:
            into.weight = _number(record["weight"], "weight", line)
            if into.weight > 100:  # noqa: PLR2004  per cent
                raise RecordError(line, f"weight is {into.weight:g}; it is a share in per cent, at most 100")
        if name in into.named:
            raise RecordError(line, f"{name} stands twice at t {into.t:g}")
        into.named.add(name)
        if "error" in record:
            into.errors[name] = str(record["error"])
            return
        if kind not in ("ratio", "histogram", "categorical"):
            raise RecordError(line, f"kind is {kind!r}; write ratio, histogram or categorical")
        if record.get("canary") is None and record.get("stable") is None:
            return
        counts = self._counts(record, name, kind, line, into)
        if not self._wanted(name, counts.kind, line):
            return
        if "labelled_at" in record:
            known = _number(record["labelled_at"], "labelled_at", line, least=-math.inf)
            into.late.append((max(known, into.t), name, counts))
        else:
            into.metrics[name] = counts

    def _counts(self, record: Record, name: str, kind: str, line: int, into: Instant) -> MetricCounts:
        canary, stable = record.get("canary"), record.get("stable")
        if kind == "ratio" and not self._head.cumulative and self._shapes.get(name, _RATIO) == _RATIO:
            # The usual case, shortly: simulations read millions of these.
            first, second = _plain(canary), _plain(stable)
            if first is not None and second is not None:
                self._shapes[name] = _RATIO
                return MetricCounts(first, second)
        edges: tuple[float, ...] = ()
        schema, shape = 0, cast("Kind", kind)
        if kind == "histogram":
            if "edges" in record:
                edges = _edges(record["edges"], line)
            elif schemas := _schemas((record, canary, stable), line):
                shape, schema = "native", min(schemas)
            else:
                raise RecordError(line, "a histogram needs edges and counts, or schema, zero and buckets")
        seen = self._shapes.setdefault(name, (shape, edges))
        if seen[0] != shape or (shape == "histogram" and edges and seen[1] != edges):
            raise RecordError(line, f"{name} was recorded with another kind or other edges before")
        form = _Form(shape, edges, schema, line, record.get("schema", schema))
        arms = [self._arm(arm, (name, side), form, into) for side, arm in (("canary", canary), ("stable", stable))]
        return MetricCounts(arms[0], arms[1], shape, edges, schema)

    def _arm(self, arm: Any, key: tuple[str, str], form: _Form, into: Instant) -> dict[str, Any]:
        """One arm's counts by pod; pods that are still warming up are left out."""
        line, side = form.line, key[1]
        if arm is None:
            return {}
        if not isinstance(arm, Mapping):
            raise RecordError(line, f"{side} is {arm!r}; write an object, or null for no data")
        if "connections" in arm:
            opened = _number(arm["connections"], f"{side}.connections", line)
            into.opened[side] = max(opened, into.opened.get(side, 0.0))  # each metric's line may repeat it
        form = form._replace(finer=arm.get("schema", form.finer))
        pods = arm.get("pods", {WHOLE: arm})
        if not isinstance(pods, Mapping):
            raise RecordError(line, f"{side}.pods is {pods!r}; write an object with one entry a pod")
        out = {}
        for pod, own in pods.items():
            where = side if pod == WHOLE else f"{side}.pods.{pod}"
            if not isinstance(own, Mapping):
                raise RecordError(line, f"{where} is {own!r}; write an object")
            cells = self._increment((*key, pod, form.schema), _cells(own, form, where), into)
            if self._young(own, where, line):
                into.acted["warm-up"] = None
            elif cells is not None:
                out[pod] = cells
        return out

    def _young(self, pod: Record, where: str, line: int) -> bool:
        """Whether a pod was still warming up when the interval began."""
        age = pod.get("age")
        return age is not None and _number(age, f"{where}.age", line) - self._head.interval < self._warm_up

    def _increment(self, key: tuple[str, str, str, int], cells: Any, into: Instant) -> Any:
        """What was counted since the last instant; None where that is not known."""
        if not self._head.cumulative:
            return cells
        before = self._before.get(key)
        self._now[key] = cells
        if before is None:
            return None
        if isinstance(cells, tuple):
            if len(before) == len(cells) and all(map(_at_least, cells, before)):
                return tuple(map(float.__sub__, cells, before))
        elif all(cells.get(label, -1.0) >= value for label, value in before.items()):
            return {label: value - before.get(label, 0.0) for label, value in cells.items()}
        into.acted["counter-reset"] = None
        return cells


_RATIO: tuple[Kind, tuple[float, ...]] = ("ratio", ())


def _plain(arm: Any) -> dict[str, tuple[float, float]] | None:
    """An arm counted as a whole and without a flaw; None for all others."""
    if type(arm) is not dict or len(arm) != 2:  # noqa: PLR2004  n and k
        return None
    n, k = arm.get("n"), arm.get("k")
    if (type(n) is int or type(n) is float) and (type(k) is int or type(k) is float) and 0 <= k <= n <= MOST_NUMBER:
        return {WHOLE: (float(n), float(k))}
    return None


def _at_least(now: float, before: float) -> bool:
    return now >= before


def _cells(arm: Record, form: _Form, where: str) -> Any:
    kind, edges, schema, line, finer = form
    if kind == "ratio":
        n, k = _number(arm.get("n"), f"{where}.n", line), _number(arm.get("k"), f"{where}.k", line)
        if k > n:
            raise RecordError(line, f"{where}: {k:g} of {n:g} cannot be")
        return n, k
    if kind == "native":
        return coarser(_native(arm, where, line), arm.get("schema", finer), schema)
    counts = arm.get("counts")
    if kind == "categorical":
        if not isinstance(counts, Mapping):
            raise RecordError(line, f"{where}.counts is {counts!r}; write an object with one count a class")
        return {str(name): _number(count, f"{where}.counts.{name}", line) for name, count in counts.items()}
    if not isinstance(counts, list) or len(counts) != len(edges) + 1:
        wanted = f"{len(edges) + 1} counts: one a bucket, the last above the last edge"
        raise RecordError(line, f"{where}.counts must be a list of {wanted}")
    if not all(type(count) in _NUMBERS and 0 <= count <= MOST_NUMBER for count in counts):
        for count in counts:
            _number(count, f"{where}.counts", line)
    return tuple(accumulate(map(float, reversed(counts))))[::-1]


def _native(arm: Record, where: str, line: int) -> dict[int, float]:
    buckets = arm.get("buckets")
    if not isinstance(buckets, Mapping) or len(buckets) > MOST_BUCKETS:
        raise RecordError(
            line, f"{where}.buckets must be an object with a count for each of at most {MOST_BUCKETS} buckets"
        )
    out = {ZERO_BUCKET: _number(arm.get("zero", 0), f"{where}.zero", line)}
    for index, count in buckets.items():
        try:
            out[int(index)] = _number(count, f"{where}.buckets.{index}", line)
        except ValueError as error:
            if isinstance(error, RecordError):
                raise
            raise RecordError(line, f"{where}.buckets has the index {index!r}; write a whole number") from error
    return out


def _schemas(parts: Iterable[Any], line: int) -> list[int]:
    """All schemas that a record, its arms and their pods name: finer ones are merged down to the coarsest."""
    found: list[int] = []
    for part in parts:
        if isinstance(part, Mapping):
            found += [part["schema"]] if "schema" in part else []
            pods = part.get("pods")
            found += _schemas(pods.values(), line) if isinstance(pods, Mapping) else []
    for schema in found:
        if type(schema) is not int or not -4 <= schema <= 8:  # noqa: PLR2004  what Prometheus knows
            raise RecordError(line, f"schema is {schema!r}; write a whole number from -4 to 8")
    return found


def _edges(given: Any, line: int) -> tuple[float, ...]:
    if not isinstance(given, list) or not given:
        raise RecordError(line, "edges must be a list of seconds")
    edges = tuple(_number(edge, "edges", line) for edge in given)
    if list(edges) != sorted(set(edges)):
        raise RecordError(line, "edges must ascend")
    return edges


def _time(record: Any, line: int) -> float:
    if not isinstance(record, Mapping):
        raise RecordError(line, f"{record!r} is no JSON object")
    if "t" not in record:
        what = "the header must be the first line" if "v" in record else "t is missing: the interval's end in seconds"
        raise RecordError(line, what)
    return _number(record["t"], "t", line, least=-math.inf)


def _positive(record: Record, name: str, default: float, line: int, least: float = 1e-3) -> float:
    return _number(record.get(name, default), name, line, least=least)


def _number(value: Any, name: str, line: int, least: float = 0.0) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RecordError(line, f"{name} is {'missing' if value is None else repr(value)}; write a number")
    if not max(least, -MOST_NUMBER) <= value <= MOST_NUMBER:
        from_zero = "from 0 " if least == 0 else ""
        raise RecordError(line, f"{name} is {str(value)[:20]}; it must be a number {from_zero}to {MOST_NUMBER:g}")
    return float(value)
