"""The daily aggregates are Athena's dialect, read only what the schema has, and say on DuckDB what a hand counts."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from cli.deployment import ROOT
from sqlglot import exp
from telltale.adapters import aggregates
from telltale.adapters.aggregates import (
    AGGREGATES,
    POSITIONS,
    SITES,
    Aggregate,
    consecutive,
    days_of,
    without_losses,
)
from telltale.adapters.answer import literal
from telltale.adapters.changed_days import Change
from telltale.adapters.duck import execute
from telltale.adapters.parquet import arrow_schema
from telltale.adapters.trino import filled, parse_query, tables_read, unknown_names
from telltale.core import schema

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
DAY = datetime(2026, 11, 20, tzinfo=UTC)  # the day that the rows below are of; it is over
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
P = "riverside/pump-hall/pump-1/motor-drive-end"
TABLES = {table.name: table for table in schema.TABLES}
COLUMNS = {table.name: table.names for table in schema.TABLES}

Row = dict[str, Any]


def seeded(name: str, rows: Sequence[Row]) -> pa.Table:
    """A table of the lake with these rows; a required column that a row leaves out gets a value of its type."""
    stand_ins: Row = {"string": "-", "int": 0, "long": 0, "double": 0.0, "boolean": False, "timestamp": DAY} | {
        "binary": b"",
        "list<int>": [],
    }
    fill = {column.name: stand_ins[column.type] for column in TABLES[name].columns if column.required}
    assert all(row.keys() <= set(COLUMNS[name]) for row in rows)
    return pa.Table.from_pylist([fill | row for row in rows], arrow_schema(TABLES[name]))


def ask(
    aggregate: Aggregate, *, first: datetime = DAY, days: int = 1, now: datetime = NOW, **tables: Sequence[Row]
) -> list[Row]:
    """The aggregate's rows of these days, of these tables, at that time."""
    parameters = aggregates.parameters(aggregate, first, first + timedelta(days=days))
    text = filled(aggregate.sql, [literal(value) for value in parameters])
    text = text.replace("current_timestamp", literal(now))
    relations = {name: seeded(name, tables.get(name, [])) for name in TABLES}
    rows = execute(text, relations, database="telltale")[0].to_pylist()
    return sorted(rows, key=lambda row: tuple(str(row[name]) for name in aggregate.key))


def of_position(**tables: Any) -> Row:
    [row] = ask(POSITIONS, **tables)
    return row


def picked(row: Row, *names: str) -> tuple[Any, ...]:
    return tuple(row[name] for name in names)


def capture(at: timedelta, **fields: Any) -> Row:
    plain = {"capture_id": f"c-{at}", "part": "s", "position": P, "site": "riverside", "sensor": "s-101", "t": DAY + at}
    return plain | {"gateway": "gw-1"} | fields


def features(at: timedelta, axis: str = "x", **fields: Any) -> Row:
    plain = {"capture_id": f"c-{at}", "axis": axis, "position": P, "site": "riverside", "t": DAY + at}
    return plain | {"fs_hz": 6667.0, "n_samples": 4096} | fields


def verdict(at: timedelta, channel: str = "x", rule: str = "zone", **fields: Any) -> Row:
    plain = {"capture_id": f"c-{at}", "channel": channel, "rule": rule, "position": P, "site": "riverside"}
    return plain | {"t": DAY + at, "verdict": "HEALTHY", "persistent": "HEALTHY"} | fields


def case(case_id: str, change: str, at: timedelta, **fields: Any) -> Row:
    plain = {"case_id": case_id, "change": change, "position": P, "site": "riverside", "t": DAY + at, "opened_at": DAY}
    return plain | fields


# --- The texts


@pytest.mark.parametrize("aggregate", AGGREGATES, ids=lambda a: a.table.name)
def test_an_aggregate_reads_only_tables_and_columns_of_the_schema(aggregate: Aggregate) -> None:
    query = parse_query(aggregate.sql)

    assert tables_read(query) == {table.name for table in aggregate.reads}
    assert unknown_names(query, COLUMNS) == []


