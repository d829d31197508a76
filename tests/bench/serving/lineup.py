"""Who takes part: the peers, ours with one worker and with two, and a server in C that does nothing, as the limit."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from functools import partial
from pathlib import Path

from tests.cluster.cache import cache_dir, digest_of
from tests.peers import PEERS, Model, Peer, fairlead
from tests.peers.forms import V2
from tests.peers.plan import Place, Plan

SOURCE = Path(__file__).with_name("echo.c")
_BODY = (
    b'{"model_name":"m","model_version":"1","outputs":[{"name":"predict","datatype":"INT64","shape":[1],"data":[0]},'
    b'{"name":"predict_proba","datatype":"FP64","shape":[1,3],"data":[0.9815572500228882,0.018442781642079353,'
    b"1.4480928456350739e-8]}]}"
)
"""An answer as ours; which one makes no difference."""
_HEAD = (
    b"HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n"
)


def _echo(_python: Path, _model: Model, _saved: Path, place: Place) -> Plan:
    program = cache_dir() / "peers" / f"echo-{digest_of(SOURCE)}"
    if not program.exists():
        program.parent.mkdir(parents=True, exist_ok=True)
        command = ["gcc", "-O2", "-Wall", "-Werror", "-o", str(program), str(SOURCE)]
        subprocess.run(command, check=True)  # noqa: S603  built above
    answer = place.folder / "answer"
    answer.write_bytes(_HEAD % len(_BODY) + _BODY)
    return Plan([str(program), str(place.http), str(answer)], "/v2/models/m/infer")


ECHO = Peer("echo", "Limit: C, answers blindly", "fairlead", "", V2, ("joblib",), _echo, models=("lr",), blind=True)
ONE, TWO = (
    replace(PEERS["fairlead"], name=f"fairlead-{name}", plan=partial(fairlead.plan, workers=workers))
    for name, workers in (("one", 1), ("two", 2))
)
ALL: dict[str, Peer] = {**PEERS, ECHO.name: ECHO}
