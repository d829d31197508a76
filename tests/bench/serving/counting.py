"""What counting costs: the CPU time of a request with metrics and without them, by turns."""

from __future__ import annotations

import ast
import os
import random
import statistics
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from tests import compiled
from tests.bench.serving import lineup, machine
from tests.bench.serving.cells import SEED
from tests.bench.serving.clients import Wrk
from tests.peers import Model, Peer, Running, environments, model
from tests.peers.plan import Place, Plan

CONNECTIONS, SECONDS = 32, 1.0
_ROUNDS = 4
"""Of one start of the servers."""
_COUNTERS = "metrics/counters.py"
_COUNTING = {"publish", "ended", "succeeded", "finished", "ran", "settle"}
"""What of it a request goes through."""


def measure(rounds: int, say: Callable[[str], None]) -> float:
    """Load a server that counts and one that does not, by turns; return how much more CPU time the first takes."""
    client, server = machine.cores()
    os.sched_setaffinity(0, {client})
    chance = random.Random(SEED)  # noqa: S311  not for secrets
    peers = {"counted": lineup.ONE, "uncounted": replace(lineup.ONE, plan=_uncounted)}
    costs: dict[str, list[float]] = {name: [] for name in peers}
    starts = max(1, rounds // _ROUNDS)
    for _ in range(starts):
        for name, found in _loaded(peers, client, server, chance).items():
            costs[name].append(_quiet(found))
    pairs = [with_it / without - 1 for with_it, without in zip(costs["counted"], costs["uncounted"], strict=True)]
    for name, each in costs.items():
        say(f"{name}: {statistics.mean(each):.2f} µs of CPU time a request")
    cost = statistics.mean(pairs)
    error = statistics.stdev(pairs) / len(pairs) ** 0.5 if starts > 1 else float("nan")
    say(f"counting costs {cost:.1%}, give or take {error:.1%}: {starts} starts of both, {CONNECTIONS} connections")
    return cost


def _loaded(peers: dict[str, Peer], client: int, core: int, chance: random.Random) -> dict[str, list[float]]:
    """Start both servers once, and return what a request took in each round, in µs.

    Where a process has its memory is chance, and makes some per cent of difference: hence the many starts.
    """
    served = model("lr")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fairlead-bench-")))
        wrk = Wrk(folder, client)
        running = {}
        for name in chance.sample([*peers], len(peers)):
            place = folder / name
            place.mkdir()
            running[name] = stack.enter_context(Running.start(peers[name], served, place, (core,)))
            running[name].pause()
        costs: dict[str, list[float]] = {name: [] for name in running}
        body = lineup.ONE.form.body(served.rows[:1])
        for number in range(_ROUNDS + 1):
            for name in chance.sample([*running], len(running)):
                each = running[name]
                each.resume()
                before = each.cpu_seconds()
                load = wrk.run(each.url, body, CONNECTIONS, SECONDS, warm=False)
                cost = (each.cpu_seconds() - before) / (load.rate * SECONDS)
                each.pause()
                # The first round is there to warm up.
                if number:
                    costs[name].append(1e6 * cost)
    return costs


def _quiet(costs: list[float]) -> float:
    """Return the mean of the lowest quarter: what else goes on in a machine only ever adds to a cost."""
    return statistics.mean(sorted(costs)[: max(1, len(costs) // 4)])


def _uncounted(python: Path, served: Model, saved: Path, place: Place) -> Plan:
    plan = lineup.ONE.plan(python, served, saved, place)
    source = (compiled.SOURCES / "fairlead_serving" / _COUNTERS).read_text()
    folder = environments.source((_COUNTERS, _without_counting(source)))
    return replace(plan, environment={**plan.environment, "PYTHONPATH": str(folder)})


def _without_counting(source: str) -> str:
    """Return the module with the methods that count emptied: in compiled code none can be replaced later."""
    tree, emptied = ast.parse(source), set()
    for each in ast.walk(tree):
        if isinstance(each, ast.FunctionDef) and each.name in _COUNTING:
            each.body = [ast.Pass()]
            emptied.add(each.name)
    if emptied != _COUNTING:
        message = f"{_COUNTERS} has no {', '.join(sorted(_COUNTING - emptied))}"
        raise ValueError(message)
    return ast.unparse(tree)


def main(rounds: int) -> int:
    """Measure, and say what came out."""
    measure(rounds, lambda line: print(line, file=sys.stdout))  # noqa: T201  a benchmark speaks to the terminal
    return 0
