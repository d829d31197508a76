"""Who we are at a registry: two variables, or the file that `docker login` writes and Kubernetes' pull secrets hold."""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from fairlead_serving.errors import LoadError

if TYPE_CHECKING:
    from collections.abc import Mapping


class Credentials(NamedTuple):
    """A name and its password. Never to be shown."""

    username: str
    password: str

    @property
    def basic(self) -> str:
        """The value of an Authorization header."""
        return f"Basic {base64.b64encode(f'{self.username}:{self.password}'.encode()).decode()}"


class _Entry(msgspec.Struct):
    auth: str = ""
    username: str = ""
    password: str = ""


class _Config(msgspec.Struct):
    auths: dict[str, _Entry] = {}


def credentials(host: str, repository: str, environment: Mapping[str, str]) -> Credentials | None:
    """Return what opens a repository, or None: then it is asked for without.

    OCI_USERNAME and OCI_PASSWORD go first, then the file REGISTRY_AUTH_FILE, then config.json in the folder
    DOCKER_CONFIG (~/.docker). Raises LoadError for a file that cannot be understood.
    """
    username, password = environment.get("OCI_USERNAME", ""), environment.get("OCI_PASSWORD", "")
    if username or password:
        return Credentials(username, password)
    path = _file(environment)
    if path is None:
        return None
    try:
        auths = msgspec.json.decode(path.read_bytes(), type=_Config).auths
        named = {_bare(key): entry for key, entry in auths.items()}
        wanted = f"{host}/{repository}"
        # An entry may be for the registry or for a part of it: the nearest one holds.
        found = max((key for key in named if f"{wanted}/".startswith(f"{key}/")), key=len, default=None)
        return _pair(named[found]) if found else None
    except OSError as error:
        message = f"the registry credentials {path} cannot be read: {error.strerror}"
        raise LoadError(message) from error
    except (ValueError, binascii.Error):
        # Without the cause, which may show what is in the file.
        message = f"the registry credentials {path} are not what docker login writes"
        raise LoadError(message) from None


def _file(environment: Mapping[str, str]) -> Path | None:
    named = environment.get("REGISTRY_AUTH_FILE")
    if named:
        return Path(named)
    home = environment.get("HOME")
    folder = environment.get("DOCKER_CONFIG") or (f"{home}/.docker" if home else "")
    path = Path(folder) / "config.json"
    try:
        return path if folder and path.is_file() else None
    except OSError:
        return None


def _bare(key: str) -> str:
    """Return host and path of an entry's key, which may be a URL such as https://index.docker.io/v1/."""
    host = key.partition("://")[2] or key
    bare = host.rstrip("/").removesuffix("/v1").removesuffix("/v2")
    return "docker.io" if bare == "index.docker.io" else bare


def _pair(entry: _Entry) -> Credentials | None:
    username, password = entry.username, entry.password
    if entry.auth:
        username, _, password = base64.b64decode(entry.auth, validate=True).decode().partition(":")
    return Credentials(username, password) if username or password else None
