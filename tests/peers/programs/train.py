"""Trains and saves one model: `train.py NAME FOLDER KIND…`, kinds being joblib, skops, onnx and python.

It runs in a server's own environment: a pickle holds for one version of numpy and scikit-learn only. The same seed
gives the same model everywhere. `sample.json` holds rows with the labels that the model gives them.
"""

import json
import shutil
import sys
from pathlib import Path

import joblib
import numpy as np
from busy import Busy
from sklearn.base import ClassifierMixin
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestCentroid
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

ROWS = 8
HERE = Path(__file__).parent


def estimator(name: str) -> tuple[ClassifierMixin, np.ndarray]:
    """A fitted model and its data. Raises KeyError for a name that is none."""
    x, y = (load_iris if name in {"lr", "busy"} else load_breast_cancer)(return_X_y=True)
    models = {
        "lr": lambda: LogisticRegression(max_iter=500),
        "rf": lambda: RandomForestClassifier(n_estimators=100, random_state=0),
        "gb": lambda: GradientBoostingClassifier(n_estimators=100, random_state=0),
        "mlp": lambda: make_pipeline(StandardScaler(), MLPClassifier((64, 64), max_iter=500, random_state=0)),
        "centroid": lambda: make_pipeline(StandardScaler(), NearestCentroid()),
        "busy": Busy,
    }
    return models[name]().fit(x, y), x


def main() -> None:
    """Train, save and write the sample."""
    name, folder, kinds = sys.argv[1], Path(sys.argv[2]), sys.argv[3:]
    model, x = estimator(name)
    rows = x[np.linspace(0, len(x) - 1, ROWS).astype(int)].astype(np.float32)
    labels = [int(label) for label in model.predict(rows)]
    for kind in kinds:
        (folder / kind).mkdir(parents=True)
    if "joblib" in kinds:
        joblib.dump(model, folder / "joblib" / "model.joblib")
    if "skops" in kinds:
        import skops.io  # noqa: PLC0415  only our own environment has it

        skops.io.dump(model, folder / "skops" / "model.skops")
    if "onnx" in kinds:
        from skl2onnx import to_onnx  # noqa: PLC0415  as above

        written = to_onnx(model, rows[:1], options={"zipmap": False})
        (folder / "onnx" / "model.onnx").write_bytes(written.SerializeToString())
    if "python" in kinds:
        shutil.copy(HERE / "busy.py", folder / "python" / "busy.py")
        shutil.copy(HERE / "fairlead_model.py", folder / "python" / "model.py")
    # Through text and back, a float32 is the same number again.
    sample = {"rows": [[float(str(value)) for value in row] for row in rows], "labels": labels}
    (folder / "sample.json").write_text(json.dumps(sample))


if __name__ == "__main__":
    main()
