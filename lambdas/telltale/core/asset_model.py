"""The model of an asset with many tags: what is normal is learned from healthy rows, and every row is judged at once.

Each tag is looked at twice: as it is, and as it is given all the others (the residual of a ridge regression on them).
Both are smoothed over a few rows, and compared with a limit that noise reaches once in `false_alarm_rows` rows; so is
how much the residual swings. A reference follows slowly what the training range was too short to tell from normal. An
alarm lasts until the deviation has fallen for good.
docs/asset-model.md has the formula, the origin of each constant, and figures.

Tables are (rows, tags). Everything is causal: what is said of row i hangs on rows up to i.
"""

from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from struct import Struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from telltale.core.student import upper_quantile

Array = NDArray[Any]

VERSION = 2  # of the artefact and of the packed state

FALSE_ALARM_ROWS = 10_000  # rows between false alarms of noise, at least: a week of one row a minute. A choice
BLOCKS = 5  # of the cross-validation: the usual number
FEWEST_ROWS = 20 * BLOCKS  # with fewer a block holds no more than one memory of the slower average
RIDGE = 0.03  # least share of the unit matrix in the correlations: 3 % of a variance cannot be foretold. A guess
MOST_RIDGE = 0.99  # of a tag whose rows are worth one: it foretells nothing
FAST = 0.2  # gain of the faster average: upper end of what MEWMA practice uses (Montgomery, 0.05 to 0.25)
SLOWEST = 0.05  # gain of the slower average: lower end of the same
MEMORIES = 10  # memories of the reference that the training range must hold. A guess
SLOW_TO_REFERENCE = 4  # the slower average is so many times faster than the reference. A guess
LONGEST_MEMORY = 200  # rows that the reference remembers at most. A guess
CLIP = 20.0  # spreads: what one value can do at most; with FAST it exceeds any limit within a few rows. A guess
FALLEN = 0.4  # share of its peak below which a deviation has gone. A guess
CLEAR = 0.9  # share of the limit below which it has gone: the hysteresis of the other rules
SETTLE = 4  # memories of the slower average for which what is left is then taken into the reference. A guess
SETTLED = 0.7  # share of its limit below which a level no longer moves: noise of 200 features reaches 0.5. A guess
MOST_DECIMALS = 6  # decimals that are told apart; beyond them a value counts as continuous
ROUNDING = 1 / 12  # variance of an even rounding error, in squared steps
BLOCK_ROWS = 32  # rows that are computed together where nothing happens
SLAB_ROWS = 1024  # rows whose features are held at once
TINY = 1e-12  # below it a spread counts as none
COLUMNS = 8  # whose autocorrelation is computed at once

ANOMALY, NO_ANOMALY, OFF = "ANOMALY_DETECTED", "NO_ANOMALY_DETECTED", "MACHINE_OFF"


@dataclass(frozen=True, eq=False)
class Model:
    """What is normal. Features are the tags as they are, then the tags given the others: 2 × tags.

    mean, scale : (tags,), in the unit of the tag.   weights : (tags, tags): standardised row @ weights = residuals.
    gains : (2,) of the averages.   follow : gain of the reference.   reference : (features,) at the end of training.
    limits, quantiles : (3, features): the limit of each average and of their difference, and the multiple of the spread
    that it is.   swing_scale, swing_mean, swing_limits : (tags,), of how much the residuals swing.
    decimals : (tags,), seen in training.   left_out : tags that are not judged, and why.
    """

    tags: tuple[str, ...]
    left_out: Mapping[str, str]
    mean: Array
    scale: Array
    weights: Array
    gains: Array
    follow: float
    reference: Array
    limits: Array
    quantiles: Array
    swing_scale: Array
    swing_mean: Array
    swing_limits: Array
    decimals: Array
    rows: int
    false_alarm_rows: float

    @property
    def hold(self) -> int:
        """Rows for which a deviation must have fallen before an alarm ends: one memory of the slower average."""
        return round(1 / float(self.gains[1]))


