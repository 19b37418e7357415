"""`telltale query`: clean CSV and JSON for programs, a table for the eye, and words of help for mistakes."""

import argparse
import csv
import io
import json
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cli import query, sql
from cli.arguments import Parser
from cli.choices import choices, choose, pairs
from cli.deployment import Deployment, NotDeployed
from cli.problem import Problem
from cli.queries import QUERIES
from rich.console import Console
from rich.text import Text
from telltale.adapters.answer import Answer

TABLE = pa.table(
    {
        "position": ["site/a/pump/de", None],
        "t": pa.array([datetime(2026, 11, 20, 8, tzinfo=UTC), None], pa.timestamp("us", "UTC")),
        "day": [date(2026, 11, 20), None],
        "value": [1 / 3, float("nan")],
        "n": [12345, None],
        "samples": pa.array([[1, -2], None], pa.list_(pa.int32())),
        "payload": pa.array([b"\x00\xff", None], pa.binary()),
        "price": pa.array([Decimal("1.50"), None], pa.decimal128(10, 2)),
        "yes": [True, None],
    }
)
ANSWER = Answer(TABLE, more=False, engine="duckdb", seconds=0.25)


def written(form: str) -> str:
    stream = io.StringIO()
    query.write(ANSWER, form, stream)
    return stream.getvalue()


def test_json_is_one_array_with_null_for_what_is_not_known() -> None:
    first, second = json.loads(written("json"))

    assert first == {
        "position": "site/a/pump/de",
        "t": "2026-11-20T08:00:00Z",
        "day": "2026-11-20",
        "value": 1 / 3,
        "n": 12345,
        "samples": [1, -2],
        "payload": "AP8=",
        "price": 1.5,
        "yes": True,
    }
    assert second == dict.fromkeys(first)


def test_csv_has_a_header_and_loses_no_digit() -> None:
    header, first, second = csv.reader(io.StringIO(written("csv")))

    assert header == TABLE.schema.names
    assert first == [
        "site/a/pump/de",
        "2026-11-20T08:00:00Z",
        "2026-11-20",
        repr(1 / 3),
        "12345",
        "[1, -2]",
        "AP8=",
        "1.5",
        "true",
    ]
    assert second == [""] * len(header)


def test_a_query_without_rows_is_still_json_and_csv() -> None:
    stream = io.StringIO()
    nothing = Answer(TABLE.slice(0, 0), more=False, engine="duckdb")

    query.write(nothing, "json", stream)

    assert json.loads(stream.getvalue()) == []


def test_the_table_has_a_line_for_each_row_and_short_numbers() -> None:
    lines = written("table").splitlines()

    [row] = [line for line in lines if "site/a/pump/de" in line]
    assert "0.333333" in row
    assert "2026-11-20 08:00:00" in row
    assert "[1, -2]" in row


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_table_too_wide_for_the_terminal_has_a_line_for_each_column(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    stream = Terminal()

    query.write(ANSWER, "table", stream)

    lines = [Text.from_ansi(line).plain.split() for line in stream.getvalue().splitlines()]
    assert ["position", "site/a/pump/de"] in lines
    assert ["value", "0.333333"] in lines


def test_a_value_that_looks_like_markup_is_shown_as_it_is() -> None:
    stream = io.StringIO()

    query.write(Answer(pa.table({"reason": ["[bold]zone D[/bold]"]}), more=False, engine="duckdb"), "table", stream)

    assert "[bold]zone D[/bold]" in stream.getvalue()


@pytest.fixture
def lake(monkeypatch: pytest.MonkeyPatch) -> list[int | None]:
    """A deployment whose every query answers TABLE; the limits that were asked for."""
    limits: list[int | None] = []

    def run(deployment: Deployment, text: str, *, limit: int | None, at: datetime | None) -> Answer:
        limits.append(limit)
        return ANSWER

    monkeypatch.setattr(query, "current", lambda: Deployment(outputs={}, environment={}))
    monkeypatch.setattr(sql, "run", run)
    return limits


def telltale_query(*words: str) -> int:
    parser = argparse.ArgumentParser()
    query.add_arguments(parser)
    return query.run(parser.parse_args(words))


@pytest.mark.parametrize("form", ["csv", "json"])
def test_what_a_program_reads_holds_nothing_but_the_rows(
    form: str, lake: list[int | None], capsys: pytest.CaptureFixture[str]
) -> None:
    assert telltale_query("SELECT 1", "--format", form) == 0

    printed = capsys.readouterr()
    assert printed.out == written(form)
    assert printed.err == "2 rows from duckdb in 0.2 s\n"


def test_only_a_table_for_the_eye_is_cut_unasked(lake: list[int | None], tmp_path: Path) -> None:
    telltale_query("SELECT 1")
    telltale_query("SELECT 1", "--format", "csv")
    telltale_query("SELECT 1", "--out", str(tmp_path / "all.txt"))
    telltale_query("SELECT 1", "--limit", "7")

    assert lake == [query.SHOWN, None, None, 7]


def test_a_file_gets_the_format_its_name_ends_in(lake: list[int | None], tmp_path: Path) -> None:
    telltale_query("SELECT 1", "--out", str(tmp_path / "rows.parquet"))
    telltale_query("SELECT 1", "--out", str(tmp_path / "rows.csv"))

    assert pq.read_table(tmp_path / "rows.parquet")["position"].to_pylist() == TABLE["position"].to_pylist()
    assert (tmp_path / "rows.csv").read_text() == written("csv")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["SELECT 1", "--format", "parquet"], "--out"),
        (["SELECT 1", "--limit", "0"], "--limit 0"),
        (["worst_position"], "worst_positions"),
        (["nothing_like_it"], "balance"),
        ([], "--list"),
    ],
)
def test_a_mistake_gets_a_word_of_help(words: list[str], message: str, lake: list[int | None]) -> None:
    with pytest.raises(Problem) as caught:
        telltale_query(*words)

    assert message in str(caught.value)


