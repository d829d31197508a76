"""PromQL from templates. Values are quoted by the template's own filters, never pasted."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

from jinja2 import StrictUndefined, Template, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from fairlead.analysis import counters
from fairlead.analysis.source import QueryError

COUNTERS = """\
{__name__=~{{ names | any_of }},namespace={{ namespace | text }},model={{ model | text }},\
revision=~{{ [canary, stable] | any_of }}}"""
"""Every raw counter that judging needs, of both revisions, in one question."""

_META = re.compile(r"([\\.+*?()|\[\]{}^$])")


def text(value: str) -> str:
    """A PromQL string literal."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def any_of(values: Iterable[str]) -> str:
    """A PromQL string literal with a regular expression that matches these values and no others."""
    return text("|".join(_META.sub(r"\\\1", value) for value in values))


def render(template: str, **variables: object) -> str:
    """The query. Raises QueryError when the template is wrong or names a variable that does not exist."""
    try:
        return _compiled(template).render(**variables)
    except TemplateError as error:
        message = f"the query template is wrong: {error}"
        raise QueryError(message) from error


def raw_counters(namespace: str, model: str, canary: str, stable: str) -> str:
    """The question for the raw counters of both revisions of a model."""
    names = [counters.REQUESTS, counters.BUCKETS, counters.CONNECTIONS]
    return render(COUNTERS, names=names, namespace=namespace, model=model, canary=canary, stable=stable)


@cache
def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False)
    environment.filters |= {"text": text, "any_of": any_of}
    return environment


@cache
def _compiled(template: str) -> Template:
    return _environment().from_string(template)
