"""The life of the operator process: logs, health, leadership, watches, work, and an orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import platform
import signal
from collections.abc import Awaitable, Callable, Iterator
from typing import Protocol

import kopf

from fairlead.controller.workqueue import Key, WorkQueue
from fairlead.kube.client import Cluster, NoCredentials
from fairlead.kube.errors import ApiError, NotFound, NotOurs
from fairlead.kube.kinds import MODEL_DEPLOYMENT, MODEL_ROLLOUT
from fairlead.kube.leader import Leader
from fairlead.runtime import handlers
from fairlead.runtime import logging as logs
from fairlead.runtime.health import Health, serving
from fairlead.runtime.metrics import Metrics
from fairlead.runtime.settings import Settings
from fairlead.runtime.watches import WATCHED, Watches

OK, FAILED, MISUSED = 0, 1, 2
_CRD_RETRY = 5.0

_log = logging.getLogger(__name__)


class Reconciler(Protocol):
    """What the runtime runs: `fairlead.controller.reconcile.Reconciler`, or a test's own."""

    async def reconcile(self, key: Key) -> float | None:
        """One pass; the seconds until the next, None for only when something happens."""


ReconcilerFactory = Callable[[Cluster, Settings, Metrics], Reconciler]


def run(settings: Settings, factory: ReconcilerFactory) -> int:
    """Run the operator until a signal ends it. Returns the exit code.

    0 after SIGTERM or SIGINT, 1 when leadership or the watches were lost (a new process starts over), 2 when the
    operator cannot run at all as it is configured.
    """
    logs.configure(settings.log_level, settings.log_format)
    try:
        return asyncio.run(_main(settings, factory))
    except NoCredentials as exc:
        _log.error("%s", exc)
        return MISUSED
    except OSError as exc:
        _log.error("cannot serve health and metrics: %s", exc)
        return MISUSED


async def _main(settings: Settings, factory: ReconcilerFactory) -> int:
    stop = asyncio.Event()
    metrics = Metrics()
    access = Cluster(
        settings.kubeconfig, settings.context, timeout=settings.request_timeout, on_request=metrics.api_request
    )
    with _signals(stop):
        async with access as cluster:
            health = Health(cluster, metrics)
            async with serving(health.app(), settings.http_host, settings.http_port):
                return await _Operator(settings, cluster, metrics, health, stop).run(factory)


class _Operator:
    """One run, from waiting for leadership to its end."""

    def __init__(
        self, settings: Settings, cluster: Cluster, metrics: Metrics, health: Health, stop: asyncio.Event
    ) -> None:
        self.settings = settings
        self.cluster = cluster
        self.metrics = metrics
        self.stop = stop
        self.queue = WorkQueue(
            workers=settings.workers,
            timeout=settings.reconcile_timeout,
            expected=(ApiError, NotOurs),
            telemetry=metrics,
        )
        self.watches = Watches(cluster, self.queue.add, namespaces=settings.watch_namespaces)
        self.leader = Leader(
            cluster, settings.lease, platform.node(), pod=settings.pod_name, on_change=self._leadership
        )
        health.complaints += [self._no_progress, self._dead_watches]

    async def run(self, factory: ReconcilerFactory) -> int:
        """Lead, work, and hand over."""
        try:
            if not await self._unless_stopped(self.leader.acquire()):
                return OK
            if not await self._unless_stopped(self._crds()):
                return FAILED if self.leader.lost.is_set() else OK
            return await self._work(factory(self.cluster, self.settings, self.metrics))
        finally:
            await self.leader.release()

    async def _work(self, reconciler: Reconciler) -> int:
        halt = asyncio.Event()
        passes = asyncio.create_task(
            self.queue.run(reconciler.reconcile, grace=self.settings.shutdown_grace), name="queue"
        )
        compare = asyncio.create_task(self.watches.run(self.settings.watch_check_interval), name="compare")
        ends = [asyncio.create_task(event.wait()) for event in (self.stop, self.leader.lost)]
        watching = asyncio.create_task(self._watch(halt), name="kopf")
        try:
            await asyncio.wait([passes, compare, watching, *ends], return_when=asyncio.FIRST_COMPLETED)
            orderly = self.stop.is_set() and not self.leader.lost.is_set()
            _log.info("stopping")
            compare.cancel()
            self.queue.stop()
            if not orderly:
                passes.cancel()  # somebody else may be at work already
            await asyncio.wait([passes])
            # From here on nothing is written, so that the next leader need not wait for the rest.
            await self.leader.release()
            return OK if orderly else _failed(passes, compare, watching)
        finally:
            halt.set()
            for end in ends:
                end.cancel()
            await asyncio.gather(watching, compare, *ends, return_exceptions=True)

    async def _watch(self, halt: asyncio.Event) -> None:
        """Run kopf until `halt`."""
        ours = asyncio.all_tasks()
        tasks = await kopf.spawn_tasks(
            registry=handlers.registry(self.watches, WATCHED, self.cluster.access),
            settings=handlers.settings(WATCHED),
            # Left to itself kopf looks its user up, and in a container that user has no name.
            identity="fairlead",  # type: ignore[arg-type]  # a NewType of str that kopf does not export
            clusterwide=not self.settings.watch_namespaces,
            namespaces=self.settings.watch_namespaces,
            stop_flag=halt,
        )
        _catch_signals(self.stop)  # kopf has just taken them, and would stop before the work is done
        await kopf.run_tasks(tasks, ignored=ours)

    async def _crds(self) -> None:
        """Wait until the API server knows our kinds: kopf looks for them once only."""
        namespace = next(iter(self.settings.watch_namespaces), None)
        waiting = False
        while True:
            try:
                for kind in (MODEL_DEPLOYMENT, MODEL_ROLLOUT):
                    await self.cluster.list_metadata(kind, namespace)
            except NotFound:
                if not waiting:
                    _log.warning("the CRDs of fairlead.dev are not installed yet: waiting for them")
                    waiting = True
            except ApiError as exc:
                _log.warning("cannot list ModelDeployments: %s", exc)
            else:
                return
            await asyncio.sleep(_CRD_RETRY)

    async def _unless_stopped(self, what: Awaitable[None]) -> bool:
        """Wait for something, but not beyond a signal or the loss of leadership. False when that came first."""
        task = asyncio.ensure_future(what)
        ends = [asyncio.create_task(event.wait()) for event in (self.stop, self.leader.lost)]
        await asyncio.wait([task, *ends], return_when=asyncio.FIRST_COMPLETED)
        for other in (task, *ends):
            other.cancel()
        await asyncio.gather(*ends, return_exceptions=True)
        with contextlib.suppress(asyncio.CancelledError):
            await task
            return True
        return False

    def _leadership(self) -> None:
        self.metrics.leading(now=self.leader.leading)

    def _no_progress(self) -> str | None:
        # A single pass is cancelled after its own limit; twice that means that not even this works.
        overdue = self.queue.stalled_for()
        return f"no progress for {overdue:.0f} s" if overdue > 2 * self.settings.reconcile_timeout + 10 else None

    def _dead_watches(self) -> str | None:
        return f"no events come any more for {', '.join(self.watches.dead)}" if self.watches.dead else None


def _failed(*tasks: asyncio.Task[None]) -> int:
    for task in tasks:
        if task.done() and not task.cancelled() and (exc := task.exception()) is not None:
            _log.error("%s ended: %s", task.get_name(), exc, exc_info=exc)
    return FAILED


@contextlib.contextmanager
def _signals(stop: asyncio.Event) -> Iterator[None]:
    _catch_signals(stop)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().remove_signal_handler(number)


def _catch_signals(stop: asyncio.Event) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
