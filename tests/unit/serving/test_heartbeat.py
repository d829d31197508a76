"""Which workers hang, by what the supervisor sees."""

from __future__ import annotations

import pytest

from fairlead_serving.workers.heartbeat import Watch


@pytest.mark.parametrize(
    ("looks", "found"),
    [
        # Each look: the time, and the turns of two workers.
        ([(0, 1, 1), (1, 2, 1), (2, 3, 1), (3, 4, 1), (4, 5, 1)], [3, 1]),
        ([(0, 1, 1), (1, 1, 2), (2, 1, 3), (2.5, 1, 4), (3.5, 1, 5)], [3.5, 0]),
        # A turn in between, and it starts anew.
        ([(0, 1, 1), (1, 1, 2), (2, 1, 3), (3, 2, 4), (4, 2, 5), (5, 2, 6)], None),
        # The whole machine stood still, the supervisor as well.
        ([(0, 1, 1), (1, 2, 2), (500, 2, 2), (501, 3, 3)], None),
        ([(0, 1, 1), (500, 1, 2), (1000, 1, 3)], [1000, 0]),
    ],
)
def test_a_worker_hangs_when_it_has_not_turned_for_as_long_as_the_supervisor_ran(
    looks: list[tuple[float, float, float]], found: list[float] | None
) -> None:
    turns = [0.0, 0.0]
    watch = Watch(lambda: turns, 3)
    seen = []
    for time, *now in looks:
        turns[:] = now
        seen += [[time, worker] for worker in watch.look(time, [0, 1])]
    assert (seen[0] if seen else None) == found


def test_one_that_loads_is_not_looked_at() -> None:
    watch = Watch(lambda: [1.0, 1.0], 3)
    assert [watch.look(float(time), [1]) for time in range(4)] == [[], [], [], [1]]
    assert [watch.look(float(time), [0, 1]) for time in range(4, 6)] == [[1], [1]]
    assert watch.look(6.0, [0]) == []
    assert watch.look(7.0, [0]) == [0]
