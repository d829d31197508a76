"""Routes without a framework: functions that take and return what JSON holds."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import parse_qsl

import msgspec
import numpy as np

from fairlead_serving.errors import InvalidRequestError, RequestError, readable
from fairlead_serving.http.messages import error_response
from fairlead_serving.protocol.v2 import explain

if TYPE_CHECKING:
    from fairlead_serving.asgi.exchange import Receive, Scope, Send

_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
_BODILESS: Final = ("GET", "DELETE")


class _Route(NamedTuple):
    function: Callable[[Any], Any]
    takes: Any


class FunctionRoutes:
    """An ASGI application of functions, by method and path such as `POST /recommend`.

    A function has one parameter: the request's JSON, or the query of a GET or DELETE, in the type of its annotation
    where that is one msgspec can read (a dataclass, say). It may be async. A ValueError is the client's fault.
    """

    def __init__(self, table: Mapping[str, Callable[[Any], Any]]) -> None:
        """Take the functions. Raises ValueError for a key of another form."""
        self._routes: dict[str, dict[str, _Route]] = {}
        for key, function in table.items():
            method, _, path = str(key).partition(" ")
            if method not in _METHODS or not path.startswith("/"):
                text = f"{key!r} should be a method and a path, such as 'POST /recommend'"
                raise ValueError(text)
            self._routes.setdefault(path, {})[method] = _Route(function, _taken(function))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; there is no lifespan."""
        if scope["type"] != "http":
            raise NotImplementedError
        status, body, headers = await self._answer(scope, (await receive())["body"])
        lines = [(b"content-type", b"application/json"), *headers]
        await send({"type": "http.response.start", "status": status, "headers": lines})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, scope: Scope, body: bytes) -> tuple[int, bytes, list[tuple[bytes, bytes]]]:
        here = self._routes.get(scope["path"])
        if here is None:
            return 404, error_response(404, f"nothing is at {readable(scope['path'])}").body, []
        route = here.get("GET" if scope["method"] == "HEAD" else scope["method"])
        if route is None:
            allowed = ", ".join(here)
            return 405, error_response(405, f"use {allowed} here").body, [(b"allow", allowed.encode())]
        result = await _result(route, _content(route, scope, body))
        return 200, msgspec.json.encode(result, enc_hook=_plain), []


def _taken(function: Callable[[Any], Any]) -> Any:
    """Return the type of a function's parameter, as far as it can be told."""
    names = list(inspect.signature(function).parameters)
    if len(names) != 1:
        text = f"{function.__name__} should have one parameter, for the request's JSON; it has {len(names)}"
        raise ValueError(text)
    try:
        return typing.get_type_hints(function).get(names[0], Any)
    except NameError:
        # The annotation is text that names something of another function's.
        return Any


def _content(route: _Route, scope: Scope, body: bytes) -> Any:
    """Return what the function is given. Raises InvalidRequestError."""
    try:
        if scope["method"] in (*_BODILESS, "HEAD"):
            query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
            return msgspec.convert(query, route.takes, strict=False)
        return msgspec.json.decode(body, type=route.takes)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise explain(error) from error


async def _result(route: _Route, content: Any) -> Any:
    try:
        result = route.function(content)
        return await result if inspect.isawaitable(result) else result
    except RequestError:
        raise
    except ValueError as error:
        raise InvalidRequestError(at="", problem=str(error)) from error


def _plain(value: Any) -> Any:
    """Return numpy's numbers and arrays as Python's."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    text = f"{type(value).__name__} cannot be written as JSON"
    raise TypeError(text)
