"""A position's levels over time, few enough to lie beside its state: what a forecast in a case is made from.

One row every SLOT_MS is kept, MOST of them in all. When it is full, the row that is missed least is dropped: dense
where it is young, ever sparser with age, so that 128 rows reach from the last hours to the first year, as a forecast
looks at them (core.prognosis takes older rows in longer groups). Each value has float16's three digits.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from telltale.core import limits, prognosis
from telltale.core.baseline import INDICATORS
from telltale.core.judgement import AXES, Row
from telltale.core.plant import Position
from telltale.core.prognosis import Forecast
from telltale.core.settings import settings_of

SLOT_MS = 2 * 3_600_000  # a day's rows are enough for a forecast (its fewest groups are 12)
MOST = 128  # rows: 7.5 kB
TRACKED = tuple((axis, name) for axis in AXES for name in INDICATORS)
SLOT_S = SLOT_MS // 1000

_ROW = np.dtype([("t_s", "<u4"), ("levels", "<f2", (len(TRACKED),))])
_PLACES = {which: place for place, which in enumerate(TRACKED)}

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Trend:
    """The rows that were kept, the oldest first: structured array of seconds since 1970 and levels, NaN for unknown."""

    rows: Array

    @classmethod
    def new(cls) -> Self:
        return cls(np.empty(0, _ROW))

    @classmethod
    def unpack(cls, packed: bytes) -> Self:
        """What `pack` gave. ValueError if the bytes are no whole number of rows."""
        if len(packed) % _ROW.itemsize:
            raise ValueError(f"a trend of {len(packed)} bytes, wanted a multiple of {_ROW.itemsize}")
        return cls(np.frombuffer(packed, _ROW))

    def pack(self) -> bytes:
        """At most MOST rows of 52 bytes, little endian."""
        return self.rows.tobytes()

    def with_row(self, row: Row) -> Self:
        """With one more row; what a sibling axis of the last one adds; as it was, if the row is of no later slot."""
        t_s = row.t_ms // 1000
        last = int(self.rows["t_s"][-1]) if len(self.rows) else None
        if last is not None and t_s // SLOT_S <= last // SLOT_S and t_s != last:
            return self
        new = np.empty(1, _ROW)
        new["t_s"] = t_s
        with np.errstate(over="ignore"):  # beyond 65,504 in its unit nothing can be forecast: infinite, and left out
            new["levels"] = [[_level(row, axis, name) for axis, name in TRACKED]]
        if t_s == last:
            before = self.rows["levels"][-1:]
            new["levels"] = np.where(np.isnan(before), new["levels"], before)
            return type(self)(np.concatenate([self.rows[:-1], new]))
        rows = np.concatenate([self.rows, new])
        return type(self)(rows if len(rows) <= MOST else np.delete(rows, _least_missed(rows["t_s"])))

    def series(self, axis: str, indicator: str) -> tuple[Array, Array]:
        """Times in seconds since 1970, levels in the indicator's unit (NaN: unknown); KeyError if not tracked."""
        return self.rows["t_s"].astype(np.float64), self.rows["levels"][:, _PLACES[axis, indicator]].astype(np.float64)


def is_due(t_ms: int, last_ms: int | None, *, interval_s: float) -> bool:
    """Whether a row of this time is the first of its slot after one heard at `last_ms`, or a sibling axis of that."""
    if last_ms is None or t_ms // SLOT_MS > last_ms // SLOT_MS:
        return True
    return t_ms == last_ms and t_ms % SLOT_MS < 1000 * interval_s


def outlook(trend: Trend, row: Row, verdict: Mapping[str, Any], *, position: Position) -> dict[str, Any] | None:
    """When what this verdict warns of reaches the next limit, as plain values for the case; None where none is ahead.

    verdict : of a case's evidence, with its detail.   row : that it was made of, the last one of the series.
    """
    axis, indicator = verdict["channel"], verdict["feature"]
    ahead = _ahead(verdict, position)
    if ahead is None or (axis, indicator) not in _PLACES:
        return None
    name, limit = ahead
    t_s, levels = trend.series(axis, indicator)
    earlier = t_s < row.t_ms // 1000
    t_s = np.append(t_s[earlier], row.t_ms / 1000)
    levels = np.append(levels[earlier], _level(row, axis, indicator))
    found = prognosis.forecast(t_s, levels, limit=limit)
    unit = INDICATORS[indicator]
    return {
        "says": prognosis.sentence(found, name=f"{axis} {indicator}", unit=unit, limit_name=name),
        "verdict": found.verdict,
        "axis": axis,
        "indicator": indicator,
        "unit": unit,
        "limit": limit,
        "limit_name": name,
        "rows": found.rows,
        **_times(found),
    }


def _times(found: Forecast) -> dict[str, float | None]:
    low, high = found.interval_s or (None, None)
    shown = {"low_s": low, "median_s": found.quantile(0.5), "high_s": high, "horizon_s": found.horizon_s}
    return {name: value if value is not None and np.isfinite(value) else None for name, value in shown.items()}


def _ahead(verdict: Mapping[str, Any], position: Position) -> tuple[str, float] | None:
    """The next limit: the alarm limit that a person set, the next boundary of the ISO profile, or where the baseline
    alarms; None beyond the last.
    """
    own = position.limits.velocity_alarm_mm_s
    if verdict["rule"] == "zone" and own is not None:
        return ("its alarm limit", own) if verdict["value"] < own else None
    if verdict["rule"] == "zone":
        name, margin = verdict.get("next_boundary"), verdict.get("margin_to_next_boundary")
        if name is None or margin is None:
            return None
        return f"zone {name[-1]}" if name in limits.BOUNDARIES else name, verdict["value"] + margin
    settings = settings_of(position.settings)
    normal, score = verdict.get("normal"), verdict.get("score")
    if verdict["rule"] != "baseline" or not normal or score is None or score >= settings.alarm_score:
        return None
    warning = verdict["limit"]
    return "its alarm limit", normal * (warning / normal) ** settings.alarm_score


def _least_missed(t_s: Array) -> int:
    """The row, neither the first nor the last, whose gap would be smallest beside its age."""
    t = t_s.astype(np.float64)
    age = t[-1] - t[1:-1] + SLOT_S
    return 1 + int(np.argmin((t[2:] - t[:-2]) / age))


def _level(row: Row, axis: str, name: str) -> float:
    value = row.axes.get(axis, {}).get(name)
    return float("nan") if value is None else value