@dataclass(frozen=True, eq=False)
class State:
    """Where scoring stands.

    averages : (2, features).   reference : (features,).   swings : (tags,).   values : (tags,) last known, NaN before.
    decimals : (tags,) seen so far.   peak : of the alarm that lasts, 0 where none does.   fallen : rows since it has
    gone.   settle : rows for which what an alarm left behind is still taken into the reference.   moving : a level
    moves.   steady : rows since it does no longer.
    """

    averages: Array
    reference: Array
    swings: Array
    values: Array
    decimals: Array
    peak: float = 0.0
    fallen: int = 0
    settle: int = 0
    moving: bool = False
    steady: int = 0


@dataclass(frozen=True, eq=False)
class Scores:
    """What was said of each row. `score` : (rows,), in [0, 1], 0.5 on the limit, NaN where the machine was off.

    is_anomaly : (rows,) bool.   is_changepoint : (rows,) bool, an alarm begins or ends here, or a level begins to move
    or has settled.   off : (rows,) bool.   contributions : (rows, tags), each row sums to 1, NaN where off.
    """

    score: Array
    is_anomaly: Array
    off: Array
    contributions: Array
    is_changepoint: Array

    @property
    def reasons(self) -> list[str]:
        """Prediction reasons, with Lookout for Equipment's names."""
        return [
            OFF if off else ANOMALY if on else NO_ANOMALY for off, on in zip(self.off, self.is_anomaly, strict=True)
        ]


@dataclass(frozen=True, eq=False)
class Limits:
    """charts : (3, features), as Model.limits.   swing_scale : (tags,). Both for the decimals of this row."""

    charts: Array
    swing_scale: Array


# ---- training --------------------------------------------------------------------------------------------------------


def train(rows: Array, *, tags: Sequence[str], false_alarm_rows: float = FALSE_ALARM_ROWS) -> Model:
    """The model of healthy rows, shape (rows, tags), oldest first; leave out what is abnormal or off before.

    A missing value counts as the last one known, before the first as the first. Tags without a value, constant ones and
    those that are missing or infinite in most rows are left out. ValueError with fewer than FEWEST_ROWS rows, or if no
    tag is left.
    """
    table = np.asarray(rows, np.float64)
    if table.ndim != 2 or table.shape[1] != len(tags) or len(table) < FEWEST_ROWS:
        raise ValueError(f"found a table of shape {table.shape}, wanted ({FEWEST_ROWS} rows or more, {len(tags)} tags)")
    left_out = {name: reason for name, column in zip(tags, table.T, strict=True) if (reason := _unfit(column))}
    kept = [place for place, name in enumerate(tags) if name not in left_out]
    if not kept:
        raise ValueError(f"none of {len(tags)} tags can be learned: {'; '.join(sorted(set(left_out.values())))}")
    whole = filled(table[:, kept])
    return _fitted(whole, tuple(tags[place] for place in kept), left_out, false_alarm_rows)


def _unfit(column: Array) -> str | None:
    known = column[np.isfinite(column)]
    if 2 * known.size < column.size:
        return f"missing in {1 - known.size / column.size:.0%} of the training rows"
    return "constant in the training rows" if np.ptp(known) <= 1e-9 * np.abs(known).max() else None


def filled(table: Array) -> Array:
    """Each missing or infinite value replaced by the last known above it, at the top by the first below."""
    known = np.isfinite(table)
    if known.all():
        return table
    places = np.where(known, np.arange(len(table))[:, None], 0)
    places = np.maximum.accumulate(places, axis=0)
    places = np.maximum(places, np.argmax(known, axis=0))
    return np.take_along_axis(table, places, axis=0)


