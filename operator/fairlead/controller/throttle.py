"""When a status is worth writing: transitions at once, mere numbers seldom."""

from __future__ import annotations

from typing import Any

Manifest = dict[str, Any]
Key = tuple[str, str]

VOLATILE = frozenset({"message", "achievedWeight"})


class StatusThrottle:
    """Remembers, per ModelDeployment, when its status was written last (seconds of the caller's clock)."""

    def __init__(self, interval: float) -> None:
        self.interval = interval
        self._written: dict[Key, float] = {}

    def due(self, key: Key, old: Manifest, new: Manifest, now: float) -> bool:
        """Whether to write `new` over `old` now."""
        if old == new:
            return False
        if settled(old) != settled(new):
            return True
        return now - self._written.get(key, float("-inf")) >= self.interval

    def wrote(self, key: Key, now: float) -> None:
        """The status was written."""
        self._written[key] = now

    def forget(self, key: Key) -> None:
        """The ModelDeployment is gone."""
        self._written.pop(key, None)


def settled(value: Any) -> Any:  # any JSON value
    """The value without what changes all the time."""
    if isinstance(value, dict):
        return {key: settled(item) for key, item in value.items() if key not in VOLATILE}
    if isinstance(value, list):
        return [settled(item) for item in value]
    return value
