"""Measure forecasts: how often the interval that is said to hold the truth with 80 % does, and how wide it is.

Simulated trends with noise, of which the truth is known; then, from --data DIR, what is there of recordings of lives:
ims_features, femto, cmapss and azure_pdm. Nothing is fitted to any of them. A forecast is made from the rows up to a
moment; the truth is when the median of the next rows is first beyond the limit for good, or that it never is.
"""

import argparse
import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from math import inf
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from telltale.core import lives, prognosis
from telltale.core.lives import Life

from cli.problem import Problem
from cli.progress import shown

Array = NDArray[np.float64]

ROWS = (60, 300, 2000)
CORRELATIONS = (0.0, 0.6, 0.9)  # of the noise of one row with that of the next
RISES = (3.0, 8.0, 20.0)  # of the level while it is looked at, in standard deviations of the noise
AHEAD = (0.1, 0.9)  # of the time looked at, between which the truth lies
FAR = 5.0  # standard deviations above the level, where a limit lies that is never reached


@dataclass(frozen=True)
class Outcome:
    """A forecast and the truth, in rows or seconds after it; infinite: never, or not seen."""

    found: prognosis.Forecast
    truth: float

    @property
    def interval(self) -> tuple[float, float] | None:
        return self.found.interval_s

    @property
    def right(self) -> bool:
        """Whether the interval holds the truth. An end beyond the horizon holds all that is beyond it."""
        low, high = self.interval or (inf, 0.0)
        return low <= self.truth <= high

    @property
    def width(self) -> float:
        """Of the interval, as a share of the truth; an open one ends with the horizon."""
        low, high = self.interval or (0.0, 0.0)
        return (min(high, self.found.horizon_s) - low) / self.truth if 0 < self.truth < inf else inf


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, metavar="DIR", help="a folder of recordings; without it only simulations")
    parser.add_argument("--runs", type=int, default=100, metavar="N", help="of each simulated scenario (default 100)")
    parser.add_argument("--seed", type=int, default=0, help="of the simulations (default 0)")


def figures(arguments: argparse.Namespace) -> dict[str, Any]:
    """What was measured, by name; the tables are printed. Sets that are absent are left out."""
    if arguments.data is not None and not arguments.data.is_dir():
        raise Problem(f"--data {arguments.data}: there is no such folder")
    found = _simulated(arguments.runs, arguments.seed)
    for name, outcomes in RECORDINGS.items():
        if arguments.data is not None and (arguments.data / FOLDERS[name]).is_dir():
            found |= _recorded(name, list(outcomes(arguments.data / FOLDERS[name])))
    for name, probabilities in LIVES.items():
        if arguments.data is not None and (arguments.data / FOLDERS[name]).is_dir():
            found |= _lives(name, list(probabilities(arguments.data / FOLDERS[name])))
    return found


def failed(found: Mapping[str, Any]) -> bool:
    """The figures are figures; none is a failure."""
    return False


# Simulations


def correlated(rows: int, correlation: float, rng: np.random.Generator) -> Array:
    """Noise of variance 1 whose neighbours correlate so: a first-order autoregressive process."""
    drawn = rng.standard_normal(rows)
    noise = np.empty(rows)
    noise[0] = drawn[0]
    for row in range(1, rows):
        noise[row] = correlation * noise[row - 1] + (1 - correlation**2) ** 0.5 * drawn[row]
    return noise


def _linear(x: Array, rise: float, rng: np.random.Generator) -> Array:
    return rise * x


def _exponential(x: Array, rise: float, rng: np.random.Generator) -> Array:
    rate = rng.uniform(1, 6)
    return np.asarray(rise * np.exp(rate * (x - 1)), np.float64)


def _onset(x: Array, rise: float, rng: np.random.Generator) -> Array:
    """Nothing, then a straight line from somewhere in the second half on."""
    begin = rng.uniform(0.5, 0.8)
    return np.asarray(rise * np.maximum(0, x - begin) / (1 - begin))


def _square(x: Array, rise: float, rng: np.random.Generator) -> Array:
    return np.asarray(rise * x**2, np.float64)


def _flat(x: Array, rise: float, rng: np.random.Generator) -> Array:
    return np.zeros(len(x))


def _step(x: Array, rise: float, rng: np.random.Generator) -> Array:
    return np.asarray(rise * (x > rng.uniform(0.3, 0.9)), np.float64)


def _stalling(x: Array, rise: float, rng: np.random.Generator) -> Array:
    """A rise that has ended before the forecast is made."""
    return rise * np.minimum(x / rng.uniform(0.5, 0.9), 1)


