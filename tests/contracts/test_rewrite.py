"""Files of a table put in the place of others: all at once or none, beside whoever else commits."""

from typing import Any
from uuid import uuid4

import numpy as np
import pyarrow.compute as pc
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import CommitFailedException
from telltale.adapters import rewrite
from telltale.adapters.lake import COMMIT, Lake, glue_catalog
from telltale.adapters.rewrite import WHY, live_files, merge_manifests, replace_files, rewrite_rows
from telltale.core import schema

from tests.contracts.conftest import client
from tests.contracts.test_lake import DAY, T, file_access, reading, rows_of, upload, waveform

TABLE = schema.READINGS


class Readings:
    """A table of readings, and what is in it."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint, self.database = endpoint, f"telltale_{uuid4().hex}"
        self.bucket = self.database.replace("_", "-")
        client("s3", endpoint).create_bucket(Bucket=self.bucket)
        client("glue", endpoint).create_database(DatabaseInput={"Name": self.database})
        self.catalog: Catalog = glue_catalog(client("glue", endpoint), file_access(endpoint))
        self.lake = Lake(self.catalog, database=self.database, location=f"s3://{self.bucket}/lake")
        self.commits = 0

    def upload(self, *numbers: int, day: int = 0) -> list[str]:
        return upload(self.endpoint, self.bucket, TABLE, [reading(n, T + day * DAY) for n in numbers])

    def add(self, *numbers: int, day: int = 0) -> list[str]:
        self.commits += 1
        uris = self.upload(*numbers, day=day)
        self.lake.add(TABLE, uris, number=self.commits)
        return uris

    def iceberg(self) -> Any:
        return self.catalog.load_table((self.database, TABLE.name))

    def live(self) -> set[str]:
        return {file.uri for file in live_files(self.iceberg())}

    def values(self) -> list[float]:
        return sorted(row["value"] for row in rows_of(self.catalog, self.database, TABLE))


@pytest.fixture
def readings(ministack: str) -> Readings:
    return Readings(ministack)


def test_files_are_replaced_and_the_committers_number_stays(readings: Readings) -> None:
    gone = readings.add(1, 2)
    kept = readings.add(3)
    new = readings.upload(1, 2)

    done = replace_files(readings.lake, TABLE, gone, new, why="compaction", summary={"telltale.note": "n"})

    snapshot = readings.iceberg().current_snapshot()
    assert done
    assert readings.live() == {*kept, *new}
    assert readings.values() == [1.0, 2.0, 3.0]
    assert readings.iceberg().properties[COMMIT] == "2"
    assert (snapshot.summary[WHY], snapshot.summary["telltale.note"]) == ("compaction", "n")
    assert snapshot.summary.operation.value == "replace"
    assert snapshot.summary["total-records"] == "3"


def test_nothing_changes_if_one_of_the_files_is_no_longer_live(readings: Readings) -> None:
    gone, other = readings.add(1), readings.add(2)
    replace_files(readings.lake, TABLE, gone, readings.upload(1), why="compaction")
    before = readings.live()

    again = replace_files(readings.lake, TABLE, [*gone, *other], readings.upload(1, 2), why="compaction")

    assert not again
    assert readings.live() == before


def test_rows_can_be_taken_out_or_put_in_alone(readings: Readings) -> None:
    gone = readings.add(1)
    readings.add(2)

    replace_files(readings.lake, TABLE, gone, [], why="erase")
    replace_files(readings.lake, TABLE, [], readings.upload(3), why="aggregate")

    assert readings.values() == [2.0, 3.0]
    assert readings.iceberg().current_snapshot().summary.operation.value == "overwrite"


def test_a_table_without_rows_takes_files_in(readings: Readings) -> None:
    replace_files(readings.lake, TABLE, [], readings.upload(3), why="aggregate")

    assert readings.values() == [3.0]
    assert live_files(readings.iceberg())[0].day == "2026-09-21"


def test_a_replacement_that_loses_to_a_commit_is_made_on_top_of_it(
    readings: Readings, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = readings.add(1)
    swap, racing = rewrite._replace, [True, True]

    def lose(*args: Any) -> None:
        if racing:
            racing.pop()
            readings.add(10 + len(racing))
        swap(*args)

    monkeypatch.setattr(rewrite, "_replace", lose)
    monkeypatch.setattr(rewrite, "WAIT_S", 0)

    assert replace_files(readings.lake, TABLE, gone, readings.upload(1), why="compaction")
    assert readings.values() == [1.0, 10.0, 11.0]
    assert readings.iceberg().properties[COMMIT] == "3"


def test_a_replacement_whose_answer_was_lost_counts_as_made_and_breaks_nothing(
    readings: Readings, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = readings.add(1, 2)
    swap, losing = rewrite._replace, [True]

    def lose_the_answer(*args: Any) -> None:
        swap(*args)
        if losing:
            losing.pop()
            raise CommitFailedException("sent twice: Glue took the first and refused the second")

    monkeypatch.setattr(rewrite, "_replace", lose_the_answer)
    monkeypatch.setattr(rewrite, "WAIT_S", 0)

    assert replace_files(readings.lake, TABLE, gone, readings.upload(1, 2), why="compaction")
    assert readings.values() == [1.0, 2.0]


def test_a_refused_commit_leaves_its_manifests_for_they_may_be_the_tables(
    readings: Readings, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = readings.add(1)
    new = readings.upload(1)
    commit = type(readings.catalog).commit_table
    refusing = [True]

    def commit_and_refuse(self: Any, *args: Any) -> Any:
        answer = commit(self, *args)
        if refusing:
            refusing.pop()
            raise CommitFailedException("refused, though it was taken")
        return answer

    monkeypatch.setattr(type(readings.catalog), "commit_table", commit_and_refuse)
    monkeypatch.setattr(rewrite, "WAIT_S", 0)

    assert replace_files(readings.lake, TABLE, gone, new, why="compaction")
    assert readings.values() == [1.0]


def test_rows_are_written_anew_sorted_and_filtered(readings: Readings) -> None:
    readings.add(3, 1)
    readings.add(2, 4)
    files = live_files(readings.iceberg())

    rewritten = rewrite_rows(
        readings.lake, TABLE, files, keep=lambda rows: rows.filter(pc.not_equal(rows["value"], 2.0))
    )
    replace_files(readings.lake, TABLE, [file.uri for file in files], rewritten.uris, why="erase")

    assert (rewritten.rows_before, rewritten.rows, len(rewritten.uris)) == (4, 3, 1)
    assert readings.values() == [1.0, 3.0, 4.0]
    assert rewritten.uris[0].startswith(f"s3://{readings.bucket}/lake/readings/data/2026-09-21/")


def test_if_no_row_stays_no_file_is_written(readings: Readings) -> None:
    readings.add(1)

    rewritten = rewrite_rows(readings.lake, TABLE, live_files(readings.iceberg()), keep=lambda rows: rows.slice(0, 0))

    assert (rewritten.uris, rewritten.rows) == ((), 0)


def test_many_small_manifests_become_one(readings: Readings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rewrite, "MANIFESTS", 3)
    for n in range(5):
        readings.add(n)
    before = len(readings.iceberg().current_snapshot().manifests(readings.iceberg().io))

    merged, again = merge_manifests(readings.lake, TABLE), merge_manifests(readings.lake, TABLE)

    after = readings.iceberg().current_snapshot()
    assert (before, merged, again) == (5, True, False)
    assert len(after.manifests(readings.iceberg().io)) == 1
    assert readings.values() == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert after.summary.operation.value == "replace"


def test_samples_are_the_same_after_a_rewrite(ministack: str, readings: Readings) -> None:
    samples = np.array([-32768, 0, 32767, 5], np.int16)
    uris = upload(ministack, readings.bucket, schema.WAVEFORMS, [waveform(samples)])
    readings.lake.add(schema.WAVEFORMS, uris, number=1)
    files = live_files(readings.catalog.load_table((readings.database, "waveforms")))

    rewritten = rewrite_rows(readings.lake, schema.WAVEFORMS, files)
    replace_files(readings.lake, schema.WAVEFORMS, uris, rewritten.uris, why="compaction")

    [stored] = rows_of(readings.catalog, readings.database, schema.WAVEFORMS)
    assert stored["samples"] == samples.tolist()


def test_rows_that_do_not_fit_memory_are_sorted_all_the_same(readings: Readings) -> None:
    for n in (5, 1, 4, 2):
        readings.add(n, n + 10)
    files = live_files(readings.iceberg())

    rewritten = rewrite_rows(readings.lake, TABLE, files, memory=2 * rewrite.arrow_bytes(files[0]))
    replace_files(readings.lake, TABLE, [file.uri for file in files], rewritten.uris, why="compaction")

    assert (len(rewritten.uris), rewritten.rows) == (1, 8)
    assert readings.values() == [1.0, 2.0, 4.0, 5.0, 11.0, 12.0, 14.0, 15.0]


def test_large_files_are_cut_to_the_size_wanted(readings: Readings) -> None:
    readings.add(*range(10))
    files = live_files(readings.iceberg())

    rewritten = rewrite_rows(readings.lake, TABLE, files, file_bytes=files[0].bytes // 3)
    replace_files(readings.lake, TABLE, [file.uri for file in files], rewritten.uris, why="compaction")

    assert sorted(file.rows for file in live_files(readings.iceberg())) == [2, 4, 4]
    assert readings.values() == [float(n) for n in range(10)]
