"""The server's side of a conversion: have it done once, within its time, and take what came of it."""

from __future__ import annotations

import hashlib
import logging
import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from fairlead_serving import __version__
from fairlead_serving.conversion.memory import EXHAUSTED
from fairlead_serving.conversion.report import MODEL, REPORT, Report
from fairlead_serving.errors import LoadError
from fairlead_serving.models.converted import ConvertedEngine
from fairlead_serving.models.loader import load_choice
from fairlead_serving.models.tabularmodel import TabularModel
from fairlead_serving.storage import alone

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fairlead_serving.models.base import Model
    from fairlead_serving.models.formats import Choice
    from fairlead_serving.storage import Artifact

_log = logging.getLogger(__name__)
_THREADS: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
# A conversion is kept for as long as none of these changes.
_LIBRARIES: Final = ("onnxruntime", "skl2onnx", "scikit-learn", "xgboost-cpu", "lightgbm")


def load(artifact: Artifact, choice: Choice, cache: Path, seconds: float) -> Model:
    """Load a model, converted where that passes the gate within some seconds, else by its native engine.

    Raises LoadError where the model cannot be loaded at all.
    """
    with _place(cache) as root:
        folder = root / _key(artifact, choice)
        report = _report(folder) or _convert(artifact, choice, folder, seconds)
        if isinstance(report, Report) and report.rules is not None and report.parity is not None:
            try:
                engine = ConvertedEngine(folder / MODEL, report.rules)
            except LoadError as error:
                return _native(artifact, choice, str(error))
            parity = report.parity
            for text in report.warnings:
                _log.warning(text)
            _log.info(
                "converted to ONNX",
                extra={"native": report.native, **msgspec.to_builtins(parity)},
            )
            parameters = {
                "converted_from": report.native,
                "parity": f"{parity.rows} rows, largest difference {parity.difference:.1g}",
            }
            return TabularModel(report.format, report.platform, engine, parameters)
    return _native(artifact, choice, report.reason if isinstance(report, Report) else report)


def _native(artifact: Artifact, choice: Choice, reason: str) -> Model:
    _log.info("not converted to ONNX: %s", reason)
    model = load_choice(artifact.folder, choice)
    if isinstance(model, TabularModel):
        model.parameters = {**model.parameters, "not_converted": reason}
    return model


def _convert(artifact: Artifact, choice: Choice, folder: Path, seconds: float) -> Report | str:
    """Run the conversion and keep what came of it; return a reason where nothing did."""
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".partial-") as partial:
        command = [
            *(sys.executable, "-m", "fairlead_serving.conversion", str(artifact.folder)),
            *(choice.format, choice.file, partial, str(seconds)),
        ]
        # The pipe is how the other process notices that this one has ended. Its libraries' warnings are nobody's.
        with subprocess.Popen(  # noqa: S603  our own program
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # As many threads as the machine has cores would only wait for each other in a small container.
            env={**os.environ, **dict.fromkeys(_THREADS, "1")},
        ) as process:
            try:
                status = process.wait(seconds)
            except subprocess.TimeoutExpired:
                process.kill()
                return f"it took longer than {seconds:g} s"
        report = _report(Path(partial))
        if status == EXHAUSTED:
            return "there is not enough memory for the conversion"
        if report is None:
            return f"the conversion ended with status {status}"
        if report.error:
            raise LoadError(report.error)
        done = Path(partial) / "done"
        done.mkdir()
        for name in (MODEL, REPORT):
            if (Path(partial) / name).exists():
                (Path(partial) / name).rename(done / name)
        done.rename(folder)
    return report


def _report(folder: Path) -> Report | None:
    try:
        return msgspec.json.decode((folder / REPORT).read_bytes(), type=Report)
    except (OSError, msgspec.MsgspecError):
        return None


def _key(artifact: Artifact, choice: Choice) -> str:
    """Return the name of a conversion, which depends on the model and on all that has a hand in it."""
    parts = [__version__, artifact.digest, choice.format, choice.file]
    for library in _LIBRARIES:
        try:
            parts.append(f"{library} {version(library)}")
        except PackageNotFoundError:
            parts.append(library)
    return f"converted-{hashlib.sha256('|'.join(parts).encode()).hexdigest()[:32]}"


@contextmanager
def _place(cache: Path) -> Iterator[Path]:
    """Give the cache, to one process at a time, or a passing folder where the cache cannot be written."""
    with ExitStack() as stack:
        try:
            stack.enter_context(alone(cache))
            writable = os.access(cache, os.W_OK)
        except OSError:
            writable = False
        yield cache if writable else Path(stack.enter_context(tempfile.TemporaryDirectory()))
