"""Where models are kept when nobody says where, and temporary files where the system has no place for them."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

SYSTEM: Final = Path("/var/cache/fairlead")


def default(environment: Mapping[str, str], system: Path = SYSTEM) -> Path:
    """Return the system's cache folder, or the user's own (XDG) where that one cannot be written to.

    The system's too where the user has none: a container without a writable folder should say which one is missing.
    """
    nearest = next(folder for folder in (system, *system.parents) if folder.exists())
    if os.access(nearest, os.W_OK | os.X_OK):
        return system
    own = environment.get("XDG_CACHE_HOME", "")
    if own.startswith("/"):
        return Path(own) / "fairlead"
    home = environment.get("HOME", "")
    # A container's user without a home has "/".
    return Path(home) / ".cache" / "fairlead" if home.startswith("/") and home != "/" else system


def lend(cache: Path) -> None:
    """Have temporary files made in the cache folder where no other can be written to, as under a read-only root.

    Libraries make some as they read models and signatures; where the cache cannot be written either, they say so.
    """
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        with suppress(OSError):
            cache.mkdir(parents=True, exist_ok=True)
        tempfile.tempdir = str(cache)
