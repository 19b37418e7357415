"""One SQL text on two engines: DuckDB over real Iceberg tables in a Glue catalog, and Athena; and what mistakes get."""

import os
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cli import sql
from cli.deployment import Deployment
from cli.problem import Problem
from cli.queries import named_queries
from moto import mock_aws
from moto.athena.models import QueryResults
from moto.backends import get_backend
from pyiceberg.catalog.glue import GlueCatalog
from pyiceberg.manifest import DataFile, DataFileContent
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import DataScan, FileScanTask, Table
from pyiceberg.transforms import DayTransform
from pyiceberg.types import DoubleType, FloatType, IntegerType, LongType, NestedField, StringType, TimestamptzType
from telltale.adapters import parquet
from telltale.adapters.answer import Answer, Unanswered, literal
from telltale.adapters.athena import Athena
from telltale.adapters.duck import Duck, earlier_names, execute, planned_bytes
from telltale.adapters.lake import Lake, glue_catalog
from telltale.adapters.trino import parse_query, tables_read, unknown_names, within
from telltale.core import schema

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_REGION": "us-east-1",
}
OUTPUTS = {"GlueDatabase": "telltale", "Workgroup": "telltale"}
COLUMNS = {"verdicts": ("position", "t", "value", "score"), "waveforms": ("samples", "axis")}


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        yield


def deployed(engine: str) -> Deployment:
    return Deployment(outputs=OUTPUTS, environment=ENVIRONMENT | {sql.ENGINE: engine})


# The Iceberg tables


def day(number: int) -> datetime:
    return datetime(2026, 11, number, 8, tzinfo=UTC)


def add_file(table: Table, path: Path, rows: list[tuple[datetime, str, int]], **layout: Any) -> Path:
    """Add a Parquet file to the table as the committer does: without rewriting it."""
    types = pa.schema(
        [
            pa.field("t", pa.timestamp("us", "UTC"), nullable=False),
            pa.field("position", pa.string(), nullable=False),
            pa.field("n", pa.int64()),
        ]
    )
    columns = [pa.array(column, field.type) for column, field in zip(zip(*rows, strict=True), types, strict=True)]
    pq.write_table(pa.table(columns, schema=types), path, **layout)
    table.add_files([f"file://{path}"])
    return path


@pytest.fixture
def captures(aws: None, tmp_path: Path) -> Table:
    """The table `captures`, here with three columns, of three files of one day each."""
    catalog = GlueCatalog("lake", client=boto3.client("glue"))
    catalog.create_namespace("telltale")
    columns = Schema(
        NestedField(1, "t", TimestamptzType(), required=True),
        NestedField(2, "position", StringType(), required=True),
        NestedField(3, "n", LongType()),
    )
    table = catalog.create_table(
        "telltale.captures",
        columns,
        location=f"file://{tmp_path}/captures",
        partition_spec=PartitionSpec(PartitionField(1, 1000, DayTransform(), "t_day")),
    )
    for number in (18, 19, 20):
        add_file(table, tmp_path / f"{number}.parquet", [(day(number), "p/1", number), (day(number), "p/2", 100)])
    return table


def ask(text: str, **options: Any) -> list[dict[str, Any]]:
    return sql.run(deployed("duckdb"), text, **options).table.to_pylist()


def test_duckdb_reads_the_files_of_the_glue_catalogs_table(captures: Table) -> None:
    rows = ask("SELECT position, sum(n) AS n, max(t) AS t FROM captures GROUP BY 1 ORDER BY 1")

    assert rows == [{"position": "p/1", "n": 57, "t": day(20)}, {"position": "p/2", "n": 300, "t": day(20)}]


def test_a_table_may_be_named_with_its_database_and_in_any_case(captures: Table) -> None:
    assert ask("SELECT COUNT(*) AS n FROM Telltale.Captures AS C WHERE C.Position = 'p/1'") == [{"n": 3}]


def test_a_file_of_another_day_is_not_opened(captures: Table, tmp_path: Path) -> None:
    (tmp_path / "18.parquet").unlink()

    rows = ask("SELECT sum(n) AS n FROM captures WHERE t >= TIMESTAMP '2026-11-19 00:00:00 UTC'")

    assert rows == [{"n": 239}]


