"""`python -m tests.peers [NAME…] [--models lr]`: start each server with each of its models once and say how it went."""

from __future__ import annotations

import argparse
import signal
import sys

from tests.peers import KINDS, PEERS, StartError, environments, model, peer, serving


def main() -> int:
    """Try the servers that are named, or all; 1 when one fails."""
    parser = argparse.ArgumentParser(prog="python -m tests.peers", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"all when left out: {', '.join(PEERS)}")
    parser.add_argument("--models", nargs="+", default=[*KINDS], choices=[*KINDS])
    parser.add_argument("--install", action="store_true", help="only make their environments")
    arguments = parser.parse_args()
    names = arguments.names or [*PEERS]
    if unknown := {*names} - {*PEERS}:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    # As Ctrl-C does, so that servers are ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    if arguments.install:
        environments.ensure(dict.fromkeys(peer(name).environment for name in names))
        return 0
    failed = False
    for name in names:
        for which in sorted({*peer(name).models} & {*arguments.models}):
            if not any(model(which).has(kind) for kind in peer(name).kinds):
                continue
            try:
                with serving(peer(name), model(which)) as server:
                    memory = server.memory()
                    line = f"{server.cold_seconds:.2f} s, {len(server.pids())} processes, {memory.pss:.0f} MB"
            except StartError as error:
                failed, line = True, f"FAILED {error}"
            print(f"{name} {which}: {line}", flush=True)  # noqa: T201  it speaks to the terminal
    return failed


if __name__ == "__main__":
    sys.exit(main())
