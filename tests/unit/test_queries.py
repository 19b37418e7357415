"""Every named query is Athena's dialect, uses only what the schema has, and gives the right answer on DuckDB."""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from cli.choices import choices, choose
from cli.queries import named_queries
from telltale.adapters.about import ABOUT, FILES
from telltale.adapters.aggregates import POSITIONS, parameters
from telltale.adapters.answer import literal
from telltale.adapters.duck import execute
from telltale.adapters.parquet import arrow_schema
from telltale.adapters.trino import filled, parse_query, tables_read, unknown_names
from telltale.core import schema

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
MIDNIGHT = datetime(2026, 11, 20, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
TABLES = {table.name: table for table in schema.TABLES}
COLUMNS = {table.name: table.names for table in schema.TABLES}
ABOUT_TABLES = {f"{name}${kind}": of(None) for name in TABLES for kind, of in ABOUT.items()}
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


def ask(
    query: str, given: Mapping[str, str] = {}, about: Mapping[str, pa.Table] = {}, **tables: Sequence[Row]
) -> list[Row]:
    """The rows that a named query finds in these tables when it is twelve o'clock."""
    sql = choose(QUERIES[query].sql, given).replace("current_timestamp", f"from_iso8601_timestamp('{NOW.isoformat()}')")
    rows = {name: seeded(name, tables.get(name, [])) for name in tables_read(parse_query(sql)) & set(TABLES)}
    relations = rows | ({**ABOUT_TABLES, **about} if about or not rows else {})
    assert not set(tables) - set(rows)
    return execute(sql, relations, database="telltale")[0].to_pylist()


def picked(rows: list[Row], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in names) for row in rows]


@pytest.mark.parametrize("name", QUERIES)
def test_a_named_query_reads_only_tables_and_columns_of_the_schema(name: str) -> None:
    query = parse_query(QUERIES[name].sql)

    assert tables_read(query)
    assert unknown_names(query, COLUMNS | {name: table.schema.names for name, table in ABOUT_TABLES.items()}) == []


@pytest.mark.parametrize("name", QUERIES)
def test_a_named_query_says_what_it_is_for(name: str) -> None:
    query = QUERIES[name]

    assert query.title
    assert not query.title.endswith(".")
    assert query.description.endswith(".")


@pytest.mark.parametrize("name", QUERIES)
def test_a_named_query_runs_on_a_lake_without_data(name: str) -> None:
    assert ask(name) == []


@pytest.mark.parametrize(
    ("name", "choice"), [(name, choice) for name in QUERIES for choice in choices(QUERIES[name].sql)]
)
def test_a_choice_of_a_named_query_can_be_made(name: str, choice: str) -> None:
    default = choices(QUERIES[name].sql)[choice]

    assert ask(name, {choice: "17" if default else "some/thing"}) == []


def test_there_is_a_query_for_what_engineers_ask() -> None:
    assert len(QUERIES) >= 18


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


def test_a_case_whose_repair_was_confirmed_or_whose_label_was_corrected_is_over_and_one_opened_again_is_open() -> None:
    cases = [
        case("case-a", 1, "opened", opened_at=NOW - DAY),
        case("case-a", 2, "resolved", opened_at=NOW - DAY),
        case("case-a", 3, "confirmed", opened_at=NOW - DAY),
        case("case-b", 1, "opened", opened_at=NOW - DAY),
        case("case-b", 2, "resolved", opened_at=NOW - DAY),
        case("case-b", 3, "labelled", opened_at=NOW - DAY),
        case("case-c", 1, "opened", opened_at=NOW - DAY, reason="zone C"),
        case("case-c", 2, "resolved", opened_at=NOW - DAY, by="mia"),
        case("case-c", 3, "reopened", opened_at=NOW - DAY, reason="still 2.1 × baseline after closing"),
    ]

    rows = ask("open_cases", cases=cases)

    assert picked(rows, "case_id", "last_change", "reason") == [
        ("case-c", "reopened", "still 2.1 × baseline after closing")
    ]