@pytest.mark.parametrize("aggregate", AGGREGATES, ids=lambda a: a.table.name)
def test_an_aggregate_gives_the_columns_of_its_table_and_in_their_types(aggregate: Aggregate) -> None:
    query = parse_query(aggregate.sql)

    assert query.named_selects == list(aggregate.table.names)
    assert len(aggregate.key) == 2
    assert set(aggregate.key) < set(aggregate.table.names)


@pytest.mark.parametrize("aggregate", AGGREGATES, ids=lambda a: a.table.name)
def test_each_table_and_each_with_is_mentioned_once_so_that_athena_reads_and_bills_it_once(
    aggregate: Aggregate,
) -> None:
    mentions = [table.name for table in parse_query(aggregate.sql).find_all(exp.Table)]

    assert sorted(mentions) == sorted(set(mentions))


@pytest.mark.parametrize("aggregate", AGGREGATES, ids=lambda a: a.table.name)
def test_every_table_is_read_within_the_days_that_are_asked_for(aggregate: Aggregate) -> None:
    """Athena bills the days that a condition leaves; one that is forgotten reads the whole lake."""
    query = parse_query(aggregate.sql)

    for select in query.find_all(exp.Select):
        tables = [t.name for t in select.find_all(exp.Table) if t.parent_select is select and t.name in COLUMNS]
        for name in tables:
            asked = {
                (condition.key, condition.this.name)
                for condition in select.args["where"].find_all(exp.GTE, exp.LT)
                if isinstance(condition.expression, exp.Placeholder)
            }
            assert asked == {("gte", TABLES[name].day), ("lt", TABLES[name].day)}
    assert len(list(query.find_all(exp.Placeholder))) == 2 * len(aggregate.reads)


@pytest.mark.parametrize("aggregate", AGGREGATES, ids=lambda a: a.table.name)
def test_a_day_of_which_nothing_is_known_has_no_row(aggregate: Aggregate) -> None:
    assert ask(aggregate) == []


# --- A position's day


def test_captures_count_once_however_many_messages_brought_them() -> None:
    parts = [capture(HOUR), capture(HOUR, part="xyz"), capture(2 * HOUR, sensor="s-102"), capture(2 * HOUR, part="x")]

    row = of_position(captures=parts)

    assert picked(row, "t", "position", "site", "captures", "messages") == (DAY, P, "riverside", 2, 4)
    assert picked(row, "sensor", "last_capture_at") == ("s-102", DAY + 2 * HOUR)


def test_messages_are_those_of_the_line_and_not_of_an_import() -> None:
    captures = [
        capture(HOUR, record_id="shardId-0:1"),
        capture(2 * HOUR, record_id="import/abc/0"),
        capture(3 * HOUR, record_id="import/abc/0"),
        capture(3 * HOUR, part="xyz", record_id="shardId-0:2"),
    ]

    row = of_position(captures=captures)

    assert picked(row, "captures", "messages") == (3, 2)
    assert of_position(captures=captures[1:2])["messages"] == 0
    assert of_position(readings=[{"position": P, "site": "riverside", "t": DAY}])["messages"] == 0


def test_the_last_gateway_battery_and_signal_are_those_of_the_last_capture_that_told() -> None:
    captures = [
        capture(HOUR, battery_pct=81.0, rssi_dbm=-70.0, gateway="gw-2"),
        capture(2 * HOUR, part="xyz", rssi_dbm=-75.0),
        capture(2 * HOUR, battery_pct=80.0),
        capture(3 * HOUR, part="xyz", gateway="gw-3"),
    ]

    row = of_position(captures=captures)

    assert picked(row, "gateway", "battery_pct", "rssi_dbm") == ("gw-3", 80.0, -75.0)


def test_only_the_days_that_are_asked_for_are_aggregated_each_by_itself() -> None:
    captures = [capture(timedelta(days=day, hours=hour)) for day in range(-1, 3) for hour in (0, 5)]

    rows = ask(POSITIONS, days=2, captures=captures)

    assert [picked(row, "t", "captures", "interval_s") for row in rows] == [
        (DAY, 2, 18000.0),
        (DAY + timedelta(days=1), 2, 18000.0),
    ]


