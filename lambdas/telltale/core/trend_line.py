"""A small trend for a page: scores over time, the limit at one. Its colours are the page's, light or dark."""

from collections.abc import Sequence
from math import ceil, floor, isfinite, log10

from telltale.core.markup import Markup, element
from telltale.core.persistence import HIGHEST_SCORE

WIDTH, HEIGHT = 360, 180  # the narrowest phone; half as high (logical px)
LEFT, RIGHT, TOP, BOTTOM = 34.0, 350.0, 12.0, 150.0  # of the plot
LIMIT = 1.0  # a score of one is on the warning limit
UNITS = ((86_400.0, "days"), (3600.0, "h"), (60.0, "min"))


def trend_line(scores: Sequence[float], *, step_s: float) -> Markup | None:
    """The scores, newest last, `step_s` seconds apart; None where there are no two that are finite."""
    bounded = [(n, min(max(score, -HIGHEST_SCORE), HIGHEST_SCORE)) for n, score in enumerate(scores) if isfinite(score)]
    known = [(n - len(scores) + 1, score) for n, score in bounded]
    if len(known) < 2:
        return None
    first = known[0][0]
    low, high = min(0.0, *(score for _, score in known)), max(1.25 * LIMIT, *(1.1 * score for _, score in known))

    def at(n: float, score: float) -> tuple[float, float]:
        x = RIGHT - (RIGHT - LEFT) * n / first
        return round(x, 1), round(BOTTOM - (BOTTOM - TOP) * (score - low) / (high - low), 1)

    points = [at(n, score) for n, score in known]
    limit_y, zero_y = at(0, LIMIT)[1], at(0, 0.0)[1]
    path = "M" + "L".join(f"{x} {y}" for x, y in points)
    latest = known[-1][1]
    beyond = sum(score >= LIMIT for _, score in known)
    words = f"{len(known)} values, the last one {latest:.2g} times the warning limit; {beyond} at or above it."
    unit_s, unit = next(((one, name) for one, name in UNITS if -first * step_s >= 2 * one), (1.0, "s"))
    return element(
        "svg",
        element("title", words),
        element("line", x1=LEFT, x2=RIGHT, y1=zero_y, y2=zero_y, class_="axis"),
        element("line", x1=LEFT, x2=RIGHT, y1=limit_y, y2=limit_y, class_="limit"),
        element("text", "limit", x=LEFT + 4, y=limit_y - 5, class_="limit-name"),
        element("path", d=path, class_="curve"),
        *(element("circle", cx=x, cy=y, r=4, class_="point") for x, y in points),
        *(
            element("text", f"{value:g}", x=LEFT - 6, y=at(0, value)[1] + 4, text_anchor="end")
            for value in _ticks(low, high)
        ),
        element("text", f"{-first * step_s / unit_s:.2g} {unit} before", x=LEFT, y=HEIGHT - 10),
        element("text", "latest", x=RIGHT, y=HEIGHT - 10, text_anchor="end"),
        viewbox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
        aria_label=words,
        class_="trend",
    )


def _ticks(low: float, high: float) -> list[float]:
    """Round values from low to high, at most six."""
    least = (high - low) / 5
    tens = 10.0 ** floor(log10(least))
    step = next(tens * digit for digit in (1, 2, 5, 10) if tens * digit >= least)
    return [n * step for n in range(ceil(low / step), floor(high / step) + 1)]
