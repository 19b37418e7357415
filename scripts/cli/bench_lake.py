"""Measure the lake, on a local AWS of its own: writing, compaction, queries, many commits, deaths, imports.

Features every hour and scalars every five minutes go through the real path, in batches of one message from each
position: data files in the lake's layout, a receipt, the committer. Then the maintenance function's code compacts what
they left, that of the aggregation computes the daily aggregates, and DuckDB asks. The local AWS runs beside it, so a
second core helps; all else is one thread's work.
"""

import argparse
import contextlib
import io
import logging
import math
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from telltale.adapters import parquet
from telltale.adapters.duck import Duck, planned_bytes
from telltale.adapters.rewrite import LiveFile
from telltale.core import schema

from cli import bench_place, lake_faults, progress
from cli.arguments import at_least_one
from cli.bench_place import TABLES, Place
from cli.deployment import ROOT
from cli.import_historian import measure_csv
from cli.import_monitron import measure_monitron
from cli.lake_load import TICKS_AN_HOUR, Load

FEMTO = ROOT.parent / "shared" / "data" / "femto"
RECEIPTS = 1000  # that wait when the committer comes: a full plan
SMALL_BYTES = 8 << 20  # a file that compaction should leave no two of in a day
COMPARED = 10  # commits: the last with the first
FIRST_MS = 1_790_000_000_000 // 86_400_000 * 86_400_000  # of the recordings: a day's start, so that they are one file
COMMIT_MS, MAINTAIN_EVERY = 5 * 60_000, 12  # a commit every five minutes, maintenance every hour
GROWING = 8  # positions of the lake with many commits: its files are small, what grows is the number of things

# What the issue asks to be so.
LIMITS: Mapping[str, tuple[float, float]] = {
    "waveform_ratio": (0.0, 0.75),
    "query_max_s": (0.0, 1.0),
    "trend_bytes_share": (0.0, 0.01),
    "commit_1000_s": (0.0, 10.0),
    "commit_growth": (0.0, 2.0),
    "small_files_gone": (0.95, 1.0),
    "lost": (0, 0),
    "doubled": (0, 0),
}
IMPORTS = {"monitron_events_per_s": 50_000, "csv_readings_per_s": 200_000}  # one of them is enough