def test_an_empty_answer_says_when_rows_are_still_on_their_way(
    lake: list[int | None], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = Answer(ANSWER.table.slice(0, 0), more=False, engine="duckdb")
    monkeypatch.setattr(sql, "run", lambda *_, **__: empty)
    monkeypatch.setattr(query, "objects_below", lambda *_: {"receipts/pending/a": 1, "receipts/pending/b": 2})

    assert telltale_query("SELECT 1", "--format", "csv") == 0

    assert "not in the tables yet: 2 batches" in capsys.readouterr().err


def test_without_a_deployment_it_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_yet() -> Deployment:
        raise NotDeployed("run `scripts/telltale up`")

    monkeypatch.setattr(query, "current", none_yet)

    with pytest.raises(Problem, match="telltale up"):
        telltale_query("SELECT 1")


def test_sql_comes_from_the_argument_from_a_name_or_from_the_input() -> None:
    stdin = io.StringIO("SELECT 3")

    assert query.text_of("SELECT 1", stdin) == "SELECT 1"
    assert query.text_of("trend", stdin) == (QUERIES / "trend.sql").read_text()
    assert query.text_of("-", stdin) == "SELECT 3"


def test_the_list_shows_every_named_query_with_its_title() -> None:
    stream = io.StringIO()

    query.list_queries(Console(file=stream, width=100))

    shown = stream.getvalue()
    assert all(path.stem in shown for path in QUERIES.glob("*.sql"))
    assert "Open cases with their reasons" in shown


def test_the_summary_tells_when_there_are_more_rows_and_what_was_scanned() -> None:
    cut = Answer(TABLE, more=True, engine="athena", seconds=2.0, scanned_bytes=1_500_000)

    assert query.summary(cut) == (
        "the first 2 rows, there are more (--limit) from athena in 2.0 s, 1.5 MB scanned, 0.00005 USD"
    )
    local = replace(cut, engine="duckdb", more=False, scanned_bytes=2_345_600_000)
    assert query.summary(local) == "2 rows from duckdb in 2.0 s, plan of 2,345.6 MB; Athena would bill 0.01173 USD"


@pytest.mark.parametrize(
    ("scanned", "usd"), [(0, 0.00005), (10_000_000, 0.00005), (10_000_001, 0.000055), (10**12, 5.0)]
)
def test_the_price_is_of_whole_megabytes_and_ten_at_least(scanned: int, usd: float) -> None:
    assert query.price_usd(scanned) == pytest.approx(usd)


NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-11-01", datetime(2026, 11, 1, tzinfo=UTC)),
        ("2026-11-01T14:30Z", datetime(2026, 11, 1, 14, 30, tzinfo=UTC)),
        ("2026-11-01 14:30+02:00", datetime(2026, 11, 1, 12, 30, tzinfo=UTC)),
        ("90m", datetime(2026, 11, 20, 10, 30, tzinfo=UTC)),
        ("7d", datetime(2026, 11, 13, 12, tzinfo=UTC)),
    ],
)
def test_a_time_is_given_as_such_or_as_an_age(text: str, at: datetime) -> None:
    assert query.moment_of(text, NOW) == at


@pytest.mark.parametrize("text", ["yesterday", "2026-13-01", "7", "2026-11-21"])
def test_no_time_and_no_past_are_refused(text: str) -> None:
    with pytest.raises(Problem, match=text):
        query.moment_of(text, NOW)


