"""BYTES that are no text, on their way through the server."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest

from fairlead_serving.datalog.events import Entry, EventMaker, written
from fairlead_serving.errors import InvalidRequestError
from fairlead_serving.feedback import Feedback
from fairlead_serving.metrics.board import ENTRY_BYTES, Board
from fairlead_serving.metrics.counters import Metrics
from fairlead_serving.metrics.summary import input_bin
from fairlead_serving.models.signature import match, zeros
from fairlead_serving.outputs import Outputs, Part, split
from fairlead_serving.protocol import v1
from fairlead_serving.protocol.rawdata import decode_raw, encode_raw
from fairlead_serving.protocol.v2 import InferRequest, decode_request
from fairlead_serving.protocol.v2response import ResponseWriter, encode_raw_response
from fairlead_serving.room import held_by
from fairlead_serving.tensors import Tensor, TensorSpec, as_bytes, elements, objects, tensor_of

IMAGE = b"\x89PNG" + bytes(range(256)) + b"\0\0"
BINARY = TensorSpec("image", "BYTES", (-1,), binary=True)
TEXT = TensorSpec("image", "BYTES", (-1,))


def tensor(*values: str | bytes) -> Tensor:
    return Tensor("image", "BYTES", objects(values, (len(values),)))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([b"a\0", b"\0"], ["a\0", "\0"]),
        (["a\0"], ["a\0"]),
        ([b"\xff\0", "a", b"b"], [b"\xff\0", "a", "b"]),
        (np.array([b"\xff", b"a"]), [b"\xff", "a"]),
        ([np.bytes_(b"a"), IMAGE], ["a", IMAGE]),
        ([["a"], [b"\xff"]], [["a"], [b"\xff"]]),
        (b"\xff\0", b"\xff\0"),
        (np.array([bytearray(b"\xff"), memoryview(b"a"), None, 1.5], dtype=object), [b"\xff", "a", "None", "1.5"]),
    ],
)
def test_what_a_model_gives_stays_as_it_is(values: Any, expected: Any) -> None:
    given = tensor_of("y", values)
    assert (given.datatype, given.array.tolist()) == ("BYTES", expected)
    assert elements(values).tolist() == expected


def test_numbers_are_text_where_they_are_declared_so() -> None:
    assert elements([1, 2]).tolist() == ["1", "2"]


@pytest.mark.parametrize("values", [[IMAGE], ["", b"\xff", "a\0", b"\xed\xa0\x80"], []])
def test_any_bytes_there_and_back(values: list[str | bytes]) -> None:
    data = encode_raw(tensor(*values))
    assert decode_raw("t", memoryview(data), "BYTES", (len(values),)).tolist() == values


def test_a_model_is_given_what_it_declares() -> None:
    both = tensor("grün", IMAGE)
    assert match({"image": BINARY}, [both])["image"].tolist() == ["grün".encode(), IMAGE]
    assert match({"image": TEXT}, [tensor("a", "")])["image"].tolist() == ["a", ""]
    with pytest.raises(
        InvalidRequestError, match=r"^inputs\[0\]\.data\[1\]: is not UTF-8 text: only a model in Python"
    ):
        match({"image": TEXT}, [both])
    assert [zeros([spec])["image"].tolist() for spec in (BINARY, TEXT)] == [[b""], [""]]
    assert as_bytes(objects(["a", b"\xff"], (2, 1))).tolist() == [[b"a"], [b"\xff"]]


def test_the_json_of_v2_has_no_bytes() -> None:
    writer = ResponseWriter("m", "7")
    parts = split([tensor("a", IMAGE, "b")], [1, 1, 1])
    assert parts is not None
    for _ in range(2):
        assert [json.loads(writer.write(None, part))["outputs"][0]["data"] for part in parts[::2]] == [["a"], ["b"]]
        with pytest.raises(InvalidRequestError, match=r"^output image: holds bytes that are not UTF-8"):
            writer.write(None, parts[1])
    with pytest.raises(InvalidRequestError, match="ask for it with binary_data"):
        encode_raw_response("m", "7", InferRequest([]), [tensor(IMAGE)])
    with pytest.raises(InvalidRequestError, match="inputs"):
        decode_request(b'{"inputs":[{"name":"x","shape":[1],"datatype":"BYTES","data":[{"b64":"/w=="}]}]}')


@pytest.mark.parametrize(
    ("body", "inputs", "expected"),
    [
        ({"instances": ["a", {"b64": "/w=="}]}, [BINARY], [("image", ["a", b"\xff"])]),
        ({"instances": [{"b64": "/w=="}, {"b64": "YQ=="}]}, [BINARY], [("image", [b"\xff", "a"])]),
        ({"instances": [[{"b64": "/w=="}]]}, [BINARY], [("image", [[b"\xff"]])]),
        ({"instances": [{"image": {"b64": "/w=="}, "n": 1}]}, [BINARY], [("image", [b"\xff"]), ("n", [1.0])]),
        ({"instances": [{"b64": "a"}]}, [TensorSpec("b64", "BYTES", (-1,))], [("b64", ["a"])]),
        ({"instances": [{"b64": 1}]}, [TensorSpec("input", "FP64", (-1, 1))], [("b64", [1.0])]),
    ],
)
def test_v1_has_bytes_in_base64(body: Any, inputs: list[TensorSpec], expected: Any) -> None:
    request = v1.decode_request(json.dumps(body).encode(), inputs, [TEXT])
    assert [(item.name, item.array.tolist()) for item in request.inputs] == expected


def test_v1_answers_with_base64_what_is_no_text_or_declared_as_bytes() -> None:
    encoded = {"b64": base64.b64encode(IMAGE).decode()}
    for spec, first in ((TEXT, "a"), (BINARY, {"b64": "YQ=="})):
        request = v1.decode_request(b'{"instances":["a"]}', [BINARY], [spec])
        assert json.loads(v1.encode_response(request, [tensor("a", IMAGE)])) == {"predictions": [first, encoded]}


def test_v1_takes_models_that_declare_nothing() -> None:
    request = v1.decode_request(b'{"instances":[{"x":1}]}', [], [])
    assert (request.inputs[0].name, request.outputs) == ("x", None)


def entry(*values: str | bytes, **changes: Any) -> Entry:
    return Entry("42", "10.0.0.1", "success", 0.25, 0.125, 300, [tensor(*values)], [])._replace(**changes)


def test_a_log_has_bytes_in_base64_and_nothing_large() -> None:
    maker = EventMaker(frozenset(["image[1]"]), ("m", "7", "r"))
    (image,) = json.loads(written(maker.prediction(entry("a", "b", b"\xff")), 4096))["inputs"]
    assert image["data"] == ["a", None, {"b64": "/w=="}]
    for large in (IMAGE * 1000, "x" * 60_001):
        assert "data" not in maker.prediction(entry(large))["inputs"][0]
    assert "data" not in json.loads(written(maker.prediction(entry("x" * 5000)), 4096))["inputs"][0]


def test_a_log_survives_text_that_has_no_utf8() -> None:
    maker = EventMaker(frozenset(), ("m", "7", "r"))
    event = json.loads(written(maker.prediction(entry("\ud800", id="\ud800")), 4096))
    assert event["id"] == "\ud800"
    assert event["inputs"] == [{"name": "image", "datatype": "BYTES", "shape": [1]}]


def test_feedback_overlooks_bytes_where_numbers_are_predicted() -> None:
    feedback = Feedback(Board(1, 1024 * ENTRY_BYTES), 0, Metrics("m", "7", "r"), 0.1)
    feedback.remember("1", tensor(IMAGE))
    feedback.remember("2", tensor("text"))


def test_bytes_are_counted_as_inputs_and_as_classes() -> None:
    assert input_bin({"image": objects([IMAGE], (1,))}) != input_bin({"image": objects([IMAGE[5:]], (1,))})
    assert input_bin({"image": objects([b"text"], (1,))}) == input_bin({"image": objects(["text"], (1,))})
    assert input_bin(np.array([["text"] * 40])) is not None
    metrics = Metrics("m", "7", "r")
    metrics.loaded("sha256:0", "python", ("cat",), 0.1)
    metrics.predictions.hold(Outputs([tensor(b"\xff", "cat", "cat")]))
    metrics.predictions.settle()
    assert set(metrics.board.labels()) == {"cat", "b'\\xff'"}


def test_large_elements_count_with_what_they_hold() -> None:
    assert held_by([tensor(IMAGE * 10_000)]) >= len(IMAGE) * 10_000
    many = tensor(*["x" * 100] * 50_000)
    assert held_by([many]) == pytest.approx(164 * 50_000, rel=0.01)
    assert Part(Outputs([many])).size == 50_000
