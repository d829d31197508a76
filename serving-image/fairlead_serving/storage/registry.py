"""The reading side of an OCI registry: manifests and blobs, and the tokens that let one have them."""

from __future__ import annotations

import ipaddress
import re
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final
from urllib.parse import urljoin, urlsplit

import msgspec
import requests
from requests.auth import AuthBase
from urllib3.exceptions import HTTPError

from fairlead_serving.errors import LoadError, StorageUnreachableError
from fairlead_serving.storage.refusals import broken, refused

if TYPE_CHECKING:
    from fairlead_serving.storage.credentials import Credentials
    from fairlead_serving.storage.pieces import Remote

# Seconds to connect, and between two bytes.
_TIMEOUTS: Final = (5, 60)
_REDIRECTS: Final = 5
_REDIRECT: Final = (301, 302, 303, 307, 308)
_OK, _PARTIAL, _UNAUTHORIZED = 200, 206, 401
_CHUNK: Final = 256 * 1024
_CHALLENGE: Final = re.compile(
    r"\b(?P<scheme>Bearer|Basic)\s+(?P<parameters>(?:[\w-]+\s*=\s*(?:\"[^\"]*\"|[^\s,\"]+)[\s,]*)+)", re.IGNORECASE
)
_PARAMETER: Final = re.compile(r"([\w-]+)\s*=\s*(?:\"([^\"]*)\"|([^\s,\"]+))")
LARGEST_MANIFEST: Final = 4 * 1024 * 1024


class _Token(msgspec.Struct):
    token: str = ""
    access_token: str = ""


class _Authorization(AuthBase):
    """What a request says of us. Even nothing has to be said, or requests would look into ~/.netrc."""

    def __init__(self, value: str | None) -> None:
        self._value = value

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._value:
            request.headers["Authorization"] = self._value
        return request