def test_show_prints_the_sql_that_would_run(capsys: pytest.CaptureFixture[str]) -> None:
    query_text = "SELECT t FROM captures WHERE position = (SELECT position FROM chosen)"

    assert telltale_query(query_text, "position=p/1", "--at", "2026-11-01", "--show") == 0

    then = "FOR TIMESTAMP AS OF TIMESTAMP '2026-11-01 00:00:00.000000 UTC'"
    assert capsys.readouterr().out == f"SELECT t FROM captures {then} WHERE position = 'p/1'\n"


# Choices

CHOICES = """
WITH chosen AS (SELECT max(position) AS position FROM verdicts)
SELECT * FROM verdicts -- days
WHERE position = (SELECT position FROM chosen) AND t >= current_timestamp - interval '30' /* days */ day
  AND score > 1.5 /* score */ AND axis = 'x' /* axis */ AND rule = 'zone' /* the rule */
"""


def test_a_query_names_what_may_be_chosen() -> None:
    assert choices(CHOICES) == {"position": None, "days": "30", "score": "1.5", "axis": "x"}


def test_what_is_chosen_stands_in_the_text_as_a_literal() -> None:
    text = choose(CHOICES, {"position": "it's", "days": "7", "score": "2", "axis": "y"})

    assert "WHERE position = 'it''s' AND" in text
    assert "interval '7' /* days */ day" in text
    assert "score > 2 /* score */ AND axis = 'y' /* axis */" in text
    assert text.splitlines()[:3] == CHOICES.splitlines()[:3]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"day": "7"}, "did you mean days"),
        ({"quux": "7"}, "there are position, days, score, axis"),
        ({"days": "seven"}, "days=seven, wanted a whole number such as 30"),
        ({"days": "1.5"}, "whole number"),
        ({"score": "1' OR 1"}, "wanted a number such as 1.5"),
    ],
)
def test_a_wrong_choice_is_told_what_there_is(given: dict[str, str], message: str) -> None:
    with pytest.raises(Problem, match=message):
        choose(CHOICES, given)


def test_a_word_without_a_value_is_no_choice() -> None:
    with pytest.raises(Problem, match='found "p/1" after the query'):
        pairs(["p/1"])


@pytest.mark.parametrize(
    "words",
    ["trend position=p days=3 --show", "trend --show position=p days=3", "trend position=p --show days=3"],
)
def test_choices_stand_before_or_behind_the_options(words: str) -> None:
    parser = Parser()
    query.add_arguments(parser)

    found = parser.parse_args(words.split())

    assert (found.query, found.choices, found.show) == ("trend", ["position=p", "days=3"], True)


def test_an_option_that_there_is_not_is_no_choice(capsys: pytest.CaptureFixture[str]) -> None:
    parser = Parser()
    query.add_arguments(parser)

    with pytest.raises(SystemExit):
        parser.parse_args(["trend", "--shwo", "days=3"])
    assert "unrecognized arguments: --shwo" in capsys.readouterr().err


PLANT = ["s/hall/pump-1/de", "s/hall/pump-1/nde", "s/hall/fan-1/de"]


@pytest.mark.parametrize(
    ("chosen", "meant"),
    [
        ("s/hall/pump-1", "s/hall/pump-1/de, s/hall/pump-1/nde"),
        ("pump-1/nde", "s/hall/pump-1/nde"),
        ("s/hall/fan-l/de", "s/hall/fan-1/de"),
    ],
)
def test_a_position_that_there_is_not_gets_those_that_may_be_meant(chosen: str, meant: str) -> None:
    [line] = query.unknown_position(chosen, PLANT)

    assert line.startswith(f"there is no position {chosen} in the plant: did you mean {meant}")


def test_a_position_of_the_plant_without_rows_is_no_mistake() -> None:
    assert query.unknown_position(PLANT[0], PLANT) == []


def test_a_query_of_no_position_of_the_plant_says_so(
    lake: list[int | None], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = Answer(ANSWER.table.slice(0, 0), more=False, engine="duckdb")
    registry = SimpleNamespace(plant=lambda: SimpleNamespace(positions=dict.fromkeys(PLANT)))
    monkeypatch.setattr(sql, "run", lambda *_, **__: empty)
    monkeypatch.setattr(query, "objects_below", lambda *_: {})
    monkeypatch.setattr(query, "registry_of", lambda _: registry)

    assert telltale_query("trend", "position=pump-1/de", "--format", "csv") == 0

    assert "did you mean s/hall/pump-1/de" in capsys.readouterr().err
