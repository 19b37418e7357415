"""The scores of one file as a picture: the curve, the limit, and a bar over each alarm."""

from collections.abc import Iterator, Sequence

import numpy as np
from telltale.core import drawing, plot
from telltale.core.asset_model import Scores
from telltale.core.drawing import Drawing, Polyline, Shape, Text
from telltale.core.plot import Axes, Mark, Panel

HEIGHT = 420
LIMIT = 0.5  # of a score
HIGHEST = 1.0
NAMED = 12  # alarms whose beginning is named


def drawn(title: str, timestamps: Sequence[str], scores: Scores, *, learned: int) -> Drawing:
    """timestamps : of all rows, of which the first `learned` have no score."""
    rows = learned + np.arange(len(scores.score))
    judged = np.isfinite(scores.score)
    ranges = alarms(scores)
    text = f"{len(ranges)} alarm{'s' * (len(ranges) != 1)} in {int(judged.sum())} rows that were judged"
    panel = Panel(
        heading=f"Score, {len(timestamps)} rows",
        note=f"{LIMIT:g}: the limit" + (f"; the first {learned} rows were learned from" if learned else ""),
        x=rows[judged].astype(np.float64),
        y=scores.score[judged],
        span=(0.0, float(max(len(timestamps), 2))),
        unit="rows",
        reach=HIGHEST,
        marks=tuple(
            Mark(float(learned + first), timestamps[learned + first], rank)
            for rank, (first, _) in enumerate(ranges[:NAMED])
        ),
        more=lambda axes: _over(axes, [(learned + first, learned + end) for first, end in ranges]),
        missing="" if judged.any() else "nothing was judged",
    )
    heading = drawing.shortened(title, size=plot.NORMAL, width=plot.RIGHT - plot.MARGIN, bold=True)
    shapes, end = plot.drawn([panel], top=64.0, bottom=float(HEIGHT), gap=0.0)
    top = Text(plot.MARGIN, 36.0, heading, plot.NORMAL, bold=True)
    return Drawing(plot.WIDTH, round(end) + 16, (top, *shapes), title, text)


def alarms(scores: Scores) -> list[tuple[int, int]]:
    """First row of each alarm, and the one after its last."""
    edges = np.flatnonzero(np.diff(scores.is_anomaly.astype(np.int8), prepend=0, append=0))
    return [(int(first), int(end)) for first, end in edges.reshape(-1, 2)]


def _over(axes: Axes, ranges: Sequence[tuple[int, int]]) -> Iterator[Shape]:
    left, _, right, _ = axes.box
    yield Polyline(((left, axes.at_y(LIMIT)), (right, axes.at_y(LIMIT))), "#e69f00", 2.0, (8, 5))
    for first, end in ranges:
        bar = ((axes.at_x(first), axes.at_y(HIGHEST)), (axes.at_x(end), axes.at_y(HIGHEST)))
        yield Polyline(bar, plot.STRONG, 5.0)