def test_the_running_share_is_of_the_captures_that_were_judged() -> None:
    verdicts = [
        verdict(1 * HOUR),
        verdict(2 * HOUR),
        verdict(3 * HOUR, verdict="NOT_ASSESSABLE", persistent="UNKNOWN"),
        verdict(3 * HOUR, rule="baseline", verdict="UNKNOWN", persistent="UNKNOWN"),
        verdict(3 * HOUR, rule="sensor"),  # a sound sensor says nothing of the machine
        verdict(4 * HOUR, verdict="MACHINE_OFF"),
        verdict(4 * HOUR, channel="y", rule="sensor", verdict="MACHINE_OFF"),
        verdict(5 * HOUR, rule="model", channel="model", capture_id="riverside/pump-hall/pump-1@1"),
    ]

    row = of_position(captures=[capture(n * HOUR) for n in range(1, 6)], verdicts=verdicts)

    assert picked(row, "captures", "judged", "machine_off", "not_assessable") == (5, 4, 1, 1)
    assert row["running_share"] == 0.75


def test_velocity_is_that_of_the_worst_axis_with_a_sound_sensor_while_the_machine_runs() -> None:
    rows = [
        features(1 * HOUR, "x", velocity_rms_mm_s=1.0),
        features(1 * HOUR, "y", velocity_rms_mm_s=2.0),
        features(2 * HOUR, "x", velocity_rms_mm_s=4.0),
        features(2 * HOUR, "z", velocity_rms_mm_s=90.0),  # saturated
        features(3 * HOUR, "x", velocity_rms_mm_s=50.0),  # knocked at while it stood still
        features(4 * HOUR, "x", velocity_rms_mm_s=3.0),  # not judged yet
        features(5 * HOUR, "x"),
    ]
    verdicts = [
        verdict(1 * HOUR, "x"),
        verdict(1 * HOUR, "y"),
        verdict(2 * HOUR, "x"),
        verdict(2 * HOUR, "z", "sensor", verdict="SENSOR_FAULT", persistent="SENSOR_FAULT"),
        verdict(2 * HOUR, "z", verdict="NOT_ASSESSABLE"),
        verdict(3 * HOUR, "x", verdict="MACHINE_OFF"),
    ]

    row = of_position(features=rows, verdicts=verdicts)

    assert picked(row, "velocity_mean_mm_s", "velocity_max_mm_s", "velocity_axis") == (3.0, 4.0, "x")
    assert picked(row, "sensor_faults", "judged") == (1, 3)


def test_temperatures_are_those_of_the_captures_that_have_one() -> None:
    captures = [capture(HOUR, temperature_c=40.0), capture(2 * HOUR, temperature_c=50.0), capture(3 * HOUR)]

    row = of_position(captures=captures)

    assert picked(row, "temperature_mean_c", "temperature_max_c") == (45.0, 50.0)


def test_the_worst_verdict_is_the_debounced_one_of_the_machine_and_not_of_its_sensor() -> None:
    verdicts = [
        verdict(1 * HOUR, verdict="ALARM", persistent="WARNING", score=1.6),
        verdict(1 * HOUR, channel="y", persistent="HEALTHY", score=0.2),
        verdict(2 * HOUR, persistent="ALARM", score=1.2),
        verdict(3 * HOUR, persistent="ALARM", score=1.1),
        verdict(3 * HOUR, rule="sensor", verdict="SENSOR_FAULT", persistent="SENSOR_FAULT", score=9.0),
    ]

    row = of_position(verdicts=verdicts)

    assert picked(row, "worst", "score_max", "warnings", "alarms") == ("ALARM", 1.6, 1, 2)


def test_what_the_model_of_the_asset_says_is_part_of_the_worst_and_no_capture() -> None:
    model = verdict(
        HOUR, "model", "model", capture_id="a@1", verdict="WARNING", persistent="WARNING", score=1.3, zone=None
    )

    row = of_position(verdicts=[verdict(HOUR, score=0.4), model])

    assert picked(row, "worst", "score_max", "judged", "warnings", "captures") == ("WARNING", 1.3, 1, 0, 0)


