"""Writes the tables into docs/bench-analysis.md, between the marks that name them."""

from __future__ import annotations

import platform
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tests.bench.analysis import tables
from tests.bench.analysis.chunks import SEED, code
from tests.bench.analysis.summary import Summary

NAME = "bench-analysis.md"


def write(found: Sequence[Summary], docs: Path, equal: int, others: int) -> None:
    """Replace all tables of cells in the document and write the plots beside it."""
    replace(docs, tables.sections(found) | {"run": _run(equal, others)})
    tables.plots(found, docs / "bench-analysis")


def replace(docs: Path, sections: Mapping[str, str]) -> None:
    """Replace these parts of the document. Raises ValueError where it has no such mark."""
    path = docs / NAME
    text = path.read_text()
    for name, content in sections.items():
        text = _replaced(text, name, content)
    path.write_text(text)


def _replaced(text: str, name: str, content: str) -> str:
    marks = f"<!-- {name} -->", f"<!-- /{name} -->"
    if marks[0] not in text:
        message = f"{NAME} has no mark {marks[0]}"
        raise ValueError(message)
    pattern = re.escape(marks[0]) + ".*?" + re.escape(marks[1])
    return re.sub(pattern, lambda _: f"{marks[0]}\n\n{content}\n\n{marks[1]}", text, flags=re.DOTALL)


def _run(equal: int, others: int) -> str:
    return (
        f"Written by `python -m tests.bench.analysis --equal {equal} --others {others} --write` with seed {SEED}, "
        f"Python {platform.python_version()}, numpy {np.__version__}, judge {code('fairlead')}."
    )


def line(summary: Summary) -> str:
    """One cell for the terminal."""
    cell = summary.cell
    parts = [f"{cell.table}: {cell.name}:"]
    ours = summary.get("fairlead")
    if ours and cell.goal in ("prove", "unproven"):
        parts.append(f"proven {tables.percent(ours.proven)}, rolled back {tables.percent(ours.share)}")
    elif ours:
        parts.append(tables.detected(ours, summary))
    parts += [f"({name} {tables.detected(own, summary)})" for name, own in summary.outcomes.items() if own is not ours]
    return " ".join(parts)
