"""The tables of docs/bench-serving.md, from results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.bench.serving.cells import FIRST, MORE, STEADY_RATE
from tests.bench.serving.store import Store
from tests.peers import Peer

LIMIT_MODELS = {
    "rf": "random forest",
    "gb": "gradient boosting",
    "mlp": "neural net",
    "centroid": "not convertible",
    "busy": "not batchable",
}
ALL = (FIRST[0], MORE[0], FIRST[1], MORE[1])
DISTURBED = "*"


@dataclass(frozen=True)
class Goal:
    """How many times as fast as a peer we are to be."""

    peer: str
    kind: str
    alone: float | None
    """Over 1 connection."""
    many: float
    """Over 32."""


GOALS = (
    Goal("mlserver", "http", 4, 30),
    Goal("kserve", "http", 4, 35),
    Goal("bentoml", "http", 8, 80),
    Goal("litserve", "http", 5, 45),
    Goal("fastapi", "http", 2, 15),
    Goal("triton", "http", 1.5, 5),
    Goal("triton", "grpc", None, 5),
)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown; all columns but the first are numbers."""
    lines = [list(head), ["---", *("---:" for _ in head[1:])], *map(list, rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def number(value: float | None, digits: int = 0) -> str:
    """A number as the tables have it; a dash where there is none."""
    return "–" if value is None else f"{value:,.{digits}f}"


def latency(value: float | None) -> str:
    """Milliseconds to two or three digits."""
    return number(value, 0 if (value or 0) >= 10 else 1 if (value or 0) >= 1 else 2)


def rate(store: Store, kind: str, model: str, server: str, connections: int) -> str:
    """Requests a second, marked where others disturbed."""
    prefix = f"{kind}/{model}/{server}/{connections}"
    if any("failed" in result for result in store.of(prefix)):
        return "failed"
    return number(store.median(prefix, "rate")) + DISTURBED * store.busy(prefix)


def both(store: Store, prefix: str) -> str:
    """The 50th and the 99th percentile."""
    return f"{latency(store.median(prefix, 'p50'))} / {latency(store.median(prefix, 'p99'))}"


def speed(store: Store, peers: Mapping[str, Peer], kind: str) -> str:
    """Requests a second and latencies of the first model."""
    rows = []
    for name, peer in peers.items():
        if not store.of(f"{kind}/lr/{name}/{FIRST[0]}"):
            continue
        rates = [rate(store, kind, "lr", name, count) for count in ALL]
        rows.append([peer.title, *rates, *(both(store, f"{kind}/lr/{name}/{count}") for count in ALL)])
    head = ["server", *(f"{count}" for count in ALL), *(f"ms at {count}" for count in ALL)]
    return table(head, rows)


def resources(store: Store, peers: Mapping[str, Peer], versions: Mapping[str, str]) -> str:
    """Memory, cold start, and CPU time at a low load."""
    rows = []
    for name, peer in peers.items():
        loaded, steady = f"http/lr/{name}/{FIRST[1]}", f"steady/lr/{name}/10"
        if not store.of(steady):
            continue
        reached, share = store.median(steady, "rate"), store.median(steady, "cpu")
        row = [peer.title, versions.get(name, "this tree")]
        row += [number(store.median(loaded, field)) for field in ("pss", "rss")]
        row += [number(store.median(f"cold/lr/{name}", "seconds"), 2), number(share and 100 * share), number(reached)]
        rows.append(row)
    head = ["server", "version", "PSS MB", "RSS MB", "cold start s", f"CPU % at {STEADY_RATE:g}/s", "reached"]
    return table(head, rows)


def models(store: Store, peers: Mapping[str, Peer]) -> str:
    """Requests a second of the other models."""
    head = ["server", *(f"{title}, {count}" for title in LIMIT_MODELS.values() for count in FIRST)]
    rows = []
    for name, peer in peers.items():
        cells = [rate(store, "http", model, name, count) for model in LIMIT_MODELS for count in FIRST]
        if any(cell != "–" for cell in cells):
            rows.append([peer.title, *cells])
    return table(head, rows)


def ratio(store: Store, kind: str, peer: str, connections: int) -> float | None:
    """How many times as many requests a second ours answers."""
    ours = store.median(f"{kind}/lr/fairlead/{connections}", "rate")
    theirs = store.median(f"{kind}/lr/{peer}/{connections}", "rate")
    return ours / theirs if ours and theirs else None


def goals(store: Store, peers: Mapping[str, Peer]) -> str:
    """The ratios that are asked for."""
    rows = []
    for goal in GOALS:
        if goal.peer not in peers:
            continue
        title = f"{peers[goal.peer].title}{', gRPC' * (goal.kind == 'grpc')}"
        row = [title]
        for connections, asked in zip(FIRST, (goal.alone, goal.many), strict=True):
            found = ratio(store, goal.kind, goal.peer, connections)
            row += [number(found, 1), "–" if asked is None else f"{asked:g}", verdict(found, asked)]
        rows.append(row)
    head = ["ours against", *(f"{word} {count}" for count in FIRST for word in ("times at", "asked at", "met at"))]
    return table(head, rows)


def verdict(found: float | None, asked: float | None, *, below: bool = False) -> str:
    """Whether a bar is reached."""
    if found is None or asked is None:
        return "–"
    return "yes" if (found <= asked if below else found >= asked) else "**no**"


def bars(store: Store) -> str:
    """The other bars."""
    one, two = (store.median(f"workers/busy/{name}", "rate") for name in ("fairlead-one", "fairlead-two"))
    lean = f"http/lr/fairlead-lean/{FIRST[1]}"
    echo = ratio(store, "http", "echo", FIRST[1])
    rows = [
        ("share of the limit's requests, 32 connections, %", echo and 100 * echo, 45.0, False, 0),
        ("two workers against one, not batchable, two cores, times", one and two and two / one, 1.8, False, 2),
        (
            "ONNX model, process start to first answer, s",
            store.median("cold/lr/fairlead-onnx", "seconds"),
            0.5,
            True,
            2,
        ),
        ("the same with the lean image, s", store.median("cold/lr/fairlead-lean", "seconds"), 0.5, True, 2),
        ("lean image, resident under load, MB", store.median(lean, "rss"), 90.0, True, 0),
    ]
    filled = [
        [name, number(found, digits), f"{'≤' if below else '≥'} {asked:g}", verdict(found, asked, below=below)]
        for name, found, asked, below, digits in rows
    ]
    return table(["", "found", "asked", "met"], filled)
