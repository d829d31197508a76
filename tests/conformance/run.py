"""Runs the checks against one server; this part runs in the environment of the clients.

python -m tests.conformance.run clients target.json results.json [--only text]
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import sys
import time
from pathlib import Path
from typing import Final

from tests.conformance.registry import CHECKS, judge
from tests.conformance.target import Target

# Protobuf lets a process have one compiled form of the protocol: tritonclient brings one, KServe another.
PARTS: Final = {
    "tritonclient": ("health", "inference", "datatypes", "load"),
    "kserve": ("rest", "grpcio_calls", "http2", "kserve_clients", "openapi"),
}


def main() -> int:
    """Run what was asked for and write the results, one entry a check."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.run", description=__doc__)
    parser.add_argument("clients", choices=PARTS)
    parser.add_argument("target", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("--only", default="", help="checks with this in their group and name")
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)  # what clients say of refusals that are wanted
    for part in PARTS[arguments.clients]:
        importlib.import_module(f"tests.conformance.{part}")
    target = Target.read(arguments.target)
    results = []
    for one in sorted(CHECKS, key=lambda one: one.last):
        if arguments.only in f"{one.group}: {one.name}":
            began = time.monotonic()
            results.append({**judge(one, target), "seconds": round(time.monotonic() - began, 3)})
            if results[-1]["result"] == "failed":
                print(f"{one.group}: {one.name}: {results[-1]['reason']}", file=sys.stderr)  # noqa: T201  where it hangs
    arguments.results.write_text(json.dumps(results, indent=1, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