def _fitted(rows: Array, tags: tuple[str, ...], left_out: Mapping[str, str], false_alarm_rows: float) -> Model:
    count = len(rows)
    ridge = _ridge(rows)
    unseen = _features_unseen(rows, ridge)
    residual_spread = np.sqrt(np.mean(unseen[:, len(tags) :] ** 2, axis=0))
    mean, scale, weights = _fit(rows, ridge)
    follow = max(MEMORIES / count, 1 / LONGEST_MEMORY)
    gains = np.array([FAST, min(FAST, max(SLOWEST, SLOW_TO_REFERENCE * MEMORIES / count))])
    unseen = np.hstack([unseen[:, : len(tags)], unseen[:, len(tags) :] / residual_spread])
    averages, references = _followed(unseen, gains, follow)
    start = min(count // BLOCKS, int(1 / gains[1]))
    charts = np.array([*averages, averages[0] - averages[1]])[:, start:]
    tail = _tail(gains, (2 * unseen.shape[1] + len(tags)) * false_alarm_rows)
    quantiles = np.array([_quantile(chart, unseen, tail) for chart in charts])
    swing = np.abs(unseen - references - averages[0])[:, len(tags) :]
    swing_scale = np.maximum(np.sqrt(np.mean(swing**2, axis=0)), TINY)
    roots = np.sqrt(swing / swing_scale)
    swing_mean = roots.mean(axis=0)
    swings = _smoothed(np.zeros(len(tags)), roots - swing_mean)[start:]
    return Model(
        tags,
        dict(left_out),
        mean,
        scale,
        weights / residual_spread,
        gains,
        follow,
        references[-1] + follow * averages[0, -1],
        quantiles * _rms(charts),
        quantiles,
        swing_scale,
        swing_mean,
        _quantile(swings, unseen[:, len(tags) :], tail) * _rms(swings),
        decimals(rows).max(axis=0),
        count,
        float(false_alarm_rows),
    )


def _rms(charts: Array) -> Array:
    return np.maximum(np.sqrt(np.mean(charts**2, axis=-2)), TINY)


def _ridge(rows: Array) -> Array:
    """The share of the unit matrix in the correlations of each tag: as much as one of the rows it is worth, or RIDGE.

    A tag that wanders is worth few: it and another that wanders look related over any range that is short to both.
    """
    z = rows - rows.mean(axis=0)
    return np.clip(1 / _worth(z, power=1), RIDGE, MOST_RIDGE)


def _fit(rows: Array, ridge: Array) -> tuple[Array, Array, Array]:
    """Mean, spread, and the weights of the residuals: column j of P / P_jj, P the inverse of the ridged correlations.

    x_j minus its ridge regression on all the others is (P x)_j / P_jj.
    """
    mean, scale = rows.mean(axis=0), rows.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)  # a tag may be constant outside one block
    kept = np.sqrt(1 - ridge)
    z = (rows - mean) / scale * kept
    precision = np.linalg.inv(z.T @ z / len(z) + np.diag(ridge))
    return mean, scale, precision / np.diag(precision)


def _features_unseen(rows: Array, ridge: Array) -> Array:
    """The features, each block's residuals by a model of the other blocks: what they are on rows not learned from.

    The tags as they are need no such care, with two numbers learned from all rows; a mean of their own for each block
    would make them jump between blocks.
    """
    residuals = []
    for part in np.array_split(np.arange(len(rows)), BLOCKS):
        others, unit, weights = _fit(np.delete(rows, part, axis=0), ridge)
        residuals.append((rows[part] - others) / unit @ weights)
    mean, scale, _ = _fit(rows, ridge)
    return np.hstack([(rows - mean) / scale, np.vstack(residuals)])


def _quantile(chart: Array, feature: Array, tail: float) -> Array:
    """How many of its spreads the limit of each chart is away, shape (features,).

    The spread was learned from as many rows as the squares of the chart are worth independent ones, times the von
    Neumann ratio of its feature (1 for white noise, 0 for a random walk); Student's t says what that costs.
    """
    ratio = np.mean(np.diff(feature, axis=0) ** 2, axis=0) / (2 * np.maximum(feature.var(axis=0), TINY))
    return upper_quantile(np.maximum(_worth(chart, power=2) * np.minimum(ratio, 1.0), 1.0), tail=tail)