def test_the_last_label_of_a_case_counts_and_a_fault_that_was_missed_is_no_resolved_case() -> None:
    cases = [case("a", 1, "opened", rule="zone")]
    labels = [
        label("a", "NO_ISSUE", 3, 2),
        label("a", "IMBALANCE", 1, 4),
        label("missed-x", "NO_ISSUE", 1, 2),
    ]

    rows = ask("false_alarms", cases=cases, labels=labels)

    assert picked(rows, "rule", "resolved", "false_alarms") == [("zone", 1, 0)]


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
    plain = {"position": f"p/{sensor}", "site": "p"}
    return [plain | row | {"part": part} | fields for row in ids for part in ("x", "s")]


def by_day(captures: Sequence[Row], features: Sequence[Row] = ()) -> list[Row]:
    """What the aggregation makes of them: rows of position_daily."""
    values = [literal(value) for value in parameters(POSITIONS, NOW - 100 * DAY, NOW + DAY)]
    sql = filled(POSITIONS.sql, values).replace("current_timestamp", literal(NOW))
    given = {"captures": captures, "features": features}
    relations = {table.name: seeded(table.name, given.get(table.name, ())) for table in POSITIONS.reads}
    return execute(sql, relations, database="telltale")[0].to_pylist()


def before_the_column(rows: Sequence[Row]) -> list[Row]:
    """The same rows as they are where they were computed before messages, batteries and signals were in them."""
    later = {"messages", "gateway", "battery_pct", "rssi_dbm"}
    return [{name: value for name, value in row.items() if name not in later} for row in rows]


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

    rows = ask("data_quality", position_daily=by_day(captures), quarantine=quarantine)

    assert picked(rows, "sensor", "day", "captures", "expected", "missing", "rejected") == [
        ("holes", date(2026, 11, 18), 24, 24, 0, 0),
        ("holes", date(2026, 11, 19), 21, 24, 3, 1),
        ("silent", date(2026, 11, 17), 24, 24, 0, 0),
        ("silent", date(2026, 11, 18), 0, 24, 24, 0),
        ("silent", date(2026, 11, 19), 0, 24, 24, 0),
    ]


def test_a_day_that_is_not_over_does_not_change_what_is_expected() -> None:
    hectic = [MIDNIGHT + number * timedelta(minutes=5) for number in range(144)]

    rows = ask("data_quality", position_daily=by_day(captures_at("s", [*hourly(MIDNIGHT - 2 * DAY, 48), *hectic])))

    assert picked(rows, "day", "captures", "expected") == [(date(2026, 11, 19), 24, 24)]


def test_a_sensor_that_comes_once_a_day_is_expected_once_a_day() -> None:
    heard = [MIDNIGHT - ago * DAY + 6 * HOUR for ago in range(1, 6) if ago != 2]

    rows = ask("data_quality", position_daily=by_day(captures_at("s", heard)))

    assert picked(rows, "day", "captures", "expected", "missing") == [
        (date(2026, 11, 16), 1, 1, 0),
        (date(2026, 11, 17), 1, 1, 0),
        (date(2026, 11, 18), 0, 1, 1),
        (date(2026, 11, 19), 1, 1, 0),
    ]


def test_days_aggregated_before_messages_were_counted_are_told_from_imported_ones_by_their_judgements() -> None:
    days = before_the_column(by_day(captures_at("s", hourly(MIDNIGHT - 3 * DAY, 72))))
    judged = [day | {"judged": 24} for day in days]

    assert ask("data_quality", position_daily=days) == []
    assert len(ask("data_quality", position_daily=judged)) == 2
    assert picked(ask("stale_sensors", position_daily=judged), "sensor", "battery_pct") == [("s", None)]
    assert picked(ask("cost_by_sensor", position_daily=judged), "captures", "messages") == [(72, 72)]