def test_a_file_that_the_table_does_not_name_is_not_read(captures: Table, tmp_path: Path) -> None:
    pq.write_table(pq.read_table(tmp_path / "18.parquet"), tmp_path / "captures" / "orphan.parquet")

    assert ask("SELECT count(*) AS n FROM captures") == [{"n": 6}]


def test_a_row_deleted_with_its_file_is_gone(captures: Table) -> None:
    captures.delete("t < '2026-11-19T00:00:00+00:00'")

    assert ask("SELECT count(*) AS n FROM captures") == [{"n": 4}]


def test_a_file_with_rows_marked_as_deleted_is_left_to_iceberg(captures: Table, monkeypatch: Any) -> None:
    marks = DataFile.from_args(content=DataFileContent.POSITION_DELETES, file_path="marks.parquet")
    tasks = [FileScanTask(task.file, delete_files={marks}) for task in captures.scan().plan_files()]
    left = pa.table({"n": [7]})
    monkeypatch.setattr(DataScan, "plan_files", lambda _: tasks)
    monkeypatch.setattr(DataScan, "to_arrow", lambda _: left)

    assert ask("SELECT n FROM captures") == [{"n": 7}]


def test_a_renamed_column_keeps_its_values(captures: Table) -> None:
    with captures.update_schema() as update:
        update.rename_column("n", "counted")

    assert ask("SELECT sum(counted) AS n FROM captures") == [{"n": 357}]
    assert ask("SELECT * FROM captures WHERE counted = 18") == [{"t": day(18), "position": "p/1", "counted": 18}]
    with pytest.raises(Problem, match="no column named n: there are t, position, counted"):
        ask("SELECT n FROM captures")


def test_columns_that_changed_names_with_each_other_are_left_to_iceberg(captures: Table) -> None:
    with captures.update_schema() as update:
        update.rename_column("n", "old_n")
    with captures.update_schema() as update:
        update.add_column("n", LongType())

    assert earlier_names(captures, captures.schema()) is None
    iceberg = captures.scan().to_arrow().sort_by([("t", "ascending"), ("position", "ascending")])
    assert ask("SELECT * FROM captures ORDER BY t, position") == iceberg.to_pylist()


def test_a_widened_column_keeps_its_values_and_may_be_asked_by(aws: None, tmp_path: Path) -> None:
    catalog = GlueCatalog("lake", client=boto3.client("glue"))
    catalog.create_namespace("telltale")
    columns = Schema(NestedField(1, "n", IntegerType()), NestedField(2, "x", FloatType()))
    table = catalog.create_table("telltale.widened", columns, location=f"file://{tmp_path}/widened")
    pq.write_table(
        pa.table({"n": pa.array([1, 2], pa.int32()), "x": pa.array([0.5, 1.5], pa.float32())}), tmp_path / "1"
    )
    table.add_files([f"file://{tmp_path}/1"])
    with table.update_schema() as update:
        update.update_column("n", LongType())
        update.update_column("x", DoubleType())
    pq.write_table(pa.table({"n": [2**40], "x": [2.5]}), tmp_path / "2")
    table.add_files([f"file://{tmp_path}/2"])

    assert ask("SELECT sum(n) AS n, sum(x) AS x FROM widened WHERE n >= 2 AND x > 1") == [{"n": 2**40 + 2, "x": 4.0}]


def test_a_column_added_later_is_null_in_the_files_before_it(captures: Table) -> None:
    with captures.update_schema() as update:
        update.add_column("later", LongType())

    assert ask("SELECT count(*) AS n, count(later) AS later FROM captures") == [{"n": 6, "later": 0}]


# As it was


def before_the_last(table: Table) -> datetime:
    """A time at which the table had two of its three files."""
    return datetime.fromtimestamp(sorted(s.timestamp_ms for s in table.snapshots())[-1] / 1000 - 0.001, UTC)


