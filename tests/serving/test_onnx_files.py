"""ONNX files that this runtime cannot open: why, in a sentence. And files of newer libraries."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xgboost
from onnx import TensorProto, helper, numpy_helper

from fairlead_serving.errors import LoadError
from fairlead_serving.models.formats import Choice
from fairlead_serving.models.loader import load_choice
from tests.serving.modelfiles import X, Y

CHOICE = Choice("onnx", "model.onnx")


def write(folder: Path, node: Any, opsets: dict[str, int], ir: int = 8, weights: Any = ()) -> None:
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 2])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 2])
    graph = helper.make_graph([node], "g", [given], [out], list(weights))
    imports = [helper.make_opsetid(domain, version) for domain, version in opsets.items()]
    model = helper.make_model(graph, opset_imports=imports, ir_version=ir)
    (folder / "model.onnx").write_bytes(model.SerializeToString())


def relu(domain: str = "", kind: str = "Relu") -> Any:
    return helper.make_node(kind, ["x"], ["y"], domain=domain)


@pytest.mark.parametrize(
    ("node", "opsets", "ir", "reason"),
    [
        (relu(), {"": 17}, 99, "it has the IR version 99, known here are those up to [0-9]+: write it with an older"),
        (relu(), {"": 99}, 8, "it has the opset 99 of ai.onnx, known here are those up to [0-9]+: export it with an"),
        (relu("my.ops", "Foo"), {"": 17, "my.ops": 1}, 8, "it needs the operator Foo of my.ops, which ONNX Runtime"),
        (relu("", "Foo"), {"": 17}, 8, "it needs the operator Foo, which opset 17 does not have"),
    ],
)
def test_what_the_runtime_lacks(tmp_path: Path, node: Any, opsets: dict[str, int], ir: int, reason: str) -> None:
    write(tmp_path, node, opsets, ir)
    with pytest.raises(LoadError, match=f"^model.onnx cannot be loaded by ONNX Runtime [0-9.]+: {reason}") as caught:
        load_choice(tmp_path, CHOICE)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("weights.bin", "its weights are in weights.bin, which is missing beside it"),
        ("../weights.bin", "its weights are said to be outside of its folder"),
        ("/etc/hostname", "its weights are said to be outside of its folder"),
        ("link.bin", "its weights are said to be outside of its folder"),
    ],
)
def test_weights_beside_the_file(tmp_path: Path, location: str, reason: str) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "weights.bin").write_bytes(b"\0" * 16)
    (folder / "link.bin").symlink_to(tmp_path / "weights.bin")
    weights = numpy_helper.from_array(np.ones((2, 2), np.float32), "w")
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", "16")):
        entry = weights.external_data.add()
        entry.key, entry.value = key, value
    write(folder, helper.make_node("MatMul", ["x", "w"], ["y"]), {"": 17}, weights=[weights])
    with pytest.raises(LoadError, match=reason):
        load_choice(folder, CHOICE)


@pytest.mark.parametrize("file", ["model.json", "model.ubj"])
def test_a_file_of_a_newer_xgboost_is_told_of(tmp_path: Path, file: str, caplog: pytest.LogCaptureFixture) -> None:
    choice = Choice("xgboost", file)
    xgboost.XGBClassifier(n_estimators=2).fit(X, Y).save_model(tmp_path / file)
    with caplog.at_level(logging.WARNING):
        load_choice(tmp_path, choice)
    assert not caplog.messages
    major, minor, patch = (int(part) for part in xgboost.__version__.split("."))
    old = {
        "model.json": f'"version":[{major},{minor},{patch}]'.encode(),
        "model.ubj": bytes([0x69, major, 0x69, minor, 0x69, patch]),
    }[file]
    new = {"model.json": b'"version":[99,0,0]', "model.ubj": bytes([0x69, 99, 0x69, 0, 0x69, 0])}[file]
    content = (tmp_path / file).read_bytes()
    assert content.count(old) == 1
    (tmp_path / file).write_bytes(content.replace(old, new))
    with caplog.at_level(logging.WARNING):
        load_choice(tmp_path, choice)
    assert caplog.messages == [
        f"{file} may be read wrongly by XGBoost {xgboost.__version__}: it was written by XGBoost 99.0.0"
    ]
    (tmp_path / file).write_bytes(content.replace(old, new)[40:])
    with pytest.raises(LoadError, match=r"cannot be read by XGBoost .*: it was written by XGBoost 99\.0\.0"):
        load_choice(tmp_path, choice)