class Registry:
    """One repository of a registry. Threads may share it.

    `base` is the registry's own address; only there, and where it sends us for a token, credentials are shown.
    """

    def __init__(self, base: str, repository: str, uri: str, credentials: Credentials | None, ca_file: str) -> None:
        """Ask nothing yet. `uri` is what messages name, `ca_file` the CAs to trust instead of the usual ones."""
        self._base = base
        self._repository = repository
        self._uri = uri
        self._credentials = credentials
        self._session = requests.Session()
        self._session.headers.update({"Accept-Encoding": "identity", "User-Agent": "fairlead-serve"})
        # With each request: the session's own gives way to REQUESTS_CA_BUNDLE.
        self._verify = ca_file or True
        self._authorization: str | None = None
        self._lock = threading.Lock()
        self._where = base if credentials else f"{base} without credentials set"

    def manifest(self, reference: str, accept: str) -> memoryview:
        """Return the manifest of a tag or digest as it is stored."""
        address = f"{self._base}/v2/{self._repository}/manifests/{reference}"
        return self._reading(address, {"Accept": accept}, lambda answer: _read(answer, 0, LARGEST_MANIFEST))

    def piece(self, blob: Remote, start: int, stop: int) -> memoryview:
        """Return bytes of a blob, whose key is its digest."""
        address = f"{self._base}/v2/{self._repository}/blobs/{blob.key}"

        def read(answer: requests.Response) -> memoryview:
            # A registry that knows no ranges sends all: what lies before the piece is dropped as it comes.
            skipped = start if answer.status_code == _OK else 0
            piece = _read(answer, skipped, stop - start)
            if len(piece) != stop - start:
                message = f"{self._uri}: the blob {blob.key} ended early at {self._base}"
                raise StorageUnreachableError(message)
            return piece

        return self._reading(address, {"Range": f"bytes={start}-{stop - 1}"}, read)

    def _reading(
        self, address: str, headers: dict[str, str], read: Callable[[requests.Response], memoryview]
    ) -> memoryview:
        """Make a request, with a new token if need be, and read its answer."""
        try:
            for attempt in (1, 2):
                shown = self._authorization
                with self._get(address, headers, shown) as answer:
                    if answer.status_code in (_OK, _PARTIAL):
                        return read(answer)
                    if answer.status_code != _UNAUTHORIZED or attempt == 2:  # noqa: PLR2004  the last one
                        raise refused(answer, self._uri, self._where)
                    self._authorize(answer, shown)
        except (requests.RequestException, HTTPError) as error:
            raise broken(error, self._base) from error
        raise AssertionError

    def _get(self, address: str, headers: dict[str, str], authorization: str | None) -> requests.Response:
        """Follow redirects, to other hosts as nobody."""
        for _ in range(_REDIRECTS):
            own = _origin(address) == _origin(self._base)
            answer = self._session.get(
                address,
                headers=headers,
                auth=_Authorization(authorization if own else None),
                stream=True,
                allow_redirects=False,
                verify=self._verify,
                timeout=_TIMEOUTS,
            )
            target = answer.headers.get("location")
            if answer.status_code not in _REDIRECT or not target:
                return answer
            answer.close()
            address = urljoin(address, target)
            if not self._closed(address):
                message = f"{self._uri}: {self._base} redirects to a connection that anybody can read"
                raise LoadError(message)
        message = f"{self._uri}: {self._base} redirects too often"
        raise LoadError(message)

    def _closed(self, address: str) -> bool:
        """Tell whether an address may be asked: by https, or by http where the registry itself is."""
        return address.startswith("https://") or (address.startswith("http://") and self._base.startswith("http://"))

    def _authorize(self, answer: requests.Response, shown: str | None) -> None:
        """Do what an answer asks for to let us in; another thread may have done so meanwhile."""
        with self._lock:
            if self._authorization != shown:
                return
            header = answer.headers.get("www-authenticate", "")
            asked = {match["scheme"].lower(): match["parameters"] for match in _CHALLENGE.finditer(header)}
            if "bearer" in asked:
                pairs = {name.lower(): one or other for name, one, other in _PARAMETER.findall(asked["bearer"])}
                self._authorization = f"Bearer {self._token(pairs)}"
            elif "basic" in asked and self._credentials:
                self._authorization = self._credentials.basic
            else:
                raise refused(answer, self._uri, self._where)

    def _token(self, pairs: dict[str, str]) -> str:
        realm = pairs.get("realm", "")
        shown = self._credentials is not None and realm.startswith("http://") and not loopback(urlsplit(realm).netloc)
        if not self._closed(realm) or shown:
            message = f"{self._uri}: {self._base} asks for tokens at {realm!r}, which is no address to show credentials"
            raise LoadError(message)
        query = {"scope": pairs.get("scope") or f"repository:{self._repository}:pull"}
        if "service" in pairs:
            query["service"] = pairs["service"]
        known = self._credentials.basic if self._credentials else None
        with self._session.get(
            realm,
            params=query,
            auth=_Authorization(known),
            stream=True,
            allow_redirects=False,
            verify=self._verify,
            timeout=_TIMEOUTS,
        ) as answer:
            where = f"{urlsplit(realm).scheme}://{urlsplit(realm).netloc}"
            if answer.status_code != _OK:
                raise refused(answer, self._uri, where if known else f"{where} without credentials set")
            try:
                found = msgspec.json.decode(_read(answer, 0, LARGEST_MANIFEST), type=_Token)
            except msgspec.MsgspecError:
                found = _Token()
        token = found.token or found.access_token
        if not token:
            message = f"{self._uri}: {where} gives no token"
            raise LoadError(message)
        return token


def loopback(host: str) -> bool:
    """Tell whether a host, with or without a port, is this machine itself."""
    name = re.sub(r":\d+$", "", host).strip("[]")
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def _origin(address: str) -> tuple[str, str]:
    parts = urlsplit(address)
    return parts.scheme, parts.netloc.lower()


def _read(answer: requests.Response, skipped: int, wanted: int) -> memoryview:
    """Return so many bytes of a body, fewer where it ends before, after having skipped some."""
    while skipped > 0:
        part = answer.raw.read(min(skipped, _CHUNK), decode_content=False)
        if not part:
            return memoryview(b"")
        skipped -= len(part)
    content = bytearray(wanted)
    filled = 0
    while filled < wanted:
        part = answer.raw.read(min(wanted - filled, _CHUNK), decode_content=False)
        if not part:
            break
        content[filled : filled + len(part)] = part
        filled += len(part)
    return memoryview(content)[:filled]