QUERIES: Mapping[str, str] = {
    "trend of features": """
        SELECT t, axis, velocity_rms_mm_s, kurtosis FROM features
        WHERE position = '{position}' AND t >= current_timestamp - interval '30' day ORDER BY t""",
    "trend of a scalar": """
        SELECT t, temperature_c FROM captures
        WHERE position = '{position}' AND t >= current_timestamp - interval '30' day ORDER BY t""",
    "worst of the last day": """
        SELECT position, max(velocity_rms_mm_s) AS worst FROM features
        WHERE t >= current_timestamp - interval '1' day GROUP BY position ORDER BY worst DESC LIMIT 20""",
    "25 % steps of the week": """
        WITH days AS (
            SELECT position, date_trunc('day', t) AS on_day, avg(velocity_rms_mm_s) AS level FROM features
            WHERE t >= current_timestamp - interval '7' day GROUP BY 1, 2
        ), steps AS (SELECT *, lag(level) OVER (PARTITION BY position ORDER BY on_day) AS was FROM days)
        SELECT * FROM steps WHERE level > 1.25 * was ORDER BY on_day, position""",
    "hottest of the week": """
        SELECT position, max(temperature_max_c) AS hottest FROM position_daily
        WHERE t >= current_timestamp - interval '7' day GROUP BY position ORDER BY hottest DESC LIMIT 20""",
    "silent sensors": """
        SELECT sensor, max(t) AS last FROM captures
        WHERE t >= current_timestamp - interval '2' day GROUP BY sensor ORDER BY last LIMIT 20""",
    "captures by day": """
        SELECT t AS on_day, sum(captures) AS n, avg(battery_pct) AS charge FROM position_daily
        WHERE t >= current_timestamp - interval '30' day GROUP BY 1 ORDER BY 1""",
}
TRENDS = {"features": "trend of features", "captures": "trend of a scalar"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--days", type=at_least_one, default=30, metavar="N", help="of history (30)")
    parser.add_argument("--positions", type=at_least_one, default=1000, metavar="N", help="of the plant (1000)")
    parser.add_argument("--commits", type=at_least_one, default=1000, metavar="N", help="to see growth by (1000)")
    parser.add_argument("--imported", type=at_least_one, default=500_000, metavar="N", help="rows to import (500000)")


def figures(arguments: argparse.Namespace) -> dict[str, Any]:
    for name in ("pyiceberg.io.pyarrow", "telltale.adapters.maintenance"):
        logging.getLogger(name).setLevel(logging.ERROR)
    pa.set_cpu_count(1)
    with bench_place.aws() as url:
        found = lake(url, Load(arguments.positions, arguments.days * 24, int(time.time() * 1000)))
    with bench_place.aws() as url:  # another: one that holds a gigabyte answers more slowly
        found |= growth(url, arguments.commits)
        survived = lake_faults.survive(url)
    found |= {"lost": survived.lost, "doubled": survived.doubled, "kills": survived.kills}
    found |= {"waveform_ratio": waveform_ratio()}
    found |= {
        "monitron_events_per_s": round(measure_monitron(arguments.imported)),
        "csv_readings_per_s": round(measure_csv(arguments.imported)),
    }
    return found


def failed(found: Mapping[str, Any]) -> bool:
    """A figure is not what it should be; those that were not measured (null) are not judged."""
    beyond = [
        name for name, (low, high) in LIMITS.items() if found[name] is not None and not low <= found[name] <= high
    ]
    slow = all(found[name] < wanted for name, wanted in IMPORTS.items())
    return bool(beyond) or slow


# ---- one lake, written, compacted and asked --------------------------------------------------------


def lake(url: str, load: Load) -> dict[str, Any]:
    place = Place(url)
    found = _write(place, load)
    found |= _shares(place, load, ["features"], "trend_bytes_share_before")
    found |= _compact(place)
    found |= _shares(place, load, TRENDS, "trend_bytes_share")
    found |= _aggregate(place, load)
    return found | _ask(place, load)


def _write(place: Place, load: Load) -> dict[str, Any]:
    """Rows to files, receipts and tables. Making the rows up is not counted."""
    clock = {"convert": 0.0, "upload": 0.0, "commit": 0.0}
    commits: list[tuple[int, float]] = []
    ticks = load.hours * TICKS_AN_HOUR
    with progress.shown("batches", total=ticks) as advance:
        for number, (captures, features) in enumerate(load.ticks()):
            with _added(clock, "convert"):
                files = [*parquet.files(schema.CAPTURES, captures), *parquet.files(schema.FEATURES_TABLE, features)]
            with _added(clock, "upload"):
                place.publish(number, files, records=len(captures))
            if (number + 1) % RECEIPTS == 0 or number + 1 == ticks:
                began = time.perf_counter()
                with _added(clock, "commit"):
                    [done] = place.commit()
                commits.append((done.files, time.perf_counter() - began))
            advance(1)
    stored = {table.name: place.files(table) for table in TABLES}
    size = sum(file.bytes for name in TRENDS for file in stored[name])
    rows = sum(file.rows for name in TRENDS for file in stored[name])
    if rows != load.rows:
        raise AssertionError(f"{rows} rows are in the tables, {load.rows} were sent")
    full = [seconds for files, seconds in commits if files >= RECEIPTS]
    return {
        "rows": rows,
        "rows_per_s": round(rows / sum(clock.values())),
        "converted_rows_per_s": round(rows / clock["convert"]),
        "bytes_per_row_before": round(size / rows, 1),
        "files_before": sum(map(len, stored.values())),
        "commit_1000_s": round(max(full), 2) if full else None,
    }


@contextlib.contextmanager
def _added(clock: dict[str, float], part: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    clock[part] += time.perf_counter() - began


def _compact(place: Place) -> dict[str, Any]:
    before = {table.name: place.files(table) for table in TABLES}
    began = time.perf_counter()
    place.maintain(TABLES)
    seconds = time.perf_counter() - began
    after = {table.name: place.files(table) for table in TABLES}
    size = sum(file.bytes for name in TRENDS for file in after[name])
    rows = sum(file.rows for name in TRENDS for file in after[name])
    left = sum(map(len, after.values()))
    days = sum(len({file.day for file in files}) for files in after.values())
    gone = 1 - _small(after, beside=1) / max(1, _small(before, beside=0))
    return {
        "files_after": left,
        "files_after_beyond_one_a_day": left - days,
        "small_files_gone": round(gone, 4),
        "compact_rows_per_s": round(rows / seconds),
        "bytes_per_row": round(size / rows, 1),
    }


def _small(tables: Mapping[str, Sequence[LiveFile]], *, beside: int) -> int:
    """Small files, not counting so many a day."""
    days = Counter((name, file.day) for name, files in tables.items() for file in files if file.bytes < SMALL_BYTES)
    return sum(max(0, count - beside) for count in days.values())


def _shares(place: Place, load: Load, tables: Sequence[str] | Mapping[str, str], name: str) -> dict[str, Any]:
    """What part of a table's bytes the trend of one position reads, by the plan: the larger of the tables'."""
    position = load.names[load.positions // 2]
    found = {}
    for table in tables:
        read = planned_bytes(place.catalog, QUERIES[TRENDS[table]].format(position=position), database=place.database)
        files = place.files(next(one for one in TABLES if one.name == table))
        found[f"{name}_{table}"] = round(read / sum(file.bytes for file in files), 5)
    return {name: max(found.values()), **found}


def _aggregate(place: Place, load: Load) -> dict[str, Any]:
    """Seconds that the daily aggregates of all days take, each computed once."""
    began = time.perf_counter()
    done = place.aggregate()
    seconds = time.perf_counter() - began
    [row] = Duck(place.catalog, place.database).run("SELECT sum(messages) AS n FROM position_daily").to_pylist()
    if row["n"] != load.positions * load.hours * TICKS_AN_HOUR:
        raise AssertionError(f"{row['n']} messages are in the aggregates of {load.rows} rows")
    return {"aggregated_days": done.days, "aggregate_s": round(seconds, 1)}


def _ask(place: Place, load: Load) -> dict[str, Any]:
    """Seconds of the slowest query, each asked for the first time."""
    duck = Duck(place.catalog, place.database)
    seconds = {}
    named = {path.stem: path.read_text() for path in sorted((ROOT / "queries").glob("*.sql"))}
    for name, sql in {**QUERIES, **named}.items():
        began = time.perf_counter()
        duck.run(sql.format(position=load.names[load.positions // 2]) if name in QUERIES else sql)
        seconds[name] = time.perf_counter() - began
    slowest = sorted(seconds, key=lambda name: -seconds[name])
    print("slowest queries: " + ", ".join(f"{name} {seconds[name]:.2f} s" for name in slowest[:5]))
    return {"queries": len(seconds), "query_max_s": round(seconds[slowest[0]], 2), "query_slowest": slowest[0]}


# ---- many commits ---------------------------------------------------------------------------------


def growth(url: str, commits: int) -> dict[str, Any]:
    """How much longer the last commits take than the first, with maintenance on its schedule.

    The clock runs five minutes a commit, for snapshots as well, so that what is thinned by age is. The last commits
    take turns with the first ones of another lake: whatever else this computer does meanwhile, it does to both.
    """
    grown, fresh = (_Growing(url, commits) for _ in "ab")
    first, last, seconds = [], [], []
    with progress.shown("commits", total=commits) as advance:
        for number in range(commits):
            seconds.append(grown.commit())
            if commits - number <= COMPARED:
                last.append(seconds[-1])
                first.append(fresh.commit())
            if (number + 1) % MAINTAIN_EVERY == 0:
                grown.maintain()
            advance(1)
    return {
        "commit_growth": round(median(last) / median(first), 2),
        "commit_first_s": round(median(seconds[:COMPARED]), 3),
        "commit_fresh_s": round(median(first), 3),
        "commit_last_s": round(median(last), 3),
    }


class _Growing:
    """A lake that gets a small commit every five minutes of its own clock."""

    def __init__(self, url: str, commits: int) -> None:
        end_ms = int(time.time() * 1000)
        self._clock = [end_ms - commits * COMMIT_MS]
        self._place = Place(url, now_ms=lambda: self._clock[0])
        self._ticks = enumerate(Load(GROWING, math.ceil(commits / TICKS_AN_HOUR), end_ms).ticks())

    def commit(self) -> float:
        """Seconds that it took."""
        number, (captures, _) = next(self._ticks)
        self._place.publish(number, parquet.files(schema.CAPTURES, captures), records=len(captures))
        self._clock[0] += COMMIT_MS
        with _snapshots_by(self._clock):
            began = time.perf_counter()
            self._place.commit()
            return time.perf_counter() - began

    def maintain(self) -> None:
        with _snapshots_by(self._clock):
            self._place.maintain((schema.CAPTURES, schema.BATCHES))


@contextlib.contextmanager
def _snapshots_by(clock: Sequence[int]) -> Iterator[None]:
    """Have PyIceberg date snapshots by this clock. It has no other seam than the module's name for the clock."""
    from pyiceberg.table import snapshots

    real = snapshots.time  # type: ignore[attr-defined]

    class Clock:
        @staticmethod
        def time() -> float:
            return clock[0] / 1000

    snapshots.time = Clock  # type: ignore[assignment, attr-defined]
    try:
        yield
    finally:
        snapshots.time = real  # type: ignore[attr-defined]


# ---- waveforms ------------------------------------------------------------------------------------


def waveform_ratio() -> float | None:
    """Bytes of FEMTO's recordings in data files, to those of int16; None where the recordings are not at hand."""
    stored = raw = 0
    for path in sorted(FEMTO.glob("*.npz")):
        counts = np.load(path)["acc_mg"].transpose(0, 2, 1).astype(np.int32)  # snapshots, axes, samples
        rows = _waveforms(path.stem, counts)
        [file] = parquet.columnar_files(schema.WAVEFORMS, rows)
        back = pq.read_table(io.BytesIO(file.body), columns=["samples"])["samples"].combine_chunks()
        if not np.array_equal(back.flatten().to_numpy(), counts.reshape(-1)):
            raise AssertionError(f"{path.name} did not come back as it was")
        stored += len(file.body)
        raw += 2 * counts.size
    return round(stored / raw, 4) if raw else None


def _waveforms(name: str, counts: Any) -> pa.Table:
    """FEMTO's snapshots of ten seconds each as rows of the table `waveforms`."""
    snapshots, axes, samples = counts.shape
    rows = snapshots * axes
    times = np.repeat(np.arange(snapshots) * 10_000 + FIRST_MS, axes)
    same = {"position": f"femto/rig/bearing/{name}", "site": "femto", "sensor": name, "unit": "g", "scale": 0.001}
    columns = {key: pa.array([value] * rows) for key, value in (same | {"fs_hz": 25_600.0}).items()}
    ends = pa.array(np.arange(rows + 1, dtype=np.int32) * samples)
    lists = pa.ListArray.from_arrays(ends, pa.array(counts.reshape(-1)), type=parquet.ARROW["list<int>"])
    return pa.table(
        {
            **columns,
            "capture_id": [f"{name}-{t}" for t in times.tolist()],
            "axis": ["x", "y"] * snapshots,
            "t": pa.array(times, pa.timestamp("ms", tz="UTC")),
            "samples": lists,
        }
    )


def show(found: Mapping[str, Any]) -> None:
    for name, value in found.items():
        low, high = LIMITS.get(name, (-math.inf, math.inf))
        said = (
            "" if value is None or isinstance(value, str) or low <= value <= high else f"   wanted {low:g} to {high:g}"
        )
        print(f"{name:32} {value}{said}")
