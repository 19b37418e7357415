"""Every named query is Athena's dialect, uses only what the schema has, and gives the right answer on DuckDB."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from cli.queries import named_queries
from telltale.adapters.duck import execute
from telltale.adapters.parquet import arrow_schema
from telltale.adapters.trino import parse_query, tables_read, unknown_names
from telltale.core import schema

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
MIDNIGHT = datetime(2026, 11, 20, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
TABLES = {table.name: table for table in schema.TABLES}
COLUMNS = {table.name: table.names for table in schema.TABLES}
QUERIES = named_queries()

Row = dict[str, Any]


def seeded(name: str, rows: Sequence[Row]) -> pa.Table:
    """A table of the lake with these rows; a required column that a row leaves out gets a value of its type."""
    columns = TABLES[name].columns
    stand_ins: Row = {
        "string": "-",
        "int": 0,
        "long": 0,
        "double": 0.0,
        "boolean": False,
        "timestamp": NOW,
        "binary": b"",
        "list<int>": [],
    }
    fill = {column.name: stand_ins[column.type] for column in columns if column.required}
    assert all(row.keys() <= set(COLUMNS[name]) for row in rows)
    return pa.Table.from_pylist([fill | row for row in rows], arrow_schema(TABLES[name]))


def ask(query: str, **tables: Sequence[Row]) -> list[Row]:
    """The rows that a named query finds in these tables when it is twelve o'clock."""
    sql = QUERIES[query].sql.replace("current_timestamp", f"from_iso8601_timestamp('{NOW.isoformat()}')")
    relations = {name: seeded(name, tables.get(name, [])) for name in TABLES}
    return execute(sql, relations, database="telltale")[0].to_pylist()


def picked(rows: list[Row], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in names) for row in rows]


@pytest.mark.parametrize("name", QUERIES)
def test_a_named_query_reads_only_tables_and_columns_of_the_schema(name: str) -> None:
    query = parse_query(QUERIES[name].sql)

    assert tables_read(query)
    assert unknown_names(query, COLUMNS) == []


@pytest.mark.parametrize("name", QUERIES)
def test_a_named_query_says_what_it_is_for(name: str) -> None:
    query = QUERIES[name]

    assert query.title
    assert not query.title.endswith(".")
    assert query.description.endswith(".")


@pytest.mark.parametrize("name", QUERIES)
def test_a_named_query_runs_on_a_lake_without_data(name: str) -> None:
    assert ask(name) == []


@pytest.mark.parametrize("name", QUERIES)
def test_a_named_query_asks_the_clock_by_the_one_name_that_these_tests_stop(name: str) -> None:
    text = QUERIES[name].sql.lower()

    assert not [word for word in ("now()", "current_date", "localtimestamp", "current_time ") if word in text]


def verdict(position: str, age: timedelta, **fields: Any) -> Row:
    row = {"position": position, "t": NOW - age, "channel": "x", "rule": "zone", "verdict": "HEALTHY"}
    return row | {"persistent": "HEALTHY", "feature": "velocity_rms_mm_s", "unit": "mm/s"} | fields


def test_worst_positions_come_first_each_by_its_worst_latest_judgement() -> None:
    verdicts = [
        verdict("p/recovered", 2 * HOUR, persistent="ALARM", score=3.0),
        verdict("p/recovered", 1 * HOUR, persistent="HEALTHY", score=0.3),
        verdict("p/bad", 1 * HOUR, persistent="WARNING", score=2.0),
        verdict("p/bad", 1 * HOUR, channel="temperature", persistent="ALARM", score=1.2, value=96.0, limit=80.0),
        verdict("p/off", 1 * HOUR, verdict="MACHINE_OFF", persistent="UNKNOWN"),
        verdict("p/off", 1 * HOUR, rule="sensor"),  # sound, and says nothing of the machine
        verdict("p/long_ago", 8 * DAY, persistent="ALARM", score=9.0),
    ]

    rows = ask("worst_positions", verdicts=verdicts)

    assert picked(rows, "position", "persistent", "channel", "score", "value", "limit") == [
        ("p/bad", "ALARM", "temperature", 1.2, 96.0, 80.0),
        ("p/recovered", "HEALTHY", "x", 0.3, None, None),
        ("p/off", "UNKNOWN", "x", None, None, None),
    ]