def test_a_sensor_is_stale_after_three_of_its_own_intervals() -> None:
    captures = [
        *captures_at("slow", [NOW - 27 * HOUR - n * 12 * HOUR for n in range(5)]),
        *captures_at("gone", hourly(NOW - 15 * HOUR, 11), position="p/1", gateway="gw", battery_pct=7.0),
    ]

    rows = ask("stale_sensors", position_daily=by_day(captures))

    assert picked(
        rows, "sensor", "position", "gateway", "silent_hours", "usual_interval_s", "missed", "battery_pct"
    ) == [("gone", "p/1", "gw", 5.0, 3600.0, 5, 7.0)]


def test_a_sensor_that_spoke_since_the_last_aggregation_is_not_stale() -> None:
    heard = hourly(NOW - 20 * HOUR, 15)  # until six hours ago
    days = by_day([*captures_at("back", heard), *captures_at("import", heard), *captures_at("gone", heard)])
    fresh = [
        *captures_at("back", [NOW - HOUR]),
        *captures_at("import", [NOW - HOUR], record_id="import/abc/0"),
        *captures_at("new", [NOW - 2 * HOUR]),
    ]

    rows = ask("stale_sensors", position_daily=days, captures=fresh)

    assert picked(rows, "sensor", "last_seen", "silent_hours") == [
        ("gone", NOW - 6 * HOUR, 6.0),
        ("import", NOW - 6 * HOUR, 6.0),
    ]


def test_a_sensor_that_comes_once_a_day_is_stale_after_three_days() -> None:
    days = by_day(
        [
            *captures_at("gone", [NOW - ago * DAY for ago in range(4, 9)]),
            *captures_at("here", [NOW - ago * DAY for ago in range(2, 9)]),
        ]
    )

    rows = ask("stale_sensors", position_daily=days)

    assert picked(rows, "sensor", "usual_interval_s", "missed") == [("gone", 86400.0, 4)]


def test_a_sensor_that_moved_to_another_position_is_one_sensor() -> None:
    days = by_day(
        [
            *captures_at("s", hourly(MIDNIGHT - 2 * DAY, 24), position="p/old"),
            *captures_at("s", hourly(MIDNIGHT - DAY, 24), position="p/new"),
        ]
    )

    rows = ask("stale_sensors", position_daily=days)

    assert picked(rows, "sensor", "position", "silent_hours") == [("s", "p/new", 13.0)]


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
        message(1, 60, sampled=-2 * 86400, received=11),  # held back for two days: left out
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


def test_the_trend_shows_the_position_that_is_chosen_as_far_back_as_asked() -> None:
    verdicts = [
        verdict("p/1", 40 * DAY, value=1.0, limit=4.5, score=0.22),
        verdict("p/1", 3 * HOUR, value=1.1, limit=4.5, score=0.24),
        verdict("p/2", 2 * HOUR, value=5.0, limit=4.5, score=1.11),
    ]

    rows = ask("trend", {"position": "p/1", "days": "60"}, verdicts=verdicts)

    assert picked(rows, "t", "value") == [(NOW - 40 * DAY, 1.0), (NOW - 3 * HOUR, 1.1)]


def of_day(position: str, ago: int, velocity: float | None) -> Row:
    return {"position": position, "t": MIDNIGHT - ago * DAY, "velocity_mean_mm_s": velocity, "velocity_axis": "y"}


def test_a_step_shows_on_its_first_day_alone_and_noise_and_a_new_position_do_not() -> None:
    position_daily = [
        *(of_day("p/up", ago, 2.0 if ago > 5 else 3.0) for ago in range(20)),
        *(of_day("p/down", ago, 4.0 if ago > 2 else 1.0) for ago in range(9)),
        *(of_day("p/noise", ago, 2.0 + 0.2 * (ago % 2)) for ago in range(20)),
        *(of_day("p/new", ago, 1.0 + 5 * (ago == 0)) for ago in range(3)),
        *(of_day("p/off", ago, None) for ago in range(20)),
    ]

    rows = ask("steps", position_daily=position_daily)

    assert picked(rows, "position", "day", "before_mm_s", "since_mm_s", "percent", "axis") == [
        ("p/down", date(2026, 11, 18), 4.0, 1.0, -75.0, "y"),
        ("p/up", date(2026, 11, 15), 2.0, 3.0, 50.0, "y"),
    ]


