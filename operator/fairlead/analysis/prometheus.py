"""The one adapter to Prometheus, through prometheus-api-client.

That library is synchronous and by default tries again for a long time. Here each call runs in one of a few
threads of its own, once, with a timeout, so that a slow Prometheus holds up neither the event loop nor the
threads that others use. Asking again is the caller's business: instants can be asked for later.
"""

from __future__ import annotations

import ast
import asyncio
import functools
import json
import re
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import urlsplit

from prometheus_api_client.exceptions import PrometheusApiClientException
from prometheus_api_client.prometheus_connect import PrometheusConnect
from requests import RequestException, Timeout
from urllib3.util.retry import Retry

from fairlead.analysis.source import Instant, MetricError, ProviderError, QueryError, Sample

TIMEOUT = 5.0
CONCURRENCY = 4

_STATUS = re.compile(r"HTTP Status Code (\d+) \((.*)\)", re.DOTALL)
_BUSY = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS)
_NO_ANSWER = "no answer within"
_KNOWN = (
    "Connection refused",
    "Connection reset by peer",
    "Name or service not known",
    "Temporary failure in name resolution",
    "No route to host",
    "Network is unreachable",
    "CERTIFICATE_VERIFY_FAILED",
)


class PrometheusSource:
    """A Prometheus (or anything with its query API) as MetricSource.

    `timeout` is in seconds and holds for one question from the moment it is sent; `headers` go with every question.
    """

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float = TIMEOUT,
        concurrency: int = CONCURRENCY,
    ) -> None:
        self._timeout = timeout
        self._client = PrometheusConnect(
            url=url.rstrip("/"),
            headers=dict(headers or {}),
            retry=Retry(0, read=False),
            timeout=cast("int", timeout),  # handed to requests as it is, which takes parts of a second
        )
        self._where = _without_credentials(url)
        self._paused_until, self._pause_reason = 0.0, ""
        self._slots = asyncio.Semaphore(concurrency)
        self._threads = ThreadPoolExecutor(concurrency, thread_name_prefix="prometheus")

    def close(self) -> None:
        """Let go of the connections; questions that are under way end by their timeout."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._client.close()

    async def instant(self, query: str, at: float) -> Sequence[Sample]:
        """Every series' last value at `at`. Raises ProviderError and QueryError."""
        ask = functools.partial(self._client.custom_query, query, params={"time": f"{at:.3f}"})
        return [_sample(series, series["value"]) for series in await self._ask(ask, "value")]

    async def window(self, query: str, start: float, end: float, step: float) -> Sequence[Instant]:
        """Every series' last value at each instant of a window; `start` is rounded to a whole second."""
        ask = functools.partial(
            self._client.custom_query_range,
            query,
            datetime.fromtimestamp(start, UTC),
            datetime.fromtimestamp(end, UTC),
            f"{step:.3f}",
        )
        instants: defaultdict[float, list[Sample]] = defaultdict(list)
        for series in await self._ask(ask, "values"):
            for value in series["values"]:
                instants[float(value[0])].append(_sample(series, value))
        return sorted(instants.items())

    async def _ask(self, ask: Callable[[], Any], field: str) -> list[dict[str, Any]]:
        async with self._slots:
            self._check_pause()
            try:
                call = asyncio.get_running_loop().run_in_executor(self._threads, ask)
                # The library's timeout is per read; a server that drips must not hold us either.
                answer = await asyncio.wait_for(call, 2 * self._timeout)
            except PrometheusApiClientException as error:
                raise self._refused(str(error)) from error
            except (TimeoutError, RequestException) as error:
                raise self._silent(_reason(error, self._timeout)) from error
            except (KeyError, TypeError, ValueError) as error:
                odd = "the answer is not Prometheus's"
                raise self._silent(odd) from error
        if not isinstance(answer, list) or not all(
            isinstance(s, dict) and {"metric", field} <= s.keys() for s in answer
        ):
            message = f"Prometheus at {self._where} answered with something else than series"
            raise QueryError(message)
        return answer

    def _check_pause(self) -> None:
        """Fail at once while Prometheus has just failed to answer in time, or all rollouts would queue up behind it."""
        if time.monotonic() < self._paused_until:
            raise ProviderError(self._pause_reason)

    def _silent(self, what: str) -> ProviderError:
        message = f"Prometheus at {self._where} cannot be asked: {what}"
        if what.startswith(_NO_ANSWER):
            self._paused_until, self._pause_reason = time.monotonic() + self._timeout, message
        return ProviderError(message)

    def _refused(self, text: str) -> MetricError:
        match = _STATUS.search(text)
        status, body = (int(match[1]), match[2]) if match else (HTTPStatus.BAD_GATEWAY, "")
        what = ", ".join(filter(None, (f"HTTP {status}", _own_words(body))))
        if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR and status not in _BUSY:
            return QueryError(f"Prometheus at {self._where} refused the question: {what[:300]}")
        return self._silent(what[:300])


def _sample(series: Mapping[str, Any], value: Sequence[Any]) -> Sample:
    try:
        return Sample(series["metric"], float(value[1]))
    except (IndexError, TypeError, ValueError) as error:
        message = f"a series has the value {value!r}, which is not a number"
        raise QueryError(message) from error


def _own_words(body: str) -> str:
    """Prometheus's own sentence. The library hands its answer over as the repr() of bytes."""
    try:
        return str(json.loads(ast.literal_eval(body))["error"])
    except (KeyError, SyntaxError, TypeError, ValueError):
        return ""


def _reason(error: Exception, timeout: float) -> str:
    """The innermost reason without the library's layers around it."""
    text = str(error)
    if isinstance(error, TimeoutError | Timeout) or "timed out" in text:
        return f"{_NO_ANSWER} {timeout:g} s"
    known = (reason for reason in _KNOWN if reason in text)
    return next(known, type(error).__name__).lower()


def _without_credentials(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}".rstrip("/")
