"""With FAIRLEAD_COMPILE=1, what a request goes through is compiled to C by mypyc; that needs a C compiler.

Without it the same code runs as Python: more slowly, and else the same.
"""

import os

from setuptools import setup

# Schemas of messages (msgspec's Struct) stay Python: what they are made of is read when the program runs.
COMPILED = (
    "batching/cost",
    "batching/engine",
    "batching/feeds",
    "batching/queue",
    "batching/run",
    "call",
    "dataplane",
    "grpc/calls",
    "grpc/codec",
    "grpc/server",
    "grpc/wire",
    "http/connection",
    "http/framing",
    "http/heads",
    "http/inference",
    "http/parsing",
    "http/reading",
    "http/server",
    "http2/connection",
    "http2/frames",
    "http2/heads",
    "http2/hpack",
    "http2/huffman",
    "http2/intake",
    "http2/reader",
    "http2/session",
    "http2/streams",
    "listening/listener",
    "metrics/board",
    "metrics/counters",
    "metrics/histograms",
    "metrics/predictions",
    "metrics/summary",
    "outputs",
    "protocol/v2response",
    "protocol/v2rows",
    "rows",
    "service",
)
# Other packages' types are not looked at, so that the code does not hang on what else is installed.
_OPTIONS = ("--config-file=", "--no-site-packages", "--ignore-missing-imports", "--follow-imports=silent")


def _extensions() -> list:
    if os.environ.get("FAIRLEAD_COMPILE") != "1":
        return []
    from mypyc.build import mypycify  # noqa: PLC0415  only here is it needed

    files = [f"fairlead_serving/{name}.py" for name in COMPILED]
    return mypycify([*_OPTIONS, *files], group_name="fairlead_serving", debug_level="0")


setup(ext_modules=_extensions())
