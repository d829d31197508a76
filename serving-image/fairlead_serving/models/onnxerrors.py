"""What ONNX Runtime says of a file that it cannot open, as a sentence about the model."""

from __future__ import annotations

import re
from typing import Final

# What it says → what is wrong and what to do.
_KNOWN: Final = (
    (
        r"Unsupported model IR version: (\d+), max supported IR version: (\d+)",
        "it has the IR version {0}, known here are those up to {1}: write it with an older ir_version",
    ),
    (
        r"Opset (\d+) is under development.*official support for domain (\S+) is till opset (\d+)",
        "it has the opset {0} of {1}, known here are those up to {2}: export it with an older one",
    ),
    (
        r"Fatal error: (\S+?):(\w+)\(-?\d+\) is not a registered",
        "it needs the operator {1} of {0}, which ONNX Runtime does not have, and libraries of operators are not loaded",
    ),
    (
        r"No Op registered for (\w+) with domain_version of (\d+)",
        "it needs the operator {0}, which opset {1} does not have",
    ),
    (
        r"External data path does not exist: \"(?:.*/)?([^/\"]*)\"",
        "its weights are in {0}, which is missing beside it",
    ),
    (
        r"External data path validation failed",
        "its weights are said to be outside of its folder",
    ),
)
_PREFIX: Final = re.compile(r"^\[ONNXRuntimeError\] : \d+ : \w+ : (?:Load model from \S+ failed:)?")


def explained(error: Exception) -> str:
    """Return the reason in one line."""
    text = " ".join(str(error).split())
    for pattern, sentence in _KNOWN:
        found = re.search(pattern, text)
        if found:
            return sentence.format(*found.groups())
    return _PREFIX.sub("", text) or type(error).__name__
