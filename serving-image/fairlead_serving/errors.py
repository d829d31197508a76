"""What can go wrong, by whose fault it is.

ServingError
├── SettingsError            the person who starts the server: a flag or variable is wrong
├── LoadError                the model cannot be served, and trying again would not help
├── StorageUnreachableError  the model cannot be fetched now, trying again may help
└── RequestError             one request cannot be answered; carries the HTTP status
    ├── InvalidRequestError  400, the client's fault, names the field
    ├── NotFoundError        404, another model or version
    ├── TooLargeError        413, more bytes than the limit, perhaps only once they are decompressed
    ├── UnknownEncodingError 415, compressed in a way that is not known here
    ├── NotReadyError        503, no model yet
    ├── OverloadedError      503, more requests wait than can be answered in time
    └── ModelFailureError    500, the model raised on a legal request
"""

from __future__ import annotations

import math
from typing import Final

_SHOWN: Final = 80


class ServingError(Exception):
    """Any error this package raises on purpose."""


class SettingsError(ServingError):
    """A setting is missing or cannot be understood."""


class LoadError(ServingError):
    """The model cannot be loaded and a retry would end the same way; the text is the termination message."""


class StorageUnreachableError(ServingError):
    """The storage did not answer in a way that says anything about the model; a retry may succeed."""


class RequestError(ServingError):
    """One request cannot be answered. `status` is the HTTP status that tells the client so."""

    status = 500


class InvalidRequestError(RequestError):
    """The client sent something the protocol or the model does not allow."""

    status = 400

    def __init__(self, *, at: str, problem: str) -> None:
        """Name the offending field by its path in the request, such as `inputs[0].shape`."""
        super().__init__(f"{at}: {problem}" if at else problem)


class NotFoundError(RequestError):
    """The request is for a model or version that is not here."""

    status = 404


class TooLargeError(RequestError):
    """The request has more bytes than the limit."""

    status = 413

    def __init__(self, limit: int, what: str = "body") -> None:
        """Name what is too large, and the limit in bytes."""
        super().__init__(f"the {what} is larger than {limit} bytes")


class UnknownEncodingError(RequestError):
    """The request is compressed in a way that is not known here."""

    status = 415


class NotReadyError(RequestError):
    """The model is not loaded yet."""

    status = 503


class OverloadedError(RequestError):
    """More requests wait for the model than it can answer in time. `retry_after` is in whole seconds."""

    status = 503

    def __init__(self, wait: float, waiting: int) -> None:
        """Say how long the wait would be, in seconds, and how many requests wait already."""
        super().__init__(f"overloaded: {waiting} requests wait for the model, some {wait:.2g} s")
        self.retry_after = max(1, math.ceil(wait))


class ModelFailureError(RequestError):
    """The model itself failed on a request that its signature allows."""

    status = 500


def readable(text: str) -> str:
    """Return a client's own text, quoted and short enough for an error message."""
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")
