"""Rollouts of a version that is exactly as good, one after the other under the demo's load: none may be rolled back."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from pathlib import Path

from examples.demo import environment, models, story
from examples.demo.kubectl import Kubectl
from examples.demo.load import LoadReader
from examples.demo.promise import status_of
from examples.demo.view import View
from examples.demo.watch import Watcher

ROLLOUT_SECONDS = 600.0
FIRST_SECONDS = 60.0


def run(kubectl: Kubectl, view: View, rollouts: int) -> int:
    """Roll out `rollouts` equal versions; 0 when every one was promoted and no request failed."""
    outcomes: Counter[str] = Counter()
    seconds: list[float] = []
    credentials = environment.read_credentials(kubectl)
    with Watcher(kubectl, environment.MODEL) as watcher:
        stage = story.Stage(kubectl, watcher, view)
        story.serve_first(stage, "2")
        environment.start_load(kubectl, models.Scans.load().requests())
        with LoadReader(kubectl) as load:
            stage.load = load
            story.watch_on(stage, FIRST_SECONDS, "baseline")
            for number in range(1, rollouts + 1):
                version = f"2-{number}"
                _store(kubectl, credentials, version, number)
                began = time.monotonic()
                story.roll_out(stage, version, ROLLOUT_SECONDS, f"rollout {number} of {rollouts}")
                phase = status_of(watcher.snapshot().rollout(version)).get("phase", "none")
                outcomes[phase] += 1
                seconds.append(time.monotonic() - began)
                view.note(f"rollout {number} of {rollouts}: {phase} after {seconds[-1]:.0f} s", style="bold")
            view.close()
            environment.stop_load(kubectl)
            load.wait_for_end()
            total = load.between()
    median = sorted(seconds)[len(seconds) // 2]
    print(f"{rollouts} rollouts of an equally good version: {dict(outcomes)}, median {median:.0f} s")
    print(f"{total.failed} of {total.sent:,} requests failed")
    return 0 if outcomes["Promoted"] == rollouts and total.failed == 0 else 1


def _store(kubectl: Kubectl, credentials: dict[str, str], version: str, seed: int) -> None:
    with tempfile.TemporaryDirectory(prefix="fairlead-bench-") as folder:
        trained = models.train_equal(Path(folder), version, seed)
        environment.upload(kubectl, credentials, trained.folder, f"{environment.MODEL}/{version}")
