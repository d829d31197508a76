"""Answers of the API server, turned into the drawn error tree."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fairlead.kube.errors import (
    AlreadyExists,
    ApiError,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    Unavailable,
    from_response,
)


def status(reason: str = "", message: str = "", **details: Any) -> bytes:
    return json.dumps({"kind": "Status", "reason": reason, "message": message, "details": details}).encode()


@pytest.mark.parametrize(
    ("code", "reason", "kind"),
    [
        (401, "Unauthorized", ApiError),
        (403, "Forbidden", Forbidden),
        (404, "NotFound", NotFound),
        (409, "Conflict", Conflict),
        (409, "AlreadyExists", AlreadyExists),
        (410, "Expired", ApiError),
        (400, "BadRequest", Invalid),
        (422, "Invalid", Invalid),
        (429, "TooManyRequests", Unavailable),
        (500, "InternalError", Unavailable),
        (503, "ServiceUnavailable", Unavailable),
        (504, "Timeout", Unavailable),
    ],
)
def test_each_status_has_its_class(code: int, reason: str, kind: type[ApiError]) -> None:
    error = from_response(code, "x", status(reason, "why"))
    assert type(error) is kind
    assert (error.status, error.reason, error.message, str(error)) == (code, reason, "why", "why")


def test_an_answer_that_is_no_status_object_is_shown_as_it_is() -> None:
    assert from_response(502, "Bad Gateway", b"<html>upstream down</html>").message == "<html>upstream down</html>"
    assert from_response(502, "Bad Gateway", b"").message == "Bad Gateway"
    assert from_response(502, "Bad Gateway", b"[]").reason == "Bad Gateway"


def test_retry_after_is_kept() -> None:
    error = from_response(429, "", status("TooManyRequests"), "7")
    assert isinstance(error, Unavailable)
    assert error.retry_after == 7.0
    odd = from_response(429, "", status("TooManyRequests"), "Wed, 21 Oct 2026 07:28:00 GMT")
    assert isinstance(odd, Unavailable)
    assert odd.retry_after is None


def test_causes_are_told_without_the_servers_jargon_and_once() -> None:
    body = status(
        "Invalid",
        "long",
        name="m",
        kind="ModelDeployment",
        causes=[
            {"field": "spec.rollout.canary.steps", "message": 'Invalid value: "array": weights must ascend'},
            {"field": "spec.rollout.canary.steps", "message": 'Invalid value: "array": weights must ascend'},
            {"field": "<nil>", "message": "Required value: say something"},
        ],
    )
    assert from_response(422, "", body).message == (
        'ModelDeployment "m" was refused: spec.rollout.canary.steps: weights must ascend; say something'
    )


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (
            (
                'failed to create typed patch object (ns/d; apps/v1, Kind=Deployment): .spec.env[name="A"].value: '
                "expected string, got &value.valueUnstructured{Value:5}"
            ),
            (
                'Deployment "ns/d" was refused: .spec.env[name="A"].value: expected string, got '
                "&value.valueUnstructured{Value:5}"
            ),
        ),
        (
            (
                "failed to convert new object (ns/d; apps/v1, Kind=Deployment) to proper version: unable to convert "
                "unstructured object to apps/v1, Kind=Deployment: quantities must match the regular expression"
            ),
            'Deployment "ns/d" was refused: quantities must match the regular expression',
        ),
    ],
)
def test_an_apply_of_a_wrong_type_is_no_outage(message: str, told: str) -> None:
    error = from_response(500, "Internal Server Error", status("", message))
    assert type(error) is Invalid
    assert error.message == told
