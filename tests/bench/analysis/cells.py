"""The cells of the benchmark: which traffic is judged, by which margins, and what must come out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

Kind = Literal["ratio", "histogram", "native", "categorical"]
Goal = Literal["quiet", "detect", "prove", "unproven"]

STRICT = (1.0, 0.0)
TOLERANT = (1.1, 0.0005)
PROMOTION = (1.5, 0.002)
COLD = 10.0
PROVING = 20
"""Per cent for the canary in the cells about promotion, throughout."""
SHARES = ((5, 300.0), (10, 300.0), (20, 300.0), (50, 300.0))
"""Per cent for the canary, and for how many seconds."""


@dataclass(frozen=True)
class Cell:
    """One kind of rollout, simulated many times.

    `goal` says what is counted: `quiet` cells must not be rolled back, `detect` ones should, `prove` ones should be
    promoted as proven and `unproven` ones must not.
    """

    name: str
    table: str
    goal: Goal
    kind: Kind = "ratio"
    rate: float = 100.0
    """Requests a second over both arms."""
    base: float = 0.01
    """Stable's share of errors."""
    worse: float = 1.0
    """Factor on it for the canary; for latency on the tail above p90."""
    more: float = 0.0
    """Added to the canary's share of errors."""
    tail: float = 1.0
    """Factor on the canary's latency above p99."""
    shift: float = 0.0
    """Population stability index by which the canary's predictions differ."""
    margin: tuple[float, float] = STRICT
    tolerance: float = 0.0
    limit: float = 0.0
    """Share of errors midway between what stable has and what the regression has: the best possible threshold."""
    tick: float = 60.0
    onset: int = 0
    """Number of intervals before the canary becomes worse."""
    shocks: bool = False
    """The baseline drifts, and there is an outage of both arms."""
    burst: float = 1.0
    """Mean size of clusters of errors on one pod."""
    offset: float = 0.0
    """Seconds by which the canary is scraped later than stable."""
    spread: float = 0.0
    """Standard deviation of the logarithm of the pods' own error shares."""
    pods: int = 0
    """Stable pods; none: counted at the router."""
    cold: float = 0.0
    """Seconds in which a new canary pod fails COLD times as often."""
    clients: int = 0
    """Connections, each to one pod for up to 20 s, of clients with error shares of their own."""
    length: float = 1200.0

    @property
    def aligned(self) -> bool:
        """Both arms are counted at the router at the same instants."""
        return not self.pods


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _pairs(cell: Cell, name: str, rate: float, worse: float) -> list[Cell]:
    """The same cell with equal arms, without and with tolerance, and with a worse canary."""
    at, limit = f"{name} @{rate:g}", cell.base * (1 + worse) / 2
    cell = replace(cell, limit=limit)
    quiet = replace(cell, name=at, goal="quiet", rate=rate)
    table = cell.table
    return [
        replace(quiet, table=f"{table} A/A"),
        replace(quiet, table=f"{table} A/A, tolerant", margin=TOLERANT),
        replace(cell, name=f"{name} ×{worse:g} @{rate:g}", table=f"{table} regressions", rate=rate, worse=worse),
    ]


def errors() -> list[Cell]:
    """Tables 1 and 2: error ratios."""
    out: list[Cell] = []
    for base, worse in ((0.001, 5.0), (0.01, 2.0), (0.05, 1.2)):
        for rate in (10.0, 100.0, 1000.0):
            out += _pairs(Cell("", "errors", "detect", base=base), _percent(base), rate, worse)
    return out


def ticks() -> list[Cell]:
    """The regressions of table 2 at ticks of 15 s, and equal arms beside them."""
    cell = Cell("", "errors at 15 s", "detect", tick=15.0)
    out: list[Cell] = []
    for base, worse, rate in ((0.001, 5.0, 100.0), (0.001, 5.0, 1000.0), (0.01, 2.0, 100.0), (0.01, 2.0, 1000.0)):
        pair = _pairs(replace(cell, base=base), _percent(base), rate, worse)
        out += [pair[0], pair[2]]
    return out


def latency() -> list[Cell]:
    """Table 3: classic and native buckets."""
    out: list[Cell] = []
    kinds: tuple[Kind, ...] = ("histogram", "native")
    for kind in kinds:
        cell = Cell("", "latency", "detect", kind=kind)
        name = "classic" if kind == "histogram" else kind
        for rate in (10.0, 100.0, 1000.0):
            out += _pairs(cell, name, rate, 1.2)
            out.append(_pairs(cell, name, rate, 1.5)[2])
    return out


