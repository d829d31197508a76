"""Recordings and rollouts to replay: intervals of 15 s, errors only, unless told otherwise."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fairlead.analysis.replay import replay

Line = Mapping[str, Any]
Arm = Sequence[float] | Mapping[str, Any] | None

POD: Line = {"v": 1, "interval": 15}
ROUTER: Line = {"v": 1, "interval": 15, "source": "router"}
ANALYSIS: Line = {"analysis": {}}
failing = (300, 40), (1200, 12)


def weight(share: int) -> Line:
    return {"setWeight": share}


def pause(duration: str) -> Line:
    return {"pause": {"duration": duration}}


def rollout(steps: Sequence[Line] | None = None, **analysis: Any) -> dict[str, Any]:
    """A document with these steps; 20 % and an analysis when none are given."""
    how = {"metrics": [{"name": "error-rate"}], **analysis}
    wanted = [weight(20), ANALYSIS] if steps is None else steps
    return {"spec": {"rollout": {"canary": {"steps": list(wanted)}, "analysis": how}}}


def ratio(t: float, canary: Arm, stable: Arm, **more: Any) -> dict[str, Any]:
    """One interval of the error ratio: requests and errors of each arm."""
    first, second = (
        dict(arm) if isinstance(arm, Mapping) else arm and {"n": arm[0], "k": arm[1]} for arm in (canary, stable)
    )
    return {"t": t, "metric": "error-rate", "kind": "ratio", "canary": first, "stable": second, **more}


def classes(t: float, canary: Line, stable: Line, name: str = "input-distribution") -> dict[str, Any]:
    """One interval of a distribution."""
    arms = {"canary": {"counts": canary}, "stable": {"counts": stable}}
    return {"t": t, "metric": name, "kind": "categorical", **arms}


def pods(cells: Sequence[tuple[float, float]], **more: Any) -> dict[str, Any]:
    """An arm counted pod by pod."""
    return {"pods": {f"p{i}": {"n": n, "k": k, **more} for i, (n, k) in enumerate(cells)}}


def lines(count: int, canary: Arm, stable: Arm, start: int = 1) -> list[dict[str, Any]]:
    """The same interval several times."""
    return [ratio(15.0 * i, canary, stable) for i in range(start, start + count)]


def alike(bad: int) -> tuple[Arm, Arm]:
    """300 requests of the canary's with so many errors, and four times as many of both on stable."""
    return (300, bad), (1200, 4 * bad)


def equal(total: int) -> tuple[Arm, Arm]:
    """A fifth of so many requests on the canary, one in a thousand bad on both."""
    return (total / 5, total // 5000), (total * 4 / 5, total * 4 // 5000)


def shares(*parts: tuple[int, int], total: int = 1500, told: bool = True, rate: float = 0.01) -> list[dict[str, Any]]:
    """So many intervals at such a share each, in per cent; the lines tell the share or not."""
    out: list[dict[str, Any]] = []
    for count, share in parts:
        canary = total * share / 100
        for _ in range(count):
            more = {"weight": share} if told else {}
            arms = [(n, round(n * rate)) for n in (canary, total - canary)]
            out.append(ratio(15.0 * (len(out) + 1), arms[0], arms[1], **more))
    return out


def run(records: Iterable[Line], document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """All verdicts on a recording."""
    return list(replay(records, document))


def verdicts(found: Iterable[Line]) -> list[str]:
    return [one["verdict"] for one in found]
