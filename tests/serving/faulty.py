"""A registry that fails as it is told."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import urlsplit

from tests.serving.artifacts import Pushed
from tests.serving.registry import serving


@dataclass
class Faulty:
    """A registry that holds what was pushed and fails as it is told."""

    pushed: Pushed
    port: int = 0
    # How many requests for blobs are still to fail, and with what.
    failures: int = 0
    status: int = 503
    ranges: bool = True
    # Answers end after so many bytes.
    cut: int | None = None
    # Blobs are on another host, at an address that is a secret of its own.
    elsewhere: bool = False
    # The first token is good for so many requests, the others for all; 0: none is wanted.
    token_uses: int = 0
    redirect: str = ""
    # Where tokens are to be had, if not here.
    realm: str = ""
    tokens: int = 0
    used: int = 0
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def ranges_of(self, digest: str) -> list[str]:
        """The ranges of a blob that were asked for, in that order."""
        return [headers.get("range", "") for path, headers in self.asked if path.endswith(digest)]


class _FaultyHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    registry: Faulty

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        registry = self.registry
        path = urlsplit(self.path).path
        headers = {name.lower(): value for name, value in self.headers.items()}
        with registry.lock:
            registry.asked.append((path, headers))
            if path == "/token":
                registry.tokens, registry.used = registry.tokens + 1, 0
                self._send(200, json.dumps({"access_token": f"secret-{registry.tokens}"}).encode())
                return
            registry.used += 1
            current = headers.get("authorization") == f"Bearer secret-{registry.tokens}"
            current = current and (registry.used <= registry.token_uses or registry.tokens > 1)
            if registry.token_uses and path.startswith("/v2/") and not current:
                realm = registry.realm or f"http://{registry.host}/token"
                challenge = f'Basic realm="x", Bearer realm="{realm}",service="x",scope="repository:m:pull"'
                self._send(401, b"{}", www_authenticate=challenge)
                return
            failing = "/blobs/" in path and registry.failures > 0
            registry.failures -= failing
        if registry.redirect:
            self._send(307, b"", location=registry.redirect)
        elif failing:
            self._send(registry.status, b'{"errors": [{"code": "TOOMANYREQUESTS", "message": "slow down"}]}')
        elif "/manifests/" in path:
            self._manifest(path.rpartition("/")[2])
        elif registry.elsewhere and path.startswith("/v2/"):
            self._send(307, b"", location=f"http://localhost:{registry.port}/cdn/{path.rpartition('/')[2]}?sig=secret")
        else:
            self._blob(path.rpartition("/")[2], headers)

    def _manifest(self, reference: str) -> None:
        media_type, text = self.registry.pushed.manifests.get(reference, ("", b""))
        self._send(200 if text else 404, text, content_type=media_type)

    def _blob(self, digest: str, headers: dict[str, str]) -> None:
        content = self.registry.pushed.blobs[digest]
        if self.registry.ranges:
            first, last = map(int, headers["range"].removeprefix("bytes=").split("-"))
            self._send(206, content[first : last + 1], content_range=f"bytes {first}-{last}/{len(content)}")
        else:
            self._send(200, content)

    def _send(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        cut = self.registry.cut
        self.wfile.write(body if cut is None or status not in {200, 206} or b"schemaVersion" in body else body[:cut])
        self.close_connection = cut is not None


@contextmanager
def running_faulty(pushed: Pushed) -> Iterator[Faulty]:
    """Run such a registry on a free port."""
    registry = Faulty(pushed)
    with serving(type("Handler", (_FaultyHandler,), {"registry": registry})) as registry.port:
        yield registry
