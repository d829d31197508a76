"""PromQL from templates: quoted by filters, strict, and bounded by what a template may hold."""

from __future__ import annotations

import pytest

from fairlead.analysis import queries
from fairlead.analysis.source import QueryError


def test_one_question_for_all_counters() -> None:
    assert queries.raw_counters("shop", "fraud", "0123456789", "abcdef0123") == (
        '{__name__=~"fairlead_requests_total|fairlead_connections_opened_total|fairlead_request_duration_seconds_bucket|'
        'fairlead_request_latency_seconds|fairlead_request_duration_seconds",namespace="shop",model="fraud",'
        'revision=~"0123456789|abcdef0123"}'
    )


def test_only_what_the_metrics_need_is_asked() -> None:
    query = queries.raw_counters("shop", "fraud", "a", "b", ["accuracy", "checkout"])
    assert '"fairlead_requests_total|fairlead_connections_opened_total|fairlead_feedback_total"' in query


def test_values_cannot_break_out_of_their_quotes() -> None:
    query = queries.raw_counters('a"}', "b\\", "c.d", "e\nf|g")
    assert 'namespace="a\\"}"' in query
    assert 'model="b\\\\"' in query
    assert 'revision=~"c\\\\.d|e\\nf\\\\|g"' in query


@pytest.mark.parametrize(
    ("template", "query"),
    [
        (" x{pod=~{{ revision | any_of }}}[{{ interval }}] ", 'x{pod=~"a\\\\.b"}[60s]'),
        ("x{y={{ args.city | text }}}", 'x{y="K\\"ln"}'),
        ("{{ args.zip | default('none') }}", "none"),
        ("{% if args.zip is defined %}a{% else %}b{% endif %}", "b"),
        ("{{ 'a' ~ 'b' if revision == 'a.b' else 'c' }}", "ab"),
        ("{{ [revision, 'q'] | any_of }}", '"a\\\\.b|q"'),
    ],
)
def test_what_a_template_may_do(template: str, query: str) -> None:
    known = {"revision": "a.b", "interval": "60s", "args": {"city": 'K"ln'}}
    assert queries.render(template, known) == query


@pytest.mark.parametrize(
    "template",
    [
        "{{ nobody }}",
        "{{ args.nobody }}",
        "{{ 'x'.__class__.__mro__ }}",
        "{% for %}",
        "{{ names.append(1) }}",
        "{% for i in names %}x{% endfor %}",
        "{{ range(9) }}",
        "{{ 'x' * 1000000000 }}",
        "{{ 9 ** 999999999 }}",
        "{{ 'x' | center(1000000000) }}",
        "{% set x = 1 %}",
        "{% include 'x' %}",
        "{{ 1 < 'a' }}",
        "{{ 5 | any_of }}",
        "{{ " + "(" * 1500 + "1" + ")" * 1500 + " }}",
    ],
    ids=lambda template: template[:24],
)
def test_wrong_templates_are_query_errors(template: str) -> None:
    with pytest.raises(QueryError, match="template is wrong"):
        queries.render(template, {"names": [], "args": {}})


def test_what_is_not_allowed_is_named_with_its_line() -> None:
    with pytest.raises(QueryError, match="line 2: For cannot be used, only variables, if, and the filters any_of"):
        queries.render("x\n{% for i in names %}{% endfor %}", {"names": []})


def test_a_query_has_a_greatest_length() -> None:
    with pytest.raises(QueryError, match="8193 characters long, at most 8192"):
        queries.render("{{ name }}", {"name": "x" * 8193})


@pytest.mark.parametrize(("seconds", "text"), [(60.0, "60s"), (1.5, "1500ms"), (86400.0, "86400s")])
def test_durations(seconds: float, text: str) -> None:
    assert queries.duration(seconds) == text
