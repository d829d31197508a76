"""kopf as what it is best at: keeping watches alive. What it delivers only wakes the queue.

None of kopf's own state handling is used, so it writes nothing: no annotations, no finalizers, no events.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import kopf

from fairlead.kube.client import Access
from fairlead.runtime.watches import Watched, Watches

_BACKOFFS = (0.5, 1, 1, 2, 3, 5, 8)


def registry(watches: Watches, watched: tuple[Watched, ...], access: Callable[[], Awaitable[Access]]) -> Any:
    """The handlers: one for each watched kind, and the login with the credentials that the rest uses."""
    result = kopf.OperatorRegistry()

    @kopf.on.login(registry=result)
    async def login(**_: Any) -> kopf.ConnectionInfo:
        """Called again whenever the API server does not accept the token any more."""
        now = await access()
        return kopf.ConnectionInfo(
            server=now.server,
            ca_path=now.ca_path,
            insecure=now.insecure,
            token=now.token,
            certificate_path=now.certificate_path,
            private_key_path=now.key_path,
        )

    for one in watched:
        _listen(result, watches, one)
    return result


def _listen(result: kopf.OperatorRegistry, watches: Watches, one: Watched) -> None:
    kind = one.kind

    @kopf.on.event(group=kind.group, version=kind.version, plural=kind.plural, registry=result, id=kind.resource)
    async def delivered(event: kopf.RawEvent, **_: Any) -> None:
        watches.deliver(one, event["type"], dict(event["object"]))


def settings(watched: tuple[Watched, ...]) -> kopf.OperatorSettings:
    """kopf, made to need and to do as little as possible."""
    result = kopf.OperatorSettings()
    result.posting.enabled = False
    result.peering.standalone = True
    # The CRDs are waited for before kopf starts, and namespaces are named: no right to list either is needed.
    result.scanning.disabled = True
    result.watching.inactivity_timeout = 70  # bookmarks come every 60 s
    result.watching.server_timeout = 300
    result.watching.client_timeout = 310
    result.watching.connect_timeout = 10
    result.networking.request_timeout = 30
    result.networking.connect_timeout = 10
    result.networking.error_backoffs = _BACKOFFS
    result.watching.chunk_size = 500
    result.process.ultimate_exiting_timeout = None
    result.queueing.exit_timeout = 0.5
    for one in watched:
        if one.labels:
            selector = ",".join(f"{key}={value}" for key, value in one.labels.items())
            result.watching.label_selectors[one.kind.group, one.kind.version, one.kind.plural] = selector
    return result
