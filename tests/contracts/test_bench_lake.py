"""The bench of the lake measures what it says, small: it is run whole by hand."""

import time

import pytest
from cli import bench_lake, lake_faults
from cli.lake_load import Load
from telltale.core import schema

NOW = 1_790_000_000_000
pytestmark = pytest.mark.long


def test_all_rows_are_written_compacted_and_asked(ministack: str) -> None:
    load = Load(positions=2, hours=2, end_ms=int(time.time() * 1000))  # what the queries call now

    found = bench_lake.lake(ministack, load)

    assert found["rows"] == load.rows == 2 * 2 * 13
    assert found["files_before"] > 24
    assert found["files_after"] <= 6  # three tables, on two days at most
    assert found["small_files_gone"] >= 0.9  # a few of today's may wait for more
    assert 0 < found["trend_bytes_share"] <= 1
    assert found["aggregated_days"] in (1, 2)
    assert found["query_max_s"] > 0


def test_growth_compares_the_last_commits_with_the_first_ones_of_another_lake(ministack: str) -> None:
    found = bench_lake.growth(ministack, 3)

    assert found["commit_growth"] > 0
    assert found["commit_first_s"] > 0


def test_a_function_that_dies_at_every_step_loses_and_doubles_nothing(ministack: str) -> None:
    survived = lake_faults.survive(ministack, ["store"])

    assert (survived.lost, survived.doubled) == (0, 0)
    assert survived.kills > 10


def test_rows_that_are_lost_or_there_twice_are_seen(ministack: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lake_faults, "_reading", lambda number: {**ROW, "value": float(number // 2 * 2)})

    survived = lake_faults.survive(ministack, ["store"])

    assert survived.lost > 5
    assert survived.doubled > 5


ROW = {"capture_id": "c", "position": "a/b/c/d", "site": "a", "sensor": "s", "tag": "flow", "t": NOW}


def test_the_load_has_each_row_once_and_as_the_schema_declares_it() -> None:
    load = Load(positions=3, hours=2, end_ms=NOW)

    ticks = list(load.ticks())

    captures = [row for rows, _ in ticks for row in rows]
    features = [row for _, rows in ticks for row in rows]
    assert len(captures) + len(features) == load.rows
    assert len({row["capture_id"] for row in captures}) == len(captures)
    assert set(captures[0]) == set(schema.CAPTURES.names)
    assert set(features[0]) == set(schema.FEATURES_TABLE.names)
