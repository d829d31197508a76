"""Checks of servers that speak the Open Inference Protocol, ours and those peers that are installed.

With --write the table goes into docs/conformance.md. Ends with 1 where ours fails a check.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from tests.cluster.cache import REPOSITORY
from tests.cluster.errors import ClusterError
from tests.conformance import environment, ours, peers, table
from tests.conformance.target import OURS, Target
from tests.peers import environments

DOCUMENT = REPOSITORY / "docs" / "conformance.md"
CLIENTS = ("tritonclient", "kserve")
PEERS = {peer.title: peer for peer in peers.PEERS}


def main() -> int:
    """Check the servers that were asked for."""
    arguments = _parse()
    installed = [name for name, peer in PEERS.items() if environments.installed(peer.environment)]
    if arguments.openapi:
        os.environ["CONFORMANCE_OPENAPI"] = str(arguments.openapi.resolve())
    results = {}
    for name in arguments.servers or [OURS, *installed]:
        with tempfile.TemporaryDirectory(prefix="fairlead-conformance-", ignore_cleanup_errors=True) as folder:
            serving = ours.serving(Path(folder)) if name == OURS else peers.serving(PEERS[name], Path(folder))
            try:
                results[name] = check(serving, only=arguments.only)
            except (ClusterError, environments.EnvironmentsError) as error:
                _say(f"{name} is left out: {error}")
                continue
        _tell(name, results[name])
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1, ensure_ascii=False))
    if arguments.write:
        DOCUMENT.write_text(table.written(DOCUMENT.read_text(), results))
    return int(any(entry["result"] == "failed" for entry in results.get(OURS, ())))


def check(
    serving: AbstractContextManager[Target], clients: Iterable[str] = CLIENTS, only: str = ""
) -> list[dict[str, Any]]:
    """Run checks against one server, each set of clients in a process of its own."""
    python = environment.python()
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="fairlead-conformance-") as folder, serving as target:
        where, results = Path(folder) / "target.json", Path(folder) / "results.json"
        target.write(where)
        for each in clients:
            command = [str(python), "-m", "tests.conformance.run", each, str(where), str(results), "--only", only]
            environment.run(command, PYTHONPATH=".", PYTHONDONTWRITEBYTECODE="1")
            found += json.loads(results.read_text())
    return found


def _tell(server: str, entries: list[dict[str, Any]]) -> None:
    """Print what failed, and how many did not."""
    counts = Counter(entry["result"] for entry in entries)
    for entry in entries:
        if entry["result"] == "failed":
            _say(f"{server}: {entry['group']}: {entry['name']}: {entry['reason']}")
    _say(f"{server}: {counts['passed']} passed, {counts['failed']} failed, {counts['not run']} not run")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    names = (OURS, *PEERS)
    parser.add_argument("servers", nargs="*", metavar="server", help=f"{', '.join(names)}; all installed, if left out")
    parser.add_argument("--only", default="", help="checks with this in their group and name")
    parser.add_argument("--write", action="store_true", help="write the table into docs/conformance.md")
    parser.add_argument("--json", type=Path, help="write the results into this file")
    parser.add_argument("--openapi", type=Path, help="another OpenAPI document of the protocol to hold them against")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.servers if name not in names]
    if unknown:
        parser.error(f"{', '.join(unknown)} is none of {', '.join(names)}")
    return arguments


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201  a tool speaks to the terminal


if __name__ == "__main__":
    sys.exit(main())
