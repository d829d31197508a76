"""Runs one target under libFuzzer, in the fuzzers' own environment."""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["fairlead_serving"]):
    from tests.fuzz.targets import TARGETS
    from tests.fuzz.world import World


def main(arguments: list[str]) -> None:
    """Fuzz the target named first; what follows is for libFuzzer."""
    name, *options = arguments
    world, target = World(), TARGETS[name]
    atheris.Setup([f"fuzz-{name}", *options], lambda data: target(world, data))
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
