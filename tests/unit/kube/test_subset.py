"""The comparison of a live object with the manifest it should hold."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from fairlead.kube.subset import covers, parse_quantity, project


@pytest.mark.parametrize(
    ("live", "desired", "expected"),
    [
        ({"a": 1, "b": 2}, {"a": 1}, True),
        ({"a": 1}, {"a": 2}, False),
        ({}, {"a": 1}, False),
        ({"a": 1}, {"a": True}, False),
        ({"a": [1, 2]}, {"a": [1, 2]}, True),
        ({"a": [1, 2, 3]}, {"a": [1, 2]}, False),
        ({"a": [{"x": 1, "y": 2}]}, {"a": [{"x": 1}]}, True),
        ({"a": "text"}, {"a": {"x": 1}}, False),
        ({"a": "text"}, {"a": ["text"]}, False),
        ({}, {"a": None}, True),
        ({"a": 1}, {"a": None}, False),
        ({}, {"a": {}, "b": []}, True),
        ({"a": {"x": 1}}, {"a": {}}, True),
        ({"a": [1]}, {"a": []}, False),
        ({"requests": {"cpu": "500m"}}, {"requests": {"cpu": "0.5"}}, True),
        ({"requests": {"cpu": "500m"}}, {"requests": {"cpu": "0.6"}}, False),
        ({"requests": {"memory": "1Gi"}}, {"requests": {"memory": "1024Mi"}}, True),
        ({"limits": {"cpu": "2"}}, {"limits": {"cpu": 2}}, True),
        ({"averageValue": "500m"}, {"averageValue": "0.5"}, True),
        ({"value": "500m"}, {"value": "0.5"}, False),
        ({"labels": {"version": "1"}}, {"labels": {"version": "1.0"}}, False),
    ],
)
def test_covers(live: Any, desired: Any, *, expected: bool) -> None:
    assert covers(live, desired) is expected


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("250m", "0.25"),
        (".5", "0.5"),
        ("1e3", "1000"),
        ("1E", "1e18"),
        ("1Ki", "1024"),
        ("5n", "5e-9"),
        (3, "3"),
        (True, None),
        ("", None),
        ("1 Gi", None),
        ("Gi", None),
        (None, None),
        ("1gb", None),
    ],
)
def test_quantities(text: Any, amount: str | None) -> None:
    assert parse_quantity(text) == (Decimal(amount) if amount is not None else None)


def test_project_keeps_only_what_is_named() -> None:
    live = {"a": 1, "b": {"c": 2, "d": 3}, "e": [{"f": 1, "g": 2}], "h": [1, 2]}
    assert project(live, {"b": {"c": 0}, "e": [{"f": 0}], "h": [0], "z": 0}) == {
        "b": {"c": 2},
        "e": [{"f": 1}],
        "h": [1, 2],
    }
