"""The command `fairlead-serve`."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import uvloop

from fairlead_serving.digest import digest_of_path
from fairlead_serving.errors import LoadError, SettingsError
from fairlead_serving.lifecycle import Lifecycle, fail
from fairlead_serving.logs import configure
from fairlead_serving.settings import read

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fairlead_serving.settings import Settings

_USAGE: Final = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a server, which ends the process, or `digest PATH`, and return the exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["digest"]:
        return _digest(arguments[1:])
    configure("info")
    try:
        settings = read(arguments, os.environ)
    except SettingsError as error:
        fail(str(error), Path(os.environ.get("FAIRLEAD_TERMINATION_LOG") or "/dev/termination-log"))
        return _USAGE
    configure(settings.log_level)
    status = uvloop.run(_serve(settings))
    logging.shutdown()
    # The model may still be working for a client that has gone, or a download may hang in native code. Nothing is left
    # to save, so their threads are not waited for.
    os._exit(status)


async def _serve(settings: Settings) -> int:
    return await Lifecycle(settings, os.environ).run()


def _digest(arguments: Sequence[str]) -> int:
    """Print the digest of a model folder or file, as the server computes it."""
    if len(arguments) != 1:
        sys.stderr.write("usage: fairlead-serve digest PATH\n")
        return _USAGE
    try:
        sys.stdout.write(f"{digest_of_path(Path(arguments[0]))}\n")
    except LoadError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0
