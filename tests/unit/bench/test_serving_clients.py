"""What wrk and h2load say, read."""

from __future__ import annotations

import pytest

from tests.bench.serving.clients import (
    Load,
    LoadError,
    duration,
    framed,
    milliseconds,
    parse_h2load,
    parse_wrk,
    percentiles,
)

WRK = """\
Running 2s test @ http://127.0.0.1:9002/v2/models/m/infer
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   512.51us  169.23us   5.91ms   90.93%
    Req/Sec    62.33k     2.98k   66.35k    75.00%
  Latency Distribution
     50%  489.00us
     75%  551.00us
     90%  621.00us
     99%    1.13ms
  124074 requests in 2.00s, 41.06MB read
Requests/sec:  61991.47
Transfer/sec:     20.51MB
"""
H2LOAD = """\
finished in 2.50s, 1287.50 req/s, 110.41KB/s
requests: 2575 total, 2575 started, 2575 done, 2575 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 2575 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 220.82KB (226116) total, 12.58KB (12879) headers (space savings 95.45%), 146.68KB (150199) data
                     min         max         mean         sd        +/- sd
time for request:     1.28ms     66.63ms     24.57ms     10.62ms    73.40%
"""


def test_wrk() -> None:
    assert parse_wrk(WRK) == Load(61991.47, 0.489, 1.13)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("  Non-2xx or 3xx responses: 12", "Non-2xx or 3xx responses: 12"),
        ("  Socket errors: connect 0, read 3, write 0, timeout 1", "read 3"),
    ],
)
def test_wrk_that_saw_errors(line: str, said: str) -> None:
    with pytest.raises(LoadError, match=said):
        parse_wrk(WRK.replace("Requests/sec", f"{line}\nRequests/sec"))


@pytest.mark.parametrize("text", ["", "unable to connect", WRK.replace("61991.47", "0.00")])
def test_wrk_without_an_answer(text: str) -> None:
    with pytest.raises(LoadError, match="no answer"):
        parse_wrk(text)


@pytest.mark.parametrize(("text", "value"), [("489.00us", 0.489), ("1.13ms", 1.13), ("2.5s", 2500), ("1.00m", 60_000)])
def test_times(text: str, value: float) -> None:
    assert milliseconds(text) == pytest.approx(value)


def test_what_is_no_time() -> None:
    with pytest.raises(LoadError, match="'1h' is no time"):
        milliseconds("1h")


def test_h2load() -> None:
    assert parse_h2load(H2LOAD, 58) == 1287.5


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("2575 succeeded, 0 failed", "2574 succeeded, 1 failed"),
        ("0 errored", "4 errored"),
        ("0 5xx", "2 5xx"),
        ("2575 succeeded", "0 succeeded"),
    ],
)
def test_h2load_that_saw_errors(old: str, new: str) -> None:
    with pytest.raises(LoadError, match="succeeded"):
        parse_h2load(H2LOAD.replace(old, new))


def test_calls_that_brought_no_message() -> None:
    with pytest.raises(LoadError, match="2575 answers of 59 bytes"):
        parse_h2load(H2LOAD, 59)


def test_h2load_without_an_answer() -> None:
    with pytest.raises(LoadError, match="no answer"):
        parse_h2load("could not connect")


def test_logged_times() -> None:
    log = "\n".join(f"1795280624434772\t200\t{1000 * value}" for value in range(200, 0, -1))
    assert percentiles(log) == (100.5, 199.0)
    with pytest.raises(LoadError, match="logged no request"):
        percentiles("")


def test_how_h2load_is_told() -> None:
    assert duration(0.4) == "400ms"
    assert framed(b"abc") == b"\0\0\0\0\3abc"