def test_a_table_is_read_as_it_was_at_a_time_or_in_a_snapshot(captures: Table) -> None:
    first, second, _ = sorted(captures.snapshots(), key=lambda snapshot: snapshot.timestamp_ms)
    at = f"from_unixtime({second.timestamp_ms} / 1000e0)"

    [counts] = ask(f"""
        SELECT (SELECT count(*) FROM captures) AS now,
               (SELECT count(*) FROM captures FOR TIMESTAMP AS OF {at}) AS before,
               (SELECT count(c.n) FROM captures FOR VERSION AS OF {first.snapshot_id} AS c) AS first,
               (SELECT count(captures.n) FROM telltale.captures FOR VERSION AS OF {first.snapshot_id}) AS again
    """)

    assert counts == {"now": 6, "before": 4, "first": 2, "again": 2}


def test_asked_of_a_time_every_table_and_the_clock_are_those_of_then(captures: Table) -> None:
    at = before_the_last(captures)
    text = """WITH c AS (SELECT * FROM captures) -- from captures
              SELECT count(*) AS n, max(current_timestamp) AS clock, max(now()) AS again, max(current_date) AS day,
                     max('current_timestamp') AS word FROM c JOIN Telltale.captures d ON d.n = c.n AND d.t = c.t"""

    [row] = ask(text, at=at)

    assert row == {"n": 4, "clock": at, "again": at, "day": at.date(), "word": "current_timestamp"}


def test_athena_is_asked_of_a_time_in_its_own_words() -> None:
    client = FakeAthena("SUCCEEDED", rows=1)

    with_client(client, 'SELECT 1 FROM "captures" c, telltale.cases, "captures$files"', at=day(20))

    then = "FOR TIMESTAMP AS OF TIMESTAMP '2026-11-20 08:00:00.000000 UTC'"
    assert client.sql == f'SELECT 1 FROM "captures" {then} c, telltale.cases {then}, "captures$files"'


def test_before_its_first_rows_a_table_was_empty(captures: Table) -> None:
    assert ask("SELECT count(*) AS n FROM captures", at=datetime(2020, 1, 1, tzinfo=UTC)) == [{"n": 0}]


def test_a_time_that_is_no_longer_kept_is_refused_with_the_oldest_that_is(captures: Table) -> None:
    oldest, *_ = sorted(captures.snapshots(), key=lambda snapshot: snapshot.timestamp_ms)
    captures.maintenance.expire_snapshots().by_id(oldest.snapshot_id).commit()

    with pytest.raises(Problem, match="captures as it was at 2020-01-01 00:00:00 is no longer kept"):
        ask("SELECT 1 FROM captures", at=datetime(2020, 1, 1, tzinfo=UTC))


def test_a_snapshot_that_is_not_there_is_named(captures: Table) -> None:
    with pytest.raises(Problem, match="captures has no snapshot 7"):
        ask("SELECT 1 FROM captures FOR VERSION AS OF 7")


# What Iceberg knows


def test_iceberg_tells_of_files_snapshots_and_days_in_athenas_columns(captures: Table, tmp_path: Path) -> None:
    sizes = {number: (tmp_path / f"{number}.parquet").stat().st_size for number in (18, 19, 20)}

    files = ask('SELECT file_path, record_count, file_size_in_bytes, lower_bounds[2] AS low FROM "captures$files"')
    days = ask('SELECT partition.t_day AS day, file_count, total_size FROM "telltale"."captures$partitions" ORDER BY 1')
    made = ask("""SELECT summary['added-records'] AS rows, operation, parent_id IS NULL AS first
                  FROM "captures$snapshots" ORDER BY committed_at""")
    ages = ask('SELECT count(*) AS n FROM "captures$history" WHERE is_current_ancestor')
    [row] = ask('SELECT sum(added_rows_count + existing_rows_count) AS n FROM "captures$manifests"')

    assert {(f["file_path"][-10:-8], f["record_count"], f["file_size_in_bytes"], f["low"]) for f in files} == {
        (str(number), 2, size, "p/1") for number, size in sizes.items()
    }
    assert days == [{"day": day(n).date(), "file_count": 1, "total_size": size} for n, size in sizes.items()]
    assert made == [{"rows": "2", "operation": "append", "first": first} for first in (True, False, False)]
    assert (ages, row) == ([{"n": 3}], {"n": 6})


