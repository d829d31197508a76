"""How the operator shows Prometheus who it is, and how it knows Prometheus.

Files are read for every question: mounted Secrets and service-account tokens change while the operator runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from requests import PreparedRequest, Session
from requests.auth import AuthBase, HTTPBasicAuth


class AccessError(Exception):
    """A credential cannot be read; the text names its file, never what is in it."""


@dataclass(frozen=True, slots=True)
class Access:
    """Credentials by file. A bearer token goes before user and password; `headers_folder` has a file a header."""

    token_file: Path | None = None
    user_file: Path | None = None
    password_file: Path | None = None
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    insecure: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    headers_folder: Path | None = None

    def session(self) -> Session:
        """A session that trusts and shows what these files say. Their paths are looked up at each new connection."""
        session = Session()
        session.verify = False if self.insecure else str(self.ca_file) if self.ca_file else True
        if self.certificate_file and self.key_file:
            session.cert = str(self.certificate_file), str(self.key_file)
        return session

    def signature(self) -> AuthBase | None:
        """What signs each request; None leaves that to credentials in the address."""
        return _Signature(self) if self.token_file or self.user_file or self.headers_folder else None


class _Signature(AuthBase):
    """Sets the headers of one request from the files as they are now."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        access = self._access
        if access.headers_folder:
            request.headers.update(_headers(access.headers_folder))
        if access.token_file:
            request.headers["Authorization"] = f"Bearer {_read(access.token_file)}"
        elif access.user_file and access.password_file:
            HTTPBasicAuth(_read(access.user_file), _read(access.password_file))(request)
        return request


def _headers(folder: Path) -> dict[str, str]:
    """A header for each file; what begins with a dot is how Kubernetes swaps them."""
    try:
        files = [file for file in folder.iterdir() if not file.name.startswith(".")]
    except OSError as error:
        message = f"{folder} cannot be read: {error.strerror}"
        raise AccessError(message) from error
    return {file.name: _read(file) for file in files}


def _read(file: Path) -> str:
    try:
        return file.read_text("utf-8").strip()
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        message = f"{file} cannot be read: {reason}"
        raise AccessError(message) from error
