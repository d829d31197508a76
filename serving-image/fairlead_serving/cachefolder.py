"""Where models are kept when nobody says where."""

from __future__ import annotations

import os
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
