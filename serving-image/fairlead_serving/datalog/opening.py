"""Where the access and prediction logs go."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from fairlead_serving.datalog.stdout import StandardOutput
from fairlead_serving.errors import SettingsError

if TYPE_CHECKING:
    from fairlead_serving.datalog.sink import Sink

STDOUT: Final = "stdout"


def checked(place: str) -> str:
    """Return a place that events can go to. Raises SettingsError in a sentence."""
    if place == STDOUT:
        return place
    try:
        url = urlsplit(place)
        known = url.scheme in ("http", "https") and bool(url.hostname) and (url.port is None or url.port > 0)
    except ValueError:
        known = False
    if not known:
        message = f"FAIRLEAD_LOG_SINK (--log-sink) should be stdout or an http or https URL, not {place!r}"
        raise SettingsError(message)
    if url.username or url.password:
        message = "FAIRLEAD_LOG_SINK (--log-sink) should have no password: put a token into FAIRLEAD_LOG_SINK_TOKEN"
        raise SettingsError(message)
    return place


def opener(place: str, environment: Mapping[str, str]) -> Callable[[], Sink]:
    """Return what opens a checked place, in the thread that will use it."""
    if place == STDOUT:
        return StandardOutput

    def post() -> Sink:
        from fairlead_serving.datalog.cloudevents import CloudEvents  # noqa: PLC0415  only where it is wanted

        return CloudEvents(place, environment.get("FAIRLEAD_LOG_SINK_TOKEN", "").strip(), socket.gethostname())

    return post
