"""What the server is told: environment variables, overridden by flags."""

from __future__ import annotations

import importlib.util
import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from fairlead_serving import cachefolder, optimisation, trust
from fairlead_serving.datalog.opening import STDOUT, checked
from fairlead_serving.errors import SettingsError
from fairlead_serving.flags import parser

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_DEFAULT_BODY: Final = 64 * 1024 * 1024
_CONVERT_SECONDS: Final = 60.0
_MAX_PORT: Final = 65535
_DIGEST: Final = re.compile(r"^sha256:[0-9a-f]{64}$")


class TlsFiles(NamedTuple):
    """Where certificate chain and key lie, and the CAs whose clients are let in; without these any client is."""

    certificate: Path
    key: Path
    client_ca: Path | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of one server process. Times are in seconds, sizes in bytes."""

    uri: str
    name: str
    version: str
    revision: str = ""
    format: str | None = None
    allow_unsafe: bool = False
    convert_seconds: float = _CONVERT_SECONDS
    optimise: optimisation.Wish | None = None
    # What the workers of one server have in common: a name for it, so that all of them serve the same bytes.
    session: str = ""
    digest: str | None = None
    # None: no signature is asked for.
    trust: trust.Trust | None = None
    host: str | None = None
    http_port: int = 8080
    grpc_port: int = 8081
    grpc_server: str = "own"
    tls: TlsFiles | None = None
    drain_seconds: float = 10.0
    max_connection_age_seconds: float = 20.0
    request_timeout_seconds: float = 30.0
    max_body_bytes: int = _DEFAULT_BODY
    workers: int = 0
    hung_worker_seconds: float = 10.0
    latency_target_seconds: float = 1.0
    max_batch_rows: int = 256
    max_queued_bytes: int = 256 * 1024 * 1024
    max_connections: int = 16384
    idle_timeout_seconds: float = 0.0
    feedback_rows: int = 262144
    feedback_tolerance: float = 0.1
    access_log: float = 0.0
    prediction_log: float = 0.0
    log_redact: frozenset[str] = frozenset()
    log_sink: str = STDOUT
    cache_dir: Path = cachefolder.SYSTEM
    termination_log: Path = Path("/dev/termination-log")
    log_level: str = "info"


def read(arguments: Sequence[str], environment: Mapping[str, str]) -> Settings:
    """Return the settings. Raises SettingsError in a sentence; exits on an unknown flag as argparse does."""
    flags = vars(parser().parse_args(arguments))
    given = _Given(flags, environment)
    uri = given.text("uri", "STORAGE_URI")
    if not uri:
        message = "no model given: name its folder or URI, or set FAIRLEAD_STORAGE_URI"
        raise SettingsError(message)
    revision = given.text("revision", "REVISION")
    level = given.text("log_level", "LOG_LEVEL") or "info"
    if level.upper() not in logging.getLevelNamesMapping():
        message = f"the log level {level!r} is not known"
        raise SettingsError(message)
    digest = given.text("digest", "MODEL_DIGEST") or None
    if digest is not None and not _DIGEST.match(digest):
        message = f"the digest {digest!r} should be sha256: and 64 hexadecimal digits in lower case"
        raise SettingsError(message)
    return Settings(
        uri=uri,
        name=given.text("name", "MODEL_NAME") or _last_part(uri) or "model",
        version=given.text("version", "MODEL_VERSION") or revision or "1",
        revision=revision,
        format=given.text("format", "MODEL_FORMAT") or None,
        convert_seconds=given.number("convert_seconds", "CONVERT_SECONDS", _CONVERT_SECONDS),
        optimise=optimisation.wish(
            given.text("optimise", "OPTIMISE"),
            given.number("optimise_labels", "OPTIMISE_LABELS", optimisation.LABELS),
            given.number("optimise_difference", "OPTIMISE_DIFFERENCE", optimisation.DIFFERENCE),
        ),
        allow_unsafe=given.yes("allow_unsafe", "ALLOW_UNSAFE"),
        digest=digest,
        trust=trust.read(flags, environment),
        host=given.text("host", "HOST") or None,
        http_port=given.port("http_port", "HTTP_PORT", 8080),
        grpc_port=given.port("grpc_port", "GRPC_PORT", 8081),
        grpc_server=given.grpc_server(),
        tls=given.tls(),
        drain_seconds=given.number("drain_seconds", "DRAIN_SECONDS", 10),
        max_connection_age_seconds=given.number("max_connection_age_seconds", "MAX_CONNECTION_AGE_SECONDS", 20),
        request_timeout_seconds=given.number("request_timeout_seconds", "REQUEST_TIMEOUT_SECONDS", 30) or 30,
        max_body_bytes=int(given.number("max_body_bytes", "MAX_BODY_BYTES", _DEFAULT_BODY)),
        workers=int(given.number("workers", "WORKERS", 0)),
        hung_worker_seconds=given.number("hung_worker_seconds", "HUNG_WORKER_SECONDS", 10),
        latency_target_seconds=given.number("latency_target_seconds", "LATENCY_TARGET_SECONDS", 1) or 1,
        max_queued_bytes=int(given.number("max_queued_bytes", "MAX_QUEUED_BYTES", 256 * 1024 * 1024)),
        max_batch_rows=max(1, int(given.number("max_batch_rows", "MAX_BATCH_ROWS", 256))),
        max_connections=int(given.number("max_connections", "MAX_CONNECTIONS", 16384)),
        idle_timeout_seconds=given.number("idle_timeout_seconds", "IDLE_TIMEOUT_SECONDS", 0),
        feedback_rows=int(given.number("feedback_rows", "FEEDBACK_ROWS", 262144)),
        feedback_tolerance=given.number("feedback_tolerance", "FEEDBACK_TOLERANCE", 0.1),
        access_log=given.share("access_log", "ACCESS_LOG"),
        prediction_log=given.share("prediction_log", "PREDICTION_LOG"),
        log_redact=frozenset(filter(None, map(str.strip, given.text("log_redact", "LOG_REDACT").split(",")))),
        log_sink=checked(given.text("log_sink", "LOG_SINK") or STDOUT),
        cache_dir=Path(given.text("cache_dir", "CACHE_DIR") or cachefolder.default(environment)),
        termination_log=Path(given.text("termination_log", "TERMINATION_LOG") or "/dev/termination-log"),
        log_level=level,
    )


def _last_part(uri: str) -> str:
    """Return the name of a file without its ending, of an OCI artifact without its tag and digest."""
    path = Path(uri.rstrip("/"))
    return re.split("[:@]", path.name)[0] if uri.startswith("oci://") else path.stem


@dataclass(frozen=True, slots=True)
class _Given:
    flags: Mapping[str, str | None]
    environment: Mapping[str, str]

    def text(self, flag: str, variable: str) -> str:
        """Return a flag's value, else the variable's, else nothing."""
        return (self.flags.get(flag) or self.environment.get(f"FAIRLEAD_{variable}") or "").strip()

    def yes(self, flag: str, variable: str) -> bool:
        """Return a switch, which is off where nothing is said."""
        text = self.text(flag, variable).lower()
        if text not in ("", "true", "false"):
            message = f"FAIRLEAD_{variable} should be true or false, not {text!r}"
            raise SettingsError(message)
        return text == "true"

    def share(self, flag: str, variable: str) -> float:
        """Return a number from 0 to 1, by default 0."""
        value = self.number(flag, variable, 0)
        if value > 1:
            message = f"FAIRLEAD_{variable} (--{flag.replace('_', '-')}) should be from 0 to 1, not {value:g}"
            raise SettingsError(message)
        return value

    def port(self, flag: str, variable: str, default: int) -> int:
        """Return the number of a port."""
        port = self.number(flag, variable, default)
        if port > _MAX_PORT:
            message = f"the port {port:g} is not between 0 and {_MAX_PORT}"
            raise SettingsError(message)
        return int(port)

    def grpc_server(self) -> str:
        """Return whose HTTP/2 gRPC is to run on: ours, or grpcio's where that is installed."""
        name = self.text("grpc_server", "GRPC_SERVER") or "own"
        if name not in ("own", "grpcio"):
            message = f"FAIRLEAD_GRPC_SERVER (--grpc-server) should be own or grpcio, not {name!r}"
            raise SettingsError(message)
        if name == "grpcio" and importlib.util.find_spec("grpc") is None:
            message = "FAIRLEAD_GRPC_SERVER (--grpc-server) is grpcio, which is not installed; the full image has it"
            raise SettingsError(message)
        return name

    def tls(self) -> TlsFiles | None:
        """Return the files for TLS, None where it is not wanted."""
        certificate = self.text("tls_certificate", "TLS_CERTIFICATE")
        key = self.text("tls_key", "TLS_KEY")
        client_ca = self.text("tls_client_ca", "TLS_CLIENT_CA")
        if not certificate and not key and not client_ca:
            return None
        if not certificate or not key:
            message = "TLS needs both FAIRLEAD_TLS_CERTIFICATE (--tls-certificate) and FAIRLEAD_TLS_KEY (--tls-key)"
            raise SettingsError(message)
        return TlsFiles(Path(certificate), Path(key), Path(client_ca) if client_ca else None)

    def number(self, flag: str, variable: str, default: float) -> float:
        """Return a number that is not negative."""
        text = self.text(flag, variable)
        try:
            value = float(text) if text else default
        except ValueError:
            value = -1.0
        if not 0 <= value < float("inf"):
            message = f"FAIRLEAD_{variable} (--{flag.replace('_', '-')}) should be a number of at least 0, not {text!r}"
            raise SettingsError(message)
        return value
