"""The page, for every kind of record."""

from __future__ import annotations

import copy
import re
from collections import Counter
from html.parser import HTMLParser
from typing import Any

import pytest

from fairlead.report import story
from fairlead.report.page import render
from fairlead.report.story import UnreadableError
from tests.unit.report.records import METRICS, decision, ended, plan, rollout, status

VOID = {"meta", "br", "link", "img", "input"}
OWN = ("own", "orders", "prediction-distribution")
SIXTEEN = tuple(f"metric-{number}" for number in range(16))


class Page(HTMLParser):
    """Elements, ids and words of a page; fails where tags do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: Counter[str] = Counter()
        self.attributes: list[tuple[str, str]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen[tag] += 1
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).replace("\u00a0", " ").split())

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.attributes if key == name]


def hostile(value: Any) -> Any:
    """The same record with every text of people's own replaced by an attack."""
    free = {"message", "reason", "name", "detail", "version", "stableVersion", "revision", "culprit", "error-rate"}
    if isinstance(value, dict):
        return {
            k: f'"><script>x</script>{v}' if k in free and isinstance(v, str) else hostile(v) for k, v in value.items()
        }
    return [hostile(item) for item in value] if isinstance(value, list) else value


def older(manifest: dict[str, Any]) -> dict[str, Any]:
    """The record as it was before ratios, windows and queries were written down."""
    found = copy.deepcopy(manifest)
    del found["status"]["queries"]
    for point in found["status"]["history"]:
        del point["window"], point["reason"]
    for metric in [*found["status"]["metrics"], *(m for p in found["status"]["history"] for m in p["metrics"])]:
        for name in ("ratio", "intervalLow", "intervalHigh", "phi", "acted", "kind", "action"):
            metric.pop(name, None)
    return found


RECORDS = {
    "in progress": rollout(),
    "paused": rollout(status(phase="Paused", message="waiting for a person")),
    "promoted": rollout(ended(700, "Promoted", "Promoted")),
    "rolled back": rollout(ended(300, "RolledBack", "Regression", culprit="error-rate")),
    "rolled back without evidence": rollout(ended(300, "RolledBack", "ProgressDeadlineExceeded")),
    "aborted": rollout(ended(300, "RolledBack", "Aborted")),
    "superseded": rollout(ended(300, "Superseded", "Reverted")),
    "one point": rollout(status(1)),
    "no history": rollout(status(0)),
    "no decisions": rollout(status(decisions=[])),
    "no status": {**rollout(), "status": {}},
    "not judged": rollout(status(0), plan=plan(*METRICS, enabled=False)),
    "16 metrics": rollout(status(60, SIXTEEN), SIXTEEN),
    "240 points": rollout(status(240)),
    "own metrics": rollout(status(5, OWN), OWN),
    "many decisions": rollout(status(decisions=[decision(n, 1, "Held", f"R{n}") for n in range(96)])),
    "hostile": hostile(rollout(ended(300, "RolledBack", "Regression", culprit="error-rate"))),
    "older": older(rollout(ended(300, "RolledBack", "Regression", culprit="error-rate"))),
}


@pytest.mark.parametrize("name", RECORDS)
def test_every_record_makes_a_page_that_stands_by_itself(name: str) -> None:
    text = render(RECORDS[name])
    page = Page(text)
    assert page.seen["script"] == 0
    assert not {"src", "onload", "onclick"} & {key for key, _ in page.attributes}
    assert not re.search(r"https?://|@import|url\(", text)
    assert [place for place in page.values("href") if not place.startswith("#")] == []
    assert {place[1:] for place in page.values("href")} <= set(page.values("id"))
    assert max(Counter(page.values("id")).values()) == 1
    assert "nan" not in page.text.lower().split()
    assert not re.search(r"[\s\"](NaN|nan|inf|None)[\s\"]", text)