def test_a_day_without_a_judgement_of_the_machine_has_no_worst() -> None:
    row = of_position(captures=[capture(HOUR)], verdicts=[verdict(HOUR, rule="sensor")])

    assert picked(row, "worst", "score_max", "warnings", "alarms") == (None, None, 0, 0)


def test_a_capture_counts_in_the_zone_of_its_worst_axis_and_stands_until_the_next() -> None:
    minutes = [0, 10, 20, 30, 60]  # the usual interval is 10
    zones = [("A", "B"), ("A", "A"), ("C", "A"), ("C", "A"), ("C", "B")]
    verdicts = [
        verdict(minute * MINUTE, axis, zone=zone)
        for minute, pair in zip(minutes, zones, strict=True)
        for axis, zone in zip("xy", pair, strict=True)
    ]

    row = of_position(captures=[capture(minute * MINUTE) for minute in minutes], verdicts=verdicts)

    assert picked(row, "zone_a", "zone_b", "zone_c", "zone_d") == (1, 1, 3, 0)
    assert picked(row, "zone_a_min", "zone_b_min", "zone_c_min", "zone_d_min") == (10.0, 10.0, 30.0, 0.0)


def test_what_is_missing_is_told_by_the_days_own_interval() -> None:
    hours = [hour for hour in range(24) if hour not in (7, 8, 9, 10, 11, 12)]

    row = of_position(captures=[capture(hour * HOUR) for hour in hours])

    assert picked(row, "interval_s", "expected", "captures", "missing_share") == (3600.0, 24, 18, 0.25)


def test_of_a_day_that_is_not_over_only_what_is_over_is_waited_for() -> None:
    captures = [capture(hour * HOUR) for hour in range(0, 12, 2)]

    [row] = ask(POSITIONS, now=DAY + 12 * HOUR, captures=captures)

    assert picked(row, "expected", "missing_share") == (6, 0.0)


@pytest.mark.parametrize("captures", [[capture(HOUR)], [capture(HOUR), capture(HOUR, capture_id="other", sensor="s")]])
def test_without_two_instants_nobody_knows_what_is_missing(captures: list[Row]) -> None:
    row = of_position(captures=captures, verdicts=[verdict(HOUR, zone="A")])

    assert picked(row, "interval_s", "expected", "missing_share", "zone_a", "zone_a_min") == (None, None, None, 1, None)


def test_of_an_even_number_of_intervals_the_lower_of_the_middle_two_is_usual() -> None:
    row = of_position(captures=[capture(minute * MINUTE) for minute in (0, 1, 3, 6, 10)])

    assert row["interval_s"] == 120.0


def test_a_day_before_it_has_begun_is_not_waited_for() -> None:
    [row] = ask(POSITIONS, now=DAY - HOUR, captures=[capture(HOUR), capture(2 * HOUR)])

    assert picked(row, "captures", "expected", "missing_share") == (2, 0, None)


def test_cases_and_readings_count_where_they_are_though_nothing_was_captured() -> None:
    cases = [
        case("case-a", "opened", HOUR),
        case("case-a", "updated", 2 * HOUR, revision=2),
        case("case-b", "opened", 3 * HOUR),
        case("case-z", "resolved", 4 * HOUR, revision=3),
        case("case-elsewhere", "opened", HOUR, position="riverside/a/b/c"),
    ]
    label = {"case_id": "case-z", "position": P, "site": "riverside", "t": DAY + 4 * HOUR, "opened_at": DAY}
    readings = [{"position": P, "site": "riverside", "tag": tag, "t": DAY + HOUR} for tag in ("flow", "amps", "bar")]

    rows = ask(POSITIONS, cases=cases, labels=[label | {"failure_mode": "NO_ISSUE"}], readings=readings)

    wanted = ("position", "cases_opened", "cases_resolved", "false_alarms", "readings", "captures", "running_share")
    assert [picked(row, *wanted) for row in rows] == [
        ("riverside/a/b/c", 1, 0, 0, 0, 0, None),
        (P, 2, 1, 1, 3, 0, None),
    ]


