"""TLS from files that may be replaced while the server runs, as cert-manager and mounted Secrets do."""

from __future__ import annotations

import logging
import ssl
from typing import TYPE_CHECKING, Final

from fairlead_serving.errors import LoadError

if TYPE_CHECKING:
    from fairlead_serving.settings import TlsFiles

_log = logging.getLogger(__name__)
_Stamp = tuple[tuple[int, int], ...]
HTTP: Final = "http/1.1"
GRPC: Final = "h2"


def server_context(files: TlsFiles, protocol: str) -> ssl.SSLContext:
    """Return a context for a listener, which looks at each handshake whether the files are new.

    Files that cannot be used while the server runs, such as one of two that is replaced already, leave those before in
    use. Raises LoadError where they cannot be used from the start.
    """
    return _Rotation(files, protocol).front


class _Rotation:
    def __init__(self, files: TlsFiles, protocol: str) -> None:
        self._files = files
        self._protocol = protocol
        try:
            self._stamp = self._look()
            self.front = self._latest = self._load()
        except (OSError, ValueError) as error:
            message = f"TLS cannot be set up from {self._named()}: {error}"
            raise LoadError(message) from error
        self.front.sni_callback = self._choose

    def _choose(self, connection: ssl.SSLObject, _: str | None, __: ssl.SSLContext) -> None:
        """Give a handshake the latest files; called for each, whether it names a server or not."""
        try:
            stamp = self._look()
            if stamp != self._stamp:
                self._stamp = stamp
                self._latest = self._load()
                _log.info("TLS: new files are in use")
        except (OSError, ValueError) as error:
            _log.warning("TLS: the files before stay in use, as %s cannot be used: %s", self._named(), error)
        connection.context = self._latest

    def _load(self) -> ssl.SSLContext:
        certificate, key, client_ca = self._files
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(certificate, key)
        context.set_alpn_protocols([self._protocol])
        # A resumed session would not be checked against the latest CAs.
        context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_COMPRESSION
        context.num_tickets = 0
        if client_ca is not None:
            context.load_verify_locations(client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def _look(self) -> _Stamp:
        stats = [path.stat() for path in self._files if path is not None]
        return tuple((each.st_mtime_ns, each.st_ino) for each in stats)

    def _named(self) -> str:
        return ", ".join(str(path) for path in self._files if path is not None)
