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
import math
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

import urllib3
from prometheus_api_client.exceptions import PrometheusApiClientException
from prometheus_api_client.prometheus_connect import PrometheusConnect
from requests import RequestException, Timeout
from urllib3.util.retry import Retry

from fairlead.analysis import native
from fairlead.analysis.access import Access, AccessError
from fairlead.analysis.breaker import Breaker
from fairlead.analysis.source import Instant, MetricError, ProviderError, QueryError, Sample

T = TypeVar("T")

TIMEOUT = 5.0
CONCURRENCY = 4

_STATUS = re.compile(r"HTTP Status Code (\d+) \((.*)\)", re.DOTALL)
_BUSY = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS)
_DENIED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
_KNOWN = (
    "Connection refused",
    "Connection reset by peer",
    "Name or service not known",
    "Temporary failure in name resolution",
    "No route to host",
    "Network is unreachable",
)
_TLS = re.compile(r"\[(?:SSL|X509)[^\]]*\] (.*?)(?: \(_ssl|')")


class PrometheusSource:
    """A Prometheus (or anything with its query API) as MetricSource.

    `timeout` is in seconds and holds for one question from the moment it is sent. A Prometheus that fails several times
    in a row is left alone for a while: `breaker`.
    """

    def __init__(
        self,
        url: str,
        *,
        access: Access | None = None,
        timeout: float = TIMEOUT,
        concurrency: int = CONCURRENCY,
        breaker: Breaker | None = None,
    ) -> None:
        access = access or Access()
        if access.insecure:
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)  # it was asked for
        self._timeout = timeout
        self._client = PrometheusConnect(
            url=url.rstrip("/"),
            headers=dict(access.headers),
            # Handed to requests as they are, which takes any signature, and parts of a second.
            auth=cast("tuple[str, str]", access.signature()),
            timeout=cast("int", timeout),
            session=access.session(),
            retry=Retry(0, read=False),
        )
        self._where = _without_credentials(url)
        self._breaker = breaker or Breaker()
        self._slots = asyncio.Semaphore(concurrency)
        self._threads = ThreadPoolExecutor(concurrency, thread_name_prefix="prometheus")

    def close(self) -> None:
        """Let go of the connections; questions that are under way end by their timeout."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._client.close()

    async def instant(self, query: str, at: float) -> Sequence[Sample]:
        """Every series' last value at `at`. Raises ProviderError and QueryError."""
        ask = functools.partial(self._client.custom_query, query, params={"time": f"{at:.3f}"})
        return await self._ask(ask, _instant)

    async def window(self, query: str, start: float, end: float, step: float) -> Sequence[Instant]:
        """Every series' last value at each instant of a window; `start` is rounded to a whole second."""
        ask = functools.partial(
            self._client.custom_query_range,
            query,
            datetime.fromtimestamp(start, UTC),
            datetime.fromtimestamp(end, UTC),
            f"{step:.3f}",
        )
        return await self._ask(ask, _window)

    async def _ask(self, ask: Callable[[], Any], read: Callable[[Any], T]) -> T:
        """Ask, and read the answer, in a thread: an answer may be a few MB."""
        async with self._slots:
            self._breaker.check()
            try:
                call = asyncio.get_running_loop().run_in_executor(self._threads, lambda: read(ask()))
                # The library's timeout is per read; a server that drips must not hold us either.
                answer = await asyncio.wait_for(call, 2 * self._timeout)
            except (PrometheusApiClientException, RequestException, AccessError, OSError, *_ODD) as error:
                raise self._told(error) from error
        self._breaker.succeeded()
        return answer

    def _told(self, error: Exception) -> MetricError:
        """The error as a sentence. One that came from Prometheus itself shows that it is there."""
        if isinstance(error, PrometheusApiClientException):
            return self._refused(str(error))
        if isinstance(error, _OddAnswerError):
            self._breaker.succeeded()
            return QueryError(f"Prometheus at {self._where} answered with {error}")
        if isinstance(error, AccessError):
            return self._silent(str(error))
        if isinstance(error, RequestException | OSError):
            return self._silent(_reason(error, self._timeout))
        return self._silent("the answer is not Prometheus's")

    def _silent(self, what: str) -> ProviderError:
        message = f"Prometheus at {self._where} cannot be asked: {what}"
        self._breaker.failed(message)
        return ProviderError(message)

    def _refused(self, text: str) -> MetricError:
        match = _STATUS.search(text)
        status, body = (int(match[1]), match[2]) if match else (HTTPStatus.BAD_GATEWAY, "")
        what = ", ".join(filter(None, (f"HTTP {status}", _own_words(body))))[:300]
        if not HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR or status in _BUSY:
            return self._silent(what)
        self._breaker.succeeded()
        if status in _DENIED:
            return QueryError(f"Prometheus at {self._where} denied access ({what}): check the operator's credentials")
        return QueryError(f"Prometheus at {self._where} refused the question: {what}")


class _OddAnswerError(Exception):
    """Prometheus answered with something that has no number in it."""


_ODD = (_OddAnswerError, KeyError, TypeError, ValueError)


def _instant(answer: Any) -> list[Sample]:
    """The series of an instant query; a bare number is one without labels."""
    if _is_point(answer):
        return [Sample({}, _number(answer))]
    return [
        _histogram(series["metric"], series["histogram"])
        if "histogram" in series
        else Sample(series["metric"], _number(series["value"]))
        for series in _listed(answer, "value", "histogram")
    ]


def _window(answer: Any) -> list[Instant]:
    """The series of a range query by instant."""
    instants: defaultdict[float, list[Sample]] = defaultdict(list)
    for series in _listed(answer, "values", "histograms"):
        labels = series["metric"]
        for point in series.get("values", ()):
            instants[float(point[0])].append(Sample(labels, _number(point)))
        for point in series.get("histograms", ()):
            instants[float(point[0])].append(_histogram(labels, point))
    return sorted(instants.items(), key=lambda item: item[0])


def _listed(answer: Any, *fields: str) -> list[dict[str, Any]]:
    if not isinstance(answer, list) or not all(
        isinstance(series, dict) and "metric" in series and not series.keys().isdisjoint(fields) for series in answer
    ):
        message = "something else than series"
        raise _OddAnswerError(message)
    return answer


def _is_point(answer: Any) -> bool:
    return isinstance(answer, list) and len(answer) == len(("time", "value")) and isinstance(answer[1], str)


def _number(point: Sequence[Any]) -> float:
    try:
        return float(point[1])
    except (IndexError, TypeError, ValueError) as error:
        message = f"the value {point!r}, which is not a number"
        raise _OddAnswerError(message) from error


def _histogram(labels: Mapping[str, str], point: Sequence[Any]) -> Sample:
    """A native histogram. One whose buckets are not exponential has no counts that could be compared."""
    found = native.parse(point[1])
    return Sample(labels, float(point[1]["count"]) if found else math.nan, found)


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
        return f"no answer within {timeout:g} s"
    if isinstance(error, ValueError):
        return "the answer is not Prometheus's"
    if match := _TLS.search(text):
        return match[1]
    if not isinstance(error, RequestException):
        return text  # a file of ours that is not there
    known = (reason for reason in _KNOWN if reason in text)
    return next(known, type(error).__name__).lower()


def _without_credentials(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}".rstrip("/")
