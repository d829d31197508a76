"""Waiting for what has to come: at once as a rule, much later on a machine with much else to do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

PATIENCE = 120.0
"""Seconds after which something is said never to come. No promise to users: those are named where they are tested."""


async def until(condition: Callable[[], object]) -> None:
    """Wait until the condition (or the coroutine it returns) holds. Raises TimeoutError when it does not in time."""
    async with asyncio.timeout(PATIENCE):
        while True:
            result = condition()
            if await result if asyncio.iscoroutine(result) else result:
                return
            await asyncio.sleep(0.05)