def _worth(columns: Array, *, power: int) -> Array:
    """How many independent rows they are worth, (columns,), 1 at least: rows / (1 + 2 sum of autocorrelation ^ power).

    power : 1 for means, 2 for mean squares of normal values (Bartlett 1946). The sum ends where the autocorrelation
    first falls to 0. Columns are taken as being around 0.
    """
    rows = len(columns)
    size = 1 << (2 * rows - 1).bit_length()
    worth = []
    for first in range(0, columns.shape[1], COLUMNS):
        spectrum = np.abs(np.fft.rfft(columns[:, first : first + COLUMNS], size, axis=0)) ** 2
        products = np.fft.irfft(spectrum, size, axis=0)[:rows]
        correlation = products / np.maximum(products[0], TINY)
        positive = np.minimum.accumulate(correlation > 0, axis=0)
        worth.append(rows / (1 + 2 * np.sum(np.where(positive, correlation, 0.0)[1:] ** power, axis=0)))
    return np.maximum(np.concatenate(worth), 1.0)


def _tail(gains: Array, chances: float) -> float:
    """The probability beyond a limit that averages of these gains exceed once in `chances` rows.

    An average is beyond it in clumps: k² b v(k sqrt(2 b)) of them for each row beyond k spreads, b = -ln(1 - gain)
    (Siegmund, Sequential Analysis, 1985, with the approximation of v of Siegmund and Yakir, 2007).
    """
    normal, rates = NormalDist(), -np.log(1 - gains)
    tail = min(1 / chances, 0.25)
    for _ in range(20):  # it contracts: the clumps hang on ln(tail) only
        k = -normal.inv_cdf(tail)
        half = k * np.sqrt(2 * rates) / 2
        below = np.array([normal.cdf(x) for x in half.tolist()])
        density = np.array([normal.pdf(x) for x in half.tolist()])
        clumps = k**2 * rates * ((below - 0.5) / half) / (half * below + density)
        tail = min(1 / (chances * float(clumps.sum())), 0.25)
    return tail


def _followed(features: Array, gains: Array, follow: float) -> tuple[Array, Array]:
    """The averages (2, rows, features) and the references before each row, of a run in which nothing alarms."""
    state = np.zeros((3, features.shape[1]))
    averages, references = [], []
    response = _response(gains, follow)
    for start in range(0, len(features), BLOCK_ROWS):
        run = _run(response, state, features[start : start + BLOCK_ROWS])
        averages.append(run[:2])
        references.append(np.vstack([state[2:], run[2, :-1]]))
        state = run[:, -1]
    return np.concatenate(averages, axis=1), np.concatenate(references)


# ---- the averages and the reference, several rows at once ------------------------------------------------------------


def _response(gains: Array, follow: float) -> tuple[Array, Array]:
    """What BLOCK_ROWS rows make of the state (two averages, reference) and of features: two linear maps.

    Returns (3, rows, 3) for the state before the first row, and (3, rows, rows) for the features.
    """
    fast, slow = gains
    step = np.array([[1 - fast, 0, -fast], [0, 1 - slow, -slow], [follow * (1 - fast), 0, 1 - follow * fast]])
    push = np.array([fast, slow, follow * fast])
    powers = [np.eye(3)]
    for _ in range(BLOCK_ROWS):
        powers.append(step @ powers[-1])
    impulse = np.array([power @ push for power in powers[:-1]])
    of_features = np.zeros((3, BLOCK_ROWS, BLOCK_ROWS))
    for lag in range(BLOCK_ROWS):
        rows = np.arange(lag, BLOCK_ROWS)
        of_features[:, rows, rows - lag] = impulse[lag][:, None]
    return np.moveaxis(np.array(powers[1:]), 1, 0).copy(), of_features


def _run(response: tuple[Array, Array], state: Array, features: Array) -> Array:
    """The state after each row, shape (3, rows, features), for at most BLOCK_ROWS rows."""
    of_state, of_features = response
    count = len(features)
    maps = np.concatenate([of_features[:, :count, :count], of_state[:, :count]], axis=2).reshape(3 * count, -1)
    return (maps @ np.vstack([features, state])).reshape(3, count, -1)


def _smoothed(before: Array, values: Array) -> Array:
    """Averages of gain FAST after each row, shape of `values`."""
    found = []
    for start in range(0, len(values), BLOCK_ROWS):
        part = values[start : start + BLOCK_ROWS]
        found.append(FADED[: len(part), None] * before + SMOOTHING[: len(part), : len(part)] @ part)
        before = found[-1][-1]
    return np.concatenate(found)


