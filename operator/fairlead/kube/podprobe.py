"""Asks a serving pod what it is doing: which model it has loaded, or why it has not yet."""

from __future__ import annotations

import json
from typing import Any

import aiohttp

_PATH = "/fairlead/v1/status"
_LARGEST = 64 * 1024


async def server_status(ip: str, port: int, timeout: float = 1.0) -> dict[str, Any] | None:  # noqa: ASYNC109 - per question
    """The pod's own status, or None when it does not answer in `timeout` seconds with a JSON object.

    A pod that does not answer is no error: it may be starting, ending, or out of reach by a network policy.
    """
    if not ip:
        return None
    host = f"[{ip}]" if ":" in ip else ip
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=timeout)) as session,
            # A pod runs what its author likes: it does not send us elsewhere, nor fill our memory.
            session.get(f"http://{host}:{port}{_PATH}", allow_redirects=False) as response,
        ):
            if response.status != 200:  # noqa: PLR2004 - OK
                return None
            body = await response.content.read(_LARGEST)
            while len(body) < _LARGEST and (more := await response.content.read(_LARGEST - len(body))):
                body += more
            status = json.loads(body)
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
        return None
    return status if isinstance(status, dict) else None
