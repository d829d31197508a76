"""The benchmark of the judge: `python -m tests.bench.analysis --help`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.bench.analysis import cells, chunks, document, gates, live, mixed, real, speed, summary

RUNS, RUNS_OF_OTHERS = 10_000, 2_000
DOCS = Path(__file__).parents[3] / "docs"


def main() -> int:
    """Run what was asked for; 1 when something is not as it must be."""
    arguments = parse()
    if arguments.what != "cells":
        rows, failures = part(arguments)
        print("\n".join(rows))  # noqa: T201 - a benchmark speaks to the terminal
        if arguments.write:
            document.replace(DOCS, {arguments.what: "\n".join(rows)})
        return told(failures)
    chosen = [cell for cell in cells.every() if arguments.only in f"{cell.table}: {cell.name}"]
    todo = chunks.tasks(chosen, arguments.equal, arguments.others)
    found = summary.summaries(chunks.merged(chunks.run_all(todo, arguments.processes)))
    for one in found:
        print(document.line(one))  # noqa: T201 - as above
    if arguments.write:
        document.write(found, DOCS, arguments.equal, arguments.others)
    return told(gates.failures(found))


def part(arguments: argparse.Namespace) -> tuple[list[str], list[str]]:
    """A part beside the cells: a table's rows and what failed."""
    if arguments.what == "live":
        return live.judge(arguments.runs, arguments.part)
    if arguments.what == "mixed":
        return mixed.judge(arguments.runs, arguments.part)
    return speed.measure() if arguments.what == "speed" else real.judge(arguments.runs, arguments.nab)


def told(failures: list[str]) -> int:
    """Print what failed."""
    for failure in failures:
        print(f"FAILED {failure}", file=sys.stderr)  # noqa: T201 - as above
    return 1 if failures else 0


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.analysis", description=__doc__)
    parser.set_defaults(what="cells")
    parser.add_argument("--equal", type=int, default=RUNS, help=f"rollouts a cell of equal versions ({RUNS})")
    parser.add_argument("--others", type=int, default=RUNS_OF_OTHERS, help=f"of all other cells ({RUNS_OF_OTHERS})")
    parser.add_argument("--only", default="", help="cells with this in their table and name")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--write", action="store_true", help="write it into docs/bench-analysis.md (not live)")
    kinds = parser.add_subparsers(help="the cells of all tables, when left out")
    of_speed = kinds.add_parser("speed", help="intervals a second, time of a look, size of the state")
    of_speed.set_defaults(what="speed")
    of_real = kinds.add_parser("real", help="predictions of real models on scikit-learn's data sets")
    of_real.add_argument("runs", nargs="?", type=int, default=200)
    of_real.add_argument("--nab", type=Path, help="a checkout of numenta/NAB: its series as traffic and latency")
    of_real.set_defaults(what="real")
    for what, does in (("mixed", "all metrics at once"), ("live", "rollouts through the live judge")):
        one = kinds.add_parser(what, help=does)
        one.add_argument("runs", nargs="?", type=int, default=100)
        one.add_argument("part", nargs="?", default="", help="part of a name")
        one.set_defaults(what=what)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
