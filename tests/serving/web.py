"""A web server for tests: files with ranges and entity tags, and the lists that cloud stores give of them."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Web:
    """What is served and what has been asked. `failures` is how many requests for content are still to fail."""

    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    failures: int = 0
    token: str = ""
    port: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def contents(self) -> list[str]:
        """The ranges of content that were asked for, by path."""
        return [f"{path} {headers.get('range', '')}" for method, path, headers in self.asked if method == "GET"]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    web: Web

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        parts = urlsplit(self.path)
        path, query = unquote(parts.path).lstrip("/"), parse_qs(parts.query)
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.web.asked.append((self.command, path, headers))
        if self.web.token and headers.get("authorization") != f"Bearer {self.web.token}" and "cdn" not in path:
            self._send(401, b"who are you?")
        elif "list-type" in query:
            self._send(200, self._google(path, query["prefix"][0]))
        elif query.get("comp") == ["list"]:
            self._send(200, self._azure(path, query["prefix"][0]))
        elif match := re.match(r"api/models/(.+)/revision/main$", path):
            names = [name.removeprefix(match[1] + "/") for name in self.web.files if name.startswith(match[1])]
            listed = {"sha": COMMIT, "siblings": [{"rfilename": name} for name in names], "private": False}
            self._send(200, json.dumps(listed).encode())
        elif match := re.match(rf"(.+)/resolve/{COMMIT}/(.+)$", path):
            # The hub sends its clients to another host for the content.
            self._send(302, b"", location=f"http://localhost:{self.web.port}/cdn/{match[1]}/{match[2]}?sig=secret")
        else:
            self._content(path.removeprefix("cdn/"), headers)

    def _content(self, path: str, headers: dict[str, str]) -> None:
        content = self.web.files.get(path)
        if content is None:
            self._send(404, b"nothing here")
        elif self.command == "GET" and self._fails():
            self._send(503, b"later")
        elif "range" in headers:
            first, last = map(int, headers["range"].removeprefix("bytes=").split("-"))
            at = f"bytes {first}-{last}/{len(content)}"
            self._send(206, content[first : last + 1], content_range=at, etag=_tag(content))
        else:
            self._send(200, content, etag=_tag(content))

    def _fails(self) -> bool:
        with self.web.lock:
            failing = self.web.failures > 0
            self.web.failures -= failing
        return failing

    def _google(self, bucket: str, prefix: str) -> bytes:
        items = "".join(
            f"<Contents><Key>{escape(name)}</Key><Size>{len(content)}</Size><ETag>{_tag(content)}</ETag>"
            "<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
            for name, content in self._below(bucket, prefix)
        )
        return f"<ListBucketResult><IsTruncated>false</IsTruncated>{items}</ListBucketResult>".encode()

    def _azure(self, container: str, prefix: str) -> bytes:
        items = "".join(
            f"<Blob><Name>{escape(name)}</Name><Properties><Content-Length>{len(content)}</Content-Length>"
            f"<Etag>{_tag(content)}</Etag><Last-Modified>Thu, 01 Jan 2026 00:00:00 GMT</Last-Modified>"
            "<Content-Type>x</Content-Type></Properties></Blob>"
            for name, content in self._below(container, prefix)
        )
        return f"<EnumerationResults><Blobs>{items}</Blobs><NextMarker/></EnumerationResults>".encode()

    def _below(self, place: str, prefix: str) -> Iterator[tuple[str, bytes]]:
        start = f"{place}/{prefix}"
        for name, content in self.web.files.items():
            if name.startswith(start):
                yield name.removeprefix(f"{place}/"), content

    def _send(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _tag(content: bytes) -> str:
    return f'"{hashlib.sha256(content).hexdigest()[:16]}"'


@contextmanager
def running_web() -> Iterator[Web]:
    """Run a server on a free port."""
    web = Web()
    with ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"web": web})) as server:
        server.daemon_threads = True
        web.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield web
        finally:
            server.shutdown()
            thread.join()
