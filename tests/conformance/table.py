"""The document: how many checks each server passes, and which it does not."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

Entry = Mapping[str, str]
Results = Mapping[str, Sequence[Entry]]
"""What was found, by server; ours first."""

BEGIN: Final = "<!-- results -->"
END: Final = "<!-- end of results -->"
_SHOWN: Final = 160
# Reasons that begin alike, numbers and names aside, are one.
_ALIKE: Final = 32
_NAMED: Final = 6


def written(document: str, results: Results) -> str:
    """Return the document with its results replaced."""
    before, _, rest = document.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{rendered(results)}\n{END}{after}"


def rendered(results: Results) -> str:
    """Return the table and the list of what failed, as Markdown."""
    servers = list(results)
    groups = list(dict.fromkeys(entry["group"] for found in results.values() for entry in found))
    lines = ["| checks | " + " | ".join(servers) + " |", "|---" + "|---:" * len(servers) + "|"]
    for group in groups:
        cells = [_count(entry for entry in results[server] if entry["group"] == group) for server in servers]
        lines.append(f"| {group} | " + " | ".join(cells) + " |")
    lines.append("| **all** | " + " | ".join(f"**{_count(results[server])}**" for server in servers) + " |")
    for server in servers:
        lines += _failures(server, results[server])
    return "\n".join(lines) + "\n"


def _count(entries: Iterable[Entry]) -> str:
    """Passed of those that were run."""
    verdicts = [entry["result"] for entry in entries if entry["result"] != "not run"]
    return f"{verdicts.count('passed')} of {len(verdicts)}" if verdicts else "–"


def _failures(server: str, entries: Sequence[Entry]) -> list[str]:
    """The checks that failed, together where the reason is much the same, the commonest first."""
    alike: dict[str, dict[str, list[str]]] = {}
    reasons: dict[str, str] = {}
    for entry in entries:
        if entry["result"] == "failed":
            reason = _plain(entry["reason"])
            kind = re.sub(r"\d+|'[^']*'|\W+", " ", reason)[:_ALIKE]
            reasons.setdefault(kind, reason)
            by = alike.setdefault(kind, {}).setdefault(entry["name"], [])
            by.append(entry["group"].removeprefix("tritonclient "))
    if not alike:
        return []
    lines = [
        "",
        f"### What {server} fails",
        "",
        "| checks | reason of the first | which, and by what |",
        "|---:|---|---|",
    ]
    kinds = sorted(alike, key=lambda kind: -_size(alike[kind]))
    return lines + [f"| {_size(alike[kind])} | {_cell(reasons[kind])} | {_names(alike[kind])} |" for kind in kinds]


def _size(names: Mapping[str, Sequence[str]]) -> int:
    return sum(map(len, names.values()))


def _names(names: Mapping[str, Sequence[str]]) -> str:
    """Some of the checks, and how many there are beside them."""
    shown = [f"{name} ({', '.join(by)})" for name, by in list(names.items())[:_NAMED]]
    if len(names) > _NAMED:
        shown.append(f"and {len(names) - _NAMED} more")
    return "; ".join(shown)


def _plain(reason: str) -> str:
    """A reason without what differs from run to run, and from machine to machine."""
    text = " ".join(reason.split()).removeprefix("InferenceServerException: ")
    text = re.sub(r"127\.0\.0\.1:\d+|(?<!\w)/(?:root|home|tmp|usr)/[^\s\"']*", "…", text)
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}", "…", text)
    return re.sub(r"an exception occurred in the client while decoding the response: .*? response: ", "", text)


def _cell(reason: str) -> str:
    text = reason if len(reason) <= _SHOWN else reason[:_SHOWN].rstrip() + "…"
    return "`" + text.replace("`", "'").replace("|", "\\|") + "`"
