"""Waiting for a condition with a deadline and a reason."""

from __future__ import annotations

import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path

from .errors import ClusterError


def until(condition: Callable[[], bool], seconds: float, what: str, every: float = 0.1) -> None:
    """Return once the condition holds; raise ClusterError naming `what` when seconds have passed first."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            message = f"gave up after {seconds:.0f} s waiting for {what}"
            raise ClusterError(message)
        time.sleep(every)


def answers_ok(url: str, authority: Path) -> bool:
    """Tell whether a https URL answers 200, trusting the given authority."""
    context = ssl.create_default_context(cafile=str(authority))
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    try:
        with opener.open(url, timeout=10) as answer:
            return bool(answer.status == HTTPStatus.OK)
    except (OSError, urllib.error.URLError):
        return False
