"""What every type of the API has in common."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from pydantic.config import JsonDict

from fairlead.api import duration

GROUP = "fairlead.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"


class Schema(BaseModel):
    """A part of a custom resource: camelCase on the wire, immutable in memory.

    Unknown fields are ignored, since the API server has pruned them already.
    """

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore")

    def to_wire(self) -> dict[str, Any]:
        """The JSON object as a user would have written it: nothing that was not set."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_unset=True)

    def to_record(self) -> dict[str, Any]:
        """The JSON object with every default written out, for what the operator freezes."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def rule(expression: str, message: str, field: str | None = None) -> JsonDict:
    """One CEL validation rule with the sentence that people read when it fails.

    `field` is the field below, as `.minReplicas`, that a rule over several fields complains of.
    """
    found: JsonDict = {"rule": expression, "message": message}
    return found | {"fieldPath": field} if field else found


_PATTERN = duration.PATTERN.replace("\\", "\\\\")
_IS_DURATION = rule(f"self.matches('{_PATTERN}')", "not a duration; write for example 90s, 10m or 1h30m")
# CEL knows no days; and what is no duration at all is told so by the other rule alone.
_IS_A_SECOND = rule(
    f"!self.matches('{_PATTERN}') || (self.contains('d') ? self.matches('[1-9]') : duration(self) >= duration('1s'))",
    "must be at least 1s",
)

Duration = Annotated[str, Field(max_length=16, json_schema_extra={"x-kubernetes-validations": [_IS_DURATION]})]
"""A Go-style duration. Checked by CEL, since a `pattern` shows people a regular expression."""

WholeDuration = Annotated[
    str, Field(max_length=16, json_schema_extra={"x-kubernetes-validations": [_IS_DURATION, _IS_A_SECOND]})
]
"""A duration of a second or more, for what would be a busy loop or no wait at all otherwise."""


def in_order(shorter: str, longer: str) -> JsonDict:
    """The rule that one optional duration of an object is not longer than another one."""
    both = f"!has(self.{shorter}) || !has(self.{longer})"
    plain = " || ".join(
        f"self.{name}.contains('d') || !self.{name}.matches('{_PATTERN}')" for name in (shorter, longer)
    )
    return rule(
        f"{both} || {plain} || duration(self.{shorter}) <= duration(self.{longer})",
        f"{shorter} must not be longer than {longer}",
        f".{shorter}",
    )


Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
"""A point in time as RFC 3339 writes it."""

Name = Annotated[str, Field(min_length=1, max_length=253)]
Opaque = Annotated[dict[str, Any], Field(json_schema_extra={"x-kubernetes-preserve-unknown-fields": True})]
"""A Kubernetes object taken over verbatim; the API server checks it where it is used."""

Variable = Annotated[
    dict[str, Any],
    Field(
        json_schema_extra={
            "required": ["name"],
            "properties": {
                "name": {"type": "string", "minLength": 1, "description": "Name of the variable."},
                "value": {"type": "string", "description": "Its value; a number is to stand in quotes."},
            },
            "x-kubernetes-preserve-unknown-fields": True,
        }
    ),
]
"""A core/v1 EnvVar. Only what people often get wrong is checked here."""

_QUANTITIES: JsonDict = {
    "type": "object",
    "maxProperties": 16,
    "additionalProperties": {
        "x-kubernetes-int-or-string": True,
        "maxLength": 32,
        "x-kubernetes-validations": [
            rule("type(self) != string || isQuantity(self)", "not a quantity; write for example 250m, 2 or 512Mi")
        ],
    },
}
Resources = Annotated[
    dict[str, Any],
    Field(
        json_schema_extra={
            "properties": {
                "requests": {"description": "What the pods are promised, as cpu: 250m.", **_QUANTITIES},
                "limits": {"description": "What they cannot exceed, as memory: 512Mi.", **_QUANTITIES},
            },
            "x-kubernetes-preserve-unknown-fields": True,
        }
    ),
]
"""core/v1 ResourceRequirements."""
