"""What a registry's refusal means for a model: gone for good, or worth another try."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING, Final

import msgspec
import requests
from urllib3.exceptions import HTTPError
from urllib3.exceptions import TimeoutError as Urllib3TimeoutError

from fairlead_serving.errors import LoadError, StorageUnreachableError

if TYPE_CHECKING:
    import urllib3

_DENIED: Final = (401, 403)
_MISSING: Final = 404
_PASSING: Final = (408, 425, 429)
_CLIENT_ERRORS: Final = range(400, 500)
_BODY: Final = 16 * 1024
_LONGEST: Final = 300


class _Problem(msgspec.Struct):
    code: str = ""
    message: str = ""


class _Problems(msgspec.Struct):
    errors: list[_Problem] = []


def refused(answer: requests.Response, uri: str, where: str) -> LoadError | StorageUnreachableError:
    """Return the error to raise for an answer that is none."""
    status = answer.status_code
    reason = ", ".join(filter(None, (f"{status} {answer.reason or ''}".strip(), _problem(answer))))[:_LONGEST]
    if status in _DENIED:
        return LoadError(f"access to {uri} at {where} was denied ({reason})")
    if status == _MISSING:
        return LoadError(f"{uri} does not exist at {where} ({reason})")
    if status in _CLIENT_ERRORS and status not in _PASSING:
        return LoadError(f"{uri} cannot be read at {where} ({reason})")
    return StorageUnreachableError(f"{reason} at {where}")


def broken(error: requests.RequestException | HTTPError, where: str) -> StorageUnreachableError:
    """Return the error to raise where no answer came, or half of one.

    What the libraries say holds whole addresses, with the signatures of redirects, so it is not repeated.
    """
    return StorageUnreachableError(f"{_cause(error)} at {where}")


def _problem(answer: requests.Response) -> str:
    raw: urllib3.BaseHTTPResponse = answer.raw
    try:
        found = msgspec.json.decode(raw.read(_BODY, decode_content=False), type=_Problems).errors
    except (msgspec.MsgspecError, HTTPError, ValueError):
        return ""
    return ": ".join(filter(None, (found[0].code, found[0].message))) if found else ""


def _cause(error: BaseException) -> str:
    """Find what lies at the bottom of an error: the system's own word for it, where there is one."""
    causes: list[BaseException] = [error]
    for each in causes:
        inner = (each.__cause__, each.__context__, getattr(each, "reason", None), *each.args)
        causes += [item for item in inner if isinstance(item, BaseException) and item not in causes]
    for each in reversed(causes):
        if isinstance(each, socket.gaierror):
            return "no such host"
        if isinstance(each, ssl.SSLCertVerificationError):
            return f"certificate verify failed: {each.verify_message}"
        if isinstance(each, OSError) and isinstance(each.strerror, str) and not isinstance(each, TimeoutError):
            return each.strerror.lower()
    if any(isinstance(each, (TimeoutError, Urllib3TimeoutError, requests.Timeout)) for each in causes):
        return "no answer in time"
    return "the connection broke"
