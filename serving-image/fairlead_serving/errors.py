"""What can go wrong, by whose fault it is.

ServingError
├── SettingsError            the person who starts the server: a flag or variable is wrong
├── LoadError                the model cannot be served, and trying again would not help
├── StorageUnreachableError  the model cannot be fetched now, trying again may help
└── RequestError             one request cannot be answered; carries the HTTP status
    ├── InvalidRequestError  400, the client's fault, names the field
    ├── NotReadyError        503, no model yet
    └── ModelFailureError    500, the model raised on a legal request
"""

from __future__ import annotations

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


class NotReadyError(RequestError):
    """The model is not loaded yet."""

    status = 503


class ModelFailureError(RequestError):
    """The model itself failed on a request that its signature allows."""

    status = 500


def readable(text: str) -> str:
    """Return a client's own text, quoted and short enough for an error message."""
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")
