"""Answers from the fallback, by an engine of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from fairlead_serving.batching.engine import Engine
from fairlead_serving.dataplane import Dataplane
from fairlead_serving.errors import OverloadedError, RequestError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from concurrent.futures import Executor

    from fairlead_serving.batching.engine import Limits
    from fairlead_serving.batching.run import BatchRun
    from fairlead_serving.call import Call
    from fairlead_serving.dataplane import Identity
    from fairlead_serving.fallback.declared import Spare
    from fairlead_serving.outputs import Part


class Fallback:
    """Takes calls that the main model's queue has no room for. All methods belong to the event loop."""

    def __init__(
        self,
        spare: Spare,
        identity: Identity,
        loop: asyncio.AbstractEventLoop,
        limits: Limits,
        codec: Executor,
        finish: Callable[[Call, Part | RequestError], None],
    ) -> None:
        """Prepare to serve a loaded model.

        `codec` is where checks run that are slow, and `finish` answers a call with what came of it.
        """
        self._dataplane = Dataplane(identity)
        self._dataplane.serve(spare.loaded)
        self._loop = loop
        self._codec = codec
        self._finish = finish
        self.engine = Engine(loop, self._dataplane.run, self._deliver, limits)
        self.engine.learn(spare.found)

    def take(self, call: Call, overloaded: OverloadedError) -> bool:
        """Queue a call here, and return whether there is room, and the fallback takes its inputs.

        `overloaded` is what the client is told where that shows only later.
        """
        call.fallback = True
        if self._dataplane.slow_to_bind:
            self._codec.submit(self._bind_beside, call, overloaded)
            return True
        call.fallback = self._bind(call) and self._submit(call)
        return call.fallback

    def _bind(self, call: Call) -> bool:
        assert call.decoded is not None  # noqa: S101  the main model has taken it
        try:
            call.feed, call.wanted = self._dataplane.bind(call.decoded)
        except RequestError:
            return False
        return True

    def _submit(self, call: Call) -> bool:
        try:
            self.engine.submit(call)
        except OverloadedError:
            return False
        return True

    def _bind_beside(self, call: Call, overloaded: OverloadedError) -> None:
        if not call.over:
            self._loop.call_soon_threadsafe(self._submit_later, call, overloaded, self._bind(call))

    def _submit_later(self, call: Call, overloaded: OverloadedError, bound: bool) -> None:  # noqa: FBT001  for the loop
        if not (call.over or (bound and self._submit(call))):
            self._finish(call, overloaded)

    def _deliver(self, run: BatchRun) -> None:
        for job, result in zip(run.batch, run.results, strict=True):
            call = cast("Call", job)
            if not call.over:
                call.waited = run.began - call.queued
                self._finish(call, result)