FADED = (1 - FAST) ** np.arange(1, BLOCK_ROWS + 1)
SMOOTHING = np.tril(FAST * (1 - FAST) ** np.maximum(np.subtract.outer(np.arange(BLOCK_ROWS), np.arange(BLOCK_ROWS)), 0))


# ---- scoring ---------------------------------------------------------------------------------------------------------


def start(model: Model, *, after_training: bool = False) -> State:
    """The state before the first row.

    after_training : the first row follows on the last training row, so the reference stands where it stood then.
    """
    tags = len(model.tags)
    reference = model.reference.copy() if after_training else np.zeros(2 * tags)
    return State(np.zeros((2, 2 * tags)), reference, np.zeros(tags), np.full(tags, np.nan), np.zeros(tags, np.int8))


def score(model: Model, state: State, rows: Array, *, off: Array | None = None) -> tuple[State, Scores]:
    """The state after the rows, and what is said of each. `rows` : (rows, tags) in the order of model.tags.

    off : (rows,) bool, the machine is off: nothing is judged or changed. A missing or infinite value is not judged
    itself; the others are judged as if it were the last known. Splitting the rows among several calls changes nothing.
    """
    table = np.asarray(rows, np.float64)
    stands = np.zeros(len(table), bool) if off is None else np.asarray(off, bool)
    if table.ndim != 2 or table.shape[1] != len(model.tags) or len(stands) != len(table):
        raise ValueError(f"found {table.shape} with {len(stands)} off marks, wanted (rows, {len(model.tags)} tags)")
    running = np.flatnonzero(~stands)
    scores, is_anomaly, is_change = np.full(len(table), np.nan), np.zeros(len(table), bool), np.zeros(len(table), bool)
    contributions = np.full(table.shape, np.nan)
    for first in range(0, len(running), SLAB_ROWS):
        at = running[first : first + SLAB_ROWS]
        state, ratios, shares, is_anomaly[at], is_change[at] = _scored(model, state, table[at])
        scores[at], contributions[at] = ratios / (1 + ratios), shares
    return state, Scores(scores, is_anomaly, stands, contributions, is_change)


def _scored(model: Model, state: State, table: Array) -> tuple[State, Array, Array, Array, Array]:
    count, tags = table.shape
    ratios, shares = np.zeros(count), np.zeros((count, tags))
    alarms, changes = np.zeros(count, bool), np.zeros(count, bool)
    values = filled(np.vstack([np.where(np.isfinite(state.values), state.values, model.mean), table]))[1:]
    missing = ~np.isfinite(table)
    z = (values - model.mean) / model.scale
    features = np.hstack([z, z @ model.weights])
    gaps: Array = np.any(missing, axis=1)
    response = _response(model.gains, model.follow)
    seen, ends = _resolution(model, state, table)
    place = 0
    for piece, until in enumerate(ends):
        limits = _limits(model, seen[piece])
        while place < until:
            end = min(place + BLOCK_ROWS, until)
            calm = state.peak == 0 and state.settle == 0 and not state.moving and not gaps[place:end].any()
            after = _quiet(model, response, state, features[place:end], limits) if calm else None
            if after is not None:
                state, deviations = after
                ratios[place:end], shares[place:end] = _explained(deviations, tags)
                place = end
                continue
            for row in range(place, end):
                before = state
                state, deviation, alarms[row] = _step(model, state, features[row], missing[row], limits)
                changes[row] = (before.peak == 0) != (state.peak == 0) or before.moving != state.moving
                [ratios[row]], [shares[row]] = _explained(deviation[None], tags)
            place = end
    last = np.where(np.isfinite(table), values, np.nan)
    known = (
        np.where(np.isfinite(state.values) | np.isfinite(last).any(axis=0), values[-1], np.nan)
        if count
        else state.values
    )
    return replace(state, values=known, decimals=seen[-1]), ratios, shares, alarms, changes


