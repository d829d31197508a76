"""What an obstore error means for a model: gone for good, or worth another try."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from obstore.exceptions import PermissionDeniedError, UnauthenticatedError

from fairlead_serving.errors import LoadError, StorageUnreachableError

if TYPE_CHECKING:
    from obstore.exceptions import BaseError

# obstore tells all of this in text only: one line for people, then a dump of the Rust error.
_DUMP: Final = "\n\nDebug source"
_STATUS: Final = re.compile(r"status code: (?P<status>(?P<number>\d{3})[^:]*):?(?P<body>.*)", re.DOTALL)
_XML: Final = re.compile(r"<Code>(?P<code>[^<]*)</Code>(?:.*?<Message>(?P<message>[^<]*)</Message>)?", re.DOTALL)
_CAUSE: Final = re.compile(r'(?:message|error): "(?P<cause>[^"]+)"')
_REQUEST: Final = re.compile(r"^.*? - (?=HTTP error|Received redirect|Server returned)", re.DOTALL)
_REDIRECT: Final = "Received redirect without LOCATION"
_DENIED: Final = (401, 403)
_MISSING: Final = 404
# 412: the object changed while it was being read; the next attempt reads the new one.
_PASSING: Final = (408, 412, 425, 429)
_CLIENT_ERRORS: Final = range(400, 500)
_LONGEST: Final = 300
# Signatures and tokens travel in the query of a URL, and passwords before its host.
_QUERY: Final = re.compile(r"(https?://)[^\s/?@]*@|(?<=\S)\?[^\s)\"']+")


def explain(error: BaseError | FileNotFoundError, uri: str, endpoint: str) -> LoadError | StorageUnreachableError:
    """Return the error to raise for a failed access to a model at an endpoint."""
    text = _QUERY.sub(r"\1", str(error))
    line = text.partition(_DUMP)[0]
    answer = _STATUS.search(line)
    number = int(answer["number"]) if answer else 0
    reason = _reason(text, answer)
    if isinstance(error, FileNotFoundError) or number == _MISSING:
        return LoadError(f"{uri} does not exist at {endpoint} ({reason})")
    if isinstance(error, (PermissionDeniedError, UnauthenticatedError)) or number in _DENIED:
        return LoadError(f"access to {uri} at {endpoint} was denied ({reason})")
    if number in _CLIENT_ERRORS and number not in _PASSING:
        return LoadError(f"{uri} cannot be read at {endpoint} ({reason})")
    if _REDIRECT in line:
        return LoadError(f"{uri} cannot be read at {endpoint}: it is in another region; set AWS_REGION")
    return StorageUnreachableError(f"{reason} at {endpoint}")


def _reason(text: str, answer: re.Match[str] | None) -> str:
    """Say in a few words what the server or the network answered."""
    if answer:
        detail = _XML.search(answer["body"])
        words = ": ".join(filter(None, (detail["code"], detail["message"]))) if detail else ""
        return ", ".join(filter(None, (answer["status"].strip(), words)))[:_LONGEST]
    line, _, dump = text.partition(_DUMP)
    causes = _CAUSE.findall(dump)
    if "TimedOut" in dump or "kind: Timeout" in dump:
        return "no answer in time"
    if "HTTP error" in line and causes:
        return str(causes[-1])[:_LONGEST].lower()
    return " ".join(_REQUEST.sub("", line).split())[:_LONGEST]
