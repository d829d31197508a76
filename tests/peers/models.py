"""The models that are served, trained once and kept in the cache folder."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.cluster.cache import REPOSITORY, Say, cache_dir, digest_of, locked, say
from tests.peers import environments

PROGRAMS = REPOSITORY / "tests" / "peers" / "programs"
KINDS = {
    "lr": ("joblib", "skops", "onnx"),
    "rf": ("joblib", "skops", "onnx"),
    "gb": ("joblib", "skops", "onnx"),
    "mlp": ("joblib", "onnx"),
    "centroid": ("joblib", "skops"),
    "busy": ("joblib", "python"),
}
"""The names of the models, and as what they are saved."""
OF_TRITON = "triton"
"""Triton's Python packages have an older numpy, so that it needs pickles of its own."""


@dataclass(frozen=True)
class Model:
    """A trained model on the disk."""

    name: str
    folder: Path

    @cached_property
    def rows(self) -> list[list[float]]:
        """Some inputs, as float32 can hold them."""
        return list(self._sample["rows"])

    @cached_property
    def labels(self) -> list[float]:
        """What the model says of them."""
        return [float(label) for label in self._sample["labels"]]

    @cached_property
    def _sample(self) -> dict[str, list[Any]]:
        return dict(json.loads((self.folder / "sample.json").read_text()))

    def has(self, kind: str) -> bool:
        """Tell whether the model is saved as this kind."""
        return (self.folder / kind).exists()


def model(name: str, *, triton: bool = False, progress: Say = say) -> Model:
    """Return a model, trained if need be; with `triton` one whose pickle its environment can read."""
    environment = OF_TRITON if triton else "fairlead"
    kinds = ("joblib",) if triton else KINDS[name]
    python = environments.python(environment, progress)
    lock = environments.lock_of(environment)
    files = [PROGRAMS / file for file in ("train.py", "busy.py", "fairlead_model.py")]
    target = cache_dir() / "peers" / "models" / f"{environment}-{digest_of(lock, *files)}" / name
    with locked(f"peers-model-{name}", progress):
        if not (target / "sample.json").exists():
            progress(f"training {name}")
            shutil.rmtree(target, ignore_errors=True)
            _train(python, name, target, kinds)
    return Model(name, target)


def _train(python: Path, name: str, target: Path, kinds: tuple[str, ...]) -> None:
    command = [str(python), str(PROGRAMS / "train.py"), name, str(target), *kinds]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  built above
    if done.returncode != 0:
        message = f"{name} could not be trained: {done.stderr.strip()[-1000:]}"
        raise environments.EnvironmentsError(message)
