"""Showing the demo: a live picture on a terminal, plain lines into a file or a pipe."""

from __future__ import annotations

import sys
import time
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from examples.demo.frame import Arm, Evidence, Frame

WIDTH = 80
BAR = 24
QUIET_SECONDS = 10.0
COLOURS = {"Healthy": "green", "Progressing": "cyan", "Paused": "yellow", "Degraded": "red"}


class View(Protocol):
    """Where the demo speaks to."""

    def note(self, text: str, style: str = "") -> None:
        """Say something that stays."""

    def show(self, frame: Frame) -> None:
        """Show the state of affairs."""

    def close(self) -> None:
        """Leave the last picture as it is."""


def elapsed(since: float) -> str:
    """Minutes and seconds since a moment of the monotonic clock."""
    seconds = int(time.monotonic() - since)
    return f"{seconds // 60}:{seconds % 60:02}"


class Plain:
    """Lines: each note, each change of phase, step or message, and the numbers now and then."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._last: tuple[str, str] | None = None
        self._at = 0.0

    def note(self, text: str, style: str = "") -> None:  # noqa: ARG002  # no colours here
        """Print a line."""
        print(f"{elapsed(self._began):>6}  {text}", flush=True)

    def show(self, frame: Frame) -> None:
        """Print what changed, or the numbers after a quiet while."""
        now = time.monotonic()
        key = (frame.phase, frame.step)
        if key == self._last and now - self._at < QUIET_SECONDS:
            return
        self._last, self._at = key, now
        self.note(one_line(frame))

    def close(self) -> None:
        """Nothing is open."""


class Picture:
    """A picture at the bottom of the terminal, notes above it."""

    def __init__(self, console: Console | None = None) -> None:
        self._began = time.monotonic()
        self._console = console or Console(width=min(WIDTH, Console().width))
        self._live: Live | None = None

    def note(self, text: str, style: str = "") -> None:
        """Print a line above the picture."""
        line = Table.grid(padding=(0, 2))
        line.add_column(width=6, justify="right", style="dim")
        line.add_column(overflow="fold")
        line.add_row(elapsed(self._began), Text(text, style=style or "none"))
        self._console.print(line)

    def show(self, frame: Frame) -> None:
        """Draw the picture anew."""
        if self._live is None:
            self._live = Live(console=self._console, refresh_per_second=4, transient=True)
            self._live.start()
        self._live.update(panel(frame, elapsed(self._began)))

    def close(self) -> None:
        """Take the picture away; the notes stay."""
        if self._live is not None:
            self._live.stop()
            self._live = None


def open_view() -> View:
    """The picture where people look, lines otherwise."""
    return Picture() if sys.stdout.isatty() else Plain()


def one_line(frame: Frame) -> str:
    """A frame in one line, for a log."""
    step = f" {frame.step}" if frame.step else ""
    shares = ", ".join(f"version {arm.version} {arm.share:.0%}" for arm in frame.arms)
    traffic = frame.traffic
    load = f"; {traffic.rate:.0f}/s, {traffic.failed} of {traffic.sent:,} failed" if traffic.sent else ""
    return f"{frame.phase}{step}: {shares or 'nothing serves yet'}{load}; {frame.message}"


def panel(frame: Frame, time_passed: str) -> RenderableType:
    """A frame as a picture of at most 80 columns."""
    colour = COLOURS.get(frame.phase, "white")
    title = Text.assemble(("digits", "bold"), "  ", (frame.phase, f"bold {colour}"))
    if frame.step:
        title.append(f"  step {frame.step}")
    parts: list[RenderableType] = [_arms(frame.arms)] if frame.arms else []
    if frame.evidence:
        parts.append(_evidence(frame.evidence))
    parts.extend((_traffic(frame), Text(frame.message, style="italic")))
    return Panel(Group(*parts), title=title, subtitle=time_passed, title_align="left", border_style=colour)


def bar(filled: float, width: int = BAR) -> str:
    """A bar of blocks."""
    cells = round(max(0.0, min(1.0, filled)) * width)
    return "█" * cells + "·" * (width - cells)


def _arms(arms: tuple[Arm, ...]) -> Table:
    table = _grid()
    for number, arm in enumerate(arms):
        right = "" if arm.accuracy is None else f"{arm.accuracy:.1%} right"
        name = f"version {arm.version}"
        style = "green" if number == 0 else "cyan"
        table.add_row(
            name, Text(bar(arm.share), style=style), f"{arm.share:.0%}", f"{arm.ready}/{arm.pods} pods {right}"
        )
    return table


def _evidence(evidence: tuple[Evidence, ...]) -> Table:
    table = _grid()
    for entry in evidence:
        bars = Text.assemble((bar(entry.against, BAR // 2 - 1), "red"), "  ", (bar(entry.good, BAR // 2 - 1), "green"))
        canary, stable = (_percent(share) for share in (entry.canary, entry.stable))
        table.add_row(entry.metric, bars, "", f"canary {canary} stable {stable}")
    table.add_row("", Text("evidence: against, for".ljust(BAR), style="dim"), "", "")
    return table


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}"


def _traffic(frame: Frame) -> Text:
    traffic = frame.traffic
    if not traffic.sent:
        return Text("no load yet", style="dim")
    text = Text(f"load {traffic.rate:.0f}/s  {traffic.sent:,} requests  ")
    text.append(f"{traffic.failed:,} failed", style="red" if traffic.failed else "green")
    if len(traffic.latency) > 1:
        text.append(f"  {traffic.latency[0]:.1f} ms, p99 {traffic.latency[1]:.1f} ms")
    return text


def _grid() -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_column(width=11)
    table.add_column(width=BAR)
    table.add_column(width=4, justify="right")
    table.add_column()
    return table
