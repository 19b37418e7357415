"""Sorting in little memory gives what sorting in much gives."""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import pyarrow as pa
import pytest
from telltale.adapters import sorting
from telltale.adapters.sorting import sorted_rows

BY = ["position", "t"]


def run(seed: int, rows: int) -> pa.Table:
    random = np.random.default_rng(seed)
    return pa.table(
        {
            "position": pa.array([f"p-{n}" for n in random.integers(0, 7, rows)], pa.string()),
            "t": pa.array(random.integers(0, 50, rows), pa.timestamp("us", tz="UTC")),
            "value": pa.array(random.normal(size=rows)),
            "samples": pa.array([[n, n + 1] for n in range(rows)], pa.list_(pa.int32())),
        }
    )


def calls(runs: list[pa.Table]) -> list[Callable[[], pa.Table]]:
    return [partial(pa.concat_tables, [one]) for one in runs]


def rows_of(tables: Iterator[pa.Table]) -> pa.Table:
    return pa.concat_tables(list(tables))


@pytest.mark.parametrize("sizes", [(500,), (500, 400, 1), (300, 0, 300, 7, 300)])
@pytest.mark.parametrize("memory", [1, 20_000, 10**9])
def test_rows_come_sorted_and_all_of_them(sizes: tuple[int, ...], memory: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sorting, "ROW_GROUP_BYTES", 2_000)
    runs = [run(seed, size) for seed, size in enumerate(sizes)]

    found = rows_of(sorted_rows(calls(runs), BY, memory=memory))

    every = [(name, "ascending") for name in [*BY, "value"]]
    keys = found.select(BY)
    assert keys.equals(keys.sort_by([(name, "ascending") for name in BY]))
    assert found.sort_by(every).equals(pa.concat_tables(runs).sort_by(every))


def test_little_is_held_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sorting, "ROW_GROUP_BYTES", 2_000)
    runs = [run(seed, 2_000) for seed in range(4)]

    largest = max(part.nbytes for part in sorted_rows(calls(runs), BY, memory=40_000))

    assert largest < 80_000 < sum(one.nbytes for one in runs) / 2


def test_no_runs_are_no_rows() -> None:
    assert list(sorted_rows([], BY, memory=1)) == []