def test_a_sine_shows_on_its_line_with_its_amplitude_and_gravity_does_not() -> None:
    n, fs = 64, 128.0
    counts = [round(1000 + 500 * math.sin(2 * math.pi * 20 * k / fs)) for k in range(n)]
    wave = {"capture_id": "c", "position": "p/1", "unit": "g", "fs_hz": fs, "scale": 0.01, "t": NOW - HOUR}
    waveforms = [wave | {"axis": "x", "samples": counts}, wave | {"axis": "y", "samples": [7] * n}]

    rows = ask("spectrum", {"from_hz": "10", "to_hz": "30"}, waveforms=waveforms)

    lines = {(row["axis"], row["hz"]): row["amplitude"] for row in rows}
    assert sorted(hz for axis, hz in lines if axis == "x") == [10 + 2 * k for k in range(11)]
    assert lines["x", 20] == pytest.approx(5.0, abs=0.01)
    assert (lines["x", 18], lines["x", 22]) == (pytest.approx(2.5, abs=0.01), pytest.approx(2.5, abs=0.01))  # Hann
    assert lines["x", 28] == pytest.approx(0, abs=0.01)
    assert max(amplitude for (axis, _), amplitude in lines.items() if axis == "y") == pytest.approx(0, abs=1e-9)


def test_the_spectrum_of_a_long_record_is_that_of_the_fft() -> None:
    fs, x = 6400.0, np.random.default_rng(7).integers(-3000, 3000, 2048)
    wave = {"capture_id": "c", "position": "p/1", "unit": "g", "axis": "x", "scale": 0.001, "t": NOW - HOUR}
    window = 1 - np.cos(2 * np.pi * np.arange(len(x)) / len(x))
    expected = 2 * np.abs(np.fft.rfft(window * (x - x.mean()) * 0.001)) / len(x)

    rows = ask("spectrum", waveforms=[wave | {"fs_hz": fs, "samples": x.tolist()}])

    assert [row["hz"] for row in rows] == [pytest.approx(k * fs / len(x)) for k in range(len(rows))]
    np.testing.assert_allclose([row["amplitude"] for row in rows], expected[: len(rows)], atol=1e-9)


def test_alarms_are_counted_by_the_last_fault_named_and_by_asset() -> None:
    def opened(case_id: str, ago: int, position: str, **fields: Any) -> Row:
        return case(case_id, 1, "opened", opened_at=NOW - ago * DAY, position=position) | fields

    cases = [
        opened("a", 3, "s/h/pump/de", fault="IMBALANCE"),
        case("a", 2, "updated", opened_at=NOW - 3 * DAY, position="s/h/pump/de", fault="BEARING", severity="ALARM"),
        case("a", 3, "resolved", opened_at=NOW - 3 * DAY, position="s/h/pump/de"),
        opened("b", 2, "s/h/pump/nde", fault="BEARING"),
        opened("c", 1, "s/h/fan/de"),
        opened("d", 91, "s/h/fan/de"),
    ]

    rows = ask("alarms_by_fault", cases=cases)

    assert picked(rows, "fault", "asset", "cases", "alarms", "still_open", "last_opened") == [
        ("BEARING", "s/h/pump", 2, 1, 1, NOW - 2 * DAY),
        (None, "s/h/fan", 1, 0, 1, NOW - DAY),
    ]


