"""The picture of a forecast: the rows so far, the levels to come, the limit, and when it is reached."""

from collections.abc import Iterator
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from telltale.core import drawing
from telltale.core.drawing import Drawing, Polyline, Shape, Text
from telltale.core.plot import GREY, INK, MARGIN, NORMAL, RIGHT, ROW, SMALL, STRONG, WIDTH, Axes, Panel, drawn, on_white
from telltale.core.prognosis import Forecast

HEIGHT = 500
SHADE = "#c9dcec"  # of the levels that are held to be probable
UNITS_S = ((86_400.0, "days"), (3600.0, "h"), (60.0, "min"))


def picture(
    t_s: NDArray[Any], values: NDArray[Any], *, found: Forecast, title: str, said: str, label: str = ""
) -> Drawing:
    """A drawing WIDTH wide. t_s, values : the rows that `found` is of.   said : it in words.   label : of the values.

    ValueError without a finite row.
    """
    sound = np.isfinite(t_s) & np.isfinite(values)
    if not sound.any():
        raise ValueError("found no row whose time and value are finite")
    order = np.argsort(t_s[sound], kind="stable")
    t, y = np.asarray(t_s, np.float64)[sound][order], np.asarray(values, np.float64)[sound][order]
    back, ahead = float(t[-1] - t[0]), found.fan[-1].after_s if found.fan else 0.0
    per, unit = next(((per, unit) for per, unit in UNITS_S if back + ahead >= 3 * per), (1.0, "s"))
    seen = np.concatenate([y, [found.limit], _levels(found)])
    panel = Panel(
        drawing.one_line(label) or "Level",
        f"limit {found.limit:.4g}",
        (t - t[-1]) / per,
        y,
        (-max(back, 1.0) / per, max(ahead, 0.02 * back, 1.0) / per),
        unit,
        signed=bool(seen.min() < 0),
        reach=float(np.abs(seen).max()),
        more=lambda axes: _more(found, per, axes),
    )
    lines = drawing.wrapped(said, size=NORMAL, width=RIGHT - MARGIN, lines=2, bold=True)
    head = [Text(MARGIN, MARGIN + ROW * (n + 1), line, NORMAL, INK, bold=True) for n, line in enumerate(lines)]
    shapes, end = drawn([panel], top=MARGIN + ROW * (len(lines) + 1), bottom=HEIGHT - MARGIN - ROW, gap=0.0)
    foot = Text(RIGHT, end + ROW, "shaded: where the level is to be, with 80 %", SMALL, GREY, "end")
    shown = (*head, *shapes, foot) if found.fan else (*head, *shapes)
    return Drawing(WIDTH, round(end + ROW + MARGIN), shown, drawing.one_line(title), drawing.one_line(said))


def _levels(found: Forecast) -> NDArray[np.float64]:
    """Those ahead that are to be seen: beyond twice the limit nobody needs to look."""
    levels = np.array([one.median for one in found.fan])
    return levels[np.abs(levels) <= 1.2 * abs(found.limit)]


def _more(found: Forecast, per: float, axes: Axes) -> Iterator[Shape]:
    left, top, right, bottom = axes.box
    inside = [one for one in found.fan if axes.x[0] <= one.after_s / per <= axes.x[1]]

    def at(after_s: float, level: float) -> tuple[float, float]:
        return axes.at_x(after_s / per), min(max(axes.at_y(level), top), bottom)

    if inside:
        edge = [at(one.after_s, one.low) for one in inside] + [at(one.after_s, one.high) for one in reversed(inside)]
        yield Polyline(tuple(edge), SHADE, 1.0, fill=SHADE)
        below = [one for one in inside if axes.y[0] <= one.median <= axes.y[1]]
        yield Polyline(tuple(at(one.after_s, one.median) for one in below), INK, 2.0, (6, 4))
    y = axes.at_y(found.limit)
    yield Polyline(((left, y), (right, y)), STRONG, 2.0, (10, 5))
    yield from on_white(Text(left + 8, y - 8 if y - top > ROW else y + 21, "limit", SMALL, INK, bold=True))
    interval = found.interval_s
    if interval is not None:
        low, high = interval
        x, end = axes.at_x(low / per), right if high == inf else axes.at_x(high / per)
        yield Polyline(((x, y), (end, y)), STRONG, 6.0)
        yield Polyline(((axes.at_x(0.0), top), (axes.at_x(0.0), bottom)), GREY, 1.0, (4, 4))
