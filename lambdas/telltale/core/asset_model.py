"""The model of an asset with many tags: what is normal is learned from healthy rows, and every row is judged at once.

Each tag is looked at twice: as it is, and as it is given all the others (the residual of a ridge regression on them).
Both are smoothed over a few rows, and compared with a limit that noise reaches once in `false_alarm_rows` rows. A
reference follows slowly what the training range was too short to tell from normal. An alarm lasts until the deviation
has fallen for good.
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

VERSION = 1  # of the artefact and of the packed state

FALSE_ALARM_ROWS = 3_000  # rows between false alarms of noise, at least: two days of one row a minute. A choice
BLOCKS = 5  # of the cross-validation: the usual number
FEWEST_ROWS = 20 * BLOCKS  # with fewer a block holds no more than one memory of the slower average
RIDGE = 0.03  # share of the unit matrix in the correlations: 3 % of a tag's variance cannot be foretold. A guess
FAST = 0.2  # gain of the faster average: upper end of what MEWMA practice uses (Montgomery, 0.05 to 0.25)
SLOWEST = 0.05  # gain of the slower average: lower end of the same
MEMORIES = 10  # memories of the reference that the training range must hold. A guess
SLOW_TO_REFERENCE = 4  # the slower average is so many times faster than the reference. A guess
LONGEST_MEMORY = 200  # rows that the reference remembers at most. A guess
CLIP = 20.0  # spreads: what one value can do at most; with FAST it exceeds any limit within a few rows. A guess
FALLEN = 0.4  # share of its peak below which a deviation has gone. A guess
CLEAR = 0.9  # share of the limit below which it has gone: the hysteresis of the other rules
SETTLE = 4  # memories of the slower average for which what is left is then taken into the reference. A guess
MOST_DECIMALS = 6  # decimals that are told apart; beyond them a value counts as continuous
ROUNDING = 1 / 12  # variance of an even rounding error, in squared steps
BLOCK_ROWS = 32  # rows that are computed together where nothing happens
SLAB_ROWS = 1024  # rows whose features are held at once

ANOMALY, NO_ANOMALY, OFF = "ANOMALY_DETECTED", "NO_ANOMALY_DETECTED", "MACHINE_OFF"


@dataclass(frozen=True, eq=False)
class Model:
    """What is normal. Features are the tags as they are, then the tags given the others: 2 × tags.

    mean, scale : (tags,), in the unit of the tag.   weights : (tags, tags): standardised row @ weights = residuals.
    gains : (2,) of the averages.   follow : gain of the reference.   reference : (features,) at the end of training.
    limits, quantiles : (2, features): the limit of each average, and the multiple of its spread that it is.
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

    averages : (2, features).   reference : (features,).   values : (tags,) last known, NaN before.
    decimals : (tags,) seen so far.   peak : of the alarm that lasts, 0 where none does.   fallen : rows since it has
    gone.   settle : rows for which what an alarm left behind is still taken into the reference.
    """

    averages: Array
    reference: Array
    values: Array
    decimals: Array
    peak: float = 0.0
    fallen: int = 0
    settle: int = 0


@dataclass(frozen=True, eq=False)
class Scores:
    """What was said of each row. `score` : (rows,), in [0, 1], 0.5 on the limit, NaN where the machine was off.

    is_anomaly : (rows,) bool.   off : (rows,) bool.   contributions : (rows, tags), each row sums to 1, NaN where off.
    """

    score: Array
    is_anomaly: Array
    off: Array
    contributions: Array

    @property
    def is_changepoint(self) -> Array:
        """(rows,) bool: an alarm begins or ends here."""
        return np.diff(self.is_anomaly.astype(np.int8), prepend=0) != 0

    @property
    def reasons(self) -> list[str]:
        """Prediction reasons, with Lookout for Equipment's names."""
        return [
            OFF if off else ANOMALY if on else NO_ANOMALY for off, on in zip(self.off, self.is_anomaly, strict=True)
        ]


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
    unseen = _features_unseen(rows)
    spread = np.sqrt(np.mean(unseen**2, axis=0))
    residual_spread = spread[len(tags) :]
    mean, scale, weights = _fit(rows)
    follow = max(MEMORIES / count, 1 / LONGEST_MEMORY)
    gains = np.array([FAST, min(FAST, max(SLOWEST, SLOW_TO_REFERENCE * MEMORIES / count))])
    unseen = np.hstack([unseen[:, : len(tags)], unseen[:, len(tags) :] / residual_spread])
    averages, reference = _followed(unseen, gains, follow)
    settled = averages[:, min(count // BLOCKS, int(1 / gains[1])) :]
    rms = np.sqrt(np.mean(settled**2, axis=1))
    quantiles = _quantiles(unseen, gains, false_alarm_rows)
    return Model(
        tags,
        dict(left_out),
        mean,
        scale,
        weights / residual_spread,
        gains,
        follow,
        reference,
        quantiles * np.maximum(rms, 1e-12),
        quantiles,
        decimals(rows).max(axis=0),
        count,
        float(false_alarm_rows),
    )


def _fit(rows: Array) -> tuple[Array, Array, Array]:
    """Mean, spread, and the weights of the residuals: column j of P / P_jj, P the inverse of the ridged correlations.

    x_j minus its ridge regression on all the others is (P x)_j / P_jj.
    """
    mean, scale = rows.mean(axis=0), rows.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)  # a tag may be constant outside one block
    z = (rows - mean) / scale
    correlations = (1 - RIDGE) * (z.T @ z) / len(z) + RIDGE * np.eye(z.shape[1])
    precision = np.linalg.inv(correlations)
    return mean, scale, precision / np.diag(precision)


def _features_unseen(rows: Array) -> Array:
    """The features, each block's residuals by a model of the other blocks: what they are on rows not learned from.

    The tags as they are need no such care, with two numbers learned from all rows; a mean of their own for each block
    would make them jump between blocks.
    """
    mean, scale, _ = _fit(rows)
    residuals = []
    for part in np.array_split(np.arange(len(rows)), BLOCKS):
        others, unit, weights = _fit(np.delete(rows, part, axis=0))
        residuals.append((rows[part] - others) / unit @ weights)
    return np.hstack([(rows - mean) / scale, np.vstack(residuals)])


def _quantiles(features: Array, gains: Array, false_alarm_rows: float) -> Array:
    """How many spreads the limits are away, shape (2, features).

    Noise may reach the limits of all features and averages together once in `false_alarm_rows` rows at most. The spread
    was learned from as many rows as are worth an independent one: rows × gain / 2 × the von Neumann ratio of the
    feature (1 for white noise, 0 for a random walk); Student's t says what that costs.
    """
    variance = features.var(axis=0)
    ratio = np.mean(np.diff(features, axis=0) ** 2, axis=0) / (2 * np.maximum(variance, 1e-300))
    dof = np.maximum(len(features) * gains[:, None] / 2 * np.minimum(ratio, 1.0), 1.0)
    return upper_quantile(dof, tail=_tail(gains, 2 * features.shape[1] * false_alarm_rows))


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
    """The averages (2, rows, features) and the last reference, of a run in which nothing alarms."""
    state = np.zeros((3, features.shape[1]))
    found = []
    response = _response(gains, follow)
    for start in range(0, len(features), BLOCK_ROWS):
        run = _run(response, state, features[start : start + BLOCK_ROWS])
        found.append(run[:2])
        state = run[:, -1]
    return np.concatenate(found, axis=1), state[2]


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


# ---- scoring ---------------------------------------------------------------------------------------------------------


def start(model: Model, *, after_training: bool = False) -> State:
    """The state before the first row.

    after_training : the first row follows on the last training row, so the reference stands where it stood then.
    """
    tags = len(model.tags)
    reference = model.reference.copy() if after_training else np.zeros(2 * tags)
    return State(np.zeros((2, 2 * tags)), reference, np.full(tags, np.nan), np.zeros(tags, np.int8))


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
    scores, is_anomaly = np.full(len(table), np.nan), np.zeros(len(table), bool)
    contributions = np.full(table.shape, np.nan)
    for first in range(0, len(running), SLAB_ROWS):
        at = running[first : first + SLAB_ROWS]
        state, ratios, shares, is_anomaly[at] = _scored(model, state, table[at])
        scores[at], contributions[at] = ratios / (1 + ratios), shares
    return state, Scores(scores, is_anomaly, stands, contributions)


def _scored(model: Model, state: State, table: Array) -> tuple[State, Array, Array, Array]:
    count, tags = table.shape
    ratios, alarms, shares = np.zeros(count), np.zeros(count, bool), np.zeros((count, tags))
    values = filled(np.vstack([np.where(np.isfinite(state.values), state.values, model.mean), table]))[1:]
    missing = ~np.isfinite(table)
    z = (values - model.mean) / model.scale
    features = np.hstack([z, z @ model.weights])
    gaps: Array = np.any(missing, axis=1)
    response = _response(model.gains, model.follow)
    seen, changes = _resolution(model, state, table)
    place = 0
    for piece, until in enumerate(changes):
        limits = _limits(model, seen[piece])
        while place < until:
            end = min(place + BLOCK_ROWS, until)
            quiet = state.peak == 0 and state.settle == 0 and not gaps[place:end].any()
            after = _quiet(response, state, features[place:end], limits) if quiet else None
            if after is not None:
                state, deviations = after
                ratios[place:end], shares[place:end] = _explained(deviations)
                place = end
                continue
            for row in range(place, end):
                state, deviation, alarms[row] = _step(model, state, features[row], np.tile(missing[row], 2), limits)
                [ratios[row]], [shares[row]] = _explained(deviation[None])
            place = end
    last = np.where(np.isfinite(table), values, np.nan)
    known = (
        np.where(np.isfinite(state.values) | np.isfinite(last).any(axis=0), values[-1], np.nan)
        if count
        else state.values
    )
    return replace(state, values=known, decimals=seen[-1]), ratios, shares, alarms


def _quiet(response: tuple[Array, Array], state: State, features: Array, limits: Array) -> tuple[State, Array] | None:
    """The state after rows in which nothing alarms, and the deviations (rows, features); None if something does."""
    before = np.vstack([state.averages, state.reference])
    run = _run(response, before, features)
    references = np.vstack([before[2:], run[2, :-1]])
    deviations = np.maximum(np.abs(run[0]) / limits[0], np.abs(run[1]) / limits[1])
    if deviations.max() > 1 or np.abs(features - references).max() > CLIP:
        return None
    return replace(state, averages=run[:2, -1], reference=run[2, -1]), deviations


def _step(model: Model, state: State, features: Array, missing: Array, limits: Array) -> tuple[State, Array, bool]:
    """The state after one row, its deviations by feature (1 is on the limit), and whether it is in alarm."""
    off = np.where(missing, 0.0, np.clip(features - state.reference, -CLIP, CLIP))
    averages = state.averages + model.gains[:, None] * (off - state.averages)
    deviations = np.where(missing, 0.0, np.max(np.abs(averages) / limits, axis=0))
    top = float(deviations.max())
    followed = state.reference + model.follow * averages[0]
    if state.settle:
        return _settled(state, averages, followed, off, deviations > 1), deviations, False
    if state.peak == 0:
        if top > 1:
            return replace(state, averages=averages, peak=top, fallen=0), deviations, True
        return replace(state, averages=averages, reference=followed), deviations, False
    peak = max(state.peak, top)
    fallen = state.fallen + 1 if top < max(FALLEN * peak, CLEAR) else 0
    if fallen < model.hold:
        return replace(state, averages=averages, peak=peak, fallen=fallen), deviations, True
    left = deviations > 1
    reference = np.where(left, state.reference + averages[0], state.reference)
    settle = SETTLE * model.hold if top >= CLEAR else 0
    averages = np.where(left, 0.0, averages)
    return replace(state, averages=averages, reference=reference, peak=0.0, fallen=0, settle=settle), deviations, False


def _settled(state: State, averages: Array, followed: Array, off: Array, left: Array) -> State:
    """After an alarm: what still is over its limit is taken into the reference, at the pace of the faster average."""
    reference = np.where(left, state.reference + FAST * off, followed)
    averages = np.where(left, (1 - FAST) * averages, averages)
    return replace(state, averages=averages, reference=reference, settle=state.settle - 1)


def _explained(deviations: Array) -> tuple[Array, Array]:
    """The largest deviation of each row, and the share of each tag: the square of its larger one over all tags'."""
    rows, features = deviations.shape
    by_tag = np.max(deviations.reshape(rows, 2, features // 2), axis=1) ** 2
    total = by_tag.sum(axis=1, keepdims=True)
    even = np.full(by_tag.shape, 2 / features)
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


def _limits(model: Model, seen: Array) -> Array:
    """The limits for values of so many decimals: what rounding adds to a feature widens its limit."""
    coarse = seen < model.decimals
    if not coarse.any():
        return model.limits
    step = np.where(coarse, 10.0 ** -seen.astype(np.float64), 0.0) / model.scale
    variance = ROUNDING * step**2
    added = np.hstack([variance, variance @ model.weights**2])
    return np.sqrt(model.limits**2 + model.quantiles**2 * added)


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
    reach = np.abs(moved)[None] * peaks[:, None, None] / model.limits[:, None, :]
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

ARRAYS = ("mean", "scale", "weights", "gains", "reference", "limits", "quantiles", "decimals")


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


_HEADER = Struct("<BdHH")


def packed(state: State) -> bytes:
    """The state in bytes: 57 for each tag, and a header. Unpacked it is the same to the last bit."""
    numbers = np.concatenate([state.averages.ravel(), state.reference, state.values]).astype("<f8").tobytes()
    header = _HEADER.pack(VERSION, state.peak, state.fallen, state.settle)
    return header + numbers + state.decimals.astype(np.int8).tobytes()


def unpacked(raw: bytes) -> State:
    """The state that was packed; ValueError if these are not its bytes."""
    tags, left = divmod(len(raw) - _HEADER.size, 57)
    if left or tags < 1 or raw[0] != VERSION:
        raise ValueError(f"found {len(raw)} bytes, wanted a packed state of version {VERSION}")
    _, peak, fallen, settle = _HEADER.unpack_from(raw)
    numbers = np.frombuffer(raw, "<f8", 7 * tags, _HEADER.size).astype(np.float64)
    averages, reference, values = np.split(numbers, [4 * tags, 6 * tags])
    seen = np.frombuffer(raw, np.int8, tags, len(raw) - tags).copy()
    return State(averages.reshape(2, 2 * tags), reference, values, seen, peak, fallen, settle)
