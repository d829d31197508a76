import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.errors import ClusterError
from tests.cluster.process import MARK, Daemons, marked
from tests.cluster.waiting import until

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)",
]


def test_a_program_is_started_found_and_stopped(tmp_path: Path) -> None:
    daemons = Daemons(tmp_path)
    daemons.start("one", SLEEP)

    assert daemons.alive("one")
    daemons.check(["one"])
    daemons.stop(["one"])

    assert not daemons.alive("one")
    assert marked(tmp_path) == []


def test_one_that_ignores_the_polite_signal_is_killed(tmp_path: Path) -> None:
    daemons = Daemons(tmp_path)
    daemons.start("deaf", STUBBORN)
    until(lambda: "deaf" in daemons.last_words("deaf").splitlines()[0], 10, "the handler")

    daemons.stop(["deaf"], grace_seconds=0.2)

    assert not daemons.alive("deaf")


def test_the_end_of_a_program_is_reported_with_its_last_words(tmp_path: Path) -> None:
    daemons = Daemons(tmp_path)
    daemons.start("brief", [sys.executable, "-c", "print('no disk left')"])
    until(lambda: not daemons.alive("brief"), 10, "its end")

    with pytest.raises(ClusterError, match="brief ended unexpectedly: no disk left"):
        daemons.check(["brief"])


def test_everything_marked_is_killed_even_what_was_never_written_down(tmp_path: Path) -> None:
    daemons = Daemons(tmp_path)
    with subprocess.Popen(SLEEP, env=dict(os.environ) | {MARK: str(tmp_path)}) as unrecorded:  # noqa: S603 (our own)
        until(lambda: unrecorded.pid in marked(tmp_path), 10, "the process")

        daemons.kill_all()

        assert unrecorded.wait(10) < 0 or unrecorded.returncode == 0


def test_a_recycled_process_id_is_left_alone(tmp_path: Path) -> None:
    daemons = Daemons(tmp_path)
    with subprocess.Popen(SLEEP, stdout=subprocess.DEVNULL) as stranger:  # noqa: S603 (our own)
        (tmp_path / "pids").mkdir()
        (tmp_path / "pids" / "kubelet").write_text(str(stranger.pid))

        daemons.stop(["kubelet"])
        daemons.kill_all()

        assert not daemons.alive("kubelet")
        assert stranger.poll() is None
        stranger.kill()


def test_a_wait_that_is_too_long_says_what_for() -> None:
    with pytest.raises(ClusterError, match="gave up after 0 s waiting for rain"):
        until(lambda: False, 0, "rain", every=0.001)
