"""`fairlead-serve convert`: what it writes answers as the model did, and what it cannot do it says in a sentence."""

from __future__ import annotations

import base64
import json
import pickle
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.neighbors import KNeighborsClassifier

from fairlead_serving import golden
from fairlead_serving.conversion import networks
from fairlead_serving.conversion.publish import main
from fairlead_serving.errors import LoadError
from fairlead_serving.models.loader import load_model
from tests.compiled import package
from tests.serving.harness import Server, table
from tests.serving.modelfiles import X, Y, write_net

Start = Callable[..., Server]
SPECIES = np.array(["setosa", "versicolor", "virginica"])[Y]


def convert(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def forest(folder: Path) -> Any:
    trained = RandomForestClassifier(20, random_state=1).fit(X, SPECIES)
    folder.mkdir()
    (folder / "model.pkl").write_bytes(pickle.dumps(trained))
    return trained


def test_a_forest_is_published_and_served_as_it_answered(
    start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained = forest(tmp_path / "from")
    assert convert(tmp_path / "from", tmp_path / "to", "--allow-unsafe") == 0
    said = capsys.readouterr().out.splitlines()
    assert said[:2] == [
        "converted from: scikit-learn RandomForestClassifier",
        "parity: 3000 rows, largest difference 0",
    ]
    assert sorted(path.name for path in (tmp_path / "to").iterdir()) == [
        "conversion.json",
        "golden.jsonl",
        "model.onnx",
    ]
    assert not list(tmp_path.glob(".convert-*"))
    told = json.loads((tmp_path / "to/conversion.json").read_text())
    assert told["source"].startswith("sha256:")
    assert (told["golden_requests"], told["parity"]["rows"]) == (6, 3000)
    server = start(tmp_path / "to", FAIRLEAD_WORKERS="1")
    assert server.wait_for("golden requests answered as expected")["requests"] == 6
    metadata = server.ready().get("/v2/models/m").json
    assert metadata["platform"] == "onnxruntime_onnx"
    assert metadata["parameters"]["converted_from"] == "scikit-learn RandomForestClassifier"
    predict, probabilities = server.infer(table(X.tolist(), "FP64")).json["outputs"]
    assert predict["data"] == trained.predict(X).tolist()
    np.testing.assert_allclose(np.reshape(probabilities["data"], (-1, 3)), trained.predict_proba(X), atol=1e-6)


def test_golden_requests_of_the_source_stay_and_are_kept_to(tmp_path: Path) -> None:
    lightgbm.LGBMRegressor(n_estimators=5, verbose=-1).fit(X, Y).booster_.save_model(tmp_path / "model.txt")
    expected = lightgbm.Booster(model_file=tmp_path / "model.txt").predict(X[:1])
    row = {
        "request": table(X[:1].tolist(), "FP64"),
        "response": {"outputs": [{"name": "predict", "data": np.asarray(expected).tolist()}]},
    }
    (tmp_path / "golden.jsonl").write_text(json.dumps(row))
    assert convert(tmp_path, tmp_path / "to") == 0
    lines = (tmp_path / "to/golden.jsonl").read_text().splitlines()
    assert (json.loads(lines[0]), len(lines)) == (row, 8)
    model = load_model(tmp_path / "to", ["model.onnx"], None)
    assert golden.check(model, tmp_path / "to/golden.jsonl") == 8
    row["response"]["outputs"][0]["data"] = [99.0]  # type: ignore[index]
    (tmp_path / "golden.jsonl").write_text(json.dumps(row))
    assert convert(tmp_path, tmp_path / "again") == 1
    assert not (tmp_path / "again").exists()


def test_onnx_is_optimised_on_samples_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_net(tmp_path / "net/model.onnx")
    np.save(tmp_path / "rows.npy", np.random.default_rng(1).standard_normal((300, 64)))
    assert convert(tmp_path / "net", tmp_path / "to", "--optimise", "float16", "--samples", tmp_path / "rows.npy") == 0
    assert "on 492 rows" in capsys.readouterr().out
    model = load_model(tmp_path / "to", ["model.onnx"], None)
    assert model.parameters["optimised"].startswith("float16: ")
    assert (tmp_path / "to/model.onnx").stat().st_size < 0.6 * (tmp_path / "net/model.onnx").stat().st_size


@pytest.mark.parametrize(
    ("files", "more", "status", "reason"),
    [
        ({}, [], 1, "not converted: .* does not exist"),
        ({"x": b""}, [], 1, "not converted: no model found"),
        ({"model.onnx": None}, [], 1, "not converted: model.onnx is ONNX already: say how to --optimise it"),
        ({"model.onnx": None}, ["--optimise", "int9"], 2, "should be float16, int8, auto or off, not 'int9'"),
        ({"model.onnx": None}, ["--optimise", "int8", "--samples", "x.npy"], 1, "x.npy is no .npy or .npz file"),
        ({"model.pkl": None}, [], 1, "model.pkl is a pickle, which can run any code"),
        ({"model.pkl": None}, ["--allow-unsafe"], 1, "not converted: ONNX Runtime "),
        ({"model.pt2": b"x"}, [], 1, "model.pt2 is a PyTorch program, which can run any code"),
        ({"model.py": b""}, ["--format", "python"], 1, "model.py is of the format python, which is not converted"),
        ({"model.ubj": b"x"}, [], 1, "model.ubj cannot be read by XGBoost"),
        ({"a.keras": b"", "b.keras": b""}, ["--format", "keras"], 1, "there should be one Keras file, not 2"),
    ],
)
def test_what_cannot_be_converted(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    files: dict[str, bytes | None],
    more: list[str],
    status: int,
    reason: str,
) -> None:
    for name, content in files.items():
        (tmp_path / "from").mkdir(exist_ok=True)
        if name == "model.onnx":
            write_net(tmp_path / "from" / name, sizes=(4, 8, 2))
        else:
            # Neighbours that are far away are other ones in ONNX.
            stays = pickle.dumps(KNeighborsClassifier(3).fit(np.round(X), Y))
            (tmp_path / "from" / name).write_bytes(stays if content is None else content)
    assert convert(tmp_path / "from", tmp_path / "to", *more) == status
    captured = capsys.readouterr()
    assert re.search(reason, captured.err), captured.err
    assert captured.err.count("\n") == 1
    assert not (tmp_path / "to").exists()


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    forest(tmp_path / "from")
    (tmp_path / "to").mkdir()
    assert convert(tmp_path / "from", tmp_path / "to", "--allow-unsafe") == 1
    assert capsys.readouterr().err.endswith("/to is there already: name a new folder\n")


def test_the_command_is_a_part_of_the_server(tmp_path: Path) -> None:
    found = subprocess.run(  # noqa: S603  our own program
        [sys.executable, "-m", "fairlead_serving", "convert", str(tmp_path / "none"), str(tmp_path / "to")],
        env={"PYTHONPATH": str(package())},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (found.returncode, found.stdout) == (1, "")
    assert found.stderr.endswith("/none does not exist\n")


@pytest.mark.parametrize("kind", networks.KINDS)
def test_libraries_that_converting_takes_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    for module, _ in networks.KINDS[kind].needs:
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(LoadError, match=r"^converting a .* takes .*, not installed here: pip install "):
        networks.opened(kind, tmp_path, allow_unsafe=False)


@pytest.mark.parametrize("kind", ["keras", "savedmodel"])
def test_tensorflow_models(tmp_path: Path, kind: str) -> None:
    tensorflow = pytest.importorskip("tensorflow", reason="TensorFlow is not among the requirements")
    pytest.importorskip("tf2onnx", reason="tf2onnx is not among the requirements")
    layers = tensorflow.keras.layers
    net = tensorflow.keras.Sequential([tensorflow.keras.Input((4,), name="x"), layers.Dense(3, name="scores")])
    source = tmp_path / ("net.keras" if kind == "keras" else "net")
    net.save(source) if kind == "keras" else net.export(source)
    assert convert(source, tmp_path / "to") == 0
    model = load_model(tmp_path / "to", ["model.onnx"], None)
    values = model.run({"x": X.astype(np.float32)}, [model.outputs[0].name])[0].array
    np.testing.assert_allclose(values, net(X.astype(np.float32)).numpy(), atol=1e-5)
    shutil.rmtree(tmp_path / "to")


def test_a_pytorch_program(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not among the requirements")
    pytest.importorskip("onnxscript", reason="onnxscript is not among the requirements")
    net = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU()).eval()
    sizes = ({0: torch.export.Dim("rows")},)
    torch.export.save(torch.export.export(net, (torch.zeros(2, 4),), dynamic_shapes=sizes), tmp_path / "model.pt2")
    assert convert(tmp_path / "model.pt2", tmp_path / "to", "--allow-unsafe") == 0
    direct = load_model(tmp_path, ["model.pt2"], None, allow_unsafe=True)
    as_onnx = load_model(tmp_path / "to", ["model.onnx"], None)
    rows = X.astype(np.float32)
    (name,) = (spec.name for spec in direct.inputs)
    expected = direct.run({name: rows}, ["output"])[0].array
    np.testing.assert_allclose(expected, net(torch.tensor(rows)).detach().numpy(), atol=1e-6)
    np.testing.assert_allclose(as_onnx.run({name: rows}, ["output"])[0].array, expected, atol=1e-5)


def test_a_litert_model(tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert", reason="LiteRT is not among the requirements")
    # A dense layer of 32 and a softmax of 3, by TensorFlow 2.21.
    text = (Path(__file__).parent / "data/dense.tflite.base64").read_bytes()
    (tmp_path / "dense.tflite").write_bytes(base64.b64decode(text))
    model = load_model(tmp_path, ["dense.tflite"], None)
    assert (model.format, model.batches) == ("litert", True)
    assert [(spec.name, spec.datatype, spec.shape) for spec in (*model.inputs, *model.outputs)] == [
        ("x", "FP32", (-1, 4)),
        ("output_0", "FP32", (-1, 3)),
    ]
    rows = np.array([[5.1, 3.5, 1.4, 0.2], [6, 3, 5, 2]], np.float32)
    expected = [[0.3210141, 0.18280406, 0.4961818], [0.31435043, 0.18237112, 0.50327843]]
    for count in (2, 1, 2):
        values = model.run({"x": rows[:count]}, ["output_0"])[0].array
        np.testing.assert_allclose(values, expected[:count], atol=1e-6)
