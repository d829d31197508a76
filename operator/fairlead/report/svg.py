"""Small pieces of SVG, escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from fairlead.report.scales import Scale, Time

Point = tuple[float, float | None]
"""Seconds since the start, and a value; None breaks the line."""


def tag(name: str, *children: object, **attributes: object) -> Markup:
    """One element. `class_` is the attribute class, `stroke_width` stroke-width; all texts are escaped."""
    given = Markup("").join(
        Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), _short(value)) for key, value in attributes.items()
    )
    return Markup("<{}{}>{}</{}>").format(name, given, Markup("").join(_safe(child) for child in children), name)


def _safe(child: object) -> Markup:
    return child if isinstance(child, Markup) else Markup.escape(str(child))


def _short(value: object) -> str:
    """A tenth of a pixel is exact enough."""
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)


@dataclass(frozen=True, slots=True)
class Size:
    """A chart in pixels, and how much of it the axes take."""

    width: int
    height: int
    left: int = 46
    right: int = 12
    top: int = 14
    bottom: int = 26


@dataclass(slots=True)
class Plot:
    """One chart over time."""

    size: Size
    x: Time
    y: Scale
    parts: list[Markup] = field(default_factory=list)

    def across(self, time: float) -> float:
        """The place of a time, from the left."""
        return self.size.left + self.x.place(time) * (self.size.width - self.size.left - self.size.right)

    def down(self, value: float) -> float:
        """The place of a value, from the top."""
        return self.bottom - self.y.place(value) * (self.bottom - self.size.top)

    @property
    def bottom(self) -> float:
        """The place of the time axis."""
        return float(self.size.height - self.size.bottom)

    def axes(self) -> None:
        """The grid with its labels."""
        right = self.size.width - self.size.right
        for tick in self.y.ticks():
            y = self.down(tick.value)
            self.parts.append(tag("line", class_="grid", x1=self.size.left, x2=right, y1=y, y2=y))
            self.parts.append(
                tag("text", tick.label, class_="tick", x=self.size.left - 7, y=y + 3.5, text_anchor="end")
            )
        for tick in self.x.ticks():
            x = self.across(tick.value)
            self.parts.append(tag("line", class_="grid", x1=x, x2=x, y1=self.bottom, y2=self.bottom + 4))
            anchor = "end" if x > right - 14 else "middle"
            label = tag("text", tick.label, class_="tick", x=x, y=self.bottom + 17, text_anchor=anchor)
            self.parts.append(label)

    def bar(self, value: float, class_: str) -> None:
        """A level that matters."""
        y, right = self.down(value), self.size.width - self.size.right
        self.parts.append(tag("line", class_=f"bar {class_}", x1=self.size.left, x2=right, y1=y, y2=y))

    def name(self, value: float, label: str, class_: str, *, below: bool = False) -> None:
        """The name of a level, above or below it; drawn after the lines, so that it can be read."""
        y = self.down(value)
        place = y + 12 if below or y < self.size.top + 12 else y - 5
        self.parts.append(tag("text", label, class_=f"label {class_}", x=self.size.left + 5, y=place))

    def line(self, points: Iterable[Point], class_: str, *, dots: bool = False) -> None:
        """A line through the points, in pieces where a value is missing."""
        for piece in pieces(points):
            places = [(self.across(time), self.down(value)) for time, value in piece]
            if len(places) > 1:
                self.parts.append(tag("path", class_=f"line {class_}", d=path(places)))
            if dots or len(places) == 1:
                self.parts += (tag("circle", class_=f"dot {class_}", cx=x, cy=y, r=2.4) for x, y in places)

    def steps(self, points: Sequence[tuple[float, float]], end: float, class_: str) -> None:
        """A value that holds until the next one, filled down to the axis."""
        places: list[tuple[float, float]] = []
        for place, (time, value) in enumerate(points):
            until = points[place + 1][0] if place + 1 < len(points) else end
            places += [(self.across(time), self.down(value)), (self.across(until), self.down(value))]
        if places:
            ground = [(places[-1][0], self.bottom), (places[0][0], self.bottom)]
            self.parts.append(tag("path", class_=f"area {class_}", d=path([*places, *ground]) + "Z"))
            self.parts.append(tag("path", class_=f"line {class_}", d=path(places)))

    def band(self, points: Iterable[tuple[float, float, float]], class_: str) -> None:
        """The area between two values over time."""
        known = [(self.across(time), self.down(low), self.down(high)) for time, low, high in points]
        if len(known) > 1:
            around = [(x, high) for x, _, high in known] + [(x, low) for x, low, _ in reversed(known)]
            self.parts.append(tag("path", class_=f"area {class_}", d=path(around) + "Z"))
        for x, low, high in known if len(known) == 1 else ():
            self.parts.append(tag("line", class_=f"line {class_}", x1=x, x2=x, y1=low, y2=high))

    def hints(self, notes: Sequence[tuple[float, str]]) -> None:
        """What a pointer that rests on a moment is told."""
        places = [self.across(time) for time, _ in notes]
        for place, (x, (_, text)) in enumerate(zip(places, notes, strict=True)):
            left = (places[place - 1] + x) / 2 if place else x - 8
            right = (x + places[place + 1]) / 2 if place + 1 < len(places) else x + 8
            height = self.bottom - self.size.top
            area = tag("rect", x=left, width=max(1.0, right - left), y=self.size.top, height=height)
            hair = tag("line", x1=x, x2=x, y1=self.size.top, y2=self.bottom)
            self.parts.append(tag("g", tag("title", text), hair, area, class_="hint"))

    def draw(self, name: str, title: str, description: str, class_: str = "") -> Markup:
        """The whole chart; `name` is unique on the page, title and description are for those who cannot see it."""
        return tag(
            "svg",
            tag("title", title, id=f"{name}-title"),
            tag("desc", description, id=f"{name}-desc"),
            *self.parts,
            viewBox=f"0 0 {self.size.width} {self.size.height}",
            class_=f"chart {class_}".strip(),
            role="img",
            aria_labelledby=f"{name}-title {name}-desc",
        )


def pieces(points: Iterable[Point]) -> list[list[tuple[float, float]]]:
    """The runs of points that have a value."""
    found: list[list[tuple[float, float]]] = [[]]
    for time, value in points:
        if value is None:
            found.append([])
        else:
            found[-1].append((time, value))
    return [piece for piece in found if piece]


def path(places: Sequence[tuple[float, float]]) -> str:
    """The places as the data of a path."""
    return "M" + "L".join(f"{_short(x)} {_short(y)}" for x, y in places)
