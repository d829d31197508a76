"""The last word of a server that cannot run."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

_log = logging.getLogger(__name__)
_MAX_MESSAGE: Final = 2000


def fail(reason: str, termination_log: Path) -> None:
    """Write down, in one line, why the server cannot run: in the log and as the container's termination message."""
    line = " ".join(reason.split())[:_MAX_MESSAGE]
    _log.error(line)
    try:
        # Only Kubernetes makes this file; on a laptop there is none and none is wanted.
        with termination_log.open("r+") as file:
            file.truncate()
            file.write(line + "\n")
    except OSError:
        _log.debug("no termination log at %s", termination_log)