def label(case_id: str, mode: str, ago: int, open_days: float, **fields: Any) -> Row:
    t = NOW - ago * DAY
    return {
        "case_id": case_id,
        "failure_mode": mode,
        "t": t,
        "opened_at": t - open_days * DAY,
        "site": "s",
        "position": f"s/{case_id}",
    } | fields


def test_the_false_alarm_rate_is_that_of_closure_codes_by_the_rule_that_opened() -> None:
    cases = [
        case("a", 1, "opened", rule="zone"),
        case("a", 2, "updated", rule="baseline"),
        case("b", 1, "opened", rule="baseline"),
        case("c", 1, "opened", rule="zone"),
    ]
    labels = [
        label("a", "NO_ISSUE", 1, 2),
        label("b", "MISALIGNMENT", 1, 2),
        label("c", "ELECTRICAL", 1, 2),
        label("imported", "NO_ISSUE", 300, 2),
        label("old", "NO_ISSUE", 366, 2),
    ]

    rows = ask("false_alarms", cases=cases, labels=labels)

    assert picked(rows, "site", "rule", "resolved", "false_alarms", "false_percent") == [
        ("s", None, 1, 1, 100.0),
        ("s", "zone", 2, 1, 50.0),
        ("s", "baseline", 1, 0, 0.0),
    ]


def test_lead_times_are_taken_from_the_opening_and_leave_false_alarms_out() -> None:
    start = NOW - 20 * DAY

    def change(case_id: str, revision: int, what: str, days: float, severity: str = "WARNING") -> Row:
        return case(case_id, revision, what, opened_at=start, t=start + days * DAY, severity=severity)

    cases = [
        change("a", 1, "opened", 0),
        change("a", 2, "acknowledged", 0.5),
        change("a", 3, "updated", 6, "ALARM"),
        change("a", 4, "resolved", 10, "ALARM"),
        change("b", 1, "opened", 0, "ALARM"),
        change("b", 2, "resolved", 2, "ALARM"),
    ]
    labels = [
        label("a", "BEARING", 10, 10),
        label("b", "BEARING", 18, 2),
        label("false", "NO_ISSUE", 1, 1),
    ]

    [row] = ask("lead_times", cases=cases, labels=labels)

    assert (row["failure_mode"], row["cases"], row["acknowledged_p50_h"], row["warned_before_alarm"]) == (
        "BEARING",
        2,
        12.0,
        1,
    )
    assert (row["repair_min_days"], row["repair_max_days"]) == (2.0, 10.0)


def test_a_sensors_cost_is_its_share_of_the_metered_units() -> None:
    captures = [
        *captures_at("big", [NOW - HOUR]),  # two messages
        *captures_at("small", [NOW - HOUR]),
        *captures_at("gone", [NOW - 31 * DAY]),
        *captures_at("imported", [NOW - HOUR], record_id="import/abc/0"),
    ]
    plain = {"position": "p/big", "capture_id": f"big@{NOW - HOUR}", "axis": "x", "t": NOW - HOUR}
    features = [plain | {"fs_hz": 6667.0, "n_samples": 2560 * 6}]  # 30,720 bytes: 6 units

    rows = ask("cost_by_sensor", {"bill_usd": "100"}, position_daily=by_day(captures, features))

    assert picked(rows, "sensor", "captures", "messages", "sample_mb", "units", "percent", "usd") == [
        ("big", 1, 2, 0.031, 8, 80.0, 80.0),
        ("small", 1, 2, 0.0, 2, 20.0, 20.0),
    ]


