"""Where a request belongs in a trace: the W3C headers `traceparent` and `tracestate`."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

# Two characters each for version and flags; a later version may say more behind them.
_PARENT: Final = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_SAMPLED: Final = 1
# The first version's form, with any digit as 0; also what it may not say: that trace and span are 0.
_FORM: Final = b"00-" + b"0" * 32 + b"-" + b"0" * 16 + b"-00"
_DIGITS: Final = bytes.maketrans(b"123456789abcdef", b"0" * 15)
_EVEN: Final = b"02468ace"


class Parent(NamedTuple):
    """The client's span. `state` is what tracing systems along the way have added, as it came."""

    trace_id: int
    span_id: int
    sampled: bool
    state: bytes = b""


def read(traceparent: bytes, tracestate: bytes) -> Parent | None:
    """Return the client's span, or None where there is none or the header is not what the W3C says."""
    match = _PARENT.fullmatch(traceparent.strip(b" \t"))
    if match is None:
        return None
    version, trace, span, flags, more = match.groups()
    trace_id, span_id = int(trace, 16), int(span, 16)
    if not trace_id or not span_id or version == b"ff" or (version == b"00" and more is not None):
        return None
    return Parent(trace_id, span_id, bool(int(flags, 16) & _SAMPLED), tracestate)


def declines(traceparent: bytes) -> bool:
    """Whether this is a header of the first version, as almost all are, whose client does not sample the trace.

    It says quickly what `read` would; of others it says False.
    """
    return (
        traceparent.translate(_DIGITS) == _FORM
        and traceparent[-1] in _EVEN
        and traceparent.startswith(b"00-")
        and traceparent[3:35] != _FORM[3:35]
        and traceparent[36:52] != _FORM[36:52]
    )