@pytest.mark.parametrize("about", ["files", "snapshots", "partitions", "history", "manifests"])
def test_a_table_that_is_not_there_yet_has_nothing_to_tell(captures: Table, about: str) -> None:
    assert ask(f'SELECT * FROM "cases${about}"') == []


def test_a_wrong_word_about_a_table_gets_the_right_one(captures: Table) -> None:
    with pytest.raises(Problem, match=r"no table named captures\$file: did you mean captures\$files"):
        ask('SELECT * FROM "captures$file"')


# What a query reads


def chunks(path: Path, *columns: str) -> int:
    footer = pq.read_metadata(path)
    groups = [footer.row_group(number) for number in range(footer.num_row_groups)]
    found = [group.column(n) for group in groups for n in range(group.num_columns)]
    return sum(chunk.total_compressed_size for chunk in found if chunk.path_in_schema.split(".")[0] in columns)


def test_the_bytes_of_a_plan_are_those_of_its_days_and_columns(captures: Table, tmp_path: Path) -> None:
    answer = sql.run(deployed("duckdb"), "SELECT n FROM captures WHERE t >= TIMESTAMP '2026-11-20 00:00:00 UTC'")

    assert answer.scanned_bytes == chunks(tmp_path / "20.parquet", "t", "n")


def test_a_position_reads_the_files_and_row_groups_that_may_hold_it(captures: Table, tmp_path: Path) -> None:
    rows = [(day(21), f"riverside/pump-hall/pump-{n // 10:03}", n) for n in range(1000)]
    add_file(captures, tmp_path / "21.parquet", rows, row_group_size=100)
    catalog = GlueCatalog("lake", client=boto3.client("glue"))

    def share(position: str) -> float:
        text = f"SELECT sum(n) FROM captures WHERE position = '{position}'"
        return planned_bytes(catalog, text, database="telltale") / chunks(tmp_path / "21.parquet", "position", "n")

    assert share("riverside/pump-hall/pump-042") == pytest.approx(0.1, abs=0.03)
    assert share("riverside/valve-hall") == 0
    assert share("a") == 0


def test_only_what_is_left_of_the_clock_is_read(captures: Table) -> None:
    catalog = GlueCatalog("lake", client=boto3.client("glue"))
    text = "SELECT n FROM captures WHERE t >= current_timestamp - interval '1' day"

    assert planned_bytes(catalog, text.replace("1' day", "9999' day"), database="telltale") > 0
    assert planned_bytes(catalog, text.replace("- interval", "+ interval"), database="telltale") == 0


def test_a_table_of_the_schema_without_data_is_empty(captures: Table) -> None:
    assert ask("SELECT * FROM cases") == []


def test_the_limit_cuts_and_says_so(captures: Table) -> None:
    cut = sql.run(deployed("duckdb"), "SELECT n FROM captures ORDER BY n DESC, t", limit=2)
    whole = sql.run(deployed("duckdb"), "SELECT n FROM captures", limit=6)

    assert (cut.table.to_pylist(), cut.more) == ([{"n": 100}, {"n": 100}], True)
    assert (whole.table.num_rows, whole.more) == (6, False)


def test_what_the_committer_adds_is_what_a_named_query_reads(aws: None, tmp_path: Path) -> None:
    glue = boto3.client("glue")
    glue.create_database(DatabaseInput={"Name": "telltale"})
    lake = Lake(glue_catalog(glue, {}), database="telltale", location=f"file://{tmp_path}")
    row = {"capture_id": "c-1", "axis": "x", "position": "p/1", "site": "p", "sensor": "s-1", "t": now_ms()}
    wave = {"fs_hz": 4.0, "unit": "g", "scale": 0.5, "samples": np.array([2, -4], np.int16)}
    (tmp_path / "wave.parquet").write_bytes(parquet.write(schema.WAVEFORMS, [row | wave]))
    lake.add(schema.WAVEFORMS, [f"file://{tmp_path}/wave.parquet"], number=1)

    rows = ask(named_queries()["waveform"].sql)

    assert [(row["seconds"], row["value"], row["unit"]) for row in rows] == [(0.0, 1.0, "g"), (0.25, -2.0, "g")]


