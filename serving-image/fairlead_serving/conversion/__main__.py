"""`python -m fairlead_serving.conversion FOLDER FORMAT FILE TARGET SECONDS [WISH]`: convert a model, write a report."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from pathlib import Path

import msgspec

from fairlead_serving.conversion import memory
from fairlead_serving.conversion.convert import convert
from fairlead_serving.conversion.report import REPORT, Report
from fairlead_serving.errors import LoadError
from fairlead_serving.models.formats import Choice
from fairlead_serving.optimisation import Wish


class _Warnings(logging.Handler):
    """Keeps what is logged, for the server to log."""

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one message."""
        self.texts.append(record.getMessage())


def main() -> int:
    """Convert, write the report and return the exit status."""
    folder, kind, file, target, seconds, *more = sys.argv[1:]
    wish = msgspec.json.decode(more[0], type=Wish) if more else None
    # The server waits no longer.
    signal.alarm(int(float(seconds)) + 1)
    threading.Thread(target=_end_with_the_server, daemon=True).start()
    limited = memory.stay_within()
    warnings = _Warnings(logging.WARNING)
    logging.getLogger("fairlead_serving").addHandler(warnings)

    def write(report: Report) -> None:
        report.warnings = warnings.texts
        (Path(target) / REPORT).write_bytes(msgspec.json.encode(report))

    try:
        report = convert(Path(folder), Choice(kind, file), Path(target), wish, write)
    except LoadError as error:
        if limited:
            # It may be for want of memory, of which the server has more.
            return 1
        report = Report(error=str(error))
    except MemoryError:
        return memory.EXHAUSTED
    write(report)
    return 0


def _end_with_the_server() -> None:
    """The server holds the other end of this pipe and writes nothing: it ends when the server does."""
    os.read(0, 1)
    os._exit(1)


if __name__ == "__main__":
    # The thread above still reads, and nothing is left to save.
    os._exit(main())
