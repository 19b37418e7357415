"""The Numenta Anomaly Benchmark 1.1: its labelled streams, and what a detector's own decisions are worth on them.

Rule (Lavin and Ahmad 2015): a window is worth a sigmoid of where the first alarm in it lies, a missed window costs 1
(2 under low FN), every alarm outside costs 0.11 (0.22 under low FP) times a sigmoid of its distance from the window
before. 0 is a detector that never alarms, 100 one that alarms at the start of each window and nowhere else.
"""

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import floor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from telltale.core import streams

from cli.problem import Problem

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

UNSCORED_SHARE, MOST_UNSCORED = 0.15, 750  # of a stream's first rows
STEEPNESS = 5.0  # of the sigmoid, which is flat three window widths after the window


@dataclass(frozen=True)
class Costs:
    outside: float
    missed: float


PROFILES = {"nab_standard": Costs(0.11, 1.0), "nab_low_fp": Costs(0.22, 1.0), "nab_low_fn": Costs(0.11, 2.0)}


@dataclass(frozen=True)
class Labelled:
    """One stream. windows : first and last row of each, in order."""

    name: str
    values: Floats
    times_s: Floats
    windows: tuple[tuple[int, int], ...]

    @property
    def unscored(self) -> int:
        """Rows at the beginning that do not count, to learn from."""
        return min(floor(UNSCORED_SHARE * len(self.values)), MOST_UNSCORED)


def names(folder: Path) -> list[str]:
    """The streams that have labels and a file, or those of them that `subset.txt` beside them lists."""
    labels, subset = _labels(folder), folder / "subset.txt"
    wanted = subset.read_text().split() if subset.exists() else sorted(labels)
    return [name for name in wanted if name in labels and (folder / "data" / name).exists()]


def _labels(folder: Path) -> dict[str, list[tuple[str, str]]]:
    path = folder / "labels" / "combined_windows.json"
    try:
        found: dict[str, list[tuple[str, str]]] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise Problem(f"{path}: {error}", "wanted the benchmark's data/ and labels/ below this folder") from error
    return found


def labelled(folder: Path, name: str) -> Labelled:
    path = folder / "data" / name
    try:
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        values = np.array([float(row["value"]) for row in rows])
        times_s = np.array([_seconds(row["timestamp"]) for row in rows])
        windows = [(_row(times_s, start), _row(times_s, end)) for start, end in _labels(folder)[name]]
    except (OSError, ValueError, KeyError) as error:
        raise Problem(f"{path}: {error}", "wanted timestamp and value, and a row at each end of a window") from error
    return Labelled(name, values, times_s, tuple(windows))


def _seconds(time: str) -> float:
    """Since 1970; the benchmark's times are without a zone, and taken for UTC."""
    return datetime.fromisoformat(time).replace(tzinfo=UTC).timestamp()


def _row(times_s: Floats, time: str) -> int:
    at = np.flatnonzero(times_s == _seconds(time))
    if not len(at):
        raise ValueError(f"a window begins or ends at {time}, when there is no row")
    return int(at[0])


def sigmoid(widths: Floats) -> Floats:
    """From 1 far before the end of a window to -1 far after it; 0 at the end. widths : its own, from its end."""
    return np.where(widths > 3, -1.0, 2 / (1 + np.exp(STEEPNESS * np.minimum(widths, 3.0))) - 1)


def worth(stream: Labelled, alarms: Flags, costs: Costs) -> tuple[float, int]:
    """Points of one stream, and how many of its windows are scored. alarms : (rows,)."""
    rows = np.arange(len(alarms))
    inside, outside_at = np.full(len(rows), -1), np.full(len(rows), -1.0)
    begins = [*(start for start, _ in stream.windows), len(rows)]
    for place, (start, end) in enumerate(stream.windows):
        following = begins[place + 1]
        inside[start : end + 1] = place
        if end > start:
            outside_at[end + 1 : following] = sigmoid((rows[end + 1 : following] - end) / (end - start))
    counted = alarms & (rows >= stream.unscored)
    points = costs.outside * float(outside_at[counted & (inside < 0)].sum())
    scored = sorted(set(inside[rows >= stream.unscored].tolist()) - {-1})
    for place in scored:
        start, end = stream.windows[place]
        at = rows[counted & (inside == place)]
        first = sigmoid(-(end - at[:1] + 1) / (end - start + 1)) / sigmoid(np.array([-1.0]))
        points += float(first[0]) if len(at) else -costs.missed
    return points, len(scored)


def scores(results: Sequence[tuple[Labelled, Flags]]) -> dict[str, float]:
    """The three scores of all streams together, by the names of PROFILES; none where there is no window."""
    most = sum(len(stream.windows) for stream, _ in results)
    found = {}
    for name, costs in PROFILES.items():
        points = [worth(stream, alarms, costs) for stream, alarms in results]
        nothing = -costs.missed * sum(scored for _, scored in points)
        if most > nothing:
            found[name] = round(100 * (sum(one for one, _ in points) - nothing) / (most - nothing), 1)
    return found


def watched(stream: Labelled) -> Flags:
    """Our own decisions, of a stream that is taken for one tag of any kind."""
    return streams.watch(stream.values, stream.times_s).is_anomaly


def beyond_sigmas(stream: Labelled, *, sigmas: float) -> Flags:
    """An ordinary rule to compare with: so many standard deviations of the unscored rows, as seldom as ours at most."""
    learned, alarms = stream.values[: stream.unscored], np.zeros(len(stream.values), bool)
    beyond = np.flatnonzero(np.abs(stream.values - learned.mean()) > sigmas * learned.std())
    last = -np.inf
    for row in beyond[beyond >= stream.unscored].tolist():
        if row - last >= streams.REFRACTORY_SHARE * stream.unscored:
            alarms[row], last = True, row
    return alarms


def all_labelled(folder: Path) -> list[Labelled]:
    return [labelled(folder, name) for name in names(folder)]


def figures(folder: Path, *, advance: Callable[[int], None] = lambda _: None) -> Mapping[str, float]:
    """nab_standard, nab_low_fp, nab_low_fn. folder : the benchmark's; advance : told of each stream that is done."""
    results = []
    for stream in all_labelled(folder):
        results.append((stream, watched(stream)))
        advance(1)
    return scores(results)
