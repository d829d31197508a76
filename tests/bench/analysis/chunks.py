"""Runs all cells in chunks on a few processes; what was run before with the same code is taken from a folder."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from tests.bench.analysis import compare, judge
from tests.bench.analysis.cells import Cell

SEED = 20_260_101
CHUNK = 250
NICE = 10
ROOT = Path(__file__).parents[3]
SIMULATION = (
    "tests/bench/analysis/cells.py",
    "tests/bench/analysis/generate.py",
    "tests/bench/analysis/connections.py",
)
CODE = {
    "fairlead": (
        "operator/fairlead/analysis/*.py",
        "operator/fairlead/api/plan.py",
        "tests/bench/analysis/records.py",
        "tests/bench/analysis/judge.py",
    ),
    "others": ("tests/bench/analysis/rules/*.py", "tests/bench/analysis/compare.py"),
}
"""The code whose change makes earlier results worthless."""
ASKING = {"analyst", "asking", "counters", "history", "prometheus", "queries", "source", "thresholds"}
"""Modules of the judge that a replay does without."""

By = Literal["fairlead", "others"]


@dataclass(frozen=True)
class Task:
    """One chunk of one cell, by Fairlead or by the other rules."""

    cell: Cell
    by: By
    number: int
    code: str

    @property
    def seed(self) -> int:
        """The traffic follows from the cell and the chunk's number alone, whoever judges it."""
        told = f"{SEED} {asdict(self.cell)} {self.number}"
        return int.from_bytes(hashlib.sha256(told.encode()).digest()[:8])

    @property
    def file(self) -> Path:
        """Where its result is kept."""
        told = f"{asdict(self.cell)} {self.number} {CHUNK} {SEED}"
        return folder() / f"{self.by}-{self.code}" / f"{hashlib.sha256(told.encode()).hexdigest()[:16]}.json"


def folder() -> Path:
    """The folder of earlier results."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "fairlead" / "bench-analysis"


def code(by: By) -> str:
    """A name for the code that judges."""
    digest = hashlib.sha256()
    for pattern in (*SIMULATION, *CODE[by]):
        for path in sorted(ROOT.glob(pattern)):
            if path.stem not in ASKING:
                digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def tasks(cells: Iterable[Cell], quiet: int, others: int) -> list[Task]:
    """The chunks, so ordered that every cell has its first before any has its second."""
    out, names = [], {by: code(by) for by in ("fairlead", "others")}
    for cell in cells:
        runs = quiet if cell.goal == "quiet" else others
        for number in range(-(-runs // CHUNK)):
            out.append(Task(cell, "fairlead", number, names["fairlead"]))
            if cell.goal in ("quiet", "detect"):
                out.append(Task(cell, "others", number, names["others"]))
    return sorted(out, key=lambda task: task.number)


def run(task: Task) -> dict[str, Any]:
    """Judge the chunk, or read what an earlier run found."""
    if task.file.exists():
        found: dict[str, Any] = json.loads(task.file.read_text())
        return found
    work = judge.fairlead if task.by == "fairlead" else compare.others
    result = work(task.cell, CHUNK, task.seed)
    task.file.parent.mkdir(parents=True, exist_ok=True)
    part = task.file.with_suffix(f".{os.getpid()}")
    part.write_text(json.dumps(result))
    part.rename(task.file)
    return result


def run_all(todo: list[Task], processes: int) -> Iterator[tuple[Task, dict[str, Any]]]:
    """Each task with its result, in the tasks' order; says on stderr how far it is."""
    begin = time.monotonic()
    with multiprocessing.get_context("spawn").Pool(processes, initializer=os.nice, initargs=(NICE,)) as pool:
        for done, pair in enumerate(zip(todo, pool.imap(run, todo), strict=True), start=1):
            if done % 20 == 0 or done == len(todo):
                print(f"{done} of {len(todo)} chunks, {time.monotonic() - begin:.0f} s", file=sys.stderr)  # noqa: T201
            yield pair


def merged(results: Iterable[tuple[Task, dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """By table and name of the cell: the cell, Fairlead's result and the other rules' ones, over all chunks."""
    out: dict[str, dict[str, Any]] = {}
    for task, result in results:
        own = out.setdefault(f"{task.cell.table}: {task.cell.name}", {"cell": task.cell, "rules": {}})
        for name, value in {"fairlead": result}.items() if task.by == "fairlead" else result.items():
            if isinstance(value, list):
                own.setdefault(name, []).extend(value)
            else:
                _add(own["rules"].setdefault(name, {}), value)
    return out


def _add(total: dict[str, Any], part: dict[str, Any]) -> None:
    for key, value in part.items():
        if isinstance(value, dict):
            _add(total.setdefault(key, {}), value)
        else:
            total[key] = total[key] + value if key in total else value