def test_a_faulty_sensor_shows_since_when_and_one_that_recovered_does_not() -> None:
    def health(position: str, age: timedelta, persistent: str, channel: str = "x") -> Row:
        return verdict(position, age, rule="sensor", persistent=persistent, channel=channel, reason=f"{channel} {age}")

    verdicts = [
        health("p/1", 5 * HOUR, "SENSOR_FAULT"),
        health("p/1", 4 * HOUR, "HEALTHY"),
        health("p/1", 3 * HOUR, "SENSOR_FAULT"),
        health("p/1", 1 * HOUR, "SENSOR_FAULT"),
        health("p/1", 1 * HOUR, "HEALTHY", channel="y"),
        health("p/2", 2 * HOUR, "SENSOR_FAULT"),
        health("p/2", 1 * HOUR, "HEALTHY"),
        verdict("p/3", 1 * HOUR, persistent="ALARM"),
    ]

    rows = ask("faulty_sensors", verdicts=verdicts)

    assert picked(rows, "position", "channel", "since", "reason") == [("p/1", "x", NOW - 3 * HOUR, "x 1:00:00")]


def test_the_trend_shows_the_worst_position_of_the_week_with_each_values_limit() -> None:
    verdicts = [
        verdict("p/1", 3 * HOUR, value=1.0, limit=4.5, score=0.22),
        verdict("p/2", 2 * HOUR, value=5.0, limit=4.5, score=1.11),
        verdict("p/2", 3 * DAY, value=2.0, limit=4.5, score=0.44),
        verdict("p/2", 1 * HOUR, verdict="NOT_ASSESSABLE", reason="no speed"),
        verdict("p/2", 31 * DAY, value=1.9, limit=4.5, score=0.42),
    ]

    rows = ask("trend", verdicts=verdicts)

    assert picked(rows, "t", "position", "value", "limit", "unit") == [
        (NOW - 3 * DAY, "p/2", 2.0, 4.5, "mm/s"),
        (NOW - 2 * HOUR, "p/2", 5.0, 4.5, "mm/s"),
    ]


def case(case_id: str, revision: int, change: str, **fields: Any) -> Row:
    return {"case_id": case_id, "revision": revision, "change": change, "severity": "WARNING"} | fields


def test_an_open_case_shows_its_latest_revision_and_a_resolved_one_does_not_show() -> None:
    cases = [
        case("case-a", 2, "updated", severity="ALARM", opened_at=NOW - DAY, reason="zone D"),
        case("case-a", 1, "opened", opened_at=NOW - DAY, reason="zone C"),
        case("case-b", 1, "opened", opened_at=NOW - 5 * DAY),
        case("case-b", 2, "resolved", opened_at=NOW - 5 * DAY),
        case("case-c", 1, "acknowledged", opened_at=NOW - 60 * HOUR, reason="warm"),
    ]

    rows = ask("open_cases", cases=cases)

    assert picked(rows, "case_id", "severity", "last_change", "days_open", "reason") == [
        ("case-a", "ALARM", "updated", 1.0, "zone D"),
        ("case-c", "WARNING", "acknowledged", 2.5, "warm"),
    ]


def test_an_open_case_that_was_shelved_or_joined_another_says_so_and_still_why_it_was_opened() -> None:
    until = NOW + 3 * DAY
    cases = [
        case("case-a", 1, "opened", opened_at=NOW - DAY, reason="zone C", rule="zone"),
        case("case-a", 2, "shelved", opened_at=NOW - DAY, reason="by mia: overhaul", shelved_until=until, by="mia"),
        case("case-b", 1, "opened", opened_at=NOW, reason="zone C"),
        case("case-b", 2, "grouped", opened_at=NOW, reason="joins case-a", parent="case-a"),
        case("case-c", 1, "opened", opened_at=NOW, reason="zone C"),
        case("case-c", 2, "grouped", opened_at=NOW, reason="joins case-a", parent="case-a"),
        case("case-c", 3, "grouped", opened_at=NOW, reason="stands alone", parent=""),
    ]

    rows = ask("open_cases", cases=cases)

    assert picked(rows, "case_id", "last_change", "reason", "shelved_until", "parent") == [
        ("case-a", "shelved", "zone C", until, None),
        ("case-b", "grouped", "zone C", None, "case-a"),
        ("case-c", "grouped", "zone C", None, None),
    ]


