"""When the level of an indicator will reach a limit: a distribution, or nothing where that cannot be said.

The level grows along a line or an exponential, from which it may wander: its slope as an integrated random walk, itself
as a random walk. Around it is noise, some of it correlated from row to row. How much of each there is, is not known:
every mixture of a grid counts by how likely it makes the rows (universal kriging, averaged over its models). So the
interval is wide where the rows leave open whether a trend goes on, and nothing is said where they leave open whether
there is one. docs/prognosis.md has the formulas and what they are worth.
"""

from dataclasses import dataclass
from itertools import product
from math import inf, isfinite, log
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

REACHED, REACHES, NOT_WITHIN, NO_TREND, TOO_FEW = "reached", "reaches", "not within", "no trend", "too few rows"

# The older rows are, the less each matters: one group of them, whose median is taken, lasts a sixteenth of its age, and
# five rows at least, which two that are out of line cannot move.
GROUPS = 16  # a guess
ROWS_IN_GROUP = 5
SHORT = 24  # groups that a short history is cut into, though they be smaller (a guess)
FEWEST_GROUPS = 12  # a guess: nine numbers to tell a trend from wandering by, beside the three of its line and noise

# The grid. Strengths are multiples of the noise of one group, a factor of four apart; lengths are counted in groups;
# wandering is what adds up from the first row to the last; a rate is of growth, in e-foldings from first to last.
NOISES = ((0.0, 1.0), *product((1.0, 3.0), (1.0, 4.0)))  # strength and length of what is correlated
LEVEL_WANDERS = (0.0, 1.0, 4.0, 16.0)
SLOPE_WANDERS = (0.0, 1.0, 4.0, 16.0, 64.0, 256.0)
RATES = (0.0, *(0.5 * 2 ** (step / 8) for step in range(33)))  # 0: a straight line; the others together as probable
# Every mixture is as probable beforehand as any other; so are a line, and all exponentials together.
_GRID = tuple((*noise, *wanders) for noise, *wanders in product(NOISES, LEVEL_WANDERS, SLOPE_WANDERS))

SURE = 0.95  # how probable the trend must be for anything to be said of it
COVERAGE = 0.8
PATHS = 500
STEPS = 32  # of a path, the first the shortest: half of them take a quarter of the time
_SMALLEST = 1e-9  # noise, as a share of the spread of the groups: rows on a perfect line have none
_PERCENTS = tuple(range(1, 100))


@dataclass(frozen=True)
class Ahead:
    """The level, `after_s` from the last row: its median, and between which two it lies with probability COVERAGE."""

    after_s: float
    low: float
    median: float
    high: float


@dataclass(frozen=True)
class Forecast:
    """What can be said of when the level reaches the limit. Seconds count from the last row.

    verdict : REACHED, REACHES, NOT_WITHIN the horizon (but for a chance of (1 - COVERAGE) / 2), NO_TREND or TOO_FEW.
    percentiles : the 1st to the 99th of the time to the limit, infinite where beyond the horizon; empty where nothing
        is said: for NO_TREND and TOO_FEW, and where it is REACHED.
    trend : how probable it is that the level goes on towards the limit.   exponential : that it does as an exponential.
    level : now, its median.   change_per_s : the slope of Theil and Sen over the newest GROUPS groups.
    fan : the levels ahead; empty like `percentiles`.
    """

    verdict: str
    limit: float
    rows: int
    horizon_s: float = 0.0
    level: float | None = None
    change_per_s: float | None = None
    trend: float | None = None
    exponential: float | None = None
    percentiles: tuple[float, ...] = ()
    fan: tuple[Ahead, ...] = ()

    def quantile(self, probability: float) -> float | None:
        """Seconds within which the limit is reached with this probability; infinite beyond the horizon; None: not said.

        From 0.01 to 0.99, else ValueError.
        """
        place = round(100 * probability) - 1
        if not 0 <= place < len(_PERCENTS):
            raise ValueError(f"found a probability of {probability}, wanted 0.01 to 0.99")
        return self.percentiles[place] if self.percentiles else None

    @property
    def interval_s(self) -> tuple[float, float] | None:
        """Between which times it is reached, with probability COVERAGE; the later may be infinite."""
        low, high = (self.quantile(tail) for tail in ((1 - COVERAGE) / 2, (1 + COVERAGE) / 2))
        return None if low is None or high is None or self.verdict != REACHES else (low, high)

    def probability_within(self, seconds: float) -> float | None:
        """How probable it is that the limit is reached within so many seconds; None where that is not said."""
        if not self.percentiles or not 0 <= seconds <= self.horizon_s:
            return None
        return float(np.searchsorted(np.array(self.percentiles), seconds, "right")) / (len(_PERCENTS) + 1)