def _stops_later(x: Array, rise: float, rng: np.random.Generator) -> Array:
    """A rise that ends only after the forecast, halfway to the limit: nothing in the rows can tell."""
    return rise * np.minimum(x, 1.0)


def _drifting(x: Array, rise: float, rng: np.random.Generator) -> Array:
    """A random walk without direction, as wide as the rise by now."""
    steps = rng.standard_normal(len(x)) * np.sqrt(np.diff(x, prepend=0.0).clip(0))
    return np.asarray(rise * np.cumsum(steps), np.float64)


Shape = Callable[[Array, float, np.random.Generator], Array]
GROWING: Mapping[str, Shape] = {"linear": _linear, "exponential": _exponential, "square": _square, "onset": _onset}
NOT_GROWING: Mapping[str, Shape] = {"flat": _flat, "step": _step, "stalled": _stalling, "stops_later": _stops_later}
WANDERING: Mapping[str, Shape] = {"random_walk": _drifting}


def simulated(name: str, rows: int, correlation: float, rng: np.random.Generator) -> Outcome:
    """One history, the limit, and the truth in rows. Times are rows."""
    rise = float(rng.choice(RISES))
    x = np.arange(2 * rows) / rows
    level = 10 + ({**GROWING, **NOT_GROWING, **WANDERING}[name])(x, rise, rng)
    values = level[:rows] + correlated(rows, correlation, rng)
    ahead = float(np.interp(1 + rng.uniform(*AHEAD), x, level))
    limit = ahead if name in GROWING else float(level[rows - 1]) + FAR
    later = level[rows:] >= limit
    truth = float(np.argmax(later)) + 1 if later.any() else inf
    return Outcome(prognosis.forecast(np.arange(rows, dtype=float), values, limit=limit), truth)


def _simulated(runs: int, seed: int) -> dict[str, Any]:
    names = (*GROWING, *NOT_GROWING, *WANDERING)
    found: dict[str, Any] = {}
    lines = ["| trend | forecasts | said | right | low | high | width |", "|---" * 7 + "|"]
    with shown("forecasts", total=len(names) * len(ROWS) * len(CORRELATIONS) * runs) as advance:
        for name in names:
            outcomes = []
            for cell, (rows, correlation) in enumerate((r, c) for r in ROWS for c in CORRELATIONS):
                rng = np.random.default_rng([seed, cell, *map(ord, name)])
                for _ in range(runs):
                    outcomes.append(simulated(name, rows, correlation, rng))
                    advance(1)
            lines.append(_line(name, outcomes))
            found |= _figures(f"simulated_{name}", outcomes)
            if name in GROWING:
                found |= _by_correlation(name, outcomes, runs)
    print("\n".join(lines), end="\n\n")
    return found


