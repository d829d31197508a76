"""Two kinds of plots as small SVG files: shares as dots on a logarithmic line, and curves in small multiples."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

COLOURS = {
    "fairlead": "#0b7285",
    "kayenta": "#7048e8",
    "flagger": "#d9480f",
    "argo relative": "#a61e4d",
    "peeking .05": "#868e96",
    "recalibrated peeking": "#495057",
    "argo": "#e8890c",
    "flagger oracle": "#f08c6a",
}
LEAST = 1e-4
"""Left end of the logarithmic line; what is less stands there."""
STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#343a40}.s{font-size:11px;fill:#6c757d}.g{stroke:#dee2e6}"
    ".r{fill:#868e96;opacity:.08}"
    ".b{stroke:#c92a2a;stroke-dasharray:4 3}path{fill:none;stroke-width:1.6}"
    "@media(prefers-color-scheme:dark){text{fill:#dee2e6}.s{fill:#adb5bd}.g{stroke:#495057}.b{stroke:#ff8787}"
    "circle,path,.k{filter:brightness(1.5)}}"
)


def dots(title: str, rows: Sequence[tuple[str, Mapping[str, float]]], bar: float) -> str:
    """One line a row, one dot a rule at its share (0 to 1), and a bar that should not be passed."""
    left, width, step, top = 200, 460, 26, 62
    height = top + step * len(rows) + 30
    names = [name for name in COLOURS if any(name in shares for _, shares in rows)]
    out = _legend(names, 10, 36)
    for tick in (0.0001, 0.001, 0.01, 0.1, 1.0):
        x = left + _place(tick) * width
        kind = "b" if tick == bar else "g"
        out.append(f'<line class="{kind}" x1="{x:.1f}" x2="{x:.1f}" y1="{top - 8}" y2="{height - 24}"/>')
        label = "≤ 0.01 %" if tick == LEAST else f"{100 * tick:g} %"
        out.append(f'<text class="s" x="{x:.1f}" y="{height - 8}" text-anchor="middle">{label}</text>')
    for i, (label, shares) in enumerate(rows):
        y = top + step * i + 6
        if i % 2 == 0:
            out.append(f'<rect class="r" x="0" y="{y - step / 2}" width="{left + width + 40}" height="{step}"/>')
        out.append(f'<text x="{left - 14}" y="{y + 4}" text-anchor="end">{escape(label)}</text>')
        # Rules lie a little below each other, so that those with the same share can all be seen.
        lanes = [(name, y + 4.2 * (j - (len(names) - 1) / 2)) for j, name in enumerate(names) if name in shares]
        out += [_dot(left + _place(shares[name]) * width, lane, name, shares[name]) for name, lane in lanes]
    return _document(title, left + width + 40, height, out)


def curves(title: str, panels: Sequence[tuple[str, Mapping[str, Sequence[float]]]], columns: int = 3) -> str:
    """Small multiples: for each rule the share found by the end of every minute."""
    width, height, gap, top = 190, 110, 44, 62
    rows = -(-len(panels) // columns)
    names = [name for name in COLOURS if any(name in lines for _, lines in panels)]
    out = _legend(names, 10, 34)
    for i, (label, lines) in enumerate(panels):
        x, y = 40 + (i % columns) * (width + gap), top + (i // columns) * (height + gap)
        out.append(f'<text x="{x}" y="{y - 6}">{escape(label)}</text>')
        for share in (0, 0.5, 1):
            at = y + height * (1 - share)
            out.append(f'<line class="g" x1="{x}" x2="{x + width}" y1="{at}" y2="{at}"/>')
            out.append(f'<text class="s" x="{x - 5}" y="{at + 4}" text-anchor="end">{100 * share:g}</text>')
        out += [
            f'<text class="s" x="{x + width * minute / 20}" y="{y + height + 14}" text-anchor="middle">{minute}</text>'
            for minute in (0, 5, 10, 15, 20)
        ]
        out += [_steps(lines[name], name, (x, y, width, height)) for name in reversed(names) if name in lines]
    return _document(title, 40 + columns * (width + gap), top + rows * (height + gap), out)


def _steps(shares: Sequence[float], name: str, box: tuple[float, float, float, float]) -> str:
    x, y, width, height = box
    path = f"M{x:.1f} {y + height:.1f}"
    for i, share in enumerate(shares, start=1):
        path += f"H{x + width * i / len(shares):.1f}V{y + height * (1 - share):.1f}"
    wide = ' style="stroke-width:3"' if name == "fairlead" else ""
    return f'<path d="{path}" stroke="{COLOURS[name]}"{wide}><title>{name}</title></path>'


def _dot(x: float, y: float, name: str, share: float) -> str:
    told, radius = f"{name}: {100 * share:.3g} %", 4.4 if name == "fairlead" else 3
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{COLOURS[name]}"><title>{told}</title></circle>'


def _place(share: float) -> float:
    return math.log(max(share, LEAST) / LEAST) / -math.log(LEAST)


def _legend(names: Sequence[str], x: float, y: float) -> list[str]:
    out = []
    for name in names:
        out.append(f'<rect class="k" x="{x}" y="{y - 9}" width="10" height="10" fill="{COLOURS[name]}"/>')
        out.append(f'<text class="s" x="{x + 14}" y="{y}">{escape(name)}</text>')
        x += 30 + 6.3 * len(name)
    return out


def _document(title: str, width: float, height: float, parts: Sequence[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" role="img">'
    style, heading = f"<style>{STYLE}</style>", f'<text x="10" y="16">{escape(title)}</text>'
    return "\n".join((head, f"<title>{escape(title)}</title>", style, heading, *parts, "</svg>\n"))
