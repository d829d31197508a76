"""Reading an API server's audit log: who wrote what."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Write:
    """One answered write request; subresource is empty when it went to the object itself."""

    user: str
    agent: str
    verb: str
    group: str
    resource: str
    subresource: str
    namespace: str
    name: str
    status: int


def writes(log: Path, *, user: str | None = None, after: int = 0) -> Iterator[Write]:
    """Yield the writes in an audit log from byte `after` on (see position), of one user only if given.

    A service account's user is system:serviceaccount:NAMESPACE:NAME.
    """
    with log.open("rb") as lines:
        lines.seek(after)
        for line in lines:
            if line.endswith(b"\n") and (write := _parse(line)) and (user is None or write.user == user):
                yield write


def position(log: Path) -> int:
    """Return the log's present length, to be given as `after` later."""
    return log.stat().st_size if log.exists() else 0


def _parse(line: bytes) -> Write | None:
    event = json.loads(line)
    if event.get("stage") != "ResponseComplete":
        return None
    ref = event.get("objectRef", {})
    return Write(
        user=event["user"].get("username", ""),
        agent=event.get("userAgent", ""),
        verb=event["verb"],
        group=ref.get("apiGroup", ""),
        resource=ref.get("resource", ""),
        subresource=ref.get("subresource", ""),
        namespace=ref.get("namespace", ""),
        name=ref.get("name", ""),
        status=event.get("responseStatus", {}).get("code", 0),
    )