def test_the_bytes_of_samples_are_those_the_sensor_sent() -> None:
    rows = [features(HOUR, "x"), features(HOUR, "y"), features(2 * HOUR, "x", fs_hz=None, n_samples=None)]

    assert of_position(features=rows)["sample_bytes"] == 2 * 2 * 4096


# --- A site's day


def of_positions(*rows: Row) -> list[Row]:
    return [{"t": DAY, "site": "riverside", "position": f"p/{n}"} | row for n, row in enumerate(rows)]


def test_a_site_adds_up_its_positions() -> None:
    rows = of_positions(
        {"captures": 18, "expected": 24, "judged": 10, "machine_off": 5, "worst": "ALARM", "alarms": 3},
        {"captures": 30, "expected": 24, "judged": 30, "machine_off": 5, "worst": "WARNING", "warnings": 2},
        {"readings": 7, "cases_opened": 2, "cases_resolved": 1, "false_alarms": 1},
        {"cases_resolved": 1, "site": "hillside"},
    )
    rows[0] |= {"velocity_max_mm_s": 4.5, "sample_bytes": 100, "sensor_faults": 1, "not_assessable": 2}
    rows[1] |= {"velocity_max_mm_s": 2.5, "sample_bytes": 50, "temperature_max_c": 61.0}

    elsewhere, site = ask(SITES, position_daily=rows)

    assert picked(site, "site", "positions_heard", "positions_warning", "positions_alarm") == ("riverside", 3, 1, 1)
    assert picked(site, "captures", "expected", "missing_share") == (48, 48, 0.125)
    assert picked(site, "judged", "machine_off", "running_share") == (40, 10, 0.75)
    assert picked(site, "cases_opened", "cases_resolved", "false_alarms") == (2, 1, 1)
    assert picked(site, "warnings", "alarms", "sensor_faults", "not_assessable") == (2, 3, 1, 2)
    assert picked(site, "velocity_max_mm_s", "temperature_max_c", "sample_bytes", "readings") == (4.5, 61.0, 150, 7)
    assert picked(elsewhere, "site", "positions_heard", "captures", "missing_share") == ("hillside", 0, 0, None)


def test_a_rejected_record_counts_at_the_site_of_its_gateway() -> None:
    def rejected(gateway: str | None, at: timedelta = HOUR) -> Row:
        return {"received_at": DAY + at, "gateway": gateway}

    quarantine = [rejected("gw-1"), rejected("gw-1"), rejected("gw-9"), rejected(None), rejected("gw-1", 25 * HOUR)]

    rows = ask(SITES, captures=[capture(HOUR)], quarantine=quarantine)

    assert [picked(row, "site", "rejected", "captures") for row in rows] == [("(unknown)", 2, 0), ("riverside", 2, 0)]


def test_an_order_counts_on_the_day_it_was_made_and_on_the_day_it_was_done() -> None:
    def order(case_id: str, change: str, status: str, at: timedelta = HOUR) -> Row:
        return {"case_id": case_id, "change": change, "status": status, "t": DAY + at, "site": "riverside"}

    orders = [
        order("a", "created", "OPEN"),
        order("b", "created", "OPEN"),
        order("a", "status", "IN_PROGRESS"),
        order("a", "status", "DONE"),
        order("a", "status", "DONE"),  # its raw status changed again
        order("c", "status", "DONE", 30 * HOUR),
        order("d", "updated", "DONE"),
        order("e", "status", "CANCELLED"),
    ]

    [row] = ask(SITES, work_orders=orders)

    assert picked(row, "orders_created", "orders_done", "positions_heard") == (2, 1, 0)


# --- Which days at a time, and what is kept


def change(day: str) -> Change:
    return Change(day, 1, 0)