def test_files_are_counted_for_every_table_from_what_iceberg_keeps() -> None:
    def file(records: int, size: int, content: int = 0) -> Row:
        return {"content": content, "file_path": "f", "record_count": records, "file_size_in_bytes": size}

    about = {
        "features$files": pa.Table.from_pylist([file(10, 9_000_000), file(5, 6_000_000)], FILES),
        "cases$files": pa.Table.from_pylist([file(2, 1000), file(1, 999, content=1)], FILES),
    }

    rows = ask("files_by_table", about=about)

    names = ("table_name", "files", "records", "mb", "largest_mb", "below_8_mb", "bytes_a_record")
    assert picked(rows, *names) == [("features", 2, 15, 15.0, 9.0, 1, 1e6), ("cases", 1, 2, 0.001, 0.001, 1, 500.0)]
    assert tables_read(parse_query(QUERIES["files_by_table"].sql)) == {f"{name}$files" for name in TABLES}


def test_oee_inputs_are_hours_of_an_assets_best_heard_position() -> None:
    yesterday = MIDNIGHT - DAY

    def judged(position: str, hour: int, off: bool = False, **fields: Any) -> Row:
        row = verdict(position, timedelta(0), t=yesterday + hour * HOUR, capture_id=f"{hour}") | fields
        return row | ({"verdict": "MACHINE_OFF", "persistent": "UNKNOWN"} if off else {})

    verdicts = [
        *(judged("s/h/pump/de", hour, off=10 <= hour < 14) for hour in range(20)),  # then silent: 19 stands an hour
        judged("s/h/pump/de", 3, persistent="ALARM", rule="baseline"),
        judged("s/h/pump/de", 4, persistent="ALARM", rule="sensor"),
        *(judged("s/h/pump/nde", hour, off=True) for hour in range(0, 20, 4)),
    ]

    [row] = ask("oee_inputs", verdicts=verdicts)

    assert (row["asset"], row["day"], row["position"]) == ("s/h/pump", date(2026, 11, 19), "s/h/pump/de")
    assert (row["running_h"], row["off_h"], row["not_known_h"]) == (16.0, 4.0, 4.0)
    assert (row["running_percent"], row["stops"], row["alarm_h"]) == (80.0, 1, 1.0)


def test_a_gap_is_known_for_three_usual_intervals_and_not_beyond() -> None:
    times = [*range(6), 16]

    [row] = ask("oee_inputs", verdicts=[verdict("p/1", timedelta(0), t=MIDNIGHT - DAY + hour * HOUR) for hour in times])

    assert (row["running_h"], row["not_known_h"]) == (5 + 3 + 1, 15.0)


def test_a_battery_lasts_as_long_as_its_slope_says() -> None:
    def charge(sensor: str, ago: int, percent: float) -> Row:
        row = {"sensor": sensor, "t": NOW - ago * DAY, "battery_pct": percent, "capture_id": f"{sensor}-{ago}"}
        return row | {"position": f"p/{sensor}"}

    captures = [
        *(charge("half", ago, 50 + 0.5 * ago) for ago in range(10)),
        *(charge("soon", ago, 20 + 2.0 * ago) for ago in range(10)),
        *(charge("full", ago, 100) for ago in range(10)),
        charge("new", 0, 90),
    ]

    rows = ask("batteries", position_daily=by_day(captures))

    assert picked(rows, "sensor", "battery_pct", "percent_a_day", "days_left") == [
        ("soon", 20.0, 2.0, 5.0),
        ("half", 50.0, 0.5, 80.0),
        ("new", 90.0, None, None),
        ("full", 100.0, 0.0, None),
    ]


def order(case_id: str, revision: int, status: str | None, hours: float, **fields: Any) -> Row:
    row = {"case_id": case_id, "revision": revision, "status": status, "t": NOW - 10 * DAY + hours * HOUR, "site": "s"}
    return row | fields


def test_an_order_shows_until_it_is_done_with_its_age_and_the_refused_too() -> None:
    work_orders = [
        order("done", 1, "OPEN", 0),
        order("done", 2, "DONE", 5),
        order("open", 1, "OPEN", 0),
        order("open", 2, "ON_HOLD", 24, changed_at=NOW - 9.5 * DAY, ref="WO-7"),
        order("refused", 1, None, 48, problem="no such asset"),
    ]

    rows = ask("open_orders", work_orders=work_orders)

    assert picked(rows, "case_id", "ref", "status", "days_old", "days_unchanged", "problem") == [
        ("open", "WO-7", "ON_HOLD", 10.0, 9.5, None),
        ("refused", None, "REFUSED", 8.0, 8.0, "no such asset"),
    ]