def _quiet(
    model: Model, response: tuple[Array, Array], state: State, features: Array, limits: Limits
) -> tuple[State, Array] | None:
    """The state after rows in which nothing alarms or moves, and their deviations (rows, charts); else None."""
    before = np.vstack([state.averages, state.reference])
    run = _run(response, before, features)
    references = np.vstack([before[2:], run[2, :-1]])
    off = features - references
    moves = np.abs(run[0] - run[1]) / limits.charts[2]
    if np.abs(off).max() > CLIP or moves.max() > 1:
        return None
    tags = len(model.tags)
    roots = np.sqrt(np.minimum(np.abs(off[:, tags:] - run[0, :, tags:]) / limits.swing_scale, CLIP))
    swings = _smoothed(state.swings, roots - model.swing_mean)
    levels = np.maximum(np.abs(run[0]) / limits.charts[0], np.abs(run[1]) / limits.charts[1])
    deviations = np.hstack([levels, np.maximum(swings / model.swing_limits, 0.0)])
    if deviations.max() > 1:
        return None
    return replace(state, averages=run[:2, -1], reference=run[2, -1], swings=swings[-1]), deviations


def _step(model: Model, state: State, features: Array, gone: Array, limits: Limits) -> tuple[State, Array, bool]:
    """The state after one row, its deviations by chart (1 is on the limit), and whether it is in alarm."""
    missing, tags = np.tile(gone, 2), len(model.tags)
    off = np.where(missing, 0.0, np.clip(features - state.reference, -CLIP, CLIP))
    averages = state.averages + model.gains[:, None] * (off - state.averages)
    levels = np.where(missing, 0.0, np.max(np.abs(averages) / limits.charts[:2], axis=0))
    moves = np.where(missing, 0.0, np.abs(averages[0] - averages[1]) / limits.charts[2])
    roots = np.sqrt(np.minimum(np.abs(off - averages[0])[tags:] / limits.swing_scale, CLIP))
    swings = np.where(gone, state.swings, state.swings + FAST * (roots - model.swing_mean - state.swings))
    livelier = np.where(gone, 0.0, np.maximum(swings / model.swing_limits, 0.0))
    deviations = np.concatenate([levels, livelier])
    after = replace(_moved(model, state, float(moves.max())), averages=averages, swings=swings)
    after, on = _judged(model, after, deviations, off)
    return after, deviations, on


def _moved(model: Model, state: State, most: float) -> State:
    """Whether a level moves: from where the averages part by more than noise, until they have met for good."""
    if not state.moving:
        return replace(state, moving=most > 1, steady=0)
    steady = state.steady + 1 if most < SETTLED else 0
    return replace(state, moving=steady < model.hold, steady=steady)


def _judged(model: Model, state: State, deviations: Array, off: Array) -> tuple[State, bool]:
    """The state after the alarm has begun, gone on or ended; `state` has the averages of this row."""
    top = float(deviations.max())
    levels, livelier = np.split(deviations, [len(state.reference)])
    followed = state.reference + model.follow * state.averages[0]
    if state.settle:
        return _settled(state, followed, off, levels > 1, livelier > CLEAR), False
    if state.peak == 0:
        if top > 1:
            return replace(state, peak=top, fallen=0), True
        return replace(state, reference=followed), False
    peak = max(state.peak, top)
    fallen = state.fallen + 1 if top < max(FALLEN * peak, CLEAR) else 0
    if fallen < model.hold:
        return replace(state, peak=peak, fallen=fallen), True
    left = levels > 1
    after = replace(
        state,
        averages=np.where(left, 0.0, state.averages),
        reference=np.where(left, state.reference + state.averages[0], state.reference),
        swings=np.where(livelier > 1, 0.0, state.swings),
        peak=0.0,
        fallen=0,
        settle=SETTLE * model.hold if top >= CLEAR else 0,
    )
    return after, False


