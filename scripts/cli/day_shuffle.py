"""Values of any order, given back by day, in bounded memory: a file on disk between reading and writing.

A table that is sorted by tag has each day in all its parts, and would otherwise become a file for each part and day.
"""

import os
import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cli.problem import Problem

DAY_US = 86_400_000_000
BIN_US = 300_000_000  # 5 minutes: what a slice of a day is made of
BYTES = 20  # of a value in the file: its time, its series, itself
AT_ONCE = 500_000  # values that are given back together: 20 bytes here, some hundreds where they become rows
SPARE_BYTES = 1 << 30  # that is left free on the disk


class Together(NamedTuple):
    """Values in the order in which they came. t_us, series, value : (n,)"""

    t_us: NDArray[np.int64]
    series: NDArray[np.int32]
    value: NDArray[np.float64]


class Stretch(NamedTuple):
    """A day, or a slice of a day that has too many values to be taken at once."""

    low_us: int
    high_us: int
    day: int


class _Run(NamedTuple):
    """Where the values of one day in one block lie in the file."""

    block_at: int
    block_values: int
    first: int
    values: int


class DayShuffle:
    """Takes values in, and gives them back by day."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "values"
        self._file = self._path.open("wb+")
        self._at = 0
        self._runs: dict[int, list[_Run]] = {}
        self._bins: dict[int, NDArray[np.int64]] = {}  # values in each bin of a day
        self.count = 0

    def close(self) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)

    def add(self, t_us: NDArray[np.int64], series: NDArray[np.int32], value: NDArray[np.float64]) -> None:
        count = len(t_us)
        if not count:
            return
        days = t_us // DAY_US
        if np.any(days[1:] < days[:-1]):
            order = np.argsort(days, kind="stable")
            days, t_us, series, value = days[order], t_us[order], series[order], value[order]
        edges = [0, *(np.flatnonzero(days[1:] != days[:-1]) + 1).tolist(), count]
        for first, end in pairwise(edges):
            day = int(days[first])
            self._runs.setdefault(day, []).append(_Run(self._at, count, first, end - first))
            bins = np.bincount((t_us[first:end] - day * DAY_US) // BIN_US, minlength=DAY_US // BIN_US)
            self._bins[day] = self._bins[day] + bins if day in self._bins else bins
        if shutil.disk_usage(self._path.parent).free < SPARE_BYTES + BYTES * count:
            raise Problem(
                f"no room left in {self._path.parent} after {self._at >> 20} MB",
                "Give another folder by TMPDIR: it takes 20 bytes for each value.",
            )
        for array in (t_us.astype(np.int64), series.astype(np.int32), value.astype(np.float64)):
            self._file.write(np.ascontiguousarray(array).data)
        self._at += BYTES * count
        self.count += count

    def stretches(self) -> list[Stretch]:
        """Days in order; those with too many values in slices, which have as many as fit."""
        return [Stretch(low, high, day) for day in sorted(self._runs) for low, high in pairwise(self._edges(day))]

    def _edges(self, day: int) -> list[int]:
        edges, taken = [day * DAY_US], 0
        for place, count in enumerate(self._bins[day].tolist()):
            if taken and taken + count > AT_ONCE:
                edges.append(day * DAY_US + place * BIN_US)
                taken = 0
            taken += count
        return [*edges, (day + 1) * DAY_US]

    def read(self, stretch: Stretch) -> Together:
        """The values of a stretch."""
        self._file.flush()
        parts = list(self._parts(stretch))
        columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
        return Together(*columns)

    def _parts(self, stretch: Stretch) -> Iterator[Together]:
        whole = stretch.high_us - stretch.low_us == DAY_US
        for at, block, first, count in self._runs[stretch.day]:
            t_us = self._column(at, 8, first, count, np.dtype(np.int64))
            series = self._column(at + 8 * block, 4, first, count, np.dtype(np.int32))
            value = self._column(at + 12 * block, 8, first, count, np.dtype(np.float64))
            if whole:
                yield Together(t_us, series, value)
            else:
                inside = (t_us >= stretch.low_us) & (t_us < stretch.high_us)
                yield Together(t_us[inside], series[inside], value[inside])

    def _column(self, at: int, size: int, first: int, count: int, kind: np.dtype) -> NDArray:  # type: ignore[type-arg]
        return np.frombuffer(os.pread(self._file.fileno(), size * count, at + size * first), kind)
