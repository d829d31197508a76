"""`fairlead replay`: judge what was recorded, from a file or from a Prometheus, with the operator's own judge."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import msgspec
import yaml

from fairlead.analysis import replay
from fairlead.analysis.recording import Header, Instant, RecordError

if TYPE_CHECKING:
    from fairlead.analysis.access import Access

STDIN = "-"
WRONG = 2


class UsageError(Exception):
    """What was asked for cannot be done; the message says why, in one sentence."""


def add(commands: Any) -> None:
    """Adds the subcommand to the parsers of `fairlead`."""
    parser = commands.add_parser(
        "replay",
        help="judge recorded data offline",
        description="Judge what was recorded of a rollout with the operator's own judge, and print one JSON line for "
        "each instant. Stops at Promote or Rollback. docs/replay.md describes the recording.",
    )
    parser.add_argument("file", nargs="?", metavar="FILE.jsonl", help="the recording; - reads standard input")
    parser.add_argument(
        "--rollout", metavar="FILE.yaml", help="holds spec.rollout, as a ModelDeployment does (default: all defaults)"
    )
    parser.add_argument("--no-intervals", action="store_true", help="leave out the intervals of the ratios: faster")
    past = parser.add_argument_group("from a Prometheus, in place of a file")
    past.add_argument("--prometheus", metavar="URL")
    past.add_argument("--namespace")
    past.add_argument("--modeldeployment", metavar="NAME")
    past.add_argument("--canary", metavar="REVISION")
    past.add_argument("--stable", metavar="REVISION")
    past.add_argument("--start", metavar="TIME", help="when the canary got traffic: RFC 3339 or seconds since 1970")
    past.add_argument("--end", metavar="TIME", help="when to stop")
    past.add_argument("--max-connection-age", type=float, default=20.0, metavar="SECONDS", help="of the pods' clients")
    past.add_argument("--header", action="append", default=[], metavar="NAME:VALUE", help="sent with every question")
    past.add_argument("--bearer-token-file", metavar="FILE")
    past.add_argument("--ca-file", metavar="FILE")
    parser.set_defaults(command=run)


def run(options: argparse.Namespace) -> int:
    """Print the verdicts; 2 with a sentence on standard error for what cannot be read."""
    try:
        rollout = _rollout(options.rollout)
        return _from_prometheus(options, rollout) if options.prometheus else _from_file(options, rollout)
    except (UsageError, replay.RolloutError) as error:
        sys.stderr.write(f"fairlead replay: {error}\n")
        return WRONG
    except BrokenPipeError:
        sys.stdout = None  # whoever read has seen enough
        return 0


def _rollout(path: str | None) -> Mapping[str, Any]:
    if path is None:
        return {"spec": {}}
    try:
        document = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        message = f"cannot read {path}: {error.strerror}"
        raise UsageError(message) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        message = f"{path} is no YAML: {' '.join(str(error).split())}"
        raise UsageError(message) from error
    if not isinstance(document, Mapping):
        message = f"{path} holds no object with spec.rollout"
        raise UsageError(message)
    return document


def _from_file(options: argparse.Namespace, rollout: Mapping[str, Any]) -> int:
    if not options.file:
        message = "name a recording, - for standard input, or a --prometheus"
        raise UsageError(message)
    if options.file == STDIN:
        return _judge(sys.stdin.buffer, "standard input", options, rollout)
    try:
        with Path(options.file).open("rb") as stream:
            return _judge(stream, options.file, options, rollout)
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        message = f"cannot read {options.file}: {error.strerror}"
        raise UsageError(message) from error


def _judge(stream: BinaryIO, name: str, options: argparse.Namespace, rollout: Mapping[str, Any]) -> int:
    verdicts = replay.replay_lines(_records(stream), rollout, intervals=not options.no_intervals, warn=_warn)
    try:
        _print(verdicts, at_once=options.file == STDIN)
    except RecordError as error:
        sys.stdout.flush()
        sys.stderr.write(f"fairlead replay: {name}, line {error.line}: {error.reason}\n")
        return WRONG
    return 0


def _records(stream: Iterable[bytes]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The lines with their numbers; empty ones are passed over."""
    decode = msgspec.json.Decoder().decode
    for number, line in enumerate(stream, start=1):
        if line.isspace():
            continue
        try:
            yield number, decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise RecordError(number, f"no JSON: {error}") from error


def _print(verdicts: Iterable[Mapping[str, Any]], *, at_once: bool) -> None:
    out, encode = sys.stdout.buffer, msgspec.json.Encoder().encode
    for verdict in verdicts:
        out.write(encode(verdict) + b"\n")
        if at_once:
            out.flush()
    out.flush()


def _warn(text: str) -> None:
    sys.stderr.write(f"fairlead replay: {text}\n")


def _from_prometheus(options: argparse.Namespace, rollout: Mapping[str, Any]) -> int:
    # Imported here, so that a file is judged without waiting for the libraries of a network.
    from fairlead.analysis.source import MetricError  # noqa: PLC0415

    wanted = ("namespace", "modeldeployment", "canary", "stable", "start", "end")
    missing = [f"--{name}" for name in wanted if not getattr(options, name)]
    if missing or options.file:
        message = f"--prometheus needs {', '.join(missing)}" if missing else "name a file or a --prometheus, not both"
        raise UsageError(message)
    try:
        instants = asyncio.run(_recalled(options, rollout))
    except MetricError as error:
        raise UsageError(str(error)) from error
    head = _head(options, rollout)
    _print(replay.replay_instants(instants, rollout, head, intervals=not options.no_intervals), at_once=False)
    return 0


async def _recalled(options: argparse.Namespace, rollout: Mapping[str, Any]) -> list[Instant]:
    from fairlead.analysis.prometheus import PrometheusSource  # noqa: PLC0415
    from fairlead.analysis.recall import Recall  # noqa: PLC0415
    from fairlead.analysis.request import JudgeRequest, Stage  # noqa: PLC0415

    start, end = _time(options.start, "--start"), _time(options.end, "--end")
    if end <= start:
        message = "--end must be after --start"
        raise UsageError(message)
    request = JudgeRequest(
        namespace=options.namespace,
        model=options.modeldeployment,
        canary=options.canary,
        stable=options.stable,
        plan=replay.plan_for(rollout, _head(options, rollout)).analysis,
        started_at=start,
        stage=Stage(1, start),
        pods={},
        state="",
        now=end,
    )
    source = PrometheusSource(options.prometheus, access=_access(options), timeout=60.0)
    try:
        return [instant async for instant in Recall(source, request, end).instants()]
    finally:
        source.close()


def _access(options: argparse.Namespace) -> Access:
    from fairlead.analysis.access import Access  # noqa: PLC0415

    pairs = (given.partition(":") for given in options.header)
    return Access(
        token_file=Path(options.bearer_token_file) if options.bearer_token_file else None,
        ca_file=Path(options.ca_file) if options.ca_file else None,
        headers={name.strip(): value.strip() for name, _, value in pairs},
    )


def _head(options: argparse.Namespace, rollout: Mapping[str, Any]) -> Header:
    """How Fairlead's own pods are counted: each at its own time, behind balanced connections."""
    interval = replay.plan_for(rollout, None).analysis.interval
    return Header(interval=interval, source="pod", routing="connection", max_connection_age=options.max_connection_age)


def _time(text: str, option: str) -> float:
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(text).astimezone().timestamp()
    except ValueError as error:
        message = f"{option} is {text!r}; write a time as 2026-11-21T10:00:00Z, or seconds since 1970"
        raise UsageError(message) from error
