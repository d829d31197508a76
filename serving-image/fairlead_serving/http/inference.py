"""An inference request from bytes to bytes: on the event loop when it is quick, in a thread beside it when not."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, NamedTuple

from fairlead_serving.errors import RequestError
from fairlead_serving.http.messages import Response, error_response
from fairlead_serving.protocol.v2 import decode_request, encode_response

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from fairlead_serving.dataplane import Dataplane
    from fairlead_serving.http.messages import Request
    from fairlead_serving.metrics import Metrics
    from fairlead_serving.tensors import Tensor

# A hop to the other thread costs some 30 µs, so what is not much slower stays on the loop.
_QUICK_SECONDS: Final = 500e-6
_QUICK_BYTES: Final = 32 * 1024
_CLIENT_ERROR: Final = 400
_SERVER_ERROR: Final = 500


class _Answer(NamedTuple):
    response: Response
    first: Tensor | None = None


class Inference:
    """Runs inference requests and counts them."""

    def __init__(self, loop: asyncio.AbstractEventLoop, dataplane: Dataplane, metrics: Metrics) -> None:
        """Prepare one thread for slow models; it starts when it is first needed."""
        self._loop = loop
        self._dataplane = dataplane
        self._metrics = metrics
        self._thread = ThreadPoolExecutor(1, "inference")

    def start(self, request: Request, done: Callable[[Request, Response], None]) -> Response | None:
        """Answer at once, or return None and call `done` on the event loop later."""
        self._metrics.in_flight += 1
        loaded = self._dataplane.loaded
        quick = loaded is None or (loaded.seconds_a_row is not None and loaded.seconds_a_row < _QUICK_SECONDS)
        if quick and len(request.body) <= _QUICK_BYTES:
            return self._finish(request, self._answer(request))
        self._thread.submit(self._beside, request, done)
        return None

    def refused(self, request: Request) -> None:
        """Count an inference request that never became one: too large, malformed, for a model that is not here."""
        self._metrics.finished("client_error", time.perf_counter() - request.arrived)

    def _beside(self, request: Request, done: Callable[[Request, Response], None]) -> None:
        answer = self._answer(request)
        self._loop.call_soon_threadsafe(lambda: done(request, self._finish(request, answer)))

    def _answer(self, request: Request) -> _Answer:
        if request.encoding not in (b"", b"identity"):
            return _Answer(error_response(415, "compressed bodies are not supported"))
        try:
            decoded = decode_request(request.body)
            outputs = self._dataplane.infer(decoded)
            name, version, _ = self._dataplane.identity
            return _Answer(Response(200, encode_response(name, version, decoded.id, outputs)), outputs[0])
        except RequestError as error:
            return _Answer(error_response(error.status, str(error)))
        except Exception as error:  # noqa: BLE001  a bug of ours must cost one request, not the server
            self._dataplane.failed(error)
            return _Answer(error_response(500, f"internal error: {type(error).__name__}"))

    def _finish(self, request: Request, answer: _Answer) -> Response:
        status = answer.response.status
        outcome = "success" if status < _CLIENT_ERROR else "client_error" if status < _SERVER_ERROR else "server_error"
        self._metrics.in_flight -= 1
        self._metrics.finished(outcome, time.perf_counter() - request.arrived)
        if answer.first is not None:
            self._metrics.predicted(answer.first)
        return answer.response
