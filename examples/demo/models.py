"""Three versions of a model that reads handwritten digits, trained on the data that comes with scikit-learn.

Version 1 has seen only a hundred scans. Version 2 is the same model, trained on twelve times as many, and reads
better. Version 3 treats each grey value as a category of its own: a plausible idea that really is worse, because
about one scan in ten holds a grey value that its 350 training scans did not have at that pixel, which is an error,
and because encoding 64 pixels one by one takes many times as long.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import skops.io
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

HELD_OUT = 600
FILE = "model.skops"


@dataclass(frozen=True, slots=True)
class Scans:
    """The data, split once for all versions: no version has seen what the load sends."""

    train: Any
    train_labels: Any
    held_out: Any
    held_out_labels: Any

    @classmethod
    def load(cls) -> Scans:
        """Read the digits data set and split it."""
        values, labels = load_digits(return_X_y=True)
        train, held_out, train_labels, held_out_labels = train_test_split(
            values, labels, test_size=HELD_OUT, random_state=0, stratify=labels
        )
        return cls(train, train_labels, held_out, held_out_labels)

    def requests(self, count: int = 300) -> list[dict[str, Any]]:
        """Held-out scans as the load sends them: 64 grey values, and the digit that a person saw."""
        return [
            {"scan": scan.tolist(), "digit": int(digit)}
            for scan, digit in zip(self.held_out[:count], self.held_out_labels[:count], strict=True)
        ]


@dataclass(frozen=True, slots=True)
class Trained:
    """A saved version: its folder, and on the held-out scans its share of right answers and of errors."""

    version: str
    folder: Path
    right: float
    errors: float


def train_all(folder: Path) -> list[Trained]:
    """Train versions 1, 2 and 3 and save each in a folder of its own below `folder`."""
    scans = Scans.load()
    return [
        _save(linear_model(scans, 100), "1", folder, scans),
        _save(linear_model(scans, len(scans.train)), "2", folder, scans),
        _save(category_model(scans, 350), "3", folder, scans),
    ]


def train_equal(folder: Path, version: str, seed: int) -> Trained:
    """One more version that is as good as version 2: the same model on a slightly different draw of the scans."""
    scans = Scans.load()
    drawn = np.random.default_rng(seed).permutation(len(scans.train))[:-50]
    fitted = _linear().fit(scans.train[drawn], scans.train_labels[drawn])
    return _save(fitted, version, folder, scans)


def linear_model(scans: Scans, count: int) -> Pipeline:
    """A logistic regression on the first `count` training scans."""
    return _linear().fit(scans.train[:count], scans.train_labels[:count])


def category_model(scans: Scans, count: int) -> Pipeline:
    """The one that errs: a category for each grey value of each pixel, and an error for one it does not know."""
    encoder = OneHotEncoder(handle_unknown="error", sparse_output=False)
    return make_pipeline(encoder, LogisticRegression(max_iter=500)).fit(scans.train[:count], scans.train_labels[:count])


def _linear() -> Pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))


def _save(model: Pipeline, version: str, folder: Path, scans: Scans) -> Trained:
    own = folder / version
    own.mkdir(parents=True, exist_ok=True)
    skops.io.dump(model, own / FILE)
    right = errors = 0
    for scan, digit in zip(scans.held_out, scans.held_out_labels, strict=True):
        try:
            right += int(model.predict([scan])[0] == digit)
        except ValueError:
            errors += 1
    return Trained(version, own, right / HELD_OUT, errors / HELD_OUT)