def now_ms() -> int:
    return int(time.time() * 1000)


# What Trino means, DuckDB does


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("7 / 2", 3),
        ("date_diff('day', TIMESTAMP '2026-11-19 23:00:00', TIMESTAMP '2026-11-20 01:00:00')", 0),
        ("date_diff('hour', TIMESTAMP '2026-11-19 23:00:00', TIMESTAMP '2026-11-20 01:00:00')", 2),
        ("CAST(from_iso8601_timestamp('2026-11-20T23:30:00-05:00') AS date)", date(2026, 11, 21)),
        ("approx_percentile(x, 0.5)", 2),
        ("max_by(x, -x)", 1),
        ("element_at(ARRAY[5, 6], 1)", 5),
        ("sum(x)", 6),
        ("slice(ARRAY[1, 2, 3], 2, 2)", [2, 3]),
        ("slice(ARRAY[1, 2, 3], -2, 2)", [2, 3]),
        ("slice(ARRAY[1, 2, 3], -2, 9)", [2, 3]),
        ("slice(ARRAY[x, 2, 3], x, x + 1)", [1, 2]),
        ("format('%.2f %s', 1.5e0, 'g')", "1.50 g"),
        ("typeof(1)", "integer"),
        ("regexp_extract('pump-12', '[0-9]+')", "12"),
        ("regexp_extract('pump-12', '([a-z]+)-([0-9]+)', 2)", "12"),
        ("regexp_extract('pump', '[0-9]+')", None),
        ("split_part('a//c', '/', 2)", ""),
        ("split_part('a/b', '/', 5)", None),
        ("reduce(ARRAY[1, 2, 3], 0, (s, v) -> s + v, s -> s * 10)", 60),
        ("reduce(ARRAY[1, 2, 3], 0, (s, v) -> s + v, s -> s)", 6),
        ("width_bucket(5e0, 0, 10, 5)", 3),
        ("width_bucket(-1, 0, 10, 5)", 0),
        ("width_bucket(10, 0, 10, 5)", 6),
        (
            "format_datetime(TIMESTAMP '2026-11-20 08:05:09.250 UTC', 'yyyy-MM-dd HH:mm:ss.SSS')",
            "2026-11-20 08:05:09.250",
        ),
        ("hour(at_timezone(TIMESTAMP '2026-11-20 10:00:00 UTC', 'Europe/Berlin'))", 11),
        ("to_unixtime(with_timezone(TIMESTAMP '1970-01-01 01:00:00', 'Europe/Berlin'))", 0.0),
        ("every(x > 0)", True),
        ("any_match(ARRAY[1, 2], v -> v > 1)", True),
        ("all_match(ARRAY[1, 2], v -> v > 1)", False),
        ("none_match(ARRAY[1, 2], v -> v > 2)", True),
        ("zip(ARRAY[1], ARRAY['a'])[1][2]", "a"),
        ("map_agg(x, x * 10)[2]", 20),
        ("is_finite(infinity())", False),
        ("is_nan(nan())", True),
        ("CAST(json_parse('{\"a\": 0.5}') AS map(varchar, double))['a']", 0.5),
        ("greatest(NULL, 1)", None),
    ],
)
def test_a_trino_expression_means_the_same_on_duckdb(expression: str, value: object) -> None:
    table, _ = execute(f"SELECT {expression} AS v FROM (VALUES 1, 2, 3) AS one (x)", {}, database="telltale")

    assert table.to_pylist()[0] == {"v": value}
    assert not pa.types.is_decimal(table.schema.field("v").type)


def test_nulls_come_last_in_either_direction_as_in_athena() -> None:
    text = "SELECT x FROM (VALUES 1, NULL, 2) AS one (x) ORDER BY x"

    found = [execute(f"{text} {way}", {}, database="telltale")[0]["x"].to_pylist() for way in ("ASC", "DESC")]

    assert found == [[1, 2, None], [2, 1, None]]


# Mistakes


