"""The benchmark of the serving image: `python -m tests.bench.serving --help`."""

from __future__ import annotations

import argparse
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.bench.serving import clients, counting, document, lineup, measure
from tests.bench.serving.cells import SEED, blocks
from tests.bench.serving.store import Store
from tests.cluster.cache import locked
from tests.peers import KINDS, EnvironmentsError, Peer, environments, model

RUNS, SECONDS = 3, 2.0
DOCS = Path(__file__).parents[3] / "docs"


def main() -> int:
    """Run what was asked for; 1 when a bar is missed."""
    # As Ctrl-C does, so that servers are ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    arguments = parse()
    if arguments.what == "drain":
        from tests.bench.serving.drain import end  # noqa: PLC0415  brings scikit-learn, whose threads would be counted

        return end(arguments.times, arguments.workers, grpc=arguments.grpc)
    if arguments.what == "counting":
        return counting.main(arguments.starts)
    peers = {name: peer for name, peer in lineup.ALL.items() if not arguments.only or name in arguments.only}
    store = Store.of_code(arguments.seconds)
    began = time.monotonic()
    try:
        clients.need()
        prepare(peers, arguments.models)
        with locked("bench-serving"):
            run(store, peers, arguments)
    except (clients.LoadError, EnvironmentsError, OSError) as error:
        print(f"bench-serving: {error}", file=sys.stderr)  # noqa: T201  a benchmark speaks to the terminal
        return 1
    measure.say(f"{(time.monotonic() - began) / 60:.1f} minutes; results: {store.path}")
    sections = document.sections(store, peers, measure.versions(peers))
    print("\n\n".join(sections.values()))  # noqa: T201  as above
    if arguments.write:
        document.replace(DOCS, sections)
    return 0


def prepare(peers: Mapping[str, Peer], models: list[str]) -> None:
    """Install, compile and train all there is, before anything is measured."""
    environments.source()
    for peer in peers.values():
        peer.python()
        for name in {*models} & {*peer.models}:
            if any(model(name).has(kind) for kind in peer.kinds):
                peer.saved(model(name))


def run(store: Store, peers: dict[str, Peer], arguments: argparse.Namespace) -> None:
    """Measure everything that is not yet in the store; what matters most comes first."""
    with tempfile.TemporaryDirectory(prefix="fairlead-bench-", ignore_cleanup_errors=True) as folder:
        bench = measure.Bench(store, peers, Path(folder), arguments.runs)
        for name in arguments.models:
            able = {key: peer for key, peer in peers.items() if name in peer.models and _saved(peer, name)}
            bench.measure(blocks(name, able, arguments.seconds, quick=arguments.quick))
            if name == "lr":
                cold(bench, arguments.runs)
        if "busy" in arguments.models and "fairlead" in peers:
            for number in range(arguments.runs):
                for peer in (lineup.ONE, lineup.TWO):
                    bench.workers(peer, number, arguments.seconds)


def cold(bench: measure.Bench, runs: int) -> None:
    """Start each server some times, in shuffled order."""
    chance = random.Random(SEED)  # noqa: S311  not for secrets
    for number in range(runs):
        names = [name for name in bench.peers if name != "echo"]
        chance.shuffle(names)
        for name in names:
            bench.cold(name, number)


def _saved(peer: Peer, name: str) -> bool:
    return any(model(name).has(kind) for kind in peer.kinds)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.serving", description=__doc__)
    parser.set_defaults(what="speed")
    parser.add_argument("--only", type=names(lineup.ALL), help=f"servers, of {','.join(lineup.ALL)}")
    parser.add_argument("--models", type=names(KINDS), default=[*KINDS], help=f"of {','.join(KINDS)}")
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"of a measurement, whole ones ({SECONDS:g})")
    parser.add_argument("--runs", type=int, default=RUNS, help=f"of each cell ({RUNS})")
    parser.add_argument("--quick", action="store_true", help="the first model over 1 and 32 connections only")
    parser.add_argument("--write", action="store_true", help="write it into docs/bench-serving.md")
    kinds = parser.add_subparsers(help="the speed, when left out")
    drains = kinds.add_parser("drain", help="end servers under load and count lost requests")
    drains.add_argument("--times", type=int, default=100)
    drains.add_argument("--workers", type=int, default=1)
    drains.add_argument("--grpc", action="store_true")
    drains.set_defaults(what="drain")
    costs = kinds.add_parser("counting", help="what the metrics cost")
    costs.add_argument("--starts", type=int, default=6, help="of the server")
    costs.set_defaults(what="counting")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.models = ["lr"]
    return arguments


def names(known: Mapping[str, object]) -> Callable[[str], list[str]]:
    """A type of argument: names with commas between them."""

    def read(text: str) -> list[str]:
        found = text.split(",")
        if unknown := {*found} - {*known}:
            message = f"unknown: {', '.join(sorted(unknown))}"
            raise argparse.ArgumentTypeError(message)
        return found

    return read


if __name__ == "__main__":
    sys.exit(main())
