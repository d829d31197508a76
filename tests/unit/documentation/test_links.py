"""Every link of a Markdown page that leads into the source tree finds its file and its heading."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Final

import pytest

TOP: Final = Path(__file__).parents[3]
PAGES: Final = sorted(
    page for pattern in ("*.md", "docs/**/*.md", "examples/**/*.md", "charts/**/*.md") for page in TOP.glob(pattern)
)
LINK: Final = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING: Final = re.compile(r"^#+ (.*)$", re.MULTILINE)
FENCED: Final = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
CODE: Final = re.compile(r"`[^`\n]*`")


def anchor(heading: str) -> str:
    """Return the anchor that GitHub gives a heading."""
    words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading.strip()).lower()
    return re.sub(r"[^\w\- ]", "", words).replace(" ", "-")


@cache
def anchors(page: Path) -> frozenset[str]:
    found: list[str] = []
    plain = [anchor(heading) for heading in HEADING.findall(FENCED.sub("", page.read_text(encoding="utf-8")))]
    for place, name in enumerate(plain):
        before = plain[:place].count(name)
        found.append(f"{name}-{before}" if before else name)
    return frozenset(found)


def broken(page: Path, text: str) -> list[str]:
    """Return the links of a page's text that lead nowhere."""
    wrong = []
    for link in LINK.findall(CODE.sub("", FENCED.sub("", text))):
        path, _, heading = link.partition("#")
        if re.match(r"[a-z]+:", link):
            continue
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (heading and heading not in anchors(target)):
            wrong.append(link)
    return wrong


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(TOP)))
def test_every_link_leads_somewhere(page: Path) -> None:
    assert broken(page, page.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("[a](other.md) and [b](other.md#a-b-c)", []),
        ("[a](none.md), [b](other.md#none), [c](#none)", ["none.md", "other.md#none", "#none"]),
        ("[a](other.md#twice), [b](other.md#twice-1), [c](other.md#twice-2)", ["other.md#twice-2"]),
        ("[a](https://example.com/none#none), `[b](none.md)`", []),
        ("```\n[a](none.md)\n```", []),
        ("[a](other.md#no-heading)", ["other.md#no-heading"]),
        ("[a](.)", []),
    ],
)
def test_what_is_broken(tmp_path: Path, text: str, wrong: list[str]) -> None:
    (tmp_path / "other.md").write_text("# A `b`, C!\n## Twice\n## Twice\n```\n# No heading\n```\n")
    page = tmp_path / "page.md"
    page.write_text(text)
    assert broken(page, text) == wrong