def test_days_without_a_gap_are_aggregated_together_the_latest_first_and_a_week_at_most() -> None:
    days = ["2026-03-02", "2026-03-01", "2026-02-28", "2026-02-20", *(f"2026-01-{n:02}" for n in range(12, 2, -1))]

    stretches = [[one.day[5:] for one in stretch] for stretch in consecutive([change(day) for day in days])]

    assert stretches == [
        ["03-02", "03-01", "02-28"],
        ["02-20"],
        ["01-12", "01-11", "01-10", "01-09", "01-08", "01-07", "01-06"],
        ["01-05", "01-04", "01-03"],
    ]
    assert consecutive([]) == []


def test_only_files_of_tables_that_an_aggregate_reads_change_a_day() -> None:
    files: dict[str, dict[str, int | None]] = {
        "captures": {"data/captures/2026-11-20/a.parquet": 100, "data/captures/2026-11-21/b.parquet": None},
        "quarantine": {"data/quarantine/2026-11-19/c.parquet": 5},
        "waveforms": {"data/waveforms/2026-11-18/d.parquet": 5},
        "batches": {"lake/batches/data/1-2.parquet": 5},
    }

    assert days_of(files) == {"2026-11-19", "2026-11-20", "2026-11-21"}


def kept(aggregate: Aggregate, before: list[Row], now: list[Row]) -> list[Row]:
    name = aggregate.table.name
    return without_losses(aggregate, seeded(name, before), seeded(name, now)).to_pylist()


def test_a_position_whose_raw_rows_were_aged_keeps_its_row_and_others_get_theirs() -> None:
    before = of_positions({"captures": 24, "readings": 5}, {"captures": 24}, {"captures": 3})
    now = of_positions({"captures": 25, "readings": 4}, {"captures": 25})

    rows = kept(POSITIONS, before, now)

    assert sorted(picked(row, "position", "captures", "readings") for row in rows) == [
        ("p/0", 24, 5),
        ("p/1", 25, 0),
        ("p/2", 3, 0),
    ]


def test_a_site_shrinks_with_a_position_that_was_erased_and_not_with_rejected_records_that_were_aged() -> None:
    def site(captures: int, rejected: int, name: str = "riverside") -> Row:
        return {"t": DAY, "site": name, "captures": captures, "rejected": rejected}

    erased = kept(SITES, [site(48, 1)], [site(24, 1)])
    found_its_gateway = kept(SITES, [site(48, 1), site(0, 2, "(unknown)")], [site(50, 3)])
    aged = kept(SITES, [site(48, 1)], [site(50, 0)])

    assert [picked(row, "captures", "rejected") for row in erased + found_its_gateway] == [(24, 1), (50, 3)]
    assert [picked(row, "captures", "rejected") for row in aged] == [(48, 1)]


# --- The page about them

PAGE = (ROOT / "docs" / "aggregates.md").read_text()


def test_the_sql_of_the_page_names_what_there_is_and_runs() -> None:
    [text] = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
    rows = [{"t": DAY, "site": "riverside", "cases_opened": 2, "false_alarms": 1, "judged": 4, "machine_off": 1}]

    found, _ = execute(text, {"site_daily": seeded("site_daily", rows)}, database="telltale")

    assert unknown_names(parse_query(text), COLUMNS) == []
    month = {"month": datetime(2026, 11, 1, tzinfo=UTC), "site": "riverside", "cases": 2, "false_alarms": 1}
    assert found.to_pylist() == [month | {"off_share": 0.25}]


@pytest.mark.parametrize("aggregate", AGGREGATES, ids=lambda a: a.table.name)
def test_the_command_of_the_page_fills_in_a_day(aggregate: Aggregate) -> None:
    [changes] = re.findall(r'sed "s/(.*?)"', PAGE)
    text = aggregate.sql
    for change in changes.split("; s/"):
        wanted, instead = change.removesuffix("/").split("/")
        text = "\n".join(line.replace(wanted, instead, 1) for line in text.splitlines())  # as sed does

    assert list(parse_query(text).find_all(exp.Placeholder)) == []
    assert text.count("TIMESTAMP '2026-11-20 00:00:00 UTC'") == len(aggregate.reads)