@dataclass(frozen=True, eq=False)
class _Points:
    """Groups of rows. x : their times, 0 to 1 from the first to the last.   weight : their rows, 1 for the smallest."""

    x: Array
    y: Array
    weight: Array
    begin_s: float
    span_s: float


@dataclass(frozen=True, eq=False)
class _Fits:
    """Every mixture of the grid with every rate of growth: arrays of shape (grid, rates, …).

    likelihood : its logarithm, with the prior's.   line : what the constant and the growth are multiplied with.
    spread : their covariance, by the noise's variance.   scatter : residuals times inverse times residuals.
    inverse : of the groups' covariance, shape (grid, groups, groups).
    weighted : inverse times the groups' levels, a constant, and every growth; shape (grid, groups, 2 + rates).
    """

    likelihood: Array
    line: Array
    spread: Array
    scatter: Array
    inverse: Array
    weighted: Array


def forecast(
    t_s: Array, values: Array, *, limit: float, falling: bool = False, horizon_s: float | None = None
) -> Forecast:
    """When the level reaches `limit`: from below, or from above if `falling`.

    t_s : times of the rows in seconds, in any order, shape (rows,).   values : shape (rows,), in the limit's unit.
    horizon_s : how far ahead to look; without it as far as the rows go back, and never farther.
    Rows whose time or value is not finite are left out. Of a constant indicator there is no trend. The same rows give
    the same forecast. ValueError if the shapes differ, the limit is not finite or the horizon not positive.
    """
    times, rows = np.asarray(t_s, np.float64), np.asarray(values, np.float64)
    if times.ndim != 1 or times.shape != rows.shape:
        raise ValueError(f"found times of shape {times.shape} and values of {rows.shape}, wanted one of each a row")
    if not isfinite(limit) or not (horizon_s is None or horizon_s > 0):
        raise ValueError(f"found a limit of {limit} and a horizon of {horizon_s} s, wanted finite and positive ones")
    sound = np.isfinite(times) & np.isfinite(rows)
    order = np.argsort(times[sound], kind="stable")
    times, rows = times[sound][order], rows[sound][order]
    sign = -1.0 if falling else 1.0
    points = _points(times, sign * rows)
    if points is None:
        return Forecast(TOO_FEW, limit, len(rows))
    look_s = points.span_s if horizon_s is None else min(horizon_s, points.span_s)
    slope = sign * theil_sen(points.x[-GROUPS:], points.y[-GROUPS:]) / points.span_s
    spread = float(np.ptp(points.y))
    if spread == 0:
        verdict = REACHED if points.y[-1] >= sign * limit else NO_TREND
        return Forecast(verdict, limit, len(rows), look_s, sign * float(points.y[-1]), slope, 0.0)
    now = (float(times[-1]) - points.begin_s) / points.span_s
    ahead = now + look_s / points.span_s * np.linspace(0.0, 1.0, STEPS + 1) ** 2
    paths, exponential = _paths(points, ahead, floor=_SMALLEST * spread)
    level = float(np.median(paths[:, 0]))
    trend = float(np.mean(paths[:, STEPS // 2] > paths[:, 0]))
    facts = (limit, len(rows), look_s, sign * level, slope, trend, exponential)
    if level >= sign * limit:
        return Forecast(REACHED, *facts)
    if trend < SURE:
        return Forecast(NO_TREND, *facts)
    passages = _first_passages(paths, ahead, sign * limit)
    after = np.maximum(0.0, (np.quantile(passages, np.array(_PERCENTS) / 100, method="higher") - now) * points.span_s)
    percentiles = tuple(map(float, after))
    verdict = NOT_WITHIN if percentiles[round(50 * (1 - COVERAGE)) - 1] == inf else REACHES
    return Forecast(verdict, *facts, percentiles, _fan(sign * paths, (ahead - now) * points.span_s))


def theil_sen(t: Array, values: Array) -> float:
    """The median slope between all pairs of rows at different times; 0 without any (Theil 1950, Sen 1968)."""
    first, second = np.triu_indices(len(t), 1)
    apart = t[second] - t[first]
    slopes = (values[second] - values[first])[apart > 0] / apart[apart > 0]
    return float(np.median(slopes)) if len(slopes) else 0.0


# Rows


def groups(rows: int) -> list[tuple[int, int]]:
    """Where each group of rows begins and ends, the oldest first: the newest of ROWS_IN_GROUP rows, older ones more."""
    least = min(ROWS_IN_GROUP, max(1, rows // SHORT))
    found: list[tuple[int, int]] = []
    end = rows
    while end > 0:
        size = max(least, (rows - end) // GROUPS)
        begin = end - size
        if begin < 0:  # too few are left for a group
            if found:
                found[-1] = (0, found[-1][1])
            break
        found.append((begin, end))
        end = begin
    return found[::-1]


def _points(times: Array, values: Array) -> _Points | None:
    """The groups' medians; None where there are too few, or no time between them."""
    parts = groups(len(times))
    if len(parts) < FEWEST_GROUPS:
        return None
    t, y = (np.array([np.median(column[a:b]) for a, b in parts]) for column in (times, values))
    counts = np.array([b - a for a, b in parts], np.float64)
    span = float(t[-1] - t[0])
    return _Points((t - t[0]) / span, y, counts / counts.min(), float(t[0]), span) if span > 0 else None


# Fits


def _paths(points: _Points, ahead: Array, *, floor: float) -> tuple[Array, float]:
    """Levels at the times `ahead`, shape (PATHS, times), drawn from all fits; the share of exponentials."""
    rng = np.random.default_rng(0)
    fits = _fits(points, floor=floor)
    weight = np.exp(fits.likelihood - fits.likelihood.max()).ravel()
    share = np.cumsum(weight) / weight.sum()
    drawn = np.minimum(np.searchsorted(share, (np.arange(PATHS) + 0.5) / PATHS), len(share) - 1)
    mixtures, rates = np.divmod(drawn, len(RATES))
    paths = [_drawn(points, ahead, fits, int(at), rates[mixtures == at], rng) for at in np.unique(mixtures)]
    return np.concatenate(paths), float(np.mean(rates > 0))


def _fits(points: _Points, *, floor: float) -> _Fits:
    """Generalised least squares; the likelihood is the restricted one, with line and noise integrated out."""
    growths = _growths(points.x)
    constant = np.ones(len(points.x))
    columns = np.stack([points.y - points.y.mean(), constant, *growths.T], axis=1)
    inverse, determinant = _inverses(points)
    weighted = inverse @ columns
    products = columns.T @ weighted
    yy, y1, yg = products[:, :1, 0], products[:, :1, 1], products[:, 0, 2:]
    p11, p1g, pgg = products[:, 1:2, 1], products[:, 1, 2:], np.diagonal(products, axis1=1, axis2=2)[:, 2:]
    size = p11 * pgg - p1g**2
    p11, y1 = np.broadcast_to(p11, size.shape), np.broadcast_to(y1, size.shape)
    spread = np.stack([np.stack([pgg, -p1g], -1), np.stack([-p1g, p11], -1)], -2) / size[..., None, None]
    line = (spread @ np.stack([y1, yg], -1)[..., None])[..., 0]
    scatter = np.maximum(yy - line[..., 0] * y1 - line[..., 1] * yg, floor**2 * len(points.y))
    plain = len(constant) * (growths**2).sum(axis=0) - growths.sum(axis=0) ** 2  # takes out the unit of growth
    before = np.array([-log(len(RATES) - 1) if rate else 0.0 for rate in RATES])
    likelihood = before + (np.log(plain / size) - determinant[:, None] - (len(constant) - 2) * np.log(scatter)) / 2
    return _Fits(likelihood, line, spread, scatter, inverse, weighted)


def _growths(x: Array) -> Array:
    """Growth by each of RATES, 1 at x = 1. Shape (times, rates)."""
    return np.stack([x if rate == 0 else np.exp(rate * (x - 1)) for rate in RATES], axis=1)


def _inverses(points: _Points) -> tuple[Array, Array]:
    """Of the covariance of the groups, for every mixture: its inverse, and the logarithm of its determinant."""
    strength, length, level, slope = (np.array(column)[:, None, None] for column in zip(*_GRID, strict=True))
    apart = np.abs(points.x[:, None] - points.x)
    step = max(float(np.median(np.diff(points.x[-GROUPS:]))), _SMALLEST)
    noise = np.diag(1 / points.weight) + strength**2 * np.exp(-apart / (length * step))
    covariance = noise + _wandering(points.x, points.x, level, slope)
    return np.linalg.inv(covariance), np.linalg.slogdet(covariance)[1]


def _wandering(a: Array, b: Array, level: Any, slope: Any) -> Array:
    """The covariance of a random walk and an integrated one between times a and b, each `level` and `slope` at 1."""
    first, last = np.minimum(a[:, None], b), np.maximum(a[:, None], b)
    return np.asarray(level**2 * first + slope**2 * first**2 * (3 * last - first) / 2)


def _drawn(points: _Points, ahead: Array, fits: _Fits, at: int, rates: Array, rng: np.random.Generator) -> Array:
    """Levels ahead by one mixture, a path for each of `rates`: of Student's t, its freedom the groups less two."""
    _, _, level, slope = _GRID[at]
    known = _wandering(ahead, points.x, level, slope)
    weighted = known @ fits.weighted[at]
    values, vectors = np.linalg.eigh(_wandering(ahead, ahead, level, slope) - known @ fits.inverse[at] @ known.T)
    wander = rng.standard_normal((len(rates), len(ahead))) @ (vectors * np.sqrt(np.maximum(values, 0.0))).T
    turn = np.linalg.cholesky(fits.spread[at, rates]) @ rng.standard_normal((len(rates), 2, 1))
    sigma = np.sqrt(fits.scatter[at, rates] / rng.chisquare(len(points.x) - 2, len(rates)))[:, None]
    growth = _growths(ahead)[:, rates].T
    # A path is base times line, plus the pull of the residuals, which is linear in the line too.
    constant, grown = 1 - weighted[:, 1], growth - weighted[:, 2:][:, rates].T
    line = fits.line[at, rates]
    mean = points.y.mean() + weighted[:, 0] + line[:, :1] * constant + line[:, 1:] * grown
    return np.asarray(mean + sigma * (wander + turn[:, 0] * constant + turn[:, 1] * grown))


# What comes of it


def _first_passages(paths: Array, ahead: Array, limit: float) -> Array:
    """When each path first reaches the limit, between steps by a straight line; infinite where it does not."""
    beyond = paths >= limit
    after = np.maximum(beyond.argmax(axis=1), 1)
    row = np.arange(len(paths))
    before, then = paths[row, after - 1], paths[row, after]
    part = np.clip((limit - before) / np.where(then == before, 1.0, then - before), 0.0, 1.0)
    passage = ahead[after - 1] + part * (ahead[after] - ahead[after - 1])
    return np.where(beyond[:, 0], ahead[0], np.where(beyond.any(axis=1), passage, inf))


def _fan(paths: Array, after_s: Array) -> tuple[Ahead, ...]:
    levels = np.quantile(paths, [(1 - COVERAGE) / 2, 0.5, (1 + COVERAGE) / 2], axis=0).T
    return tuple(Ahead(float(at), *map(float, row)) for at, row in zip(after_s, levels, strict=True))


# Words

Units = tuple[tuple[str, float], ...]
CLOCK: Units = (("day", 86_400.0), ("hour", 3600.0), ("minute", 60.0), ("second", 1.0))
ROW_NUMBERS: Units = (("row", 1.0),)


def sentence(found: Forecast, *, name: str, unit: str = "", limit_name: str = "", units: Units = CLOCK) -> str:
    """The forecast in words: "y velocity reaches zone D, 4.5 mm/s, in 6 to 19 days (80 %)"."""
    limit = ", ".join(filter(None, (limit_name, f"{found.limit:.4g} {unit}".strip())))
    ahead = duration(found.horizon_s, units=units)
    if found.verdict == REACHED:
        return f"{name} has reached {limit}"
    if found.verdict == NOT_WITHIN:
        return f"{name} does not reach {limit} within {ahead} ({50 * (1 + COVERAGE):.0f} %)"
    if found.interval_s is None:
        why = "too few rows" if found.verdict == TOO_FEW else "no trend"
        return f"{name}: {why}, so it cannot be said when it reaches {limit}"
    low, high = found.interval_s
    when = span(low, high, units=units)
    open_end = f", maybe not within {ahead}" if high == inf else ""
    return f"{name} reaches {limit}, {when}{open_end} ({100 * COVERAGE:.0f} %)"


def span(low_s: float, high_s: float, *, units: Units = CLOCK) -> str:
    """ "in 6 to 19 days", "in 6 hours to 19 days"; "in 6 days at the earliest" where the later end is infinite."""
    if high_s == inf:
        return f"in {duration(low_s, units=units)} at the earliest"
    low, high = duration(low_s, units=units), duration(high_s, units=units)
    same = low.split()[1].rstrip("s") == high.split()[1].rstrip("s")
    return f"in {low.split()[0] if same else low} to {high}"


def duration(seconds: float, *, units: Units = CLOCK) -> str:
    """Two digits of the largest unit that there are two of: "36 hours", "19 days"."""
    name, size = next(((name, size) for name, size in units if seconds >= 2 * size), units[-1])
    amount = float(f"{seconds / size:.2g}")
    return f"{amount:g} {name}" + ("" if amount == 1 else "s")
