"""What models take, joined along the first axis: an array, arrays by name, or rows that are no array yet."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from fairlead_serving.rows import Rows, join_rows


def shape_key(feed: Any) -> Hashable | None:
    """Return what must be equal for two feeds to be joined, or None where this kind of feed cannot be."""
    if isinstance(feed, np.ndarray):
        return (feed.dtype.char, feed.shape[1:]) if feed.ndim else None
    if not isinstance(feed, dict):
        return None
    rows = rows_of(feed)
    parts = []
    for name, array in feed.items():
        if not isinstance(array, np.ndarray) or not array.ndim or len(array) != rows:
            return None
        parts.append((name, array.dtype.char, array.shape[1:]))
    return tuple(parts)


def rows_of(feed: Any) -> int:
    """Return the length of the first axis; 1 where there is none to speak of."""
    if isinstance(feed, dict):
        feed = next(iter(feed.values()), None)
    shape = getattr(feed, "shape", ())
    return max(1, shape[0]) if shape else 1


def join(feeds: Sequence[Any]) -> Any:
    """Return one feed with the rows of all, which must have the same key."""
    if len(feeds) == 1:
        return feeds[0]
    first = feeds[0]
    if isinstance(first, Rows):
        return join_rows(feeds)
    if isinstance(first, dict):
        return {name: np.concatenate([feed[name] for feed in feeds]) for name in first}
    return np.concatenate(feeds)
