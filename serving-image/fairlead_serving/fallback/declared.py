"""The fallback that a model's folder declares: a folder `fallback` in it, with a model of any format."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from fairlead_serving.batching.probe import Probe, probe
from fairlead_serving.dataplane import Loaded
from fairlead_serving.errors import InvalidRequestError, LoadError
from fairlead_serving.models.loader import seconds_a_row
from fairlead_serving.models.signature import match, zeros
from fairlead_serving.tensors import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fairlead_serving.models.base import Model
    from fairlead_serving.storage import Artifact
    from fairlead_serving.tensors import TensorSpec

FOLDER: Final = "fallback"
_BELOW: Final = f"{FOLDER}/"


class Spare(NamedTuple):
    """A loaded fallback and what it has shown before it serves."""

    loaded: Loaded
    found: Probe


def divide(artifact: Artifact) -> tuple[Artifact, Artifact | None]:
    """Return a model's own files and those of its fallback, if it has one."""
    own = [name for name in artifact.files if not name.startswith(_BELOW)]
    other = [name.removeprefix(_BELOW) for name in artifact.files if name.startswith(_BELOW)]
    if not own or not other:
        return artifact, None
    # What is kept of the fallback must not be taken for the model's.
    spare = replace(artifact, folder=artifact.folder / FOLDER, files=other, digest=f"{artifact.digest}/{FOLDER}")
    return replace(artifact, files=own), spare


def load_spare(artifact: Artifact, main: Model, load: Callable[[Artifact], Model]) -> Spare:
    """Load a fallback for a model. Raises LoadError when that fails, or when it cannot answer in the model's place."""
    try:
        model = load(artifact)
        _check(model, main)
    except LoadError as error:
        message = f"{FOLDER}: {error}"
        raise LoadError(message) from error
    row = seconds_a_row(model)
    return Spare(Loaded(model, artifact.digest, row), probe(model, row))


def _check(model: Model, main: Model) -> None:
    if model.outputs and main.outputs and _names(model.outputs) != _names(main.outputs):
        message = f"it gives {', '.join(_names(model.outputs))} where the model gives {', '.join(_names(main.outputs))}"
        raise LoadError(message)
    if not main.inputs:
        return
    arrays = zeros(main.inputs)
    tensors = [Tensor(spec.name, spec.datatype, arrays[spec.name]) for spec in main.inputs]
    try:
        if model.format != "python":
            model.bind(tensors)
        elif model.inputs:
            # Not `bind`, since zeros need not be a legal input of its preprocess.
            match({spec.name: spec for spec in model.inputs}, tensors)
    except InvalidRequestError as error:
        message = f"it does not take what the model takes: {error}"
        raise LoadError(message) from error


def _names(specs: Sequence[TensorSpec]) -> list[str]:
    return [spec.name for spec in specs]
