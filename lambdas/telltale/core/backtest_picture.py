"""The picture of a backtest: the highest score of each row over time, before and after, with the cases marked."""

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np

from telltale.core import drawing
from telltale.core.backtest import Comparison, Run
from telltale.core.drawing import Drawing, Polyline, Shape, Text
from telltale.core.plot import GREY, MARGIN, NORMAL, RIGHT, SMALL, STRONG, WIDTH, Axes, Mark, Panel, drawn

HEIGHT = 900
GAP = 26.0
DAY_MS = 86_400_000
HIGHEST = 4.0  # scores are drawn up to here: twice an alarm of the baseline


def compared(comparison: Comparison) -> Drawing:
    """Two panels over the same days, WIDTH wide: what was and what would have been. The runs need their traces."""
    first, last = comparison.first_ms or 0, comparison.last_ms or 0
    title = f"{comparison.position}: {_words(comparison.before)} before, {_words(comparison.after)} after"
    since = f"days since {datetime.fromtimestamp(first / 1000, UTC):%Y-%m-%d %H:%M} UTC; 1 is on the warning limit"
    head = [
        Text(MARGIN, 42, drawing.shortened(title, size=NORMAL, width=RIGHT - MARGIN, bold=True), NORMAL, bold=True),
        Text(MARGIN, 68, drawing.shortened(since, size=SMALL, width=RIGHT - MARGIN), SMALL, GREY),
    ]
    span = 0.0, max((last - first) / DAY_MS, 1e-3)
    panels = [
        _panel("Before", comparison.before, first, span),
        _panel("After", comparison.after, first, span),
    ]
    body, end = drawn(panels, top=90, bottom=HEIGHT - MARGIN, gap=GAP)
    return Drawing(WIDTH, round(end + MARGIN), (*head, *body), drawing.one_line(title), since)


def _words(run: Run) -> str:
    return f"{len(run.cases)} case{'' if len(run.cases) == 1 else 's'}"


def _panel(name: str, run: Run, first_ms: int, span: tuple[float, float]) -> Panel:
    if not run.trace:
        return Panel(name, missing="no row was judged")
    times, scores = (np.asarray(column, np.float64) for column in zip(*run.trace, strict=True))
    return Panel(
        f"{name}: highest score of each capture",
        _words(run),
        (times - first_ms) / DAY_MS,
        np.clip(scores, 0.0, HIGHEST),
        span,
        "days",
        reach=1.2,
        marks=tuple(_marks(run, first_ms, span)),
        more=_limit,
    )


def _marks(run: Run, first_ms: int, span: tuple[float, float]) -> Sequence[Mark]:
    marks = []
    for case in run.cases:
        marks.append(Mark((case.opened_ms - first_ms) / DAY_MS, f"{case.severity.lower()} {case.channel}", strong=True))
        if case.closed_ms is not None:
            marks.append(Mark((case.closed_ms - first_ms) / DAY_MS, "closed", rank=3))
    return [mark for mark in marks if span[0] <= mark.x <= span[1]]


def _limit(axes: Axes) -> list[Shape]:
    left, _, right, _ = axes.box
    y = axes.at_y(1.0)
    return [Polyline(((left, y), (right, y)), STRONG, 2.0, (10, 5))]
