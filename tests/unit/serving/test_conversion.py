"""Pure parts of conversions: rows to compare on, float32 thresholds, memory left, requirements."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fairlead_serving.conversion import memory, samples
from fairlead_serving.errors import LoadError
from fairlead_serving.models import requirements


def test_rows_touch_thresholds_and_their_neighbours_and_are_always_the_same() -> None:
    anchors = [np.array([0.1, 2.5]), np.array([7.0])]
    rows = samples.made_up(anchors)
    np.testing.assert_array_equal(rows, samples.made_up(anchors))
    for value in (0.1, np.nextafter(0.1, 1), np.nextafter(0.1, 0), 2.5):
        assert value in rows[:, 0]
    assert float(np.nextafter(np.float32(0.1), np.float32(1))) in rows[:, 0]
    assert np.isfinite(rows).all()


@pytest.mark.parametrize(
    ("limit", "used", "inactive", "expected"),
    [("max", "5", "1", None), ("100", "70", "20", 50), ("100", "130", "0", 0)],
)
def test_memory_below_the_containers_limit(
    tmp_path: Path, limit: str, used: str, inactive: str, expected: int | None
) -> None:
    (tmp_path / "memory.max").write_text(limit + "\n")
    (tmp_path / "memory.current").write_text(used + "\n")
    (tmp_path / "memory.stat").write_text(f"anon 3\ninactive_file {inactive}\n")
    assert memory.available(tmp_path) == expected
    assert memory.available(tmp_path / "nothing") is None


def test_requirements_are_held_against_what_is_installed(tmp_path: Path) -> None:
    requirements.check(tmp_path)
    path = tmp_path / requirements.FILE
    path.write_text("# nothing yet\n--no-binary :all:\nnumpy>=1  # arrays\nnone-such; python_version < '3'\n")
    requirements.check(tmp_path)
    path.write_text("numpy==0.1\nnone-such>=2\n")
    with pytest.raises(LoadError, match=r"needs numpy==0.1, of which this image has .*, none-such>=2, which"):
        requirements.check(tmp_path)