def _settled(state: State, followed: Array, off: Array, left: Array, livelier: Array) -> State:
    """After an alarm: what still is over its limit is taken into the reference, at the pace of the faster average."""
    return replace(
        state,
        averages=np.where(left, (1 - FAST) * state.averages, state.averages),
        reference=np.where(left, state.reference + FAST * off, followed),
        swings=np.where(livelier, (1 - FAST) * state.swings, state.swings),
        settle=state.settle - 1,
    )


def _explained(deviations: Array, tags: int) -> tuple[Array, Array]:
    """The largest deviation of each row, and the share of each tag: the square of its largest one over all tags'."""
    by_tag = np.max(deviations.reshape(len(deviations), -1, tags), axis=1) ** 2
    total = by_tag.sum(axis=1, keepdims=True)
    even = np.full(by_tag.shape, 1 / tags)
    return deviations.max(axis=1), np.divide(by_tag, total, out=even, where=total > 0)


# ---- values that come with fewer decimals than those that were learned from ------------------------------------------


def decimals(table: Array) -> Array:
    """The decimals each value is written with, shape as given: 0 to MOST_DECIMALS; 0 for a missing value."""
    found = np.zeros(table.shape, np.int8)
    open_ = np.isfinite(table)
    for count in range(MOST_DECIMALS):
        scaled = np.where(open_, table, 0.0) * 10.0**count
        open_ = np.abs(scaled - np.rint(scaled)) > 1e-9 * np.maximum(np.abs(scaled), 1.0)
        if not open_.any():
            break
        found[open_] = count + 1
    return found


def _resolution(model: Model, state: State, table: Array) -> tuple[list[Array], list[int]]:
    """The decimals seen so far, piece by piece, and the row before which each piece ends; at least one piece."""
    seen = np.minimum(state.decimals, model.decimals)
    pieces, ends = [seen], [0]
    for first in range(0, len(table), BLOCK_ROWS):
        coarse = np.flatnonzero(pieces[-1] < model.decimals)
        if not coarse.size:
            break
        block = decimals(table[first : first + BLOCK_ROWS, coarse])
        so_far = np.maximum.accumulate(np.vstack([pieces[-1][coarse], block]), axis=0)
        so_far = np.minimum(so_far, model.decimals[coarse])
        for row in np.flatnonzero(np.diff(so_far, axis=0).any(axis=1)).tolist():
            ends[-1] = first + row
            piece = pieces[-1].copy()
            piece[coarse] = so_far[row + 1]
            pieces.append(piece)
            ends.append(0)
    ends[-1] = len(table)
    return pieces, ends


def _limits(model: Model, seen: Array) -> Limits:
    """The limits for values of so many decimals: what rounding adds to a feature widens its limit."""
    coarse = seen < model.decimals
    if not coarse.any():
        return Limits(model.limits, model.swing_scale)
    step = np.where(coarse, 10.0 ** -seen.astype(np.float64), 0.0) / model.scale
    variance = ROUNDING * step**2
    of_residuals = variance @ model.weights**2
    added = np.hstack([variance, of_residuals])
    charts = np.sqrt(model.limits**2 + model.quantiles**2 * added)
    return Limits(charts, np.sqrt(model.swing_scale**2 + of_residuals))


# ---- model quality without labels ------------------------------------------------------------------------------------


