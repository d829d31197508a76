"""`fairlead-serve convert`: a model as ONNX before it is published, behind the same gate as at its load."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from fairlead_serving import __version__, golden, optimisation
from fairlead_serving.conversion import networks, record
from fairlead_serving.conversion.agreement import compare
from fairlead_serving.conversion.errors import UnconvertibleError
from fairlead_serving.conversion.feeds import golden_of, made_up
from fairlead_serving.conversion.optimise import Case, optimise
from fairlead_serving.conversion.report import MODEL, Report
from fairlead_serving.conversion.samples import given
from fairlead_serving.digest import digest_of_path, files_of
from fairlead_serving.errors import LoadError, SettingsError
from fairlead_serving.models import libraries
from fairlead_serving.models.formats import CONVERTIBLE, Choice
from fairlead_serving.models.loader import load_choice, permitted
from fairlead_serving.models.onnx import OnnxModel
from fairlead_serving.models.onnx import load as load_onnx

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fairlead_serving.models.base import Model
    from fairlead_serving.optimisation import Wish

_USAGE: Final = 2
# Networks of float32 add up in another order in another runtime.
_NETWORK_DIFFERENCE: Final = 1e-4
_SAVED: Final = "saved_model.pb"
_KERAS: Final = (".keras", ".h5")


class _Source(NamedTuple):
    """A model to convert: the folder it lies in, and its format with its file."""

    folder: Path
    choice: Choice

    @property
    def path(self) -> Path:
        """The model itself: for a SavedModel the folder."""
        return self.folder if self.choice.format == "savedmodel" else self.folder / self.choice.file


class _Made(NamedTuple):
    """What came of a conversion: its report, the model to compare with, and what it was compared on."""

    report: Report
    reference: Model
    tries: list[Sequence[Any]]


def main(arguments: Sequence[str]) -> int:
    """Convert and return the exit status: 0 done, 1 not possible, 2 asked in the wrong way."""
    options = _parser().parse_args(arguments)
    try:
        wish = optimisation.wish(options.optimise or "", options.optimise_labels, options.optimise_difference)
        lines = _converted(options, wish)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return _USAGE
    except (LoadError, UnconvertibleError) as error:
        sys.stderr.write(f"not converted: {error}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"not converted: {error.filename}: {error.strerror}\n")
        return 1
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 0


def _parser() -> argparse.ArgumentParser:
    flags = argparse.ArgumentParser(
        prog="fairlead-serve convert",
        description="Write a model as ONNX, if that answers as the model itself does: scikit-learn, XGBoost, LightGBM, "
        "MLflow, TensorFlow SavedModel, Keras and PyTorch (.pt2) with their own libraries installed, or ONNX to "
        "optimise. Writes model.onnx, golden.jsonl and conversion.json. Ends with 0 when that is done, with 1 and a "
        "sentence when it cannot be, with 2 for a wrong command.",
        allow_abbrev=False,
    )
    flags.add_argument("source", type=Path, metavar="SOURCE", help="folder or file of the model")
    flags.add_argument("target", type=Path, metavar="TARGET", help="folder to write, which must not be there yet")
    flags.add_argument("--format", help="the format, where the files do not tell it")
    flags.add_argument("--allow-unsafe", action="store_true", help="read files that can run any code")
    flags.add_argument("--samples", type=Path, metavar="FILE", help=".npy or .npz (arrays by input) to compare on too")
    optimisation.add_flags(flags)
    flags.set_defaults(optimise_labels=optimisation.LABELS, optimise_difference=optimisation.DIFFERENCE)
    return flags


def _converted(options: argparse.Namespace, wish: Wish | None) -> list[str]:
    if options.target.exists():
        message = f"{options.target} is there already: name a new folder"
        raise LoadError(message)
    source = _source(options)
    with ExitStack() as stack:
        options.target.parent.mkdir(parents=True, exist_ok=True)
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=options.target.parent, prefix=".convert-")))
        make = _from_network if source.choice.format in networks.KINDS else _from_tables
        made = make(source, work, wish, options)
        done = work / "done"
        done.mkdir()
        report = made.report
        file = work / (report.optimised.file if report.optimised else MODEL)
        record.write_model(file, done / MODEL, report)
        model = load_onnx(done / MODEL)
        rows = record.write_golden(done / golden.FILE, made.reference, made.tries, source.folder, report)
        golden.check(model, done / golden.FILE)
        told = {"fairlead": __version__, "source": digest_of_path(source.path), "golden_requests": rows}
        (done / record.REPORT).write_bytes(
            msgspec.json.format(msgspec.json.encode({**told, **record.summary(report)}), indent=2) + b"\n"
        )
        shutil.move(done, options.target)
    return [*record.lines(report), f"{rows} golden requests", f"written to {options.target}"]


def _source(options: argparse.Namespace) -> _Source:
    """Tell what is to be converted. Raises LoadError."""
    folder, files = files_of(options.source)
    if options.format in (None, "savedmodel") and _SAVED in files:
        return _Source(folder, Choice("savedmodel", _SAVED))
    keras = [file for file in files if file.endswith(_KERAS)]
    if options.format == "keras" or (options.format is None and len(keras) == 1):
        if len(keras) != 1:
            message = f"there should be one Keras file, not {len(keras)}"
            raise LoadError(message)
        return _Source(folder, Choice("keras", keras[0]))
    choice = permitted(folder, files, options.format, allow_unsafe=options.allow_unsafe)
    if choice.format not in (*CONVERTIBLE, *networks.KINDS, "onnx"):
        message = f"{choice.file} is of the format {choice.format}, which is not converted"
        raise LoadError(message)
    if choice.format not in networks.KINDS:
        libraries.check(choice)
    return _Source(folder, choice)


def _from_tables(source: _Source, work: Path, wish: Wish | None, options: argparse.Namespace) -> _Made:
    """Convert a tree or linear model, or optimise what is ONNX already. Raises UnconvertibleError."""
    from fairlead_serving.conversion.convert import convert  # noqa: PLC0415  skl2onnx takes seconds

    if source.choice.format == "onnx" and wish is None:
        message = f"{source.choice.file} is ONNX already: say how to --optimise it"
        raise UnconvertibleError(message)
    reference = load_choice(source.folder, source.choice)
    more = given(options.samples, reference) if options.samples else []
    report = convert(source.folder, source.choice, work, wish, more=more)
    if report.reason:
        raise UnconvertibleError(report.reason)
    if source.choice.format == "onnx" and report.optimised is None:
        raise UnconvertibleError(report.not_optimised)
    tries = [golden_of(reference, source.folder), more, *_usual(reference)]
    return _Made(report, reference, tries)


def _usual(model: Model) -> Iterable[Sequence[Any]]:
    """Yield rows that look like requests."""
    if isinstance(model, OnnxModel):
        return made_up(model.inputs)
    return ([feed[spec.name] for feed in feeds for spec in model.inputs] for feeds in made_up(model.inputs))


def _from_network(source: _Source, work: Path, wish: Wish | None, options: argparse.Namespace) -> _Made:
    network = networks.opened(source.choice.format, source.path, allow_unsafe=options.allow_unsafe)
    reference = network.model
    more = given(options.samples, reference) if options.samples else []
    path = work / MODEL
    network.export(path)

    def tries(model: Model) -> Iterable[Sequence[Any]]:
        return chain([golden_of(model, source.folder), more], made_up(reference.inputs))

    candidate = OnnxModel(path)
    _same_names(reference, candidate)
    agreement = compare(reference, candidate, tries(reference))
    if agreement.labels < 1 or agreement.relative > _NETWORK_DIFFERENCE:
        message = (
            f"as ONNX it answers otherwise: {agreement.labels:.2%} of labels the same, numbers off by "
            f"{agreement.difference:.2g} on {agreement.rows} rows"
        )
        raise UnconvertibleError(message)
    report = Report(candidate.format, candidate.platform, network.library)
    report.agreement = agreement
    if wish is not None:
        try:
            report.optimised = optimise(Case(source.folder, path, path, OnnxModel, tries), work, wish)
        except UnconvertibleError as error:
            report.not_optimised = str(error)
    return _Made(report, reference, list(tries(reference)))


def _same_names(reference: Model, candidate: Model) -> None:
    for what in ("inputs", "outputs"):
        want = [spec.name for spec in getattr(reference, what)]
        have = [spec.name for spec in getattr(candidate, what)]
        if sorted(want) != sorted(have):
            message = f"its {what} became {', '.join(have)} instead of {', '.join(want)}"
            raise UnconvertibleError(message)
