"""What people read: whole sentences with the numbers in them."""

from __future__ import annotations

from fairlead.analysis.split import Split
from fairlead.api.verdict import Reading

MILLION = 1e6
TEN = 10.0
_NAMES = {"error-rate": "errors", "client-error-rate": "client errors", "accuracy": "wrong predictions"}


def percent(k: float, n: float) -> str:
    """A share as people write it: `10.4 %`."""
    share = 100 * k / n if n else 0.0
    rounded = f"{share:.1f} %"
    return rounded if share == 0 or rounded != "0.0 %" else f"{share:.2g} %"


def count(number: float) -> str:
    """A number of requests: `1,671`."""
    return f"{number:,.0f}"


def evidence(value: float) -> str:
    """An e-value: three figures are plenty."""
    if value >= MILLION:
        return "over a million"
    return f"{value:.2g}" if value < TEN else f"{value:,.0f}"


def subject(reading: Reading) -> str:
    """What is counted: `errors`, `requests slower than 50 ms`."""
    return reading.detail or _NAMES.get(reading.name, reading.name)


def slower(edge: float) -> str:
    """The bad requests of a latency edge."""
    return f"requests slower than {edge:g} s" if edge >= 1 else f"requests slower than {edge * 1000:g} ms"


def distance(value: float) -> str:
    """How far two distributions are apart."""
    return f"total variation {value:.2g}"


def apart(reading: Reading, stable: str, tolerance: float) -> str:
    """Two distributions with their distance."""
    names = {
        "prediction-distribution": "predictions",
        "score-distribution": "scores",
        "input-distribution": "inputs",
    }
    return (
        f"{names.get(reading.name, reading.name)} differ from those of {stable}: {reading.detail} where "
        f"{tolerance:g} is alike ({count(reading.canary_n)} against {count(reading.stable_n)})"
    )


def compared(reading: Reading, stable: str) -> str:
    """Both arms with their numbers."""
    return (
        f"{subject(reading)} {percent(reading.canary_k, reading.canary_n)} against "
        f"{percent(reading.stable_k, reading.stable_n)} on {stable} ({count(reading.canary_k)} of "
        f"{count(reading.canary_n)} requests against {count(reading.stable_k)} of {count(reading.stable_n)})"
    )


def not_yet(reading: Reading, stable: str) -> str:
    """The state of the metric that is waited for."""
    return (
        f"{subject(reading)} {percent(reading.canary_k, reading.canary_n)} against "
        f"{percent(reading.stable_k, reading.stable_n)} on {stable} ({count(reading.canary_n)} requests), "
        "not enough to tell yet"
    )


def split(found: Split, canary: str, routing: str) -> str:
    """A share of the traffic that is not the one asked for."""
    what = "connections" if routing == "connection" else "requests"
    return (
        f"{canary} got {percent(found.canary, found.total)} of {count(found.total)} {what} where "
        f"{percent(found.expected, found.total)} were to come: the routing does not do what the step asks for"
    )
