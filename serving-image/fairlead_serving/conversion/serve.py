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
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from fairlead_serving import __version__
from fairlead_serving.conversion.memory import EXHAUSTED
from fairlead_serving.conversion.report import MODEL, REPORT, Report
from fairlead_serving.errors import LoadError
from fairlead_serving.models.converted import ConvertedEngine
from fairlead_serving.models.libraries import remedy
from fairlead_serving.models.loader import load_choice
from fairlead_serving.models.onnx import OnnxModel
from fairlead_serving.models.tabularmodel import TabularModel
from fairlead_serving.storage import alone

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fairlead_serving.models.base import Model
    from fairlead_serving.models.formats import Choice
    from fairlead_serving.optimisation import Wish
    from fairlead_serving.storage import Artifact

_log = logging.getLogger(__name__)
_THREADS: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
# A conversion is kept for as long as none of these changes.
_LIBRARIES: Final = ("onnxruntime", "onnx", "skl2onnx", "scikit-learn", "xgboost-cpu", "lightgbm")


def load(artifact: Artifact, choice: Choice, cache: Path, seconds: float, wish: Wish | None = None) -> Model:
    """Load a model, converted and optimised where that passes the gates within some seconds, else as it is.

    Raises LoadError where the model cannot be loaded at all.
    """
    if choice.format == "onnx" and find_spec("onnx") is None:
        return _plain(artifact, choice, "not_optimised", f"that needs onnx, which is not here: {remedy('full')}")
    with _place(cache) as root:
        folder = root / _key(artifact, choice, wish)
        report = _report(folder) or _convert(artifact, choice, folder, seconds, wish)
        if isinstance(report, str):
            return _plain(artifact, choice, "not_optimised" if choice.format == "onnx" else "not_converted", report)
        for text in report.warnings:
            _log.warning(text)
        if choice.format == "onnx" and report.optimised is None:
            return _plain(artifact, choice, "not_optimised", report.not_optimised)
        if choice.format != "onnx" and (report.rules is None or report.parity is None):
            return _plain(artifact, choice, "not_converted", report.reason)
        try:
            return _opened(folder, report)
        except LoadError as error:
            return _plain(artifact, choice, "not_converted", str(error))


def _opened(folder: Path, report: Report) -> Model:
    """Open what a conversion has left, and tell of it."""
    file = folder / (report.optimised.file if report.optimised else MODEL)
    told = {}
    if report.rules is not None and report.parity is not None:
        parity = report.parity
        _log.info("converted to ONNX", extra={"native": report.native, **msgspec.to_builtins(parity)})
        told["converted_from"] = report.native
        told["parity"] = f"{parity.rows} rows, largest difference {parity.difference:.1g}"
    if report.optimised is not None:
        told["optimised"] = str(report.optimised)
        _log.info("optimised: %s", report.optimised)
    elif report.not_optimised:
        told["not_optimised"] = report.not_optimised
        _log.info("not optimised: %s", report.not_optimised)
    if report.rules is not None:
        return TabularModel(report.format, report.platform, ConvertedEngine(file, report.rules), told)
    model = OnnxModel(file)
    model.parameters = {**model.parameters, **told}
    return model


def _plain(artifact: Artifact, choice: Choice, what: str, reason: str) -> Model:
    """Load a model as it is, and tell why."""
    _log.info("%s: %s", "not optimised" if what == "not_optimised" else "not converted to ONNX", reason)
    model = load_choice(artifact.folder, choice)
    if isinstance(model, TabularModel | OnnxModel):
        model.parameters = {**model.parameters, what: reason}
    return model


def _convert(artifact: Artifact, choice: Choice, folder: Path, seconds: float, wish: Wish | None) -> Report | str:
    """Run the conversion and keep what came of it; return a reason where nothing did."""
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".partial-") as partial:
        command = [
            *(sys.executable, "-m", "fairlead_serving.conversion", str(artifact.folder)),
            *(choice.format, choice.file, partial, str(seconds)),
            *([] if wish is None else [msgspec.json.encode(wish).decode()]),
        ]
        # The pipe is how the other process notices that this one has ended. Its libraries' warnings are nobody's.
        with subprocess.Popen(  # noqa: S603  our own program
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # As many threads as the machine has cores would only wait for each other in a small container.
            env={**os.environ, **dict.fromkeys(_THREADS, "1"), "TMPDIR": partial},
        ) as process:
            try:
                status = process.wait(seconds)
            except subprocess.TimeoutExpired:
                process.kill()
                status = None
        # The report is there as soon as the model is converted, if only its optimisation fails.
        report = _report(Path(partial))
        if report is None and status is None:
            return f"it took longer than {seconds:g} s"
        if report is None and status == EXHAUSTED:
            return "there is not enough memory for the conversion"
        if report is None:
            return f"the conversion ended with status {status}"
        if report.error:
            raise LoadError(report.error)
        done = Path(partial) / "done"
        done.mkdir()
        for name in (MODEL, REPORT, *([report.optimised.file] if report.optimised else [])):
            if (Path(partial) / name).exists():
                (Path(partial) / name).rename(done / name)
        done.rename(folder)
    return report


def _report(folder: Path) -> Report | None:
    try:
        return msgspec.json.decode((folder / REPORT).read_bytes(), type=Report)
    except (OSError, msgspec.MsgspecError):
        return None


def _key(artifact: Artifact, choice: Choice, wish: Wish | None) -> str:
    """Return the name of a conversion, which depends on the model and on all that has a hand in it."""
    parts = [__version__, artifact.digest, choice.format, choice.file, "" if wish is None else str(wish)]
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
