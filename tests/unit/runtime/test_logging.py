"""One JSON object a line, whoever logs, and no credentials in it."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from fairlead.runtime import logging as logs

TOKEN = "eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ.eyJzdWIiOiJ4In0.c2lnbmF0dXJl"  # noqa: S105 - made up


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    levels = {name: logging.getLogger(name).level for name in ("kopf", "kopf.objects", "asyncio", "urllib3")}
    stream = io.StringIO()
    logs.configure("info", "json", stream)
    yield stream
    root.handlers, root.level = handlers, level
    for name, old in levels.items():
        logging.getLogger(name).setLevel(old)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_own_and_foreign_records_look_alike(stream: io.StringIO) -> None:
    structlog.get_logger("ours").info("step advanced", weight=25)
    logging.getLogger("theirs").warning("%d retries left", 3, extra={"k8s_ref": {"name": "x"}})
    ours, theirs = lines(stream)
    assert (ours["event"], ours["level"], ours["logger"], ours["weight"]) == ("step advanced", "info", "ours", 25)
    assert (theirs["event"], theirs["level"], theirs["logger"]) == ("3 retries left", "warning", "theirs")
    assert "k8s_ref" not in theirs


def test_kopf_is_quiet_but_for_what_goes_wrong(stream: io.StringIO) -> None:
    logging.getLogger("kopf.objects").info("Handler 'x' succeeded.")
    logging.getLogger("kopf.objects").error("Handler 'x' failed.")
    logging.getLogger("kopf._core.engines.activities").info("Initial authentication has been initiated.")
    assert [line["event"] for line in lines(stream)] == ["Handler 'x' failed."]


def test_an_exception_is_one_line_too(stream: io.StringIO) -> None:
    try:
        raise ValueError(TOKEN)  # noqa: TRY301 - caught to be logged
    except ValueError:
        logging.getLogger("x").exception("it failed")
    (line,) = lines(stream)
    assert "Traceback" in str(line["exception"])
    assert TOKEN not in stream.getvalue()


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer {TOKEN}",
        f"token {TOKEN} was refused",
        "http://ann:s3cr3tpass@prometheus:9090 does not answer",
        "authorization: basic YW5uOnMzY3IzdHBhc3M=",
    ],
)
def test_credentials_are_hidden_wherever_they_stand(stream: io.StringIO, text: str) -> None:
    structlog.get_logger().warning(text, where={"deep": [text]})
    written = stream.getvalue()
    assert written.count("[hidden]") == 2
    for secret in (TOKEN, "s3cr3tpass", "YW5uOnMz"):
        assert secret not in written


def test_people_get_text(stream: io.StringIO) -> None:
    logs.configure("info", "console", stream)
    structlog.get_logger("x").info("hello", a=1)
    assert "hello" in stream.getvalue()
    assert "a=1" in stream.getvalue()