def test_a_resolved_case_counts_with_the_last_fault_that_was_named_for_it() -> None:
    cases = [
        case("case-a", 1, "opened", fault="IMBALANCE"),
        case("case-a", 2, "updated", fault="MISALIGNMENT"),
        case("case-a", 3, "updated"),
        case("case-b", 1, "opened", fault="MISALIGNMENT"),
        case("case-c", 1, "opened"),
        case("case-d", 1, "opened", fault="IMBALANCE"),  # still open
    ]
    labels = [
        {"case_id": f"case-{letter}", "failure_mode": mode, "position": f"p/{letter}", "t": NOW, "opened_at": NOW - DAY}
        for letter, mode in (("a", "MISALIGNMENT"), ("b", "MISALIGNMENT"), ("c", "NO_ISSUE"))
    ]

    rows = ask("diagnosed", cases=cases, labels=labels)

    assert picked(rows, "fault", "failure_mode", "cases", "positions") == [
        ("MISALIGNMENT", "MISALIGNMENT", 2, 2),
        (None, "NO_ISSUE", 1, 1),
    ]


def test_rejected_records_are_counted_by_reason_and_sender_with_the_latest_example() -> None:
    def record(number: int, reason: str, age: timedelta) -> Row:
        row = {"quarantine_id": f"q{number}", "reason": reason, "detail": f"d{number}", "received_at": NOW - age}
        return row | {"gateway": "gw", "sensor": "s"}

    quarantine = [
        record(1, "bad_unit", 3 * HOUR),
        record(2, "bad_unit", 1 * HOUR),
        record(3, "too_old", 2 * HOUR),
        record(4, "bad_unit", 8 * DAY),
    ]

    rows = ask("rejected", quarantine=quarantine)

    assert picked(rows, "reason", "records", "first_received_at", "latest_detail", "latest_quarantine_id") == [
        ("bad_unit", 2, NOW - 3 * HOUR, "d2", "q2"),
        ("too_old", 1, NOW - 2 * HOUR, "d3", "q3"),
    ]


def captures_at(sensor: str, times: Sequence[datetime], **fields: Any) -> list[Row]:
    """Two messages for each capture: an axis, and the scalars."""
    ids = [{"sensor": sensor, "t": t, "received_at": t, "capture_id": f"{sensor}@{t}"} for t in times]
    return [row | {"part": part} | fields for row in ids for part in ("x", "s")]


def hourly(start: datetime, count: int) -> list[datetime]:
    return [start + number * HOUR for number in range(count)]


def test_data_quality_counts_captures_not_messages_and_finds_days_with_none() -> None:
    gap = MIDNIGHT - DAY + 5 * HOUR
    heard = [t for t in hourly(MIDNIGHT - 3 * DAY + 12 * HOUR, 60) if not gap <= t < gap + 3 * HOUR]
    captures = [
        *captures_at("holes", heard),
        *captures_at("silent", hourly(MIDNIGHT - 4 * DAY, 48)),
        *captures_at("once", [MIDNIGHT - 2 * DAY]),
        *captures_at("today", hourly(MIDNIGHT, 12)),
    ]
    quarantine = [{"sensor": "holes", "received_at": gap}]

    rows = ask("data_quality", captures=captures, quarantine=quarantine)

    assert picked(rows, "sensor", "day", "captures", "expected", "missing", "rejected") == [
        ("holes", date(2026, 11, 18), 24, 24, 0, 0),
        ("holes", date(2026, 11, 19), 21, 24, 3, 1),
        ("silent", date(2026, 11, 17), 24, 24, 0, 0),
        ("silent", date(2026, 11, 18), 0, 24, 24, 0),
        ("silent", date(2026, 11, 19), 0, 24, 24, 0),
    ]


