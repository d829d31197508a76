"""What counting costs: the CPU time of a request with metrics and without them, by turns in one server."""

from __future__ import annotations

import ast
import json
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tests import compiled
from tests.bench.serving import lineup, machine
from tests.bench.serving.clients import Wrk
from tests.peers import Model, Running, environments, model
from tests.peers.plan import Place, Plan

CONNECTIONS, SECONDS = 32, 20.0
_TURN = 16000
"""So many requests are counted, then so many are not: within some tenths of a second a machine does not change much."""
_TRIMMED = 10
"""One in so many pairs is left away at each end: there others used the machine."""
_PATIENCE = 10.0
_COUNTERS = "metrics/counters.py"
_COUNTING = {"publish", "ended", "succeeded", "finished", "ran", "settle"}
"""What of it a request goes through."""
# In compiled code no method can be replaced, so the switch is put into the source. The order is on, off, off, on.
_AT_FIRST = """
self.off = False
self.seen = 0
self.turned_at = 0.0
self.turns: list[tuple[bool, float]] = []
"""
_SWITCH = """
def turn(self) -> None:
    import time
    if not self.off:
        self.settle(time.perf_counter())
    self.turns.append((self.off, (time.process_time() - self.turned_at) / self.seen))
    number = len(self.turns)
    self.off = bool((number ^ number >> 1) & 1)
    self.seen, self.in_flight = 0, 0
    self.turned_at = time.process_time()

def tell(self, number: int, frame: object) -> None:
    import json, os
    with open(os.environ["FAIRLEAD_COUNTING"] + ".part", "w") as out:
        json.dump(self.turns, out)
    os.rename(os.environ["FAIRLEAD_COUNTING"] + ".part", os.environ["FAIRLEAD_COUNTING"])
"""
_BEGUN = """
import signal
signal.signal(signal.SIGUSR2, self.tell)
"""
_IF_TURNED = f"""
if self.seen >= {_TURN}:
    self.turn()
self.seen += len(run.batch)
"""
_IF_OFF = """
if self.off:
    return
"""


def measure(starts: int, say: Callable[[str], None]) -> float:
    """Load a server that counts and does not, by turns; return how much more CPU time a counted request takes."""
    client, server = machine.cores()
    os.sched_setaffinity(0, {client})
    ratios: list[float] = []
    for _ in range(starts):
        turns = _turns(client, server)
        pairs = [sorted(turns[at : at + 2]) for at in range(2, len(turns) - 1, 2)]
        found = sorted(counted / uncounted - 1 for (_, counted), (_, uncounted) in pairs)
        found = found[len(found) // _TRIMMED : -len(found) // _TRIMMED]
        ratios.append(statistics.mean(found))
        counted, uncounted = (1e6 * statistics.median(pair[side][1] for pair in pairs) for side in (0, 1))
        say(f"{counted:.2f} against {uncounted:.2f} µs of CPU time a request, {ratios[-1]:.1%}; {len(pairs)} pairs")
    cost = statistics.mean(ratios)
    error = statistics.stdev(ratios) / len(ratios) ** 0.5 if starts > 1 else float("nan")
    middle = statistics.median(ratios)
    say(f"counting costs {cost:.1%}, give or take {error:.1%}, in the median {middle:.1%}: {starts} starts")
    return cost


def _turns(client: int, core: int) -> list[tuple[bool, float]]:
    """Start a server once and load it; return whether counting was off in each turn, and the seconds of a request.

    Two servers would differ by some per cent in any case: where a process has its memory is chance.
    """
    served = model("lr")
    with tempfile.TemporaryDirectory(prefix="fairlead-bench-") as name:
        folder = Path(name)
        (folder / "server").mkdir()
        peer = replace(lineup.ONE, plan=_switchable)
        with Running.start(peer, served, folder / "server", (core,)) as running:
            Wrk(folder, client).run(running.url, lineup.ONE.form.body(served.rows[:1]), CONNECTIONS, SECONDS)
            told = folder / "server" / "turns"
            for pid in running.pids():
                os.kill(pid, signal.SIGUSR2)
            until = time.monotonic() + _PATIENCE
            while not told.exists():
                if time.monotonic() > until:
                    message = f"the server tells nothing: {running.last_words()}"
                    raise TimeoutError(message)
                time.sleep(0.01)
            found: list[tuple[bool, float]] = json.loads(told.read_text())
    return found


def _switchable(python: Path, served: Model, saved: Path, place: Place) -> Plan:
    plan = lineup.ONE.plan(python, served, saved, place)
    source = (compiled.SOURCES / "fairlead_serving" / _COUNTERS).read_text()
    folder = environments.source((_COUNTERS, _with_switch(source)))
    more = {"PYTHONPATH": str(folder), "FAIRLEAD_COUNTING": str(place.folder / "turns")}
    return replace(plan, environment={**plan.environment, **more})


def _with_switch(source: str) -> str:
    """Return the module with counting that is turned off and on, and tells what each turn took."""
    tree = ast.parse(source)
    methods = {}
    for each in ast.walk(tree):
        if isinstance(each, ast.ClassDef) and each.name == "Metrics":
            methods = {item.name: item for item in each.body if isinstance(item, ast.FunctionDef)}
            each.body += ast.parse(_SWITCH).body
    for name in _COUNTING:
        methods[name].body[:0] = ast.parse(_IF_OFF).body
    methods["ran"].body[:0] = ast.parse(_IF_TURNED).body
    methods["begun"].body += ast.parse(_BEGUN).body
    methods["__init__"].body += ast.parse(_AT_FIRST).body
    return ast.unparse(tree)


def main(starts: int) -> int:
    """Measure, and say what came out."""
    measure(starts, lambda line: print(line, file=sys.stdout))  # noqa: T201  a benchmark speaks to the terminal
    return 0
