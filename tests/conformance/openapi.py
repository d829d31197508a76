"""The OpenAPI document against the server: what schemathesis makes up is answered as the document says."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import schemathesis
import yaml
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.conformance.plain import flowers, infer_path, request
from tests.conformance.registry import NotRun, check, fail, version_of
from tests.conformance.samples import FLOWERS, SPECIES
from tests.conformance.target import OURS, Target

_DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "openapi.yaml"
# A variable with another document, such as the protocol's own open_inference_rest.yaml.
_OTHER: Final = "CONFORMANCE_OPENAPI"
_METHODS: Final = ("get", "post")
_EXAMPLES: Final = 15
_PROTOCOL: Final = (not_a_server_error, content_type_conformance, response_schema_conformance)
_ALL: Final = (*_PROTOCOL, status_code_conformance, response_headers_conformance, negative_data_rejection)
# What our document says of our answers, and the protocol leaves open.
_OPEN: Final = {"ModelMetadata": ("versions", "inputs", "outputs"), "InferenceResponse": ("model_version",)}


def of_protocol(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return our document reduced to the protocol: its operations, the fields it requires, any 4xx for a mistake."""
    reduced = copy.deepcopy(dict(document))
    for path, operations in list(reduced["paths"].items()):
        if not all("protocol" in operations[method]["tags"] for method in _METHODS if method in operations):
            del reduced["paths"][path]
    for name, fields in _OPEN.items():
        schema = reduced["components"]["schemas"][name]
        schema["required"] = [field for field in schema["required"] if field not in fields]
    for path, operations in reduced["paths"].items():
        for method in _METHODS:
            if method in operations:
                operations[method]["responses"] = _answers(path, operations[method]["responses"])
    return reduced


def _answers(path: str, answers: Mapping[str, Any]) -> dict[str, Any]:
    """What the protocol says of an operation's answers: of health no more than the status."""
    if path.endswith(("/live", "/ready")):
        return {"200": {"description": "yes"}, "4XX": {"description": "no"}}
    return {"200": answers["200"], "4XX": {"$ref": "#/components/responses/Error"}}


def documents() -> dict[str, Mapping[str, Any]]:
    """Return the documents to be held against a server, by the group that their checks are in."""
    whole = yaml.safe_load(_DOCUMENT.read_text())
    found = {"OpenAPI, protocol": of_protocol(whole), "OpenAPI, docs/openapi.yaml": whole}
    if os.environ.get(_OTHER):
        # The protocol's document writes the parameters of paths in a way that OpenAPI does not have.
        text = Path(os.environ[_OTHER]).read_text().replace("${", "{")
        found["OpenAPI, the protocol's document"] = yaml.safe_load(text)
    return found


def _enter() -> None:
    for group, document in documents().items():
        ours = "docs/" in group
        for result in schemathesis.openapi.from_dict(dict(document)).get_all_operations():
            operation = result.ok()
            check(group, operation.label)(_held(operation, _ALL if ours else _PROTOCOL, ours=ours))


def _held(operation: Any, checks: Any, *, ours: bool) -> Callable[[Target], None]:
    def run(target: Target) -> None:
        if ours and not target.server.startswith(OURS):
            reason = "the document is about Fairlead's server"
            raise NotRun(reason)
        names = {part.strip("{}").partition("}")[0] for part in operation.path.split("/") if part.startswith("{")}
        here = {name: _meant(name, target) for name in names}
        _try(operation, target, checks, GenerationMode.POSITIVE, path_parameters=here or None)
        if names:
            _try(operation, target, checks, GenerationMode.POSITIVE)
        if operation.method == "post":
            _try(operation, target, checks, GenerationMode.NEGATIVE, path_parameters=here)
            _try(
                operation, target, checks, GenerationMode.POSITIVE, path_parameters=here, body=_body(operation, target)
            )

    return run


def _meant(name: str, target: Target) -> str:
    return version_of(target) if "version" in name.lower() else target.table.model


def _body(operation: Any, target: Target) -> Any:
    """Return a request that the server can answer."""
    if "feedback" in operation.path:
        body = json.dumps(flowers(target, id="known")).encode()
        request(target.table, "POST", infer_path(target.table), body)
        return {"id": "known", "truth": SPECIES}
    return {"instances": FLOWERS.tolist()} if "predict" in operation.path else flowers(target, id="42")


def _try(operation: Any, target: Target, checks: Any, mode: GenerationMode, **fixed: Any) -> None:
    """Make up requests and hold the answers against the document. Raises Failed with the first that differs."""

    @seed(1)
    @settings(
        max_examples=_EXAMPLES,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(generation_mode=mode, **fixed))
    def one(case: Any) -> None:
        response = case.call(base_url=f"http://{target.table.http}")
        try:
            case.validate_response(response, checks=list(checks))
        except FailureGroup as failures:
            fail(f"{response.status_code}: {failures.exceptions[0]}")

    one()


_enter()
