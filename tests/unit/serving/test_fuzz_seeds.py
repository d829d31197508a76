"""What the fuzzers begin with and what they have found, without the fuzzers: see tests/fuzz."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fuzz.targets import TARGETS, seeds
from tests.fuzz.world import World


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    made = World()
    yield made
    made.loop.close()


@pytest.mark.parametrize(("target", "name"), [(target, name) for target in TARGETS for name in seeds(target)])
def test_no_seed_breaks_an_invariant(world: World, target: str, name: str) -> None:
    TARGETS[target](world, seeds(target)[name])