def test_a_day_that_is_not_over_does_not_change_what_is_expected() -> None:
    hectic = [MIDNIGHT + number * timedelta(minutes=5) for number in range(144)]

    rows = ask("data_quality", captures=captures_at("s", [*hourly(MIDNIGHT - 2 * DAY, 48), *hectic]))

    assert picked(rows, "day", "captures", "expected") == [(date(2026, 11, 19), 24, 24)]


def test_a_sensor_is_stale_after_three_of_its_own_intervals() -> None:
    captures = [
        *captures_at("slow", [NOW - 27 * HOUR - n * 12 * HOUR for n in range(5)]),
        *captures_at("gone", hourly(NOW - 15 * HOUR, 11), position="p/1", gateway="gw", battery_pct=7.0),
    ]

    rows = ask("stale_sensors", captures=captures)

    assert picked(
        rows, "sensor", "position", "gateway", "silent_hours", "usual_interval_s", "missed", "battery_pct"
    ) == [("gone", "p/1", "gw", 5.0, 3600.0, 5, 7.0)]


def test_lag_is_measured_to_the_batch_that_stored_the_message() -> None:
    ten = MIDNIGHT + 10 * HOUR

    def batch(shard: int, first: int, seconds: float, function: str = "extract_features") -> Row:
        row = {"shard": f"shardId-{shard}", "first": str(first), "function": function}
        return row | {"t": ten + timedelta(seconds=seconds)}

    def message(shard: int, seq: int, sampled: float, received: float) -> Row:
        times = {"t": ten + timedelta(seconds=sampled), "received_at": ten + timedelta(seconds=received)}
        return times | {"record_id": f"shardId-{shard}:{seq}"}

    batches = [batch(0, 9, 10), batch(0, 100, 20), batch(1, 50, 40), batch(0, 9, 900, "detect_anomalies")]
    captures = [
        message(0, 9, sampled=2, received=3),  # stored at 10
        message(0, 99, sampled=4, received=5),  # in the same batch, though "99" is after "100" as text
        message(0, 100, sampled=15, received=18),  # at 20
        message(1, 50, sampled=10, received=11),  # at 40
    ]

    [row] = ask("lag", batches=batches, captures=captures)

    assert (row["hour"], row["messages"], row["stored_max_s"]) == (ten, 4, 30.0)
    assert row["received_p50_s"] == 1.0
    assert 6.0 <= row["stored_p50_s"] <= 8.0


def test_the_balance_of_a_day_counts_ingest_once_and_shows_what_is_unaccounted() -> None:
    def batch(t: datetime, records: int, stored: int, function: str = "extract_features") -> Row:
        counts = {"records": records, "stored": stored, "duplicate": 1, "quarantined": 2}
        return counts | {"t": t, "function": function}

    batches = [
        batch(NOW, 10, 7),
        batch(NOW - HOUR, 5, 2),
        batch(NOW - HOUR, 12, 9, "detect_anomalies"),
        batch(NOW - DAY, 9, 5),
    ]

    rows = ask("balance", batches=batches)

    assert picked(rows, "day", "batches", "records", "stored", "duplicate", "quarantined", "unaccounted") == [
        (date(2026, 11, 20), 2, 15, 9, 2, 4, 0),
        (date(2026, 11, 19), 1, 9, 5, 1, 2, 1),
    ]


def test_the_waveform_of_the_latest_capture_comes_in_its_unit_and_in_order() -> None:
    def wave(capture_id: str, axis: str, samples: list[int], age: timedelta) -> Row:
        row = {"capture_id": capture_id, "axis": axis, "t": NOW - age, "samples": samples}
        return row | {"fs_hz": 4.0, "scale": 0.5, "unit": "g", "position": "p/1"}

    waveforms = [
        wave("old", "x", [9, 9], 2 * HOUR),
        wave("new", "y", [3], HOUR),
        wave("new", "x", [2, -4, 1], HOUR),
    ]

    rows = ask("waveform", waveforms=waveforms)

    assert picked(rows, "capture_id", "axis", "n", "seconds", "value", "unit") == [
        ("new", "x", 0, 0.0, 1.0, "g"),
        ("new", "x", 1, 0.25, -2.0, "g"),
        ("new", "x", 2, 0.5, 0.5, "g"),
        ("new", "y", 0, 0.0, 1.5, "g"),
    ]
