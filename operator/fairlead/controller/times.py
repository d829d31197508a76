"""Times on the wire (RFC 3339, whole seconds, UTC) and in memory (epoch seconds)."""

from __future__ import annotations

from datetime import UTC, datetime


def to_wire(when: float) -> str:
    """Epoch seconds as `2026-01-31T09:00:00Z`."""
    return datetime.fromtimestamp(when, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def from_wire(text: str) -> float:
    """Epoch seconds of an RFC 3339 time."""
    return datetime.fromisoformat(text).timestamp()


def optional_to_wire(when: float | None) -> str | None:
    """As `to_wire`, and None of None."""
    return None if when is None else to_wire(when)


def optional_from_wire(text: str | None) -> float | None:
    """As `from_wire`, and None of None."""
    return None if text is None else from_wire(text)