def _by_correlation(name: str, outcomes: Sequence[Outcome], runs: int) -> dict[str, Any]:
    found = {}
    for place, correlation in enumerate(CORRELATIONS):
        own = [o for at, o in enumerate(outcomes) if at // runs % len(CORRELATIONS) == place]
        said = [o for o in own if o.interval]
        found[f"simulated_{name}_coverage_at_{correlation}"] = round(sum(o.right for o in said) / max(1, len(said)), 3)
    return found


def _line(name: str, outcomes: Sequence[Outcome]) -> str:
    """How many forecasts, how many say an interval, how many of these hold the truth or miss it, and how wide."""
    said = [o for o in outcomes if o.interval]
    if not said:
        return f"| {name} | {len(outcomes)} | 0 | | | | |"
    early = sum(o.truth < o.interval[0] for o in said if o.interval)
    right = sum(o.right for o in said)
    parts = [f"{count / len(said):.0%}" for count in (right, early, len(said) - right - early)]
    wide = [o.width for o in said if o.truth < inf]
    return (
        f"| {name} | {len(outcomes)} | {len(said)} | {' | '.join(parts)} | {median(wide):.2f} |"
        if wide
        else (f"| {name} | {len(outcomes)} | {len(said)} | {' | '.join(parts)} | |")
    )


def _figures(name: str, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    said = [o for o in outcomes if o.interval]
    wide = [o.width for o in said if o.truth < inf]
    return {
        f"{name}_forecasts": len(outcomes),
        f"{name}_said": len(said),
        f"{name}_coverage": round(sum(o.right for o in said) / len(said), 3) if said else None,
        f"{name}_width": round(median(wide), 3) if wide else None,
    }


# Recordings

FOLDERS = {"ims": "ims_features", "femto": "femto", "cmapss": "cmapss", "cmapss_lives": "cmapss", "azure": "azure_pdm"}
MOMENTS = 10  # of each recording at which a forecast is made, evenly spread
TIMES_NORMAL = (2.0, 4.0)  # limits of a vibration, times the median of its first rows
FIRST = 100  # rows that are normal, and from which on forecasts are made
TRAINED = 50  # units of C-MAPSS whose ends say where the limits of the others lie
CYCLES_LOOKED = 10  # last ones of a unit, whose median is where it ended
RISING, FALLING = ("s4", "s11"), ("s7", "s12")  # of the sensors of C-MAPSS that tell wear


def reached_after(t: Array, values: Array, limit: float, now: int) -> float:
    """When the median of five rows is first at the limit, after row `now`; infinite if never. t, values : the whole."""
    rows = prognosis.ROWS_IN_GROUP
    windows = np.lib.stride_tricks.sliding_window_view(values[now + 1 :], rows) if len(values) - now > rows else None
    beyond = np.flatnonzero(np.median(windows, axis=1) >= limit) if windows is not None else np.array([], int)
    return float(t[now + 1 + beyond[0] + rows // 2] - t[now]) if len(beyond) else inf


def along(t: Array, values: Array, *, limit: float, first: int) -> Iterator[Outcome]:
    """Forecasts along one life; those of which the end of the recording leaves open whether they are right, not."""
    for now in np.linspace(first, len(t) - 1 - prognosis.ROWS_IN_GROUP, MOMENTS).astype(int).tolist():
        found = prognosis.forecast(t[: now + 1], values[: now + 1], limit=limit)
        outcome = Outcome(found, reached_after(t, values, limit, now))
        seen = float(t[-1] - t[now])
        if outcome.interval is None or outcome.truth < inf or outcome.interval[1] <= seen:
            yield outcome


def _vibration(t: Array, values: Array) -> Iterator[Outcome]:
    for times in TIMES_NORMAL:
        yield from along(t, values, limit=times * float(np.median(values[:FIRST])), first=FIRST)


def _ims(folder: Path) -> Iterator[Outcome]:
    for path in sorted(folder.glob("T*_B*.parquet")):
        table = pq.read_table(path)
        t = table["timestamp"].to_numpy().astype("datetime64[s]").astype(np.float64)
        for name in table.column_names:
            if name.endswith("_std") and "psd" not in name:
                yield from _vibration(t, table[name].to_numpy().astype(np.float64))


def _femto(folder: Path) -> Iterator[Outcome]:
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as arrays:
            t, levels = arrays["t_s"].astype(np.float64), arrays["acc_mg"].std(axis=1, dtype=np.float64)
        for values in levels.T:
            yield from _vibration(t, values)


def _cmapss(folder: Path) -> Iterator[Outcome]:
    """Limits are where the first units ended, in the median; forecasts are of the others. Times are cycles."""
    units = _units(folder)
    for name in (*RISING, *FALLING):
        sign = 1.0 if name in RISING else -1.0
        ends = [np.median(sign * unit[name][-CYCLES_LOOKED:]) for unit in units[:TRAINED]]
        limit = float(np.median(ends))
        for unit in units[TRAINED:]:
            yield from along(unit["cycle"], sign * unit[name], limit=limit, first=30)


def _units(folder: Path) -> list[dict[str, Array]]:
    table = pq.read_table(folder / "train_FD001.parquet")
    columns = {name: table[name].to_numpy().astype(np.float64) for name in table.column_names}
    return [
        {name: column[columns["unit"] == unit] for name, column in columns.items()}
        for unit in sorted(set(columns["unit"].tolist()))
    ]


RECORDINGS: Mapping[str, Callable[[Path], Iterator[Outcome]]] = {"ims": _ims, "femto": _femto, "cmapss": _cmapss}


def _recorded(name: str, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    print(f"| recordings | forecasts | said | right | low | high | width |\n{'|---' * 7}|\n{_line(name, outcomes)}\n")
    return _figures(name, outcomes)


# Lives

CYCLES_AHEAD, DAYS_AHEAD = 30.0, 30.0
SPLIT = datetime(
    2015, 7, 1, tzinfo=UTC
)  # of the year of records: what comes after is forecast from what was known then


@dataclass(frozen=True)
class Said:
    """The probability of a failure that was said, by the Weibull, the life table (None: nothing) and the base rate, and
    whether it came.
    """

    probability: float
    table: float | None
    base_rate: float
    failed: bool


def _cmapss_lives(folder: Path) -> Iterator[Said]:
    """From the lives of the first units, every 20 cycles of the others."""
    ages = [float(len(unit["cycle"])) for unit in _units(folder)]
    known = [Life(age, True) for age in ages[:TRAINED]]
    past = [(age - at <= CYCLES_AHEAD) for age in ages[:TRAINED] for at in range(0, int(age), 20)]
    for age in ages[TRAINED:]:
        for at in range(0, int(age), 20):
            weibull, table = _chances(known, CYCLES_AHEAD, age=float(at))
            yield Said(weibull, table, sum(past) / len(past), age - at <= CYCLES_AHEAD)


def _azure(folder: Path) -> Iterator[Said]:
    """From the lives of each component up to SPLIT, every month after it."""
    replaced, failed = (
        _events(folder / f"PdM_{name}.csv", key) for name, key in (("maint", "comp"), ("failures", "failure"))
    )
    end = max(max(times) for times in replaced.values())
    months = [SPLIT.timestamp() / 86_400 + DAYS_AHEAD * month for month in range(6)]
    months = [day for day in months if day + DAYS_AHEAD <= end]
    split = months[0]
    for component in sorted({component for _, component in replaced}):
        own = {machine: times for (machine, name), times in replaced.items() if name == component}
        broke = {machine: failed.get((machine, component), []) for machine in own}
        known = [life for machine in own for life in _lives_until(own[machine], broke[machine], split)]
        days = sum(life.age for life in known)
        base = 1 - np.exp(-DAYS_AHEAD * sum(life.failed for life in known) / days)
        for day in months:
            for machine, times in own.items():
                begun = max((t for t in times if t <= day), default=None)
                if begun is not None:
                    weibull, table = _chances(known, DAYS_AHEAD, age=day - begun)
                    came = any(day < t <= day + DAYS_AHEAD for t in broke[machine])
                    yield Said(weibull, table, float(base), came)


def _chances(known: Sequence[Life], time: float, *, age: float) -> tuple[float, float | None]:
    """What a Weibull and a life table of these lives say."""
    fitted, counted = lives.weibull(known), lives.life_table(known)
    if fitted is None or counted is None:
        raise Problem(f"found {sum(life.failed for life in known)} failures, wanted {lives.FEWEST_FAILURES} or more")
    table = counted.failure_within(time, age=age)
    return fitted.failure_within(time, age=age).probability, None if table is None else table.probability


def _events(path: Path, key: str) -> dict[tuple[str, str], list[float]]:
    """(machine, component) → days of its events, rising."""
    found: dict[tuple[str, str], list[float]] = {}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            day = datetime.fromisoformat(row["datetime"]).replace(tzinfo=UTC).timestamp() / 86_400
            found.setdefault((row["machineID"], row[key]), []).append(day)
    return {name: sorted(days) for name, days in found.items()}


def _lives_until(replaced: Sequence[float], failed: Sequence[float], day: float) -> list[Life]:
    """Lives from one replacement to the next, as known on that day; those still going on are censored."""
    begun = [one for one in replaced if one < day]
    ended = [Life(after - before, after in set(failed)) for before, after in pairwise(begun)]
    return [*ended, Life(day - begun[-1], False)] if begun else ended


LIVES: Mapping[str, Callable[[Path], Iterator[Said]]] = {"cmapss_lives": _cmapss_lives, "azure": _azure}
BINS = (0.0, 0.05, 0.1, 0.2, 0.4, 1.01)


def _lives(name: str, said: Sequence[Said]) -> dict[str, Any]:
    """Brier's score, of the Weibull and of the base rate: the mean square of what is said minus what came."""
    if not said:
        return {}
    lines = [f"| {name}: said | times | on average | came |", "|---|---|---|---|"]
    for low, high in pairwise(BINS):
        own = [one for one in said if low <= one.probability < high]
        if own:
            mean, came = sum(o.probability for o in own) / len(own), sum(o.failed for o in own) / len(own)
            lines.append(f"| {low:.0%} to {min(high, 1):.0%} | {len(own)} | {mean:.1%} | {came:.1%} |")
    print("\n".join(lines), end="\n\n")
    tabled = [(one.table, one) for one in said if one.table is not None]
    return {
        f"{name}_said": len(said),
        f"{name}_brier": _brier((one.probability, one) for one in said),
        f"{name}_brier_base_rate": _brier((one.base_rate, one) for one in said),
        f"{name}_said_by_table": len(tabled),
        f"{name}_brier_where_tabled": _brier((one.probability, one) for _, one in tabled),
        f"{name}_brier_of_table": _brier(tabled),
        f"{name}_brier_base_rate_where_tabled": _brier((one.base_rate, one) for _, one in tabled),
    }


def _brier(pairs: Iterable[tuple[float, Said]]) -> float:
    return round(fmean((probability - one.failed) ** 2 for probability, one in pairs), 4)