def advice(text: str) -> list[str]:
    return unknown_names(parse_query(text), COLUMNS)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("SELECT * FROM verdict", "no table named verdict: did you mean verdicts"),
        ("SELECT * FROM elsewhere.verdicts", "no table named elsewhere.verdicts: did you mean verdicts"),
        ("SELECT postion FROM verdicts", "no column named postion: did you mean position"),
        ("SELECT v.scor FROM verdicts v, waveforms w", "no column named scor: did you mean score"),
        ("WITH a AS (SELECT value AS v FROM verdicts) SELECT w FROM a", "no column named w: there are v"),
        ("SELECT vlaue FROM (SELECT *, 1 AS one FROM verdicts)", "no column named vlaue: did you mean value"),
        (
            "SELECT s.smpl FROM waveforms CROSS JOIN UNNEST(samples) AS s (sample)",
            "no column named smpl: did you mean sample",
        ),
        ("SELECT t FROM verdicts ORDER BY scroe", "no column named scroe: did you mean score"),
        (
            "SELECT 1 FROM verdicts v WHERE EXISTS (SELECT 1 FROM waveforms WHERE axs = v.position)",
            "no column named axs: did you mean axis",
        ),
    ],
)
def test_an_unknown_name_gets_the_nearest_known_ones(text: str, line: str) -> None:
    assert advice(text) == [line]


@pytest.mark.parametrize(
    "text",
    [
        "SELECT VALUE FROM Verdicts ORDER BY 1",
        "SELECT value AS v FROM verdicts ORDER BY v",
        "SELECT s.n, sample FROM waveforms CROSS JOIN UNNEST(samples) WITH ORDINALITY AS s (sample, n)",
        "SELECT 1 FROM verdicts v WHERE EXISTS (SELECT 1 FROM waveforms WHERE axis = position AND axis = v.position)",
        "SELECT position FROM verdicts UNION ALL SELECT axis FROM waveforms ORDER BY position",
        "WITH a AS (SELECT * FROM verdicts), b AS (SELECT *, 1 AS one FROM a) SELECT one, score FROM b",
    ],
)
def test_a_known_name_gets_no_advice(text: str) -> None:
    assert advice(text) == []


def test_a_wrong_name_is_reported_with_advice_by_the_engine(captures: Table) -> None:
    with pytest.raises(Problem, match="no column named postion: did you mean position"):
        ask("SELECT postion FROM captures")


@pytest.mark.parametrize(
    "condition",
    ["t >= '2026-11-19'", "'2026-11-19' < c.t", "t BETWEEN '2026-11-19' AND '2026-11-20'", "t IN ('2026-11-19')"],
)
def test_a_time_compared_with_a_text_is_refused_as_on_athena(captures: Table, condition: str) -> None:
    with pytest.raises(Problem, match=r"Athena compares no time with a text: .*2026-11-19") as caught:
        ask(f"SELECT n FROM captures AS c WHERE {condition}")

    assert "write TIMESTAMP '2026-11-20 08:00:00 UTC'" in str(caught.value)


def test_a_time_made_a_text_may_be_compared_with_one(captures: Table) -> None:
    text = """WITH days AS (SELECT date_format(t, '%Y-%m-%d') AS t, position FROM captures)
              SELECT count(*) AS n FROM days WHERE t = '2026-11-19' AND position = 'p/1'"""

    assert ask(text) == [{"n": 1}]


def test_a_wrong_table_never_reads_a_file_or_a_variable(captures: Table, tmp_path: Path) -> None:
    path = tmp_path / "18.parquet"

    with pytest.raises(Problem, match="no table named"):
        ask(f'SELECT * FROM "{path}"')
    with pytest.raises(Problem, match="no table named path"):
        ask("SELECT * FROM path")


def test_a_syntax_error_shows_its_place() -> None:
    with pytest.raises(Unanswered) as caught:
        parse_query("SELECT t,\n  value frm verdicts WHERE (")

    line, text, mark = str(caught.value).splitlines()
    assert line == "SQL syntax error at line 2, column 13"
    assert text.strip() == "value frm verdicts WHERE ("
    assert text[mark.index("^") : mark.index("^") + mark.count("^")] == "verdicts"


