"""Charts as lines in a box: from numbers to what an inline SVG says. No colours here, only names of classes."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

WIDTH: Final = 420
HEIGHT: Final = 176
_LEFT: Final = 46
_RIGHT: Final = 10
_TOP: Final = 12
_BOTTOM: Final = 22
_ROUND: Final = (1, 2, 5)
_BEYOND: Final = 1.2
_STEPS: Final = tuple(
    timedelta(seconds=each)
    for each in (5, 10, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 43200, 86400, 172800, 604800, 2592000)
)


@dataclass(frozen=True, slots=True)
class Point:
    """One value; None where nothing was measured: the line has a gap there."""

    at: datetime
    value: float | None


@dataclass(frozen=True, slots=True)
class Series:
    """One line. `kind` is its class, `name` what the legend says; `stepped` holds a value until the next one."""

    name: str
    kind: str
    points: Sequence[Point]
    stepped: bool = False


@dataclass(frozen=True, slots=True)
class Tick:
    """A place on an axis with its label."""

    place: float
    label: str


@dataclass(frozen=True, slots=True)
class Boundary:
    """A level, with its meaning in a word; `place` is its height in the box, `beneath` on which side its zone is."""

    place: float
    label: str
    kind: str
    beneath: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing: `title` and `said` are for people who do not see it."""

    title: str
    said: str
    series: Sequence[Series]
    lines: Sequence[tuple[str, str]]
    dots: Sequence[tuple[str, float, float]]
    across: Sequence[Tick]
    up: Sequence[Tick]
    boundaries: Sequence[Boundary] = ()
    left: int = _LEFT
    right: int = WIDTH - _RIGHT
    top: int = _TOP
    bottom: int = HEIGHT - _BOTTOM
    width: int = WIDTH
    height: int = HEIGHT


@dataclass(frozen=True, slots=True)
class Scale:
    """From values to places."""

    low: float
    high: float
    first: float
    last: float

    def __call__(self, value: float) -> float:
        """Inside the box, whatever the value."""
        part = (value - self.low) / ((self.high - self.low) or 1.0)
        return round(self.first + min(1.0, max(0.0, part)) * (self.last - self.first), 1)


def time_chart(title: str, said: str, series: Sequence[Series], span: tuple[datetime, datetime], unit: str) -> Chart:
    """Values over time from zero up; `unit` stands behind the labels of the values."""
    most = max((point.value for each in series for point in each.points if point.value is not None), default=0.0)
    step = _round_step(most / 3)
    high = 100.0 if unit == " %" and most > 50 else max(step * math.ceil(most / step), step)
    if high == 100:
        step = 25.0
    height = Scale(0.0, high, HEIGHT - _BOTTOM, _TOP)
    up = [Tick(height(number * step), f"{number * step:g}{unit}") for number in range(round(high / step) + 1)]
    return _drawn(title, said, series, span, (height, up, ()))


def evidence_chart(
    title: str, said: str, series: Sequence[Series], span: tuple[datetime, datetime], needed: tuple[float, float | None]
) -> Chart:
    """Logs (base 10) of e-values: against the candidate upwards, for it downwards; `needed` are the two boundaries.

    Where nothing must be proved for it there is no lower one.
    """
    harm = math.log10(needed[0])
    safe = None if needed[1] is None else math.log10(needed[1])
    seen = [point.value for each in series for point in each.points if point.value is not None]
    # A line that is far beyond its proof leaves the drawing, so that the way to the other one can still be seen.
    high = min(max(harm, *seen), harm + _BEYOND) + 0.45
    low = max(min(-(safe or 0.0), *seen, 0.0), -((safe or 0.0) + _BEYOND)) - 0.45
    height = Scale(low, high, HEIGHT - _BOTTOM, _TOP)
    step = max(1, math.ceil((high - low) / 7))
    marks = [power for power in range(math.ceil(low), math.floor(high) + 1) if power % step == 0]
    up = [Tick(height(power), f"{10 ** abs(power):,}" if abs(power) < 5 else f"1e{abs(power)}") for power in marks]
    boundaries = [Boundary(height(harm), f"harm is proved at {needed[0]:,.0f}", "harm")]
    if safe is not None and needed[1] is not None:
        boundaries.append(Boundary(height(-safe), f"not worse is proved at {needed[1]:,.0f}", "safe", beneath=True))
    return _drawn(title, said, series, span, (height, up, boundaries))


def log10(e_value: float) -> float:
    """Of an e-value as it is drawn: evidence below 1 is none, and there is an end to the paper."""
    return 0.0 if e_value <= 1 else min(math.log10(e_value), 30.0) if math.isfinite(e_value) else 30.0


def _drawn(
    title: str,
    said: str,
    series: Sequence[Series],
    span: tuple[datetime, datetime],
    axis: tuple[Scale, Sequence[Tick], Sequence[Boundary]],
) -> Chart:
    begin, end = span
    end = max(end, begin + timedelta(seconds=1))
    width = Scale(begin.timestamp(), end.timestamp(), _LEFT, WIDTH - _RIGHT)
    height, up, boundaries = axis
    lines, dots = [], []
    for each in series:
        for stretch in _unbroken(each.points):
            places = [(width(point.at.timestamp()), height(point.value or 0.0)) for point in stretch]
            lines.append((each.kind, _path(places, stepped=each.stepped)))
            dots.append((each.kind, *places[-1]))
    last = {kind: (kind, x, y) for kind, x, y in dots}
    across = [Tick(width(moment.timestamp()), label) for moment, label in _moments(begin, end)]
    return Chart(title, said, series, lines, list(last.values()), across, up, boundaries)


def _unbroken(points: Sequence[Point]) -> Iterator[list[Point]]:
    found: list[Point] = []
    for point in points:
        if point.value is not None:
            found.append(point)
        elif found:
            yield found
            found = []
    if found:
        yield found


def _path(places: Sequence[tuple[float, float]], *, stepped: bool) -> str:
    """What `d` of a path is."""
    told = [f"M{places[0][0]:g} {places[0][1]:g}"]
    for x, y in places[1:]:
        told.append(f"H{x:g}V{y:g}" if stepped else f"L{x:g} {y:g}")
    return "".join(told)


def _round_step(size: float) -> float:
    """The next of 1, 2, 5, 10, …; a tenth where nothing is there to be divided."""
    if size <= 0:
        return 0.1
    power = 10.0 ** math.floor(math.log10(size))
    return next((each * power for each in _ROUND if each * power >= size), 10.0 * power)


def _moments(begin: datetime, end: datetime) -> Iterator[tuple[datetime, str]]:
    """Some four round moments of UTC within a span."""
    step = next((each for each in _STEPS if (end - begin) / each <= 4), _STEPS[-1])
    seconds = step.total_seconds()
    at = datetime.fromtimestamp(math.ceil(begin.timestamp() / seconds) * seconds, begin.tzinfo)
    told = "%H:%M:%S" if seconds < 60 else "%H:%M" if seconds < 86400 else "%b %-d"
    while at <= end:
        yield at, at.strftime(told)
        at += step