def test_the_times_of_orders_are_from_the_order_to_the_systems_own_times() -> None:
    work_orders = [
        order("a", 1, "OPEN", 0),
        order("a", 2, "IN_PROGRESS", 6, changed_at=NOW - 10 * DAY + 4 * HOUR),
        order("a", 3, "DONE", 12),
        order("b", 1, "OPEN", 0),
        order("b", 2, "CANCELLED", 1),
        order("c", 1, "OPEN", 0),
    ]

    [row] = ask("order_times", work_orders=work_orders)

    assert row == {
        "site": "s",
        "done": 1,
        "cancelled": 1,
        "started_p50_h": 4.0,
        "done_p50_h": 12.0,
        "done_p90_h": 12.0,
    }


def test_an_assets_score_shows_with_the_time_since_when_it_is_an_anomaly() -> None:
    def score(asset: str, ago: int, value: float) -> Row:
        row = {"asset": asset, "t": NOW - ago * HOUR, "score": value, "prediction": int(value > 0.5)}
        return row | {"prediction_reason": "-", "contributions": f"{ago}"}

    scores = [score("s/h/a", 5, 0.9), score("s/h/a", 4, 0.2), score("s/h/a", 3, 0.7), score("s/h/a", 1, 0.8)]

    rows = ask("asset_scores", scores=[*scores, score("s/h/b", 2, 0.1), score("s/h/c", 200, 0.99)])

    assert picked(rows, "asset", "score", "since", "contributions") == [
        ("s/h/a", 0.8, NOW - 3 * HOUR, "1"),
        ("s/h/b", 0.1, None, "2"),
    ]


def test_tags_are_ranked_by_their_alarms_of_the_week() -> None:
    def alarm(tag: str, ago: int, **fields: Any) -> Row:
        row = {"position": "p", "tag": tag, "t": NOW - ago * HOUR, "is_anomaly": True, "score": 0.6, "words": f"{ago}"}
        return row | {"reason": "HIGH"} | fields

    tag_alarms = [
        alarm("flow", 5),
        alarm("flow", 2, score=0.7, reason="STEP", is_anomaly=False, is_changepoint=True),
        alarm("temperature_c", 3),
        alarm("temperature_c", 4),
        alarm("level", 8 * 24),
    ]

    rows = ask("tags_alarming", tag_alarms=tag_alarms)

    assert picked(rows, "tag", "alarms", "changepoints", "last_reason", "last_words", "highest_score") == [
        ("temperature_c", 2, 0, "HIGH", "3", 0.6),
        ("flow", 1, 1, "STEP", "2", 0.7),
    ]


def test_the_report_of_a_site_weighs_days_by_their_captures() -> None:
    def day(ago: int, **fields: Any) -> Row:
        return {"site": "s", "t": MIDNIGHT - ago * DAY, "captures": 0, "expected": 0, "judged": 0} | fields

    site_daily = [
        day(1, captures=90, expected=100, judged=80, machine_off=20, positions_alarm=1, cases_opened=2, rejected=3),
        day(2, captures=300, expected=300, judged=120, machine_off=30, velocity_max_mm_s=7.5, sample_bytes=2_500_000),
        day(31, captures=10**6),
    ]

    [row] = ask("site_report", site_daily=site_daily)

    assert (row["days"], row["captures"], row["missing_percent"], row["running_percent"]) == (2, 390, 2.5, 75.0)
    assert (row["days_with_alarm"], row["cases_opened"], row["rejected"], row["sample_mb"]) == (1, 2, 3, 2.5)
    assert row["velocity_max_mm_s"] == 7.5
