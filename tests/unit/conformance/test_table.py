"""The table of conformance as Markdown."""

from __future__ import annotations

from tests.conformance.table import rendered, written

PASSED = {"group": "REST", "name": "flat data", "result": "passed"}
FAILED = {"group": "tritonclient http", "name": "infer", "result": "failed", "reason": "got `500` | x"}
NOT_RUN = {"group": "V1", "name": "predict", "result": "not run", "reason": "none"}


def test_counts_what_was_run_by_group_and_server() -> None:
    found = {"Ours": [PASSED, NOT_RUN], "Other": [{**PASSED, "result": "failed", "reason": "no"}, NOT_RUN]}

    lines = rendered(found).splitlines()

    assert lines[:5] == [
        "| checks | Ours | Other |",
        "|---|---:|---:|",
        "| REST | 1 of 1 | 0 of 1 |",
        "| V1 | – | – |",
        "| **all** | **1 of 1** | **0 of 1** |",
    ]


def test_joins_failures_for_one_reason() -> None:
    found = [
        FAILED,
        {**FAILED, "group": "tritonclient grpc"},
        {**FAILED, "name": "ids", "reason": "got `501` | x"},
        {**FAILED, "name": "live", "reason": "another"},
    ]

    lines = rendered({"Other": found}).splitlines()

    assert lines[-2:] == [
        "| 3 | `got '500' \\| x` | infer (http, grpc); ids (http) |",
        "| 1 | `another` | live (http) |",
    ]


def test_names_some_of_many_failures() -> None:
    found = [{**FAILED, "name": f"check {number}"} for number in range(9)]

    assert rendered({"Other": found}).splitlines()[-1].endswith("check 5 (http); and 3 more |")


def test_shows_no_addresses_and_no_paths_of_the_machine() -> None:
    reason = 'File "/home/me/lib/x.py", line 3: 127.0.0.1:4711 refused\n  and /v2/models stays'

    text = rendered({"Other": [{**FAILED, "reason": reason}]})

    assert '`File "…", line 3: … refused and /v2/models stays`' in text


def test_replaces_only_what_is_between_the_marks() -> None:
    document = "before\n<!-- results -->\nold\n<!-- end of results -->\nafter\n"

    text = written(document, {"Ours": [PASSED]})

    assert text.startswith("before\n<!-- results -->\n\n| checks | Ours |\n")
    assert text.endswith("\n<!-- end of results -->\nafter\n")
    assert "old" not in text
