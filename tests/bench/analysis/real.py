"""Real models and real traffic: predictions on scikit-learn's data sets, and series of numenta/NAB.

Requests are drawn from the test half of a data set, so an arm's classes and mistakes in an interval follow from how
the real model answers that half.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import datasets
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fairlead.analysis.replay import replay
from tests.bench.analysis.cells import Cell
from tests.bench.analysis.gates import ALPHA
from tests.bench.analysis.generate import CLASSIC, cell_shares
from tests.bench.analysis.summary import most

Floats = NDArray[np.float64]

SEED = 7
RATE, TICK, HISTORY, JUDGED = 100.0, 60.0, 10, 25
WEIGHT = 20
"""Share of the canary in per cent, throughout."""
LABELLED_AFTER = 180.0
"""Seconds until it is known which answers were wrong."""
ERRORS, REFUSED = 0.002, 0.001
REQUESTS = 50
"""Requests a minute for one of NAB's."""
OUTAGES = 30.0
"""How steeply errors follow NAB's latency: its failures then become outages."""
LATENCY_SERIES = "data/realKnownCause/ec2_request_latency_system_failure.csv"
COUNT_SERIES = "data/realAWSCloudwatch/elb_request_count_8c0756.csv"


LATENCY = cell_shares(Cell("", "", "quiet", kind="histogram"))[0]


@dataclass(frozen=True)
class Answers:
    """How a model answers the test half: share of each class, and share of wrong answers."""

    classes: Floats
    wrong: float


def judge(runs: int, nab: Path | None) -> tuple[list[str], list[str]]:
    """Judge each pair `runs` times: a table's rows, and a sentence for each equal pair that is stopped too often."""
    rows = ["| | wrong, stable | wrong, canary | classes apart | ends |", "|---|---|---|---|---|"]
    failures: list[str] = []
    for name, (stable, canary, equal) in pairs().items():
        apart = f"{abs(stable.classes - canary.classes).sum() / 2:.3f}"
        told = f"{name} | {100 * stable.wrong:.1f} % | {100 * canary.wrong:.1f} % | {apart}"
        ends = [ended(predictions(stable, canary, seed)) for seed in range(SEED, SEED + runs)]
        _tell(told, ends, (rows, failures), equal=equal)
    if nab is None:
        return rows, failures
    for factor in (1.0, 2.0):
        ends = [ended(envelope(nab, factor, seed)) for seed in range(SEED, SEED + runs)]
        _tell(f"NAB's series, errors ×{factor:g} | | | ", ends, (rows, failures), equal=factor == 1.0)
    return rows, failures


def _tell(name: str, ends: list[tuple[str, float]], into: tuple[list[str], list[str]], *, equal: bool) -> None:
    """Add a row: how often it ended how, with the median minute; and a sentence if equal arms stopped too often."""
    times: defaultdict[str, list[float]] = defaultdict(list)
    for what, t in ends:
        times[what].append(t / TICK)
    parts = [f"{what} {len(own)} of {len(ends)}, minute {np.median(own):g}" for what, own in sorted(times.items())]
    into[0].append(f"| {name} | {'; '.join(parts)} |")
    stopped = len(ends) - len(times.get("Promote", ())) - len(times.get("undecided", ()))
    if equal and stopped > most(len(ends), ALPHA):
        into[1].append(f"{name}: {stopped} of {len(ends)} stopped")


