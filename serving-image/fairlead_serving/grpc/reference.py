"""gRPC on grpcio's own server: slower, but the reference. It answers by the same code as ours."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, Never

import grpc
import grpc.aio

from fairlead_serving.errors import LoadError, RequestError
from fairlead_serving.grpc import status
from fairlead_serving.grpc.calls import METHODS, SERVICE, InferCall, Method, failure_of
from fairlead_serving.grpc.codec import PREFIX_BYTES, InferCodec
from fairlead_serving.grpc.status import Failure

if TYPE_CHECKING:
    from fairlead_serving.dataplane import Dataplane
    from fairlead_serving.listening.listener import ConnectionLimits
    from fairlead_serving.service import Service
    from fairlead_serving.settings import TlsFiles

_GRACE_SECONDS: Final = 5.0
_STREAMS: Final = 128
_HEADER_BYTES: Final = 32 * 1024
_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}
_INFER: Final = (SERVICE + b"ModelInfer").decode()
_Behaviour = Callable[[bytes, Any], Awaitable[bytes]]


class ReferenceCall(InferCall):
    """One ModelInfer; grpcio takes messages out of their frames and frames them."""

    def __init__(self, message: bytes, context: Any, codec: InferCodec) -> None:
        super().__init__(time.perf_counter(), len(message), _host(context.peer()), message, codec)
        self._context = context
        self.found: asyncio.Future[bytes | Failure] = asyncio.get_running_loop().create_future()

    def answer(self, response: bytes | Failure) -> None:
        """Hand the answer to whoever waits for it."""
        if not self.found.done():
            self.found.set_result(response)

    def trace_context(self) -> tuple[bytes, bytes]:
        """Return what the client sent."""
        sent = dict(self._context.invocation_metadata())
        return sent.get("traceparent", "").encode(), sent.get("tracestate", "").encode()

    def _taken(self, body: bytes) -> bytes:
        return body

    def _sent(self, body: bytes) -> bytes:
        return body[PREFIX_BYTES:]


class ReferenceServer:
    """Serves one dataplane with grpcio. Its connections are not counted, nor is their number bounded."""

    def __init__(self, dataplane: Dataplane, service: Service, limits: ConnectionLimits) -> None:
        """Prepare the server. Must be called on the event loop."""
        self._dataplane = dataplane
        self._codec = InferCodec(dataplane)
        self._service = service
        self._options: list[tuple[str, int]] = [
            ("grpc.max_receive_message_length", limits.max_body),
            ("grpc.max_send_message_length", -1),
            ("grpc.max_concurrent_streams", _STREAMS),
            ("grpc.max_metadata_size", _HEADER_BYTES),
            ("grpc.absolute_max_metadata_size", _HEADER_BYTES),
        ]
        if limits.max_age:
            self._options.append(("grpc.max_connection_age_ms", max(1, int(1000 * limits.max_age))))
        if limits.idle:
            self._options.append(("grpc.max_connection_idle_ms", max(1, int(1000 * limits.idle))))
        self._server: grpc.aio.Server | None = None

    async def listen(self, host: str | None, port: int, tls: TlsFiles | None, *, shared: bool) -> int:
        """Start to accept connections and return the port. Raises LoadError where that cannot be."""
        server = grpc.aio.server(options=[*self._options, ("grpc.so_reuseport", int(shared))])
        behaviours: dict[str, _Behaviour] = {path.decode(): self._plain(method) for path, method in METHODS.items()}
        behaviours[_INFER] = self._infer
        server.add_generic_rpc_handlers((_Router(behaviours),))
        name = "[::]" if host is None else f"[{host}]" if ":" in host else host
        try:
            if tls is None:
                port = server.add_insecure_port(f"{name}:{port}")
            else:
                port = server.add_secure_port(f"{name}:{port}", _credentials(tls))
        except (RuntimeError, OSError, ValueError) as error:
            message = f"cannot listen on port {port}: {error}"
            raise LoadError(message) from error
        await server.start()
        self._server = server
        return int(port)

    async def close(self) -> None:
        """Give what is under way a moment to finish, and stop."""
        if self._server is not None:
            await self._server.stop(_GRACE_SECONDS)

    def _plain(self, method: Method) -> _Behaviour:
        async def behave(message: bytes, context: Any) -> bytes:
            try:
                return method(self._dataplane, message)
            except RequestError as error:
                return await _fail(context, failure_of(error))

        return behave

    async def _infer(self, message: bytes, context: Any) -> bytes:
        call = ReferenceCall(message, context, self._codec)
        response = self._service.start(call)
        if response is None:
            try:
                response = await call.found
            except asyncio.CancelledError:
                # The client has gone, or its time is over.
                self._service.cancel(call)
                raise
        if isinstance(response, Failure):
            return await _fail(context, response)
        answer: bytes = response
        return answer


class _Router(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpcio comes without types
    """Finds a method by its path."""

    def __init__(self, behaviours: dict[str, _Behaviour]) -> None:
        self._handlers = {path: grpc.unary_unary_rpc_method_handler(each) for path, each in behaviours.items()}

    def service(self, handler_call_details: Any) -> Any:
        """Return what handles a call, None where nothing does."""
        return self._handlers.get(handler_call_details.method)


async def _fail(context: Any, failure: Failure) -> Never:
    trailing = () if failure.retry_after is None else (("grpc-retry-pushback-ms", str(1000 * failure.retry_after)),)
    await context.abort(_CODES[failure.code], failure.text[: status.MAX_MESSAGE], trailing)
    raise AssertionError


def _host(peer: str) -> str:
    """Return the address in what grpcio calls a peer, such as ipv4:192.0.2.1:50000."""
    return peer.partition(":")[2].rpartition(":")[0]


def _credentials(files: TlsFiles) -> Any:
    """Return credentials that look at each handshake for the files as they are then. Raises OSError."""

    def read() -> Any:
        roots = files.client_ca.read_bytes() if files.client_ca else None
        pairs = [(files.key.read_bytes(), files.certificate.read_bytes())]
        return grpc.ssl_server_certificate_configuration(pairs, roots)

    def latest() -> Any:
        try:
            return read()
        except OSError:
            # What was read before stays in use.
            return None

    return grpc.dynamic_ssl_server_credentials(read(), latest, files.client_ca is not None)