@pytest.mark.parametrize("name", RECORDS)
def test_every_chart_has_a_title_and_a_description(name: str) -> None:
    page = Page(render(RECORDS[name]))
    named = [labels.split() for labels in page.values("aria-labelledby") if " " in labels]
    assert len(named) == page.seen["svg"]
    assert {label for labels in named for label in labels} <= set(page.values("id"))


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("in progress", "Version 2 is being rolled out: at step 4 of 5, with 50 % of the traffic asked for."),
        ("paused", "Version 2 waits at step 4 of 5, with 50 % of the traffic asked for."),
        ("promoted", "Version 2 replaced version 1 after 11 min 40 s. Not worse on every metric"),
        ("promoted", "Went on by proof that it is not worse"),
        ("rolled back", "Version 2 was rolled back after 5 min: error-rate got worse than allowed."),
        ("rolled back", "Culprit error-rate"),
        ("rolled back", "error-rate ✕ decided the rollback"),
        ("rolled back without evidence", "rolled back after 5 min: its pods did not become ready in time."),
        ("aborted", "Version 2 was aborted by a person after 5 min; version 1 serves."),
        ("superseded", "The rollout of version 2 ended after 5 min, because the spec asks for something else."),
        ("no history", "Nothing has been judged yet: the record holds no evidence."),
        ("no decisions", "No decision has been recorded yet."),
        ("no status", "Version 2 is about to be rolled out."),
        ("not judged", "The analysis is disabled: the readiness of the pods alone decides."),
        ("own metrics", "its own threshold (min 0.5)"),
        ("own metrics", "sum(rate(orders[5m]))"),
        ("own metrics", "own ○ not proven either way dry run: without consequences"),
        ("own metrics", "orders ✕ beyond its threshold Share of failed answers canary"),
        ("own metrics", "Canary 500 10 2.0 % Canary / stable 2 interval"),
        ("own metrics", "prediction-distribution ○ no difference proven holds on proof Share in the telling classes"),
        ("own metrics", "total variation above 0.05"),
        ("in progress", "Canary 1,000 20 2.0 % Stable 9,000 90 1.0 %"),
        ("in progress", "Canary / stable 2 interval 0.95 to 3.05"),
        ("in progress", "Dispersion φ 1.5"),
        ("in progress", "settling nothing was judged until connections had moved"),
        ("in progress", "at 2 of 20 looks, +15 s to +30 s"),
        ("in progress", "Rules that acted alignment"),
        ("in progress", "canary ≤ 1.1 × stable + 0.05 %"),
        ("in progress", 'fairlead_requests_total{model="fraud"}'),
        ("in progress", "+2 min 30 s 00:02:30 Went on ProvenNonInferior step 2/5, analysis not worse on every metric"),
        ("older", "Canary / stable – Evidence against 148"),
        ("older", "Dispersion φ 1 "),
        ("hostile", '"><script>x</script>'),
    ],
)
def test_the_page_says(name: str, part: str) -> None:
    assert part in Page(render(RECORDS[name])).text


def test_the_same_record_makes_the_same_page() -> None:
    assert render(RECORDS["promoted"]) == render(copy.deepcopy(RECORDS["promoted"]))


def without(manifest: dict[str, Any], *path: str) -> dict[str, Any]:
    found = copy.deepcopy(manifest)
    place = found
    for key in path[:-1]:
        place = place[key]
    del place[path[-1]]
    return found


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        ({}, "this is no Kubernetes object"),
        ({"kind": "Pod"}, "this is a Pod, not a ModelRollout"),
        (without(rollout(), "spec"), "cannot be read: spec: "),
        (without(rollout(), "spec", "plan"), "cannot be read: plan: Field required"),
        ({**rollout(), "status": {"phase": "Lost"}}, "cannot be read: phase: "),
        ({**rollout(), "status": {"startedAt": "soon"}}, "a time that cannot be read"),
    ],
)
def test_what_is_no_rollout_is_refused_in_a_sentence(manifest: dict[str, Any], message: str) -> None:
    with pytest.raises(UnreadableError, match=message) as refused:
        story.read(manifest)
    assert "\n" not in str(refused.value)
