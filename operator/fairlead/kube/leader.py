"""Leadership by a Lease: of several operators one acts.

The rules are those of client-go: the holder renews; who sees the same record unchanged for the record's own
duration, on its own clock, may take it over; a holder that could not renew in time stops by itself well before
that. Clocks of different machines are never compared.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from fairlead.kube.client import Cluster, Object
from fairlead.kube.errors import ApiError
from fairlead.kube.kinds import LEASE

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LeaseSettings:
    """Where the Lease is, and its times in seconds.

    A leader that could not renew for `renew_deadline` gives up; another takes over `duration` after the last
    renewal. The difference is what a leader has to stop in. `retry` is the time between tries.
    """

    namespace: str
    name: str = "fairlead-operator"
    duration: float = 15.0
    renew_deadline: float = 10.0
    retry: float = 2.0

    def __post_init__(self) -> None:
        if not self.duration > self.renew_deadline > self.retry > 0:
            msg = "lease times must satisfy duration > renew deadline > retry > 0"
            raise ValueError(msg)


class Leader:
    """One candidate for leadership.

    `pod` is the name of the pod that this process is the only container process of, if it runs in one. What an
    earlier container of the same pod held is taken over at once: that process has ended for certain.
    """

    def __init__(
        self,
        cluster: Cluster,
        settings: LeaseSettings,
        host: str,
        *,
        pod: str | None = None,
        on_change: Callable[[], None] | None = None,
    ) -> None:
        self.identity = f"{pod or host}_{secrets.token_hex(4)}"
        self.leading = False
        """True between `acquire` and the end of leadership; `on_change` is called when it turns."""
        self.lost = asyncio.Event()
        """Set when leadership ended without `release`. Whoever acts on it must stop now."""
        self._cluster = cluster
        self._settings = settings
        self._predecessor = f"{pod}_" if pod else None
        self._on_change = on_change or (lambda: None)
        self._lease: Object | None = None
        self._observed: tuple[str, float] | None = None
        self._renewal: asyncio.Task[None] | None = None

    async def acquire(self) -> None:
        """Wait until this candidate leads, then keep renewing in the background. May be cancelled."""
        told = None
        while True:
            started = _now()
            try:
                async with asyncio.timeout(self._settings.renew_deadline / 2):
                    holder = await self._try()
            except (ApiError, TimeoutError) as exc:
                _log.warning("cannot read or take the lease: %s", str(exc) or "no answer in time")
            else:
                if holder == self.identity:
                    break
                if holder != told:
                    _log.info("another operator leads, waiting: %s", holder)
                    told = holder
            await asyncio.sleep(self._settings.retry)
        _log.info("leading as %s", self.identity)
        self._turn(leading=True)
        self._renewal = asyncio.create_task(self._keep(started), name="lease-renewal")

    async def release(self) -> None:
        """End leadership and let the next candidate have it at once. Does nothing for one that does not lead."""
        renewal, self._renewal = self._renewal, None
        if renewal is None:
            return
        renewal.cancel()
        await asyncio.gather(renewal, return_exceptions=True)
        self._turn(leading=False)
        if self.lost.is_set() or self._lease is None:
            return
        spec = {**self._lease["spec"], "holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": _timestamp()}
        with contextlib.suppress(ApiError, TimeoutError):
            async with asyncio.timeout(self._settings.retry):
                await self._cluster.replace(LEASE, {**self._lease, "spec": spec})
                _log.info("released the lease")

    async def _keep(self, renewed: float) -> None:
        """Renew until it was not possible for `renew_deadline`."""
        settings = self._settings
        pause = max(settings.retry, settings.duration / 3)
        while True:
            await asyncio.sleep(pause)
            started = _now()
            left = renewed + settings.renew_deadline - started
            try:
                # A server that starts may take a request and forget it: better several tries than one long one.
                # After a suspended process or a blocked loop nothing is left, yet one try tells who leads.
                async with asyncio.timeout(max(settings.retry, min(left, settings.renew_deadline / 3))):
                    holder = await self._try()
            except (ApiError, TimeoutError) as exc:
                _log.warning("cannot renew the lease, %.0f s left: %s", max(0.0, left), str(exc) or "no answer in time")
                pause = min(settings.retry, max(0.0, renewed + settings.renew_deadline - _now()))
            else:
                if holder != self.identity:
                    return self._lose(f"{holder} leads now")
                renewed, pause = started, max(settings.retry, settings.duration / 3)
            if _now() - renewed >= settings.renew_deadline:
                return self._lose("the lease could not be renewed in time")

    def _lose(self, why: str) -> None:
        _log.error("leadership lost: %s", why)
        self.lost.set()
        self._turn(leading=False)

    def _turn(self, *, leading: bool) -> None:
        self.leading = leading
        self._on_change()

    async def _try(self) -> str:
        """One attempt to take or renew the Lease. Returns who holds it now.

        Raises `ApiError`; a `Conflict` among them only says that somebody wrote first, perhaps this process itself
        by a request that was given up: who, the next attempt will see.
        """
        lease = await self._cluster.get(LEASE, self._settings.namespace, self._settings.name)
        if lease is None:
            meta = {"namespace": self._settings.namespace, "name": self._settings.name}
            write = self._cluster.create(LEASE, {"metadata": meta, "spec": self._spec({})})
        else:
            holder = str(lease.get("spec", {}).get("holderIdentity") or "")
            if not self._may_take(lease, holder):
                return holder
            write = self._cluster.replace(LEASE, {**lease, "spec": self._spec(lease.get("spec", {}))})
        self._lease = await write
        return self.identity

    def _may_take(self, lease: Object, holder: str) -> bool:
        now, version = _now(), lease["metadata"]["resourceVersion"]
        if self._observed is None or self._observed[0] != version:
            self._observed = (version, now)
        if holder in {"", self.identity}:
            return True
        if self._predecessor is not None and holder.startswith(self._predecessor):
            return True
        return now - self._observed[1] >= float(lease["spec"].get("leaseDurationSeconds") or 0)

    def _spec(self, previous: dict[str, Any]) -> dict[str, Any]:
        stamp, changes = _timestamp(), int(previous.get("leaseTransitions") or 0)
        mine = previous.get("holderIdentity") == self.identity
        return {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": math.ceil(self._settings.duration),
            "acquireTime": previous["acquireTime"] if mine else stamp,
            "renewTime": stamp,
            "leaseTransitions": changes if mine or not previous else changes + 1,
        }


def _now() -> float:
    return asyncio.get_running_loop().time()


def _timestamp() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
