"""Writes the tables into docs/bench-serving.md, between the marks that name them."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.bench.serving import machine, tables
from tests.bench.serving.store import Store
from tests.peers import Peer
from tests.peers.environments import python

NAME = "bench-serving.md"


def sections(store: Store, peers: Mapping[str, Peer], versions: Mapping[str, str]) -> dict[str, str]:
    """All tables, by the names of their places."""
    return {
        "goals": tables.goals(store, peers),
        "bars": tables.bars(store),
        "http": tables.speed(store, peers, "http"),
        "grpc": tables.speed(store, peers, "grpc"),
        "models": tables.models(store, peers),
        "resources": tables.resources(store, peers, versions),
        "run": run(store),
    }


def replace(docs: Path, parts: Mapping[str, str]) -> None:
    """Replace these parts of the document. Raises ValueError where it has no such mark."""
    path = docs / NAME
    text = path.read_text()
    for name, content in parts.items():
        start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        pattern = re.compile(f"{re.escape(start)}.*?{re.escape(end)}", re.DOTALL)
        found = pattern.search(text)
        if found is None:
            message = f"{NAME} has no mark {start}"
            raise ValueError(message)
        text = f"{text[: found.start()]}{start}\n\n{content}\n\n{end}{text[found.end() :]}"
    path.write_text(text)


def run(store: Store) -> str:
    """What it was measured on, and how much of it was disturbed."""
    results = list(store.results.values())
    disturbed = sum(bool(result.get("disturbed")) for result in results)
    failed = sum("failed" in result for result in results)
    version = _first_line([str(python("fairlead")), "--version"])
    return (
        f"{machine.described()}; {version}; {_first_line(['wrk', '-v'])}; {_first_line(['h2load', '--version'])}. "
        f"{len(results)} measurements, {disturbed} of them disturbed by other load, {failed} failed."
    )


def _first_line(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  given above
    line = (done.stdout or done.stderr).strip().splitlines()[0]
    return line.partition(" [")[0].strip()