@pytest.mark.parametrize("text", ["", "SELECT 'a", "SELECT 1 FROM", "DELETE FROM verdicts", "SELECT 1; SELECT 2"])
def test_what_is_not_one_select_is_refused(text: str) -> None:
    with pytest.raises(Unanswered):
        parse_query(text)


def test_only_the_own_database_may_be_left_out() -> None:
    query = parse_query("SELECT 1 FROM telltale.verdicts AS a, other.verdicts AS b")

    assert tables_read(within(query, "telltale")) == {"verdicts", "other.verdicts"}


def test_two_tables_under_one_name_are_refused() -> None:
    with pytest.raises(Unanswered, match="alias"):
        tables_read(parse_query("SELECT 1 FROM verdicts, other.verdicts"))


def test_an_engine_that_does_not_exist_is_named() -> None:
    with pytest.raises(Problem, match="postgres"):
        sql.run(deployed("postgres"), "SELECT 1")


@pytest.mark.parametrize("value", [None, True, -7, 2.5, 1e300, "it's ?", date(2026, 11, 20), day(20)])
def test_a_parameter_means_the_same_value_in_the_query(captures: Table, value: Any) -> None:
    duck = Duck(GlueCatalog("lake", client=boto3.client("glue")), "telltale")

    rows = duck.run("SELECT '?' AS mark, ? AS v /* ? */ FROM captures WHERE n < ? AND position = ?", [value, 19, "p/1"])

    assert rows.to_pylist() == [{"mark": "?", "v": value}]


def test_values_that_do_not_fit_the_marks_are_counted(captures: Table) -> None:
    duck = Duck(GlueCatalog("lake", client=boto3.client("glue")), "telltale")

    with pytest.raises(Unanswered, match=r"the query has 1 parameters \(\?\), and 2 values were given"):
        duck.run("SELECT ? FROM captures", [1, 2])


def test_a_time_without_a_zone_is_no_parameter() -> None:
    with pytest.raises(ValueError, match="time zone"):
        literal(datetime(2026, 11, 20))  # noqa: DTZ001 that is the point


# Athena


def queue(columns: list[tuple[str, str]], *rows: tuple[str | None, ...]) -> None:
    """What Athena will answer: text cells under a header, null as an absent value."""
    cells = [[{} if value is None else {"VarCharValue": value} for value in row] for row in rows]
    header = [{"VarCharValue": name} for name, _ in columns]
    infos: list[Any] = [{"Name": name, "Type": kind, "Precision": 38, "Scale": 2} for name, kind in columns]
    backend = get_backend("athena")["123456789012"]["us-east-1"]
    backend.query_results_queue.append(QueryResults([{"Data": row} for row in [header, *cells]], infos))


def on_athena(text: str = "SELECT 1", **options: Any) -> Answer:
    athena_client = boto3.client("athena")
    athena_client.create_work_group(
        Name="telltale", Configuration={"ResultConfiguration": {"OutputLocation": "s3://lake/athena/"}}
    )
    return sql.run(deployed("athena"), text, **options)


def test_athenas_text_becomes_values_of_the_columns_types(aws: None) -> None:
    columns = [
        ("name", "varchar"),
        ("n", "bigint"),
        ("x", "double"),
        ("yes", "boolean"),
        ("t", "timestamp with time zone"),
        ("t6", "timestamp"),
        ("day", "date"),
        ("bytes", "varbinary"),
        ("price", "decimal"),
    ]
    instant = "2026-11-20 08:00:00.250000"
    queue(
        columns,
        ("", "-7", "1.5E-3", "true", f"{instant} UTC", instant, "2026-11-20", "00 ff", "1.25"),
        (None,) * len(columns),
    )

    answer = on_athena()

    t = datetime(2026, 11, 20, 8, tzinfo=UTC) + timedelta(milliseconds=250)
    values = ("", -7, 0.0015, True, t, t, date(2026, 11, 20), b"\x00\xff", Decimal("1.25"))
    names = [name for name, _ in columns]
    assert answer.engine == "athena"
    assert answer.table.to_pylist() == [dict(zip(names, values, strict=True)), dict.fromkeys(names)]


