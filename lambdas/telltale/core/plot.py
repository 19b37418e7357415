"""Panels of a picture: axes with round ticks, curves thinned without losing a peak, marks whose names keep apart."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from math import ceil, floor, log10
from typing import Any

import numpy as np
from numpy.typing import NDArray

from telltale.core import drawing
from telltale.core.drawing import Box, Point, Polyline, Shape, Text

Array = NDArray[Any]

# A phone held upright. The smallest text is 18 of 720, 1.6 mm on a phone 64 mm wide.
WIDTH = 720
MARGIN = 20.0
LEFT, RIGHT = 92.0, WIDTH - MARGIN  # of every plot
SMALL, NORMAL = 18.0, 20.0  # font sizes
HEADING, ROW, TICK_ROW = 30.0, 23.0, 29.0  # heights
TICK_EVERY = 36.0  # pixels: twice the height of a number
TALLEST = 300.0  # of a panel: where others are missing, the sheet is shorter

# Of Okabe and Ito's palette, whose colours every kind of colour blindness can tell apart.
INK, CURVE, GREY, GRID, STRONG = "#000000", "#222222", "#555555", "#dddddd", "#d55e00"

CURVE_STEP = 1.5  # pixels from one point of a curve to the next, where it has more: the width of its line
MARK_ROWS = 2  # of names above a plot
SAME_PLACE = 1.5  # pixels within which two marks are one
AIR = 7.0  # between names; half of it between a name and a line that leads to another
MINOR = 4  # the rank from which a mark is only a companion of another


@dataclass(frozen=True)
class Mark:
    """A place on the x axis with a name. A strong one is drawn thick. The smaller `rank`, the sooner it is named."""

    x: float
    label: str
    rank: int = 1
    strong: bool = False


@dataclass(frozen=True)
class Axes:
    """Where values are on the sheet."""

    box: Box
    x: tuple[float, float]
    y: tuple[float, float]

    def at_x(self, value: float) -> float:
        left, _, right, _ = self.box
        return left + (value - self.x[0]) / (self.x[1] - self.x[0]) * (right - left)

    def at_y(self, value: float) -> float:
        _, top, _, bottom = self.box
        return bottom - (value - self.y[0]) / (self.y[1] - self.y[0]) * (bottom - top)


@dataclass(frozen=True, eq=False)
class Panel:
    """A plot that has no place yet.

    x, y : its curve, x rising; shown is what lies in `span`.   unit : of the ticks of x, each divided by `per`.
    signed : y goes as far below 0 as above.   reach : y that must be seen besides the curve.
    rows : of room between heading and plot, besides that of the names of `marks`; `more` may draw there.
    more : draws on top, once it has its axes.   missing : why there is nothing to draw, instead of all that.
    """

    heading: str
    note: str = ""
    x: Array = field(default_factory=lambda: np.empty(0))
    y: Array = field(default_factory=lambda: np.empty(0))
    span: tuple[float, float] = (0.0, 1.0)
    unit: str = ""
    per: float = 1.0
    signed: bool = False
    reach: float = 0.0
    rows: int = 0
    weight: float = 1.0
    marks: tuple[Mark, ...] = ()
    more: Callable[[Axes], Iterable[Shape]] | None = None
    missing: str = ""


def drawn(panels: Sequence[Panel], *, top: float, bottom: float, gap: float) -> tuple[list[Shape], float]:
    """The panels one below the other, and where they end. What is missing takes two lines; the others share what is
    left by weight, as long as that is not more than TALLEST for one of weight 1.
    """
    fixed = HEADING + ROW
    free = bottom - top - gap * (len(panels) - 1) - fixed * sum(bool(panel.missing) for panel in panels)
    weights = sum(panel.weight for panel in panels if not panel.missing)
    share = min(free / weights if weights else 0.0, TALLEST)
    shapes: list[Shape] = []
    end = top
    for panel in panels:
        end = top + (fixed if panel.missing else share * panel.weight)
        shapes += _missing(panel, top) if panel.missing else _panel(panel, top, end)
        top = end + gap
    return shapes, end


def _missing(panel: Panel, top: float) -> list[Shape]:
    why = drawing.shortened(panel.missing, size=SMALL, width=RIGHT - MARGIN)
    return [*_heading(panel.heading, "", top), Text(MARGIN, top + HEADING + 0.8 * SMALL, why, SMALL, GREY)]


def _heading(heading: str, note: str, top: float) -> list[Shape]:
    room = RIGHT - MARGIN
    size, [shown] = drawing.fitted(heading, sizes=(NORMAL, SMALL), width=room, lines=1, bold=True)
    name = Text(MARGIN, top + 0.8 * NORMAL, shown, size, INK, bold=True)
    rest = drawing.shortened(note, size=SMALL, width=RIGHT - name.box[2] - 12)
    return [name, Text(RIGHT, name.y, rest, SMALL, GREY, "end")] if rest.strip("…") else [name]


def _panel(panel: Panel, top: float, bottom: float) -> list[Shape]:
    marks = _merged(panel.marks, pixel=(panel.span[1] - panel.span[0]) / (RIGHT - LEFT))
    names = _named(marks, Axes((LEFT, 0, RIGHT, 0), panel.span, (0, 1)))
    above = panel.rows + max((row + 1 for _, _, row in names), default=0)
    box = (LEFT, top + HEADING + above * ROW, RIGHT, bottom - TICK_ROW)
    axes = Axes(box, panel.span, _range(panel))
    return [
        *_heading(panel.heading, panel.note, top),
        *_y_axis(axes),
        *_x_axis(axes, panel),
        *(_dashed(mark, axes) for mark in marks if not mark.strong),
        Polyline(_trace(panel, axes), CURVE, 1.5),
        *(shape for mark in marks if mark.strong for shape in _bar(mark, panel, axes)),
        *(shape for name in names for shape in _name(*name, axes)),
        *(panel.more(axes) if panel.more else ()),
    ]


# Axes


def nice_step(span: float, *, most: int) -> float:
    """The smallest of 1, 2, 5 times a power of ten that cuts `span` (above 0) into at most `most` steps."""
    least = span / most
    power = 10.0 ** floor(log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * (1 - 1e-9))


def nice_ticks(low: float, high: float, *, most: int) -> list[float]:
    """Round numbers in [low, high], evenly spaced, at most `most` + 1 of them."""
    step = nice_step(high - low, most=most)
    return [k * step for k in range(ceil(low / step - 1e-9), floor(high / step + 1e-9) + 1)]


def level_ticks(low: float, high: float, *, most: int) -> list[float]:
    """Round numbers in [low, high], of which 0 is one and low is 0 or -high; another at least, however few may be."""
    ticks = nice_ticks(low, high, most=most)
    if len(ticks) >= (3 if low < 0 else 2):
        return ticks
    power = 10.0 ** floor(log10(high) + 1e-9)
    largest = floor(high / power + 1e-9) * power
    return [-largest, 0.0, largest] if low < 0 else [0.0, largest]


def tick_texts(ticks: Sequence[float]) -> list[str]:
    """The ticks as text, all with as many decimals as their distance asks for."""
    step = ticks[1] - ticks[0] if len(ticks) > 1 else 1.0
    decimals = max(0, -floor(log10(step) + 1e-9))
    if decimals > 4 or max(map(abs, ticks), default=0) >= 1e6:
        return [_signed(f"{tick:.1e}") if tick else "0" for tick in ticks]
    return [_signed(f"{tick:.{decimals}f}") for tick in ticks]


def short(value: float) -> str:
    """Three digits, all of them before the point, and no exponent from a ten-thousandth to a million."""
    if 100 <= abs(value) < 1e6:
        return _signed(f"{value:.0f}")
    return _signed(f"{value:.3g}")


def _signed(digits: str) -> str:
    """With a minus as wide as a digit, and the shortest exponent."""
    mantissa, _, exponent = digits.partition("e")
    return mantissa.replace("-", "–") + (f"e{int(exponent)}" if exponent else "")


def _range(panel: Panel) -> tuple[float, float]:
    inside = panel.y[(panel.x >= panel.span[0]) & (panel.x <= panel.span[1])]
    largest = max(float(np.abs(inside).max()) if len(inside) else 0.0, panel.reach) or 1.0
    air = 1.14 if any(mark.strong for mark in panel.marks) else 1.06  # triangles stand on their peaks
    return (-air * largest if panel.signed else 0.0), air * largest


def _y_axis(axes: Axes) -> Iterator[Shape]:
    left, top, right, bottom = axes.box
    ticks = level_ticks(*axes.y, most=max(2, int((bottom - top) / TICK_EVERY)))
    for tick, text in zip(ticks, tick_texts(ticks), strict=True):
        y = axes.at_y(tick)
        yield Polyline(((left, y), (right, y)), GRID)
        yield Text(left - 8, y + 0.33 * SMALL, text, SMALL, INK, "end")


def _x_axis(axes: Axes, panel: Panel) -> Iterator[Shape]:
    """Each number in the middle of its tick, and the unit behind the last."""
    left, top, right, bottom = axes.box
    ticks = nice_ticks(panel.span[0] / panel.per, panel.span[1] / panel.per, most=6)
    texts = tick_texts(ticks)
    end = 0.0
    for place, (tick, text) in enumerate(zip(ticks, texts, strict=True)):
        x = axes.at_x(tick * panel.per)
        begin = x - drawing.text_width(text, size=SMALL) / 2
        whole = f"{text} {panel.unit}" if place == len(ticks) - 1 else text
        begin = min(begin, WIDTH - 6 - drawing.text_width(whole, size=SMALL))
        label = Text(begin, bottom + 25, whole, SMALL)
        yield Polyline(((x, bottom), (x, bottom + 5)), INK)
        if begin >= end:
            yield label
            end = label.box[2] + AIR
    yield Polyline(((left, top), (left, bottom), (right, bottom)), INK, 1.5)


# Curves


def thinned(x: Array, y: Array, *, span: tuple[float, float], columns: int) -> tuple[Array, Array]:
    """The curve y(x), x rising, cut to `span` and thinned so that no peak is lost: of each of `columns` equal parts
    the lowest and the highest point, in the order they come. A curve of at most two points a column is kept as it is.
    """
    first, last = np.searchsorted(x, span[0], "left"), np.searchsorted(x, span[1], "right")
    x, y = x[first:last], y[first:last]
    if len(x) <= 2 * columns:
        return x, y
    column = np.minimum(((x - span[0]) / (span[1] - span[0]) * columns).astype(np.intp), columns - 1)
    starts = np.flatnonzero(np.diff(column, prepend=-1))
    ends = np.append(starts[1:], len(x)) - 1
    by_height = np.lexsort((y, column))  # column by column, each from its lowest to its highest
    kept = np.unique(np.concatenate([by_height[starts], by_height[ends]]))
    return x[kept], y[kept]


def trace(x: Array, y: Array, axes: Axes) -> tuple[Point, ...]:
    """The curve on the sheet, thinned to what can be seen."""
    columns = int((axes.box[2] - axes.box[0]) / CURVE_STEP)
    a, b = thinned(x, y, span=axes.x, columns=columns)
    return tuple((axes.at_x(float(at)), axes.at_y(float(value))) for at, value in zip(a, b, strict=True))


def _trace(panel: Panel, axes: Axes) -> tuple[Point, ...]:
    return trace(panel.x, panel.y, axes)


# Marks


def _merged(marks: Sequence[Mark], *, pixel: float) -> list[Mark]:
    """The marks, those that fall on one place as one: under the name of a strong one, else under all their names."""
    kept: list[Mark] = []
    for mark in sorted(marks, key=lambda mark: (not mark.strong, mark.rank, mark.x)):
        near = next((one for one in kept if abs(one.x - mark.x) <= SAME_PLACE * pixel), None)
        if near is None:
            kept.append(mark)
        elif not near.strong and mark.rank < MINOR:
            kept[kept.index(near)] = Mark(near.x, f"{near.label}, {mark.label}", near.rank)
    return kept


def _named(marks: Sequence[Mark], axes: Axes) -> list[tuple[Mark, float, int]]:
    """Each mark that there is room to name, the important first: the middle of its name, and its row above the plot."""
    named: list[tuple[Mark, float, int]] = []
    taken: list[Box] = []
    for mark in marks:
        others = [axes.at_x(other.x) for other in marks if other is not mark]
        for middle, row in _places(mark, others, axes):
            own = _label_boxes(mark, middle, row, axes)
            if not any(_meet(a, b) for a in own for b in taken):
                named.append((mark, middle, row))
                taken += own
                break
    lowest = min((row for _, _, row in named), default=0)
    return [(mark, middle, row - lowest) for mark, middle, row in named]


def _places(mark: Mark, others: Sequence[float], axes: Axes) -> list[tuple[float, int]]:
    """Where its name could stand, best first: near the plot, over its own mark and no other's. The first of the strong
    stands high, for its neighbours are close by.
    """
    left, _, right, _ = axes.box
    half = drawing.text_width(mark.label, size=SMALL, bold=mark.strong) / 2
    high = mark.strong and mark.rank == 0

    def cost(place: tuple[float, int]) -> tuple[bool, float, bool]:
        middle, row = place
        ambiguous = row == 0 and any(abs(x - middle) < half + AIR / 2 for x in others)
        return ambiguous, abs(middle - axes.at_x(mark.x)), (row == 0) == high

    shifted = (axes.at_x(mark.x) + shift * half for shift in (0.0, -0.5, 0.5, -0.9, 0.9))
    middles = [min(max(middle, left + half), right - half) for middle in shifted]
    return sorted(((middle, row) for middle in middles for row in range(MARK_ROWS)), key=cost)


def _label(mark: Mark, middle: float, row: int, axes: Axes) -> Text:
    y = axes.box[1] - 9 - row * ROW
    return Text(middle, y, mark.label, SMALL, INK if mark.strong else GREY, "middle", mark.strong)


def _label_boxes(mark: Mark, middle: float, row: int, axes: Axes) -> tuple[Box, Box]:
    """What the name takes, and the line from it down to the plot."""
    words = _label(mark, middle, row, axes).box
    x = axes.at_x(mark.x)
    return words, (x, words[3], x, axes.box[1])


def _meet(a: Box, b: Box) -> bool:
    air = AIR if a[0] < a[2] and b[0] < b[2] else AIR / 2
    return a[0] - air < b[2] and b[0] - air < a[2] and a[1] < b[3] and b[1] < a[3]


def _name(mark: Mark, middle: float, row: int, axes: Axes) -> tuple[Shape, Shape]:
    _, leader = _label_boxes(mark, middle, row, axes)
    down = Polyline(((leader[0], leader[1]), (leader[2], leader[3])), INK if mark.strong else GREY)
    return _label(mark, middle, row, axes), down


def _dashed(mark: Mark, axes: Axes) -> Shape:
    _, top, _, bottom = axes.box
    x = axes.at_x(mark.x)
    return Polyline(((x, top), (x, bottom)), GREY, 1.0, (4, 4))


def _bar(mark: Mark, panel: Panel, axes: Axes) -> tuple[Shape, Shape]:
    """The curve's peak at the mark, drawn again and thick, under a triangle. It may be a point off: bins are coarse."""
    left, top, right, bottom = axes.box
    pixel = (panel.span[1] - panel.span[0]) / (right - left)
    reach = 1.5 * max(pixel, float(panel.x[1] - panel.x[0]))
    near = np.flatnonzero((panel.x >= mark.x - reach) & (panel.x <= mark.x + reach))
    peak = near[np.argmax(panel.y[near])] if len(near) else None
    x = axes.at_x(mark.x if peak is None else float(panel.x[peak]))
    y = bottom - 2 if peak is None else min(axes.at_y(float(panel.y[peak])), bottom - 2)
    return Polyline(((x, bottom), (x, y)), STRONG, 4.0), triangle(x, max(top + 10, y - 4))


def triangle(x: float, y: float) -> Polyline:
    """A triangle whose tip points down at (x, y)."""
    return Polyline(((x, y), (x - 7, y - 12), (x + 7, y - 12)), STRONG, 1.0, fill=STRONG)


def clear_of(points: Sequence[Point], texts: Iterable[Text]) -> Text | None:
    """The first of the texts that no point of a curve lies behind."""
    return next((text for text in texts if not any(_inside(text.box, point) for point in points)), None)


def _inside(box: Box, point: Point) -> bool:
    return box[0] - AIR < point[0] < box[2] + AIR and box[1] < point[1] < box[3]


def on_white(text: Text) -> tuple[Shape, Shape]:
    """Text that can be read over a curve."""
    left, top, right, bottom = text.box
    return drawing.Rect(left - 3, top, right - left + 6, bottom - top), text
