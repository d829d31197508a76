"""PromQL from templates: quoted by filters, strict, sandboxed."""

from __future__ import annotations

import pytest

from fairlead.analysis import queries
from fairlead.analysis.source import QueryError


def test_one_question_for_all_counters() -> None:
    assert queries.raw_counters("shop", "fraud", "0123456789", "abcdef0123") == (
        '{__name__=~"fairlead_requests_total|fairlead_request_duration_seconds_bucket|fairlead_connections_opened_total",'
        'namespace="shop",model="fraud",revision=~"0123456789|abcdef0123"}'
    )


def test_values_cannot_break_out_of_their_quotes() -> None:
    query = queries.raw_counters('a"}', "b\\", "c.d", "e\nf|g")
    assert 'namespace="a\\"}"' in query
    assert 'model="b\\\\"' in query
    assert 'revision=~"c\\\\.d|e\\nf\\\\|g"' in query


@pytest.mark.parametrize(
    "template",
    ["{{ nobody }}", "{{ 'x'.__class__.__mro__ }}", "{% for %}", "{{ names.append(1) }}"],
    ids=["undefined", "escape", "syntax", "change"],
)
def test_wrong_templates_are_query_errors(template: str) -> None:
    with pytest.raises(QueryError, match="template is wrong"):
        queries.render(template, names=[])