def pairs() -> dict[str, tuple[Answers, Answers, bool]]:
    """Stable and canary by name, and whether the canary is as good as stable."""
    out: dict[str, tuple[Answers, Answers, bool]] = {}
    for name, load in (("digits", datasets.load_digits), ("breast cancer", datasets.load_breast_cancer)):
        x, y = load(return_X_y=True)
        order = np.random.default_rng(SEED).permutation(len(y))
        train, test = order[: len(y) // 2], order[len(y) // 2 :]
        first = _fit(x[train], y[train])
        stable = _answers(first, x[test], y[test])
        out[f"{name}: the same model"] = stable, stable, True
        for bug, change in BUGS.items():
            out[f"{name}: {bug}"] = stable, _answers(first, change(x[test]), y[test]), False
        again = np.random.default_rng(SEED + 1).choice(train, len(train))
        out[f"{name}: trained on other rows"] = stable, _answers(_fit(x[again], y[again]), x[test], y[test]), False
        kept = train[y[train] != y.max()] if len(set(y)) > 2 else train[: len(train) // 20]
        missing = _fit(x[kept], y[kept])
        word = "one class was never trained" if len(set(y)) > 2 else "a twentieth of the training data"
        out[f"{name}: {word}"] = stable, _answers(missing, x[test], y[test]), False
    return out


BUGS: dict[str, Callable[[Floats], Floats]] = {
    "features in reverse order": lambda x: x[:, ::-1],
    "features scaled twice": lambda x: x / 2,
    "a quarter of the features is 0": lambda x: x * (np.arange(x.shape[1]) >= x.shape[1] // 4),
}


def _fit(x: Floats, y: NDArray[np.int64]) -> Any:
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)).fit(x, y)


def _answers(model: Any, x: Floats, y: NDArray[np.int64]) -> Answers:
    answered = model.predict(x)
    return Answers(np.bincount(answered, minlength=int(y.max()) + 1) / len(y), float((answered != y).mean()))


def ended(lines: Iterator[dict[str, Any]]) -> tuple[str, float]:
    """How the rollout ended, by default settings: promoted, rolled back, or held until the lines end; and when."""
    how = {"spec": {"rollout": {"canary": {"steps": [{"setWeight": WEIGHT}, {"analysis": {}}]}}}}
    held: tuple[str, float] | None = None
    for verdict in replay(lines, how, intervals=False):
        culprit = f" over {verdict['culprit']}" if verdict["culprit"] else ""
        if verdict["verdict"] in ("Promote", "Rollback"):
            return f"{verdict['verdict']}{culprit}", verdict["t"]
        if verdict["verdict"] == "Inconclusive" and culprit:
            held = held or (f"held{culprit}", verdict["t"])
    return held or ("undecided", JUDGED * TICK)


HEADER = {"v": 1, "interval": TICK, "source": "router", "routing": "request", "cumulative": False}


def predictions(stable: Answers, canary: Answers, seed: int) -> Iterator[dict[str, Any]]:
    """A rollout in which both arms answer requests drawn from the test half, and are alike in all else."""
    random = np.random.default_rng(seed)
    yield HEADER
    for i in range(JUDGED):
        n_c = int(random.binomial(round(RATE * TICK), WEIGHT / 100))
        arms = {"stable": (stable, round(RATE * TICK) - n_c), "canary": (canary, n_c)}
        at = {"t": (i + 1) * TICK, "weight": WEIGHT}
        for name, share in (("error-rate", ERRORS), ("client-error-rate", REFUSED)):
            yield at | {"metric": name, "kind": "ratio"} | {a: _ratio(random, n, share) for a, (_, n) in arms.items()}
        slow = {arm: {"counts": random.multinomial(n, LATENCY).tolist()} for arm, (_, n) in arms.items()}
        yield at | {"metric": "latency", "kind": "histogram", "edges": CLASSIC.tolist()} | slow
        classes = {arm: {"counts": _classes(random, own, n)} for arm, (own, n) in arms.items()}
        yield at | {"metric": "prediction-distribution", "kind": "categorical"} | classes
        wrong = {arm: _ratio(random, n, own.wrong) for arm, (own, n) in arms.items()}
        yield at | {"metric": "accuracy", "kind": "ratio", "labelled_at": at["t"] + LABELLED_AFTER} | wrong


def _ratio(random: np.random.Generator, n: int, share: float) -> dict[str, int]:
    return {"n": n, "k": int(random.binomial(n, share))}


def _classes(random: np.random.Generator, answers: Answers, n: int) -> dict[str, int]:
    return {str(i): int(count) for i, count in enumerate(random.multinomial(n, answers.classes))}


def envelope(nab: Path, factor: float, seed: int) -> Iterator[dict[str, Any]]:
    """A rollout somewhere in NAB's series: its request counts, and errors that follow its latency in both arms."""
    counts, slowness = (_series(nab / name) for name in (COUNT_SERIES, LATENCY_SERIES))
    random = np.random.default_rng(seed)
    start_n, start_p = (int(random.integers(0, len(own) - JUDGED)) for own in (counts, slowness))
    usual = float(np.median(slowness))
    yield HEADER
    for i in range(JUDGED):
        share = min(0.4, 0.01 * float(np.exp(abs(slowness[start_p + i] / usual - 1) * OUTAGES)))
        requests = round(REQUESTS * counts[start_n + i])
        n_c = int(random.binomial(requests, WEIGHT / 100))
        line: dict[str, Any] = {"t": (i + 1) * TICK, "metric": "error-rate", "kind": "ratio", "weight": WEIGHT}
        line["stable"] = _ratio(random, requests - n_c, share)
        yield line | {"canary": _ratio(random, n_c, factor * share)}


def _series(path: Path) -> Floats:
    with path.open() as file:
        return np.array([float(row["value"]) for row in csv.DictReader(file)])
