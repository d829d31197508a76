"""`spec` of a MetricTemplate: a threshold on a query that ModelDeployments of the namespace share."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field

from fairlead.api.base import Schema, rule
from fairlead.api.metricspec import COMPARED_TOGETHER, Query, QuerySpec


class TemplateArg(Schema):
    """A value that differs between those who use the template."""

    name: Annotated[str, Field(min_length=1, max_length=63, description="Its name, as in args.NAME.")]
    default: Annotated[
        str | None, Field(max_length=1024, description="Its value when none is given; one must be given without it.")
    ] = None


class MetricTemplateSpec(QuerySpec):
    """A query with its threshold. What a metric that refers to it says itself goes before."""

    model_config = ConfigDict(json_schema_extra={"x-kubernetes-validations": [COMPARED_TOGETHER]})

    query: Annotated[
        Query,
        Field(
            description="PromQL whose answer is one number, as a Jinja2 template. Variables: namespace, name, model, "
            "revision, canary, stable, version, stableVersion, interval, args."
        ),
    ]
    args: Annotated[
        list[TemplateArg],
        Field(
            max_length=32,
            description="What a templateRef gives values for.",
            json_schema_extra={
                "x-kubernetes-validations": [
                    rule("self.all(a, self.exists_one(o, o.name == a.name))", "two args have the same name"),
                    rule(
                        "self.all(a, a.name.matches('^[a-zA-Z_][a-zA-Z0-9_]*$'))",
                        "the name of an arg holds letters, digits and '_' only, and does not begin with a digit",
                    ),
                ]
            },
        ),
    ] = []