def predictions() -> list[Cell]:
    """Table 4: the distribution of classes."""
    out: list[Cell] = []
    cell = Cell("", "predictions", "detect", kind="categorical")
    for rate in (10.0, 100.0, 1000.0):
        for tolerance in (0.0, 0.05):
            name = f"τ={tolerance:g} @{rate:g}"
            own = replace(cell, rate=rate, tolerance=tolerance)
            out.append(replace(own, name=f"A/A {name}", table="predictions A/A", goal="quiet"))
            out += [
                replace(own, name=f"PSI {shift:g} {name}", table="predictions regressions", shift=shift)
                for shift in (0.1, 0.25)
            ]
    return out


def stress() -> list[Cell]:
    """Table 5: what breaks tests on counts."""
    quiet = Cell("", "stress A/A", "quiet")
    found = Cell("", "stress regressions", "detect")
    out = [replace(quiet, name=f"common shocks @{rate:g}", rate=rate, shocks=True) for rate in (10.0, 100.0, 1000.0)]
    out += [
        replace(found, name=f"common shocks ×2 @{rate:g}", rate=rate, shocks=True, worse=2.0)
        for rate in (100.0, 1000.0)
    ]
    for base in (0.001, 0.005, 0.01, 0.02, 0.05):
        border = replace(quiet, base=base, worse=TOLERANT[0], more=TOLERANT[1], margin=TOLERANT)
        out += [
            replace(border, name=f"at the margin {_percent(base)} @{rate:g}", rate=rate)
            for rate in (10.0, 100.0, 1000.0)
        ]
    for mean, phi in ((3.0, 5), (10.0, 19)):
        bursty: dict[str, Any] = {"burst": mean, "pods": 3}
        out.append(replace(quiet, name=f"bursts, φ={phi} @100", **bursty))
        out.append(replace(found, name=f"bursts, φ={phi}, ×2 @100", worse=2.0, **bursty))
    for offset in (5.0, 10.0):
        for rate in (100.0, 1000.0):
            late: dict[str, Any] = {"offset": offset, "rate": rate, "tick": 15.0, "pods": 3, "shocks": True}
            out.append(replace(quiet, name=f"scraped {offset:g} s apart @{rate:g}", **late))
    out.append(replace(found, name="scraped 5 s apart, ×2 @100", worse=2.0, offset=5.0, tick=15.0, pods=3))
    for pods in (3, 8):
        for spread in (0.1, 0.3):
            uneven: dict[str, Any] = {"pods": pods, "spread": spread, "rate": 1000.0, "margin": TOLERANT}
            out.append(replace(quiet, name=f"{pods} stable pods, σ={spread:g} @1000", **uneven))
        out.append(replace(found, name=f"{pods} stable pods, σ=0.1, ×2 @1000", worse=2.0, **uneven | {"spread": 0.1}))
    out.append(replace(found, name="×2 from minute 11 @100", worse=2.0, onset=10))
    out.append(replace(quiet, name="cold for 45 s @100", cold=45.0, tick=15.0, pods=3))
    for margin, word in ((STRICT, "strict"), (TOLERANT, "tolerant")):
        wired: dict[str, Any] = {"clients": 16, "pods": 3, "tick": 15.0, "margin": margin}
        out.append(replace(quiet, name=f"16 connections, {word} @100", **wired))
        out.append(replace(found, name=f"16 connections, ×5, {word} @100", worse=5.0, **wired))
    return out


def promotion() -> list[Cell]:
    """Promotion before the time is over."""
    healthy = Cell("", "promotion, healthy", "prove", margin=TOLERANT)
    harmful = Cell("", "promotion, harmful", "unproven", margin=TOLERANT)
    out = [
        replace(healthy, name=f"errors {_percent(base)} @{rate:g}", base=base, rate=rate)
        for base in (0.001, 0.01)
        for rate in (10.0, 100.0, 1000.0)
    ]
    out += [replace(healthy, name=f"latency @{rate:g}", kind="histogram", rate=rate) for rate in (100.0, 1000.0)]
    edge: dict[str, Any] = {"worse": PROMOTION[0], "more": PROMOTION[1]}
    out += [
        replace(harmful, name=f"errors {_percent(base)} at the margin @{rate:g}", base=base, rate=rate, **edge)
        for base in (0.001, 0.01)
        for rate in (10.0, 100.0, 1000.0)
    ]
    out += [replace(harmful, name=f"errors 1 % ×2 @{rate:g}", worse=2.0, rate=rate) for rate in (10.0, 100.0, 1000.0)]
    kinds: tuple[Kind, ...] = ("histogram", "native")
    out += [
        replace(harmful, name=f"5× tail above p99, {kind} @{rate:g}", kind=kind, tail=5.0, rate=rate)
        for kind in kinds
        for rate in (10.0, 100.0, 1000.0)
    ]
    return out


def every() -> list[Cell]:
    """All cells, table by table."""
    return [*errors(), *ticks(), *latency(), *predictions(), *stress(), *promotion()]
