"""Any one tag, watched without knowing what it is: temperature, pressure, current, a count with many zeros, on/off.

Nine statistics of the stream are followed. Each is compared with nothing but its own record: the highest it ever was
since the first row. While rows are exchangeable, the row that sets a record is any of them with the same chance,
whatever their distribution. So after p rows of probation a statistic sets ln(n / p) new records in n rows on average
(Rényi 1962), and no limit has to be guessed. docs/streams.md has the rule, its false alarms and what was measured.

One function does it, `advance`: a state and the next rows in, a state and their verdicts out. Where the rows are cut
into batches changes no bit of either, so that row by row, in batches and over a whole history say the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from enum import IntEnum
from math import floor, inf, log2
from struct import Struct
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Ints = NDArray[np.int64]

PROBATION_SHARE = 0.15  # of the rows given, when nobody says how many to learn from (NAB 1.1)
MOST_PROBATION = 750  # rows, likewise
LEAST_PROBATION = 32  # rows; a guess: the shortest windows are then 2 and 8 rows
LONG_WINDOW_SHARE = 1 / 5  # of probation, to the nearest power of two. A guess: several fit into what is learned from
SHORT_WINDOWS = 4  # short windows in a long one. A guess: two powers of two apart, so that their rows differ mostly
MARGIN = 0.02  # of the record's height above the mean: the least by which it must be broken. A guess
REFRACTORY_SHARE = 0.2  # of probation: what happens within it is the same event. A guess: a long window
FAST_MEMORY = 1 / 3  # of a short window, rows: what DRIFT takes for now. A guess
SLOW_MEMORY = 2.0  # long windows, rows: what DRIFT takes for before. A guess
HOURS = 24
PROFILE_GAIN = 0.02  # of a new row in its hour's usual value: 50 rows of that hour. A guess
STUCK_TIMES = 2  # the longest run of one value so far
LASTING = 0.5  # share of a shift that every part of a window must show. A guess
PARTS = 4  # of a window that shows a shift. A spike of 2 or 3 rows shows in two of them at most
LARGEST = 1e100  # a value beyond is no measurement; its square still is a number

LAYOUT = 1
_HEAD = Struct("<BI6q4dI")
_COUNTS = Struct("<2I")


class Reason(IntEnum):
    """Why a row is what it is: not judged, or beyond the record of this statistic."""

    NONE = 0
    LEARNING = 1  # probation
    MISSING = 2  # no number
    LATE = 3  # not after the row before it: a duplicate, or out of order
    HIGH = 4  # the value
    LOW = 5  # minus the value
    DRIFT = 6  # distance of a fast and a slow exponential mean
    STEP = 7  # distance of the means of a short window and the one before
    LEVEL = 8  # likewise of long windows
    SPREAD = 9  # standard deviation in a short window
    HOUR = 10  # distance from what is usual at this hour of the day, mean of a short window
    DAY = 11  # likewise of a long window
    STUCK = 12  # rows with one and the same value


RECORDS = tuple(reason for reason in Reason if Reason.HIGH <= reason <= Reason.DAY)  # rows of the statistics


@dataclass(frozen=True)
class Verdicts:
    """One entry for each row that was given, in its order.

    score : 0 to 1, above 0.5 where a statistic is beyond its record by the margin; 0 where nothing was judged.
    is_anomaly : an alarm. One for an event: after it, none in the refractory period.
    is_changepoint : the level has moved and stayed there for a window; once for an event, after the alarm as a rule.
    reason : a `Reason`; where the score is above 0.5, the statistic that is furthest beyond its record.
    """

    score: Floats
    is_anomaly: Flags
    is_changepoint: Flags
    reason: NDArray[np.int8]


@dataclass(frozen=True)
class Stream:
    """All that is remembered of one stream: for 604 rows of probation 3.5 kB, in proportion for others.

    Frozen; `advance` gives the next one. Values are kept as differences from `origin`, the first.
    """

    probation: int
    rows: int = 0  # that were taken in: neither missing nor late
    last_alarm: int = -1  # its row; -1: never
    last_change: int = -1
    run: int = 0  # rows with the last value
    longest: int = 0  # run before this one
    told: int = 0  # run at the last alarm that told of one
    last_s: float = -inf
    origin: float = 0.0
    fast: float = 0.0
    slow: float = 0.0
    hours_known: int = 0  # as bits
    profile: tuple[float, ...] = (0.0,) * HOURS
    sums: tuple[float, ...] = (0.0,) * len(RECORDS)  # of the statistics, over probation
    records: tuple[float, ...] = (-inf,) * len(RECORDS)
    alarms: tuple[float, ...] = (0.0,) * len(RECORDS)  # that each statistic took part in
    recent: tuple[float, ...] = ()  # values, the newest last
    residuals: tuple[float, ...] = ()  # from the profile, the newest last

    @classmethod
    def new(cls, *, probation_rows: int) -> Self:
        """ValueError for fewer than 32 rows of probation."""
        if probation_rows < LEAST_PROBATION:
            raise ValueError(f"probation of {probation_rows} rows, wanted at least {LEAST_PROBATION}")
        return cls(probation_rows)

    @property
    def long(self) -> int:
        """Rows of a long window."""
        return 2 ** round(log2(self.probation * LONG_WINDOW_SHARE))

    @property
    def short(self) -> int:
        """Rows of a short window."""
        return self.long // SHORT_WINDOWS

    def pack(self) -> bytes:
        """Little endian; `unpack` gives an equal state."""
        numbers = [getattr(self, name) for name in _NUMBERS]
        head = _HEAD.pack(LAYOUT, *numbers)
        counts = _COUNTS.pack(len(self.recent), len(self.residuals))
        return head + counts + np.array([one for name in _TUPLES for one in getattr(self, name)], "<f8").tobytes()

    @classmethod
    def unpack(cls, packed: bytes) -> Self:
        """The state that was packed. ValueError if these are not the bytes of one."""
        if packed[:1] != bytes([LAYOUT]):
            raise ValueError(f"a stream's state that begins with {packed[:1]!r}, wanted layout {LAYOUT}")
        start = _HEAD.size + _COUNTS.size
        if len(packed) < start:
            raise ValueError(f"a stream's state of {len(packed)} bytes, wanted at least {start}")
        _, *numbers = _HEAD.unpack_from(packed)
        kept = _COUNTS.unpack_from(packed, _HEAD.size)
        sizes = (HOURS, *(len(RECORDS),) * 3, *kept)
        if len(packed) != start + 8 * sum(sizes):
            raise ValueError(f"a stream's state of {len(packed)} bytes, wanted {start + 8 * sum(sizes)}")
        floats = iter(np.frombuffer(packed, "<f8", offset=start).tolist())
        tuples = [tuple(next(floats) for _ in range(size)) for size in sizes]
        return cls(**dict(zip((*_NUMBERS, *_TUPLES), (*numbers, *tuples), strict=True)))


_TUPLES = ("profile", "sums", "records", "alarms", "recent", "residuals")
_NUMBERS = tuple(field.name for field in fields(Stream) if field.name not in _TUPLES)


def watch(
    values: Sequence[float] | Floats, times_s: Sequence[float] | Floats, *, probation_rows: int | None = None
) -> Verdicts:
    """A whole history of one tag. values : (rows,), any unit; times_s : (rows,), s since 1970, for the hour of the day.

    probation_rows : rows to learn from, which are not judged. None: 15 % of the rows, from 32 to 750. A live stream has
    no end that a share could be taken of: say how many.

    NaN, infinite and absurd values (beyond 1e100) are missing: not judged, and as if they had not come. So are rows
    that are not later than the last one. A gap in time is no event. Windows count rows, not seconds. A stream that is
    constant in probation alarms with its first other value. ValueError: shapes differ, or a time is not a number.
    """
    rows = len(values)
    if probation_rows is None:
        probation_rows = max(LEAST_PROBATION, min(floor(PROBATION_SHARE * rows), MOST_PROBATION))
    return advance(Stream.new(probation_rows=probation_rows), values, times_s)[1]


def step(stream: Stream, value: float, time_s: float) -> tuple[Stream, Verdicts]:
    """One row, as `advance` judges it."""
    return advance(stream, (value,), (time_s,))


def advance(
    stream: Stream, values: Sequence[float] | Floats, times_s: Sequence[float] | Floats
) -> tuple[Stream, Verdicts]:
    """The state after these rows, and their verdicts; see `watch`. Row i is judged by what came up to row i."""
    given, times = np.asarray(values, float), np.asarray(times_s, float)
    if given.ndim != 1 or given.shape != times.shape:
        raise ValueError(f"values of shape {given.shape} and times of {times.shape}, wanted one row each")
    if not np.isfinite(times).all():
        raise ValueError("a time that is not a number")
    verdicts = _unjudged(len(given))
    kept = np.flatnonzero(np.abs(given) <= LARGEST)
    before = np.maximum.accumulate(np.append(stream.last_s, times[kept]))
    late = times[kept] <= before[:-1]
    verdicts.reason[kept] = Reason.LATE
    kept = kept[~late]
    if not len(kept):
        return stream, verdicts
    after, judged = _taken_in(stream, given[kept], times[kept])
    for field in fields(Verdicts):
        getattr(verdicts, field.name)[kept] = getattr(judged, field.name)
    return after, verdicts


def _unjudged(rows: int) -> Verdicts:
    quiet = np.zeros(rows, bool)
    return Verdicts(np.zeros(rows), quiet, quiet.copy(), np.full(rows, Reason.MISSING, np.int8))


def _taken_in(stream: Stream, values: Floats, times: Floats) -> tuple[Stream, Verdicts]:
    """Rows that are neither missing nor late; at least one."""
    if not stream.rows:
        stream = replace(stream, origin=float(values[0]))
    x = values - stream.origin
    number = stream.rows + np.arange(len(x))
    stream, traced = _traced(stream, x, times)
    statistics, lasts = _statistics(stream, x, traced, number)
    records = np.maximum.accumulate(np.column_stack((stream.records, statistics)), axis=1)
    learned = statistics[:, number < stream.probation]
    sums = np.add.accumulate(np.column_stack((stream.sums, learned)), axis=1)[:, -1]
    heights = statistics - (sums / stream.probation)[:, None]
    record_heights = records[:, :-1] - (sums / stream.probation)[:, None]
    stream = replace(
        stream,
        sums=tuple(sums.tolist()),
        records=tuple(records[:, -1].tolist()),
        recent=_last(stream.recent, x, 2 * stream.long - 1),
        residuals=_last(stream.residuals, traced.residual, stream.long - 1),
    )
    stream, verdicts = _decided(stream, number, heights, record_heights, traced, lasts)
    return replace(stream, rows=int(number[-1]) + 1, last_s=float(times[-1])), verdicts


def _last(kept: tuple[float, ...], new: Floats, rows: int) -> tuple[float, ...]:
    return (*kept, *new[-rows:].tolist())[-rows:]


class _Traced(NamedTuple):
    """What needs one row after the other. gap : fast mean - slow mean; run and longest : rows; longest ends before."""

    gap: Floats
    residual: Floats
    run: Ints
    longest: Ints


def _traced(stream: Stream, x: Floats, times: Floats) -> tuple[Stream, _Traced]:
    gain_fast = min(1.0, 1 / (FAST_MEMORY * stream.short))
    gain_slow = 1 / (SLOW_MEMORY * stream.long)
    fast, slow, run, longest = stream.fast, stream.slow, stream.run, stream.longest
    profile, known = list(stream.profile), stream.hours_known
    last = stream.recent[-1] if stream.recent else None
    rows = []
    for value, hour in zip(x.tolist(), (times // 3600 % HOURS).astype(int).tolist(), strict=True):
        fast += gain_fast * (value - fast)
        slow += gain_slow * (value - slow)
        if not known >> hour & 1:
            known |= 1 << hour
            profile[hour] = value
        residual = value - profile[hour]
        profile[hour] += PROFILE_GAIN * residual
        if value != last:
            longest, run, last = max(longest, run), 0, value
        run += 1
        rows.append((fast - slow, residual, run, longest))
    gap, residuals, runs, longests = zip(*rows, strict=True)
    after = replace(stream, fast=fast, slow=slow, run=run, longest=longest, profile=tuple(profile), hours_known=known)
    return after, _Traced(np.array(gap), np.array(residuals), np.array(runs), np.array(longests))


class _Windows(NamedTuple):
    """Of every row, the window that ends there: its mean, and the sum of the squares of distances from it."""

    rows: Floats
    mean: Floats
    squares: Floats


def _windows(kept: tuple[float, ...], new: Floats, *, longest: int) -> dict[int, _Windows]:
    """Rows of a window → the windows that end at `kept` and `new`. A window that begins before the first has fewer.

    Windows of 2 w rows are two of w (Chan, Golub and LeVeque 1979), so that no result depends on where rows are cut.
    """
    whole = np.concatenate((np.zeros(2 * longest), kept, new))
    rows = np.where(np.arange(len(whole)) < 2 * longest, 0.0, 1.0)
    found = {1: _Windows(rows, whole, np.zeros(len(whole)))}
    width = 1
    while width < longest:
        (n1, mean1, squares1), (n2, mean2, squares2) = (
            _Windows(*(part[width:] for part in found[width])),
            _Windows(*(part[:-width] for part in found[width])),
        )
        n, apart = np.maximum(n1 + n2, 1.0), mean2 - mean1
        width *= 2
        found[width] = _Windows(n1 + n2, mean1 + apart * (n2 / n), squares1 + squares2 + apart * apart * (n1 * n2 / n))
    return found


def _statistics(stream: Stream, x: Floats, traced: _Traced, number: Ints) -> tuple[Floats, Flags]:
    """The statistics in the order of RECORDS, (8, rows); and whether the level has moved and stayed, by STEP, LEVEL."""
    short, long, rows = stream.short, stream.long, len(x)
    windows = _windows(stream.recent, x, longest=long)
    residuals = _windows(stream.residuals, traced.residual, longest=long)
    shifts = [_shift(windows, width, number) for width in (short, long)]
    spread = _Windows(*(part[-rows:] for part in windows[short]))
    statistics = np.array(
        [
            x,
            -x,
            np.abs(traced.gap),
            shifts[0][0],
            shifts[1][0],
            np.sqrt(spread.squares / spread.rows),
            np.abs(residuals[short].mean[-rows:]),
            np.abs(residuals[long].mean[-rows:]),
        ]
    )
    return statistics, np.array([lasts for _, lasts in shifts])


def _shift(windows: dict[int, _Windows], width: int, number: Ints) -> tuple[Floats, Flags]:
    """Distance of the means of a window and the one before; 0 until there are two. Whether every part shows it."""
    rows, part = len(number), max(1, width // PARTS)
    mean, of_part = windows[width].mean, windows[part].mean
    before = _ago(mean, width, rows)
    apart = np.where(number >= 2 * width, _ago(mean, 0, rows) - before, 0.0)
    side, least = np.sign(apart), LASTING * np.abs(apart)
    lasts = [side * (_ago(of_part, back, rows) - before) >= least for back in range(0, width, part)]
    return np.abs(apart), np.logical_and.reduce(lasts)


def _ago(series: Floats, back: int, rows: int) -> Floats:
    """The last rows as they were `back` rows before."""
    return series[len(series) - back - rows : len(series) - back]


def _decided(
    stream: Stream, number: Ints, heights: Floats, record_heights: Floats, traced: _Traced, lasts: Flags
) -> tuple[Stream, Verdicts]:
    """heights, record_heights : above the mean in probation, (8, rows); the record is that of the rows before."""
    rows, refractory = len(number), REFRACTORY_SHARE * stream.probation
    heights = np.maximum(heights, 0.0)
    record_heights = np.maximum(record_heights, 0.0)
    alarms, told = np.array(stream.alarms), stream.told
    alarms_before, told_before = np.tile(alarms[:, None], rows), np.full(rows, told)
    last, alarm = stream.last_alarm, np.zeros(rows, bool)
    maybe = (heights > record_heights).any(axis=0) | (traced.run > _stuck_from(stream, traced.longest, told))
    for row in np.flatnonzero(maybe & (number >= stream.probation)).tolist():
        if last >= 0 and number[row] - last < refractory:
            continue
        beyond = heights[:, row] > _bars(record_heights[:, row], alarms)
        stuck = bool(traced.run[row] > _stuck_from(stream, traced.longest[row : row + 1], told)[0])
        if beyond.any() or stuck:
            alarm[row], last = True, int(number[row])
            alarms = alarms + beyond
            told = max(told, int(traced.run[row])) if stuck else told
            alarms_before[:, row + 1 :], told_before[row + 1 :] = alarms[:, None], told
    bars = np.vstack((_bars(record_heights, alarms_before), _stuck_from(stream, traced.longest, told_before)))
    score, reason = _scores(np.vstack((heights, traced.run)), bars)
    judged = number >= stream.probation
    reason[~judged] = Reason.LEARNING
    moved = lasts & (heights > bars[:-1])[[RECORDS.index(Reason.STEP), RECORDS.index(Reason.LEVEL)]]
    change, last_change = _spaced(moved.any(axis=0) & judged, number, stream.last_change, refractory)
    after = replace(stream, alarms=tuple(alarms.tolist()), told=told, last_alarm=last, last_change=last_change)
    return after, Verdicts(np.where(judged, score, 0.0), alarm, change, reason)


def _bars(record_heights: Floats, alarms: Floats) -> Floats:
    """What a statistic must exceed. Each alarm of its own raises the margin: it has shown that it has no ceiling."""
    return record_heights * (1 + MARGIN * (1 + alarms))


def _stuck_from(stream: Stream, longest: Ints, told: int | Ints) -> Floats:
    """Rows with one value beyond which it is stuck. A tag that has never changed is not: some never do."""
    return np.where(longest > 0, np.maximum(STUCK_TIMES * np.maximum(longest, told), stream.long), inf)


def _scores(heights: Floats, bars: Floats) -> tuple[Floats, NDArray[np.int8]]:
    """height / (height + bar) of the statistic that is furthest, and which that is, where it is beyond."""
    total = heights + bars
    each = np.divide(heights, total, out=np.zeros_like(total), where=total > 0)
    which = each.argmax(axis=0)
    beyond = (heights > bars).any(axis=0)
    return each.max(axis=0), np.where(beyond, which + Reason.HIGH, Reason.NONE).astype(np.int8)


def _spaced(wanted: Flags, number: Ints, last: int, refractory: float) -> tuple[Flags, int]:
    """Those that come no sooner than the refractory period after the last that counted."""
    kept = np.zeros(len(wanted), bool)
    for row in np.flatnonzero(wanted).tolist():
        if last < 0 or number[row] - last >= refractory:
            kept[row], last = True, int(number[row])
    return kept, last
