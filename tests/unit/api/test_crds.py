"""The generated files are what the types say, and say it in a way that Kubernetes takes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import yaml
from pydantic import Field

from fairlead.api import crd
from fairlead.api.base import Schema
from fairlead.api.structural import PERSISTED_DEFAULT, UnsupportedSchemaError, structural
from fairlead.cli import crds

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("path", crds.render(), ids=str)
def test_generated_files_are_current(path: Path) -> None:
    """`make generate` would change nothing."""
    assert (ROOT / path).read_text(encoding="utf-8") == crds.render()[path]


def test_no_file_of_a_kind_that_is_gone() -> None:
    """Every file in the generated folders is one that is generated."""
    found = {
        path.relative_to(ROOT)
        for folder in ("crds", "charts/fairlead/templates/crds")
        for path in (ROOT / folder).iterdir()
    }
    assert found == set(crds.render())


def test_check_tells_what_is_stale(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--check` writes nothing and fails while a file differs; without it the file is written."""
    assert crds.main([str(tmp_path), "--check"]) == 1
    assert "crds/modeldeployments.yaml is not what the types say" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    assert crds.main([str(tmp_path)]) == 0
    assert crds.main([str(tmp_path), "--check"]) == 0


def test_chart_template_keeps_the_crds() -> None:
    """The chart's copy is conditional, survives an uninstall and has no template braces of its own."""
    for path, text in crds.render().items():
        if path.parts[0] != "charts":
            continue
        lines = text.splitlines()
        assert lines[1] == "{{- if .Values.crds.install }}"
        assert lines[-1] == "{{- end }}"
        manifest = yaml.safe_load("\n".join(lines[2:-1]))
        assert manifest["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}


@pytest.mark.parametrize("resource", crd.RESOURCES, ids=lambda resource: resource.kind)
def test_every_field_is_described(resource: crd.Resource) -> None:
    """`kubectl explain` has a sentence for every field."""
    version = crd.manifest(resource)["spec"]["versions"][0]
    root = version["schema"]["openAPIV3Schema"]
    bare = [path for path, schema in _fields(root, resource.kind) if not schema.get("description")]
    metadata = {f"{resource.kind}.metadata", f"{resource.kind}.metadata.name"}
    assert set(bare) <= metadata


def test_replicas_is_the_only_default() -> None:
    """Defaults are computed, not persisted, but the one that the scale subresource needs."""
    defaults = []
    for resource in crd.RESOURCES:
        root = crd.manifest(resource)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        defaults += [path for path, schema in _fields(root, resource.kind) if "default" in schema]
    assert defaults == ["ModelDeployment.spec.replicas"]


class Inner(Schema):
    """An inner object.

    Its second paragraph
    has two lines.
    """

    kind: Literal["One"]


class Outer(Schema):
    """Everything the converter knows."""

    optional: Inner | None = None
    described: Annotated[Inner | None, Field(description="Nearer.")] = None
    several: Annotated[list[Inner] | None, Field(max_length=3)] = None
    mapping: Annotated[dict[str, str] | None, Field(max_length=2)] = None
    positive: Annotated[float, Field(gt=0, lt=1)] = 0.5
    port: int | str = 80
    kept: Annotated[int, Field(ge=0, le=9, json_schema_extra={PERSISTED_DEFAULT: True})] = 1


def test_conversion() -> None:
    """References are inlined, nulls and defaults dropped, bounds and constants written as OpenAPI has them."""
    inner = {
        "description": "An inner object.\n\nIts second paragraph has two lines.",
        "type": "object",
        "required": ["kind"],
        "properties": {"kind": {"type": "string", "enum": ["One"]}},
    }
    assert structural(Outer) == {
        "description": "Everything the converter knows.",
        "type": "object",
        "properties": {
            "optional": inner,
            "described": inner | {"description": "Nearer."},
            "several": {"type": "array", "maxItems": 3, "items": inner},
            "mapping": {"type": "object", "maxProperties": 2, "additionalProperties": {"type": "string"}},
            "positive": {
                "type": "number",
                "minimum": 0,
                "exclusiveMinimum": True,
                "maximum": 1,
                "exclusiveMaximum": True,
            },
            "port": {"x-kubernetes-int-or-string": True},
            "kept": {"type": "integer", "format": "int32", "minimum": 0, "maximum": 9, "default": 1},
        },
    }


class Recursive(Schema):
    """A tree."""

    children: list[Recursive]


class Several(Schema):
    """A union."""

    value: int | list[str]


class Patterned(Schema):
    """A regular expression would be shown to people."""

    value: Annotated[str, Field(pattern="a+")]


class Untyped(Schema):
    """Anything."""

    value: Any


@pytest.mark.parametrize(
    ("model", "complaint"),
    [
        (Recursive, r"Recursive contains itself"),
        (Several, r"Several\.value: a CRD has one type"),
        (Patterned, r"Patterned\.value: a CRD has no pattern"),
        (Untyped, r"Untyped\.value: a CRD needs a type"),
    ],
)
def test_what_cannot_be_said_is_refused(model: type[Schema], complaint: str) -> None:
    """The complaint names the field."""
    with pytest.raises(UnsupportedSchemaError, match=complaint):
        structural(model)


def _fields(schema: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, child in schema.get("properties", {}).items():
        yield f"{path}.{name}", child
        yield from _fields(child, f"{path}.{name}")
    if "items" in schema:
        yield from _fields(schema["items"], f"{path}[]")
