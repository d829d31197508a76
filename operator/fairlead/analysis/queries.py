"""PromQL from templates. Values are quoted by the template's own filters, never pasted."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache, lru_cache

from jinja2 import StrictUndefined, Template, TemplateError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from fairlead.analysis import arms, counters
from fairlead.analysis.source import QueryError

COUNTERS = """\
{__name__=~{{ names | any_of }},namespace={{ namespace | text }},model={{ model | text }},\
revision=~{{ [canary, stable] | any_of }}}"""
"""Every raw counter that judging needs, of both revisions, in one question."""

LONGEST = 8192
"""Characters of a query: what any proxy lets through as part of an address."""
FILTERS = ("any_of", "default", "lower", "text", "upper")
TESTS = ("defined", "undefined")

# Without loops, calls, assignments and arithmetic a template costs no more than its length tells.
_ALLOWED = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Getattr, nodes.Getitem, nodes.Const,
    nodes.List, nodes.Filter, nodes.Test, nodes.If, nodes.CondExpr, nodes.Compare, nodes.Operand, nodes.And,
    nodes.Or, nodes.Not, nodes.Concat,
)  # fmt: skip
_META = re.compile(r"([\\.+*?()|\[\]{}^$])")


def text(value: object) -> str:
    """A PromQL string literal."""
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def any_of(values: str | Iterable[str]) -> str:
    """A PromQL string literal with a regular expression that matches this value, or these, and no others."""
    listed = [values] if isinstance(values, str) else values
    return text("|".join(_META.sub(r"\\\1", value) for value in listed))


def render(template: str, variables: Mapping[str, object]) -> str:
    """The query.

    Raises:
        QueryError: the template is wrong, names a variable that does not exist, or yields a query that is too long.
    """
    try:
        query = _compiled(template).render(variables).strip()
    except (TemplateError, ArithmeticError, LookupError, RecursionError, SyntaxError, TypeError, ValueError) as error:
        message = f"the query template is wrong: {error}"
        raise QueryError(message) from error
    if len(query) > LONGEST:
        message = f"the query is {len(query)} characters long, at most {LONGEST} are allowed"
        raise QueryError(message)
    return query


def raw_counters(
    namespace: str, model: str, canary: str, stable: str, metrics: Iterable[str] = ("error-rate", "latency")
) -> str:
    """The question for the raw counters that the built-in `metrics` need, of both revisions of a model."""
    needed = (name for metric in metrics for name in arms.series(metric))
    names = dict.fromkeys((counters.REQUESTS, counters.CONNECTIONS, *needed))
    known = {"names": list(names), "namespace": namespace, "model": model, "canary": canary, "stable": stable}
    return render(COUNTERS, known)


def variables(namespace: str, model: str, canary: tuple[str, str], stable: tuple[str, str]) -> dict[str, str]:
    """What users' templates may name; both arms are given as revision and version."""
    return {
        "namespace": namespace,
        "name": model,
        "model": model,
        "canary": canary[0],
        "stable": stable[0],
        "revision": canary[0],
        "version": canary[1],
        "stableVersion": stable[1],
    }


def duration(seconds: float) -> str:
    """A PromQL duration."""
    return f"{round(seconds * 1000)}ms" if seconds % 1 else f"{seconds:.0f}s"


@cache
def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False)
    ours = {"text": text, "any_of": any_of}
    environment.filters = {name: ours.get(name) or environment.filters[name] for name in FILTERS}
    environment.tests = {name: environment.tests[name] for name in TESTS}
    environment.globals = {}
    return environment


@lru_cache(maxsize=512)
def _compiled(template: str) -> Template:
    environment = _environment()
    for node in _all(environment.parse(template)):
        if not isinstance(node, _ALLOWED):
            message = (
                f"the query template is wrong: line {node.lineno}: {type(node).__name__} cannot be used, "
                f"only variables, if, and the filters {', '.join(FILTERS)}"
            )
            raise QueryError(message)
    return environment.from_string(template)


def _all(node: nodes.Node) -> Iterable[nodes.Node]:
    yield node
    for child in node.iter_child_nodes():
        yield from _all(child)
