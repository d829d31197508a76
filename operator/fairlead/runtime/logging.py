"""Structured logs: one JSON object a line, or coloured text for people. Foreign records take the same way."""

from __future__ import annotations

import logging
import re
import sys
from typing import Any, Literal, TextIO

import structlog
from structlog.types import EventDict, Processor, WrappedLogger

# kopf tells of every event of every object at INFO; what matters of that the reconciler says itself.
_QUIET = ("kopf", "aiohttp.access", "aiohttp.server", "asyncio", "urllib3", "kubernetes")

_SECRETS = (
    (re.compile(r"(?i)\b(bearer|basic)(\s+)[\w.~+/=-]{8,}"), r"\1\2[hidden]"),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*"), "[hidden]"),
    (re.compile(r"(\w+://)[^\s/@:]+:[^\s/@]+@"), r"\1[hidden]@"),
)


def configure(
    level: Literal["debug", "info", "warning", "error"] = "info",
    form: Literal["json", "console"] = "json",
    stream: TextIO | None = None,
) -> None:
    """Send all logs of the process to `stream` (standard error). Called once, before anything is logged."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, _forget_object],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                _hide_secrets,
                _renderer(form, stream or sys.stderr),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.DEBUG if level == "debug" else logging.WARNING)
    # kopf.objects repeats, at WARNING, what the handlers raise; its records also carry whole objects.
    logging.getLogger("kopf.objects").setLevel(logging.ERROR)
    logging.captureWarnings(capture=True)


def _renderer(form: str, stream: TextIO) -> Processor:
    if form == "json":
        return structlog.processors.JSONRenderer(ensure_ascii=False)
    # Exceptions are text by then: the renderer must not look for one itself.
    return structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback)


def _forget_object(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Drop what libraries hang onto their records beside the message."""
    for key in ("k8s_ref", "k8s_skip", "settings"):
        event.pop(key, None)
    return event


def _hide_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Last resort: nothing here logs credentials, but an exception of a library might quote them."""
    return {key: _hidden(value) for key, value in event.items()}


def _hidden(value: Any) -> Any:
    if isinstance(value, str):
        for pattern, replacement in _SECRETS:
            value = pattern.sub(replacement, value)
    elif isinstance(value, dict):
        return {key: _hidden(item) for key, item in value.items()}
    elif isinstance(value, list | tuple):
        return [_hidden(item) for item in value]
    return value