def test_athenas_limit_cuts_and_says_so(aws: None) -> None:
    queue([("n", "integer")], ("1",), ("2",), ("3",))

    answer = on_athena(limit=2)

    assert (answer.table["n"].to_pylist(), answer.more) == ([1, 2], True)


class FakeAthena:
    """Keeps the promises of a query that ends in the given state: its pages hold two rows each."""

    def __init__(self, state: str, *, reason: str = "", rows: int = 0, interrupt: bool = False) -> None:
        self.state, self.reason, self.rows, self.interrupt = state, reason, rows, interrupt
        self.pages_read = 0
        self.stopped: list[str] = []

    def start_query_execution(self, **request: Any) -> dict[str, str]:
        self.parameters, self.sql = request.get("ExecutionParameters"), request["QueryString"]
        return {"QueryExecutionId": "q-1"}

    def stop_query_execution(self, *, QueryExecutionId: str) -> None:  # noqa: N803 the name in Athena's API
        self.stopped.append(QueryExecutionId)

    def get_query_execution(self, **_: Any) -> dict[str, Any]:
        if self.interrupt:
            raise KeyboardInterrupt
        status = {"State": self.state, "StateChangeReason": self.reason}
        statistics = {"DataScannedInBytes": 10_000_000}
        return {"QueryExecution": {"Status": status, "StatementType": "DML", "Statistics": statistics}}

    def get_paginator(self, _: str) -> "FakeAthena":
        return self

    def paginate(self, **_: Any) -> Iterator[dict[str, Any]]:
        cells = ["n", *map(str, range(self.rows))]
        for start in range(0, len(cells), 2):
            self.pages_read += 1
            rows = [{"Data": [{"VarCharValue": cell}]} for cell in cells[start : start + 2]]
            yield {"ResultSet": {"Rows": rows, "ResultSetMetadata": {"ColumnInfo": [{"Name": "n", "Type": "integer"}]}}}


def with_client(client: FakeAthena, text: str = "SELECT 1", **options: Any) -> Answer:
    class Reached(Deployment):
        def client(self, service: str, **_: Any) -> Any:
            return client

    return sql.run(Reached(outputs=OUTPUTS, environment={}), text, **options)


def test_all_pages_are_read_and_the_scanned_bytes_reported() -> None:
    answer = with_client(FakeAthena("SUCCEEDED", rows=5))

    assert answer.table["n"].to_pylist() == [0, 1, 2, 3, 4]
    assert answer.scanned_bytes == 10_000_000


def test_pages_beyond_the_limit_are_not_asked_for() -> None:
    client = FakeAthena("SUCCEEDED", rows=1000)

    answer = with_client(client, limit=3)

    assert answer.table["n"].to_pylist() == [0, 1, 2]
    assert client.pages_read <= 4


def test_a_failed_query_gives_athenas_reason_and_the_nearest_names() -> None:
    client = FakeAthena("FAILED", reason="COLUMN_NOT_FOUND: line 1:8: Column 'postion' cannot be resolved")

    with pytest.raises(Problem) as caught:
        with_client(client, "SELECT postion FROM verdicts")

    assert "COLUMN_NOT_FOUND" in str(caught.value)
    assert "did you mean position" in str(caught.value)


def test_a_failed_query_on_tables_of_ones_own_gives_athenas_reason() -> None:
    with pytest.raises(Problem, match="TABLE_NOT_FOUND"):
        with_client(FakeAthena("FAILED", reason="TABLE_NOT_FOUND"), "SHOW TABLES")


def test_parameters_reach_athena_as_literals_of_its_dialect() -> None:
    client = FakeAthena("SUCCEEDED", rows=1)

    Athena(client, "telltale", "telltale").run("SELECT ?, ?, ?", ["it's", 2.5, day(20)])

    assert client.parameters == ["'it''s'", "DOUBLE '2.5'", "TIMESTAMP '2026-11-20 08:00:00.000000 UTC'"]


def test_an_interrupted_query_is_stopped() -> None:
    client = FakeAthena("RUNNING", interrupt=True)

    with pytest.raises(KeyboardInterrupt):
        with_client(client)
    assert client.stopped == ["q-1"]
