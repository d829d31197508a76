"""What the server is told: environment variables, overridden by flags."""

from __future__ import annotations

import argparse
import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fairlead_serving.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_DEFAULT_BODY: Final = 64 * 1024 * 1024
_MAX_PORT: Final = 65535
_DIGEST: Final = re.compile(r"^sha256:[0-9a-f]{64}$")


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of one server process. Times are in seconds, sizes in bytes."""

    uri: str
    name: str
    version: str
    revision: str = ""
    format: str | None = None
    digest: str | None = None
    host: str | None = None
    http_port: int = 8080
    drain_seconds: float = 10.0
    max_connection_age_seconds: float = 20.0
    request_timeout_seconds: float = 30.0
    max_body_bytes: int = _DEFAULT_BODY
    cache_dir: Path = Path("/var/cache/fairlead")
    termination_log: Path = Path("/dev/termination-log")
    log_level: str = "info"


def parser() -> argparse.ArgumentParser:
    """Return the command line. Every flag stands for an environment variable and wins over it."""
    flags = argparse.ArgumentParser(
        prog="fairlead-serve",
        description="Serve one model over the Open Inference Protocol. Also: fairlead-serve digest PATH",
    )
    flags.add_argument("uri", nargs="?", metavar="MODEL_DIR_OR_URI", help="folder, file or s3:// URI of the model")
    flags.add_argument("--name", help="name in URLs and metrics; default: the last part of the URI")
    flags.add_argument("--version", help="version in URLs and metrics; default: the revision, or 1")
    flags.add_argument("--format", help="sklearn or onnx; default: told by the files")
    flags.add_argument("--digest", help="sha256:… that the model's files must have")
    flags.add_argument("--host", help="address to listen on; default: all")
    flags.add_argument("--http-port", help="port to listen on; 0 takes a free one; default 8080")
    flags.add_argument("--drain-seconds", help="how long to go on answering after SIGTERM; default 10")
    flags.add_argument("--max-connection-age-seconds", help="age at which connections end; 0: never; default 20")
    flags.add_argument("--request-timeout-seconds", help="how long a header may take, or a body stall; default 30")
    flags.add_argument("--max-body-bytes", help="largest request body; default 64 MiB")
    flags.add_argument("--cache-dir", help="folder for downloaded models; default /var/cache/fairlead")
    flags.add_argument("--log-level", help="debug, info, warning or error; default info")
    return flags


def read(arguments: Sequence[str], environment: Mapping[str, str]) -> Settings:
    """Return the settings. Raises SettingsError in a sentence; exits on an unknown flag as argparse does."""
    flags = vars(parser().parse_args(arguments))
    given = _Given(flags, environment)
    uri = given.text("uri", "STORAGE_URI")
    if not uri:
        message = "no model given: name its folder or URI, or set FAIRLEAD_STORAGE_URI"
        raise SettingsError(message)
    revision = given.text("revision", "REVISION")
    port = given.number("http_port", "HTTP_PORT", 8080)
    if not 0 <= port <= _MAX_PORT:
        message = f"the port {port:g} is not between 0 and {_MAX_PORT}"
        raise SettingsError(message)
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
        name=given.text("name", "MODEL_NAME") or Path(uri.rstrip("/")).stem or "model",
        version=given.text("version", "MODEL_VERSION") or revision or "1",
        revision=revision,
        format=given.text("format", "MODEL_FORMAT") or None,
        digest=digest,
        host=given.text("host", "HOST") or None,
        http_port=int(port),
        drain_seconds=given.number("drain_seconds", "DRAIN_SECONDS", 10),
        max_connection_age_seconds=given.number("max_connection_age_seconds", "MAX_CONNECTION_AGE_SECONDS", 20),
        request_timeout_seconds=given.number("request_timeout_seconds", "REQUEST_TIMEOUT_SECONDS", 30) or 30,
        max_body_bytes=int(given.number("max_body_bytes", "MAX_BODY_BYTES", _DEFAULT_BODY)),
        cache_dir=Path(given.text("cache_dir", "CACHE_DIR") or "/var/cache/fairlead"),
        termination_log=Path(given.text("termination_log", "TERMINATION_LOG") or "/dev/termination-log"),
        log_level=level,
    )


@dataclass(frozen=True, slots=True)
class _Given:
    flags: Mapping[str, str | None]
    environment: Mapping[str, str]

    def text(self, flag: str, variable: str) -> str:
        """Return a flag's value, else the variable's, else nothing."""
        return (self.flags.get(flag) or self.environment.get(f"FAIRLEAD_{variable}") or "").strip()

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