def smallest_steps(model: Model) -> Array:
    """The smallest lasting step of each tag alone that alarms within 100 rows, in the unit of the tag, shape (tags,).

    The averages are linear in a step, so one unit step says it all; limits are those of the training resolution.
    """
    response = _response(model.gains, model.follow)
    state, peaks = np.zeros((3, 1)), np.zeros(2)
    for _ in range(100 // BLOCK_ROWS + 1):
        run = _run(response, state, np.ones((BLOCK_ROWS, 1)))
        peaks, state = np.maximum(peaks, run[:2, :, 0].max(axis=1)), run[:, -1]
    moved = np.hstack([np.eye(len(model.tags)), model.weights])
    reach = np.abs(moved)[None] * peaks[:, None, None] / model.limits[:2, None, :]
    return model.scale / reach.max(axis=(0, 2))


@dataclass(frozen=True, eq=False)
class Held:
    """What models of the other blocks say of each block of the training rows."""

    alert_rate: tuple[float, ...]  # by block: share of its rows in alarm
    alarms: int  # in all blocks


def held_out(rows: Array, *, tags: Sequence[str], false_alarm_rows: float = FALSE_ALARM_ROWS) -> Held:
    """Trains without each of BLOCKS blocks and scores it: how often healthy rows that were not seen alarm.

    rows : (rows, tags), at least BLOCKS / (BLOCKS - 1) × FEWEST_ROWS of them; else ValueError.
    """
    table = np.asarray(rows, np.float64)
    rates, alarms = [], 0
    for part in np.array_split(np.arange(len(table)), BLOCKS):
        model = train(np.delete(table, part, axis=0), tags=tags, false_alarm_rows=false_alarm_rows)
        kept = [list(tags).index(name) for name in model.tags]
        on = score(model, start(model), table[part][:, kept])[1].is_anomaly
        rates.append(float(on.mean()))
        alarms += int(np.sum(np.diff(on.astype(np.int8), prepend=0) == 1))
    return Held(tuple(rates), alarms)


# ---- artefact and packed state ---------------------------------------------------------------------------------------

OF_LEVELS = ("mean", "scale", "weights", "gains", "reference", "limits", "quantiles", "decimals")
ARRAYS = (*OF_LEVELS, "swing_scale", "swing_mean", "swing_limits")


def as_json(model: Model) -> dict[str, Any]:
    """Plain values for a JSON file: arrays are base64 of little-endian float64, row by row, with their shape."""
    plain = {name: _encoded(getattr(model, name)) for name in ARRAYS}
    return {
        "version": VERSION,
        "tags": list(model.tags),
        "left_out": dict(model.left_out),
        "rows": model.rows,
        "false_alarm_rows": model.false_alarm_rows,
        "follow": model.follow,
        **plain,
    }


def from_json(found: Mapping[str, Any]) -> Model:
    """The model in what as_json gave; ValueError for anything else."""
    if found.get("version") != VERSION:
        raise ValueError(f"found version {found.get('version')}, wanted {VERSION}")
    try:
        arrays = {name: _decoded(found[name]) for name in ARRAYS}
        arrays["decimals"] = arrays["decimals"].astype(np.int8)
        return Model(
            tags=tuple(found["tags"]),
            left_out=dict(found["left_out"]),
            follow=float(found["follow"]),
            rows=int(found["rows"]),
            false_alarm_rows=float(found["false_alarm_rows"]),
            **arrays,
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"no model: {error!r}") from error


def _encoded(array: Array) -> dict[str, Any]:
    return {"shape": list(array.shape), "float64": b64encode(np.asarray(array, "<f8").tobytes()).decode()}


def _decoded(found: Mapping[str, Any]) -> Array:
    return np.frombuffer(b64decode(found["float64"]), "<f8").reshape(found["shape"]).astype(np.float64)


_HEADER = Struct("<BdHH?H")


def packed(state: State) -> bytes:
    """The state in bytes: 65 for each tag, and a header. Unpacked it is the same to the last bit."""
    parts = [state.averages.ravel(), state.reference, state.swings, state.values]
    header = _HEADER.pack(VERSION, state.peak, state.fallen, state.settle, state.moving, state.steady)
    return header + np.concatenate(parts).astype("<f8").tobytes() + state.decimals.astype(np.int8).tobytes()


def unpacked(raw: bytes) -> State:
    """The state that was packed; ValueError if these are not its bytes."""
    tags, left = divmod(len(raw) - _HEADER.size, 65)
    if left or tags < 1 or raw[0] != VERSION:
        raise ValueError(f"found {len(raw)} bytes, wanted a packed state of version {VERSION}")
    _, *counts = _HEADER.unpack_from(raw)
    numbers = np.frombuffer(raw, "<f8", 8 * tags, _HEADER.size).astype(np.float64)
    averages, reference, swings, values = np.split(numbers, [4 * tags, 6 * tags, 7 * tags])
    seen = np.frombuffer(raw, np.int8, tags, len(raw) - tags).copy()
    return State(averages.reshape(2, 2 * tags), reference, swings, values, seen, *counts)
