"""What a historian exported comes into the lake whole, and what cannot is named by file and line."""

import gzip
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cli import historian_mapping
from cli.historian_mapping import HistorianMapping
from cli.import_files import find
from cli.import_historian import Historian, sample
from cli.import_seen import Seen
from cli.importing import Folder, Importer, Summary
from cli.problem import Problem
from telltale.core import schema

LATEST_US = 1_800_000_000_000_000  # January 2027
WIDE = """
layout: wide
time: {column: Time, zone: UTC}
tags:
  Flow: {position: r/h/p/process, tag: flow}
  Temp: {position: r/h/p/process, tag: temperature_c, unit: degF}
"""
LONG = """
layout: long
time: {column: Time, zone: Europe/Berlin}
tag: Tag
value: Value
quality: {column: Status, good: [Good]}
tags:
  A: {position: r/h/p/process, tag: a, unit: bar, to: kPa}
  B: {position: r/h/p/process, tag: b}
ignore: [C]
"""

Import = Callable[..., Summary]


@pytest.fixture
def lake(tmp_path: Path) -> Folder:
    (tmp_path / "lake").mkdir()
    return Folder(tmp_path / "lake")


@pytest.fixture
def bring(tmp_path: Path, lake: Folder) -> Import:
    """Imports files with the mapping in YAML."""

    def bring(yaml: str, *contents: bytes | str, name: str = "export.csv", mapping: Any = None) -> Summary:
        folder = tmp_path / "in"
        folder.mkdir(exist_ok=True)
        paths = []
        for place, content in enumerate(contents):
            path = folder / (name if not place else f"{place}-{name}")
            path.write_bytes(content.encode() if isinstance(content, str) else content)
            paths.append(str(path))
        source = Historian(find(paths, (), s3=dict), mapping or read(tmp_path, yaml), latest_us=LATEST_US)
        seen = tmp_path / "seen"
        seen.mkdir(exist_ok=True)
        return Importer(source, lake, seen=Seen(seen), now_ms=lambda: 0).run(source.inputs())

    return bring


def read(folder: Path, yaml: str) -> HistorianMapping:
    path = folder / "mapping.yaml"
    path.write_text(yaml)
    return historian_mapping.read(path)


def readings(lake: Folder) -> list[tuple[str, str, float]]:
    rows = lake.rows(schema.READINGS).sort_by([("tag", "ascending"), ("t", "ascending")]).to_pylist()
    return [(row["tag"], row["t"].isoformat(), row["value"]) for row in rows]


def counts(summary: Summary) -> tuple[int, int, int, int]:
    assert summary.adds_up
    return summary.records, summary.stored, summary.duplicate, summary.quarantined


def refused(summary: Summary) -> list[tuple[int | None, str]]:
    return [(one.line, one.detail) for one in summary.bad]


def test_a_wide_table_becomes_readings_and_captures(bring: Import, lake: Folder) -> None:
    done = bring(WIDE, "Time,Flow,Temp\n2026-03-01 10:00:00,12.5,212\n2026-03-01 10:01:00,,32\n")

    assert counts(done) == (3, 3, 0, 0)
    assert readings(lake) == [("flow", "2026-03-01T10:00:00+00:00", 12.5)]
    captures = lake.rows(schema.CAPTURES).to_pylist()
    assert [row["temperature_c"] for row in captures] == pytest.approx([100.0, 0.0])
    assert captures[0]["capture_id"] == "import/r/h/p/process@1772359200000"
    assert captures[0]["received_at"] == captures[0]["t"]
    assert done.lost["empty cell", "no value there"] == 1


def test_a_long_table_is_converted_and_sorted_by_tag(bring: Import, lake: Folder) -> None:
    lines = ["Tag;Time;Value;Status", "B;2026-07-01 02:00:00;1,5;Good", "A;2026-07-01 02:00:00;2,25;Good"]
    lines += ["C;2026-07-01 02:00:00;7,0;Good", "D;2026-07-01 02:00:00;8,0;Good"]

    done = bring(LONG, "\r\n".join(lines) + "\r\n")

    assert counts(done) == (2, 2, 0, 0)
    assert readings(lake) == [("a", "2026-07-01T00:00:00+00:00", 225.0), ("b", "2026-07-01T00:00:00+00:00", 1.5)]
    assert dict(done.lost) == {("tag D", "not in the mapping"): 1}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_whatever_it_is_written_in(bring: Import, lake: Folder, encoding: str) -> None:
    yaml = "layout: wide\ntime: {column: Zeit, zone: UTC}\ntags:\n  Öl °C: {position: r/h/p/process, tag: oil}\n"

    done = bring(yaml, "Zeit;Öl °C\n2026-03-01 10:00;1,5\n".encode(encoding))

    assert counts(done) == (1, 1, 0, 0)
    assert readings(lake) == [("oil", "2026-03-01T10:00:00+00:00", 1.5)]


def test_a_packed_file_that_was_cut_off_gives_what_there_is(bring: Import, lake: Folder) -> None:
    body = "Time,Flow\n" + "".join(f"2026-03-01 10:{minute:02d}:00,{minute}.5\n" for minute in range(60))

    done = bring(WIDE, gzip.compress(body.encode())[:-12], name="export.csv.gz")

    assert 0 < done.stored <= 60
    assert "ends early" in refused(done)[-1][1]
    assert done.adds_up


def test_times_that_cannot_be_told_are_refused_by_line(bring: Import, lake: Folder) -> None:
    times = ["2026-07-01T00:00:00+02:00", "2026-07-01T00:00:00-05:00", "2026-10-25 02:30:00", "2026-03-29 02:30:00"]
    times += ["never", "2031-01-01 00:00:00", "2026-07-01 00:01:00"]

    done = bring(LONG, "Tag,Time,Value,Status\n" + "".join(f"A,{one},1,Good\n" for one in times))

    assert counts(done) == (7, 2, 0, 5)
    assert [(line, words.split(": ", 1)[1]) for line, words in refused(done)] == [
        (3, "its offset is not that of Europe/Berlin at that time: the file mixes time zones"),
        (4, "the clocks of Europe/Berlin show that time twice, and which it is cannot be told (`repeated`)"),
        (5, "the clocks of Europe/Berlin leave that time out"),
        (6, "wanted a time like 2026-03-01T14:30:00Z"),
        (7, "wanted a time between 1970 and now"),
    ]


def test_where_each_time_says_its_offset_one_without_is_refused(bring: Import, lake: Folder) -> None:
    yaml = WIDE.replace("zone: UTC", "zone: offset")

    done = bring(yaml, "Time,Flow\n2026-07-01T00:00:00+02:00,1\n2026-07-01T00:01:00,2\n2026-07-01T00:00:00Z,3\n")

    assert [time for _, time, _ in readings(lake)] == ["2026-06-30T22:00:00+00:00", "2026-07-01T00:00:00+00:00"]
    assert refused(done)[0][0] == 3


def test_what_is_no_number_is_refused_by_line_and_the_rest_goes_on(bring: Import, lake: Folder) -> None:
    lines = ["Tag;Time;Value;Status", "A;2026-07-01 02:00;1,5;Good", "", "A;2026-07-01 02:01;Bad Input;Good"]
    lines += [
        "A;2026-07-01 02:02;1.5;Good",
        "A;2026-07-01 02:03;2,5;Bad",
        "A;2026-07-01 02:04",
        "A;2026-07-01 02:05;;Good",
    ]
    lines += ["A;2026-07-01 02:06;3,5;Good", "Tag;Time;Value;Status", "A;2026-07-01 02:07;inf;Good"]

    done = bring(LONG, "\n".join(lines))

    assert counts(done) == (7, 2, 0, 5)
    assert sorted(refused(done), key=str) == [
        (11, 'found "inf", wanted a number'),
        (4, 'found "Bad Input", wanted a number'),
        (5, 'found "1.5", wanted a number'),
        (6, 'found the quality "Bad", wanted Good'),
        (7, "found 2 columns, wanted 4"),
    ]
    assert dict(done.lost) == {("line", "no value in it"): 1, ("line", "the header once more"): 1}
    kept = lake.rows(schema.QUARANTINE).to_pylist()
    assert b"A;2026-07-01 02:01;Bad Input;Good" in [row["payload"] for row in kept]


def test_columns_of_one_name_are_told_apart_and_reported(bring: Import, lake: Folder) -> None:
    body = "Time,Flow,Flow\n2026-03-01 10:00:00,1,2\n"

    done = bring(WIDE, body)

    assert readings(lake) == [("flow", "2026-03-01T10:00:00+00:00", 1.0)]
    assert done.lost["column Flow#2", 'a further column of that name: it is "Flow#2" in the mapping'] == 1
    again = bring(WIDE + '  "Flow#2": {position: r/h/p/process, tag: flow2}\n', body)
    assert counts(again) == (2, 1, 1, 0)


def test_an_impossible_value_is_refused(bring: Import) -> None:
    done = bring(WIDE, "Time,Temp\n2026-03-01 10:00:00,9999\n")

    assert refused(done) == [(2, "found 5537.22 as temperature_c, wanted -60 to 300 degC")]


def test_a_value_that_comes_again_is_a_duplicate_and_the_first_stays(bring: Import, lake: Folder) -> None:
    first = "Time,Flow,Temp\n2026-03-01 10:00:00,1,50\n2026-03-01 10:00:00,2,51\n"
    second = "Time,Flow\n2026-03-01 10:00:00,3\n2026-03-01 11:00:00,4\n"

    done = bring(WIDE, first, second)

    assert counts(done) == (6, 3, 3, 0)
    assert [value for _, _, value in readings(lake)] == [1.0, 4.0]


def test_an_import_that_was_stopped_goes_on_and_one_that_is_done_adds_nothing(bring: Import, lake: Folder) -> None:
    body = "Time,Flow\n" + "".join(f"2026-03-{day:02d} 10:00:00,{day}\n" for day in range(1, 11)) + "x,1\n"
    whole = bring(WIDE, body)
    before = readings(lake)
    receipts = sorted((lake._path or Path()).glob("receipts/pending/**/*.json"))
    for path in receipts[4:]:
        path.unlink()

    again = bring(WIDE, body)

    assert counts(again) == counts(whole) == (11, 10, 0, 1)
    assert again.earlier == 4
    assert readings(lake) == before
    assert bring(WIDE, body).earlier == 11
    assert readings(lake) == before


def test_the_same_values_under_another_mapping_are_known(bring: Import, lake: Folder) -> None:
    body = "Time,Flow,Temp\n2026-03-01 10:00:00,1,50\n"
    bring(WIDE, body)

    again = bring(WIDE + "sensor: other\n", body)

    assert counts(again) == (2, 0, 2, 0)


def test_parquet_long_and_wide(bring: Import, lake: Folder, tmp_path: Path) -> None:
    start = datetime(2026, 3, 1, tzinfo=UTC)
    times = [start + timedelta(minutes=minute) for minute in range(4)]
    wide = pa.table({"Time": pa.array(times), "Flow": [1.0, None, 3.0, 4.0], "Other": [1, 2, 3, 4]})
    long = pa.table(
        {"Time": [t.replace(tzinfo=None) for t in times], "Tag": list("AABD"), "Value": ["1", "x", "3", "4"]}
    )
    pq.write_table(wide, tmp_path / "wide.parquet")
    pq.write_table(long, tmp_path / "long.parquet")

    one = bring(WIDE, (tmp_path / "wide.parquet").read_bytes(), name="wide.parquet")
    other = bring(
        LONG.replace("quality: {column: Status, good: [Good]}\n", ""),
        (tmp_path / "long.parquet").read_bytes(),
        name="long.parquet",
    )

    assert counts(one) == (3, 3, 0, 0)
    assert one.lost["column Other", "not in the mapping"] == 4
    assert counts(other) == (3, 2, 0, 1)
    assert refused(other) == [(2, 'found "x", wanted a number')]
    assert ("a", "2026-02-28T23:00:00+00:00", 100.0) in readings(lake)


def test_a_damaged_parquet_file_is_named_and_the_others_go_on(bring: Import, lake: Folder, tmp_path: Path) -> None:
    start = datetime(2026, 3, 1, tzinfo=UTC)
    table = pa.table(
        {"Time": [start + timedelta(seconds=s) for s in range(3000)], "Flow": [s * 1.5 for s in range(3000)]}
    )
    pq.write_table(table, tmp_path / "x", row_group_size=1000, write_page_checksum=True, use_dictionary=False)
    whole = (tmp_path / "x").read_bytes()
    place = pq.ParquetFile(tmp_path / "x").metadata.row_group(1).column(1).data_page_offset + 300
    hurt = whole[:place] + bytes(byte ^ 255 for byte in whole[place : place + 20]) + whole[place + 20 :]

    done = bring(WIDE, hurt, whole[: len(whole) // 2], "Time,Flow\n2026-04-01,1\n", name="x.parquet")

    assert done.stored == 2001
    assert done.adds_up
    assert [one.line for one in done.bad] == [1001, None]
    assert "row group 2 of 3 is damaged, its rows from 1001 to 2000" in done.bad[0].detail


def test_a_table_without_the_columns_is_one_item_that_is_refused(bring: Import) -> None:
    done = bring(WIDE, "When,Flow\n2026-03-01,1\n", "Time,Flow\n2026-03-01,1\n", "")

    assert counts(done) == (3, 1, 0, 2)
    assert "no column Time" in done.bad[0].detail


def test_a_day_with_more_values_than_fit_is_taken_in_slices(
    bring: Import, lake: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.day_shuffle.AT_ONCE", 10)
    monkeypatch.setattr("cli.text_blocks.READ_BYTES", 100)
    lines = [f"2026-03-01 {hour:02d}:{minute:02d}:00,{hour}" for minute in (30, 0) for hour in range(24)]

    done = bring(WIDE, "Time,Flow\n" + "\n".join(lines))

    assert counts(done) == (48, 48, 0, 0)
    assert len(lake.receipts()) == 5
    assert len(readings(lake)) == 48


def test_a_mapping_says_all_that_is_wrong_with_it_by_line(tmp_path: Path) -> None:
    yaml = (
        "layout: wide\ntime: {column: T, zone: Berlin}\ntags:\n  A: {position: r/h/p}\n  B: {positon: r/h/p/q}\nx: 1\n"
    )

    with pytest.raises(Problem) as found:
        read(tmp_path, yaml)

    text = str(found.value)
    assert 'mapping.yaml:2: found the zone "Berlin"' in text
    assert 'mapping.yaml:4: found the position "r/h/p" of A' in text
    assert 'mapping.yaml:5: found the key "positon"' in text
    assert 'mapping.yaml:6: found the key "x"' in text


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ("Timestamp,Flow [m3/h]\n2026-03-01T10:00:00Z,1.5\n", ["layout: wide", "zone: offset", 'unit: "m3/h"']),
        ("Name;Zeit;Wert\nP1;01.03.2026 10:00:00;1,5\n", ["layout: long", 'decimal: ","', "%d.%m.%Y %H:%M:%S"]),
        ("a\tt\tvalue\nX\t03/04/2026 10:00\t5\n", ["format: TODO", 'delimiter: "\\t"']),
        ("made by X\nversion 2\ntime,a,b\n1772359200,1,2\n", ['format: "s"', "zone: UTC", '"b": {']),
    ],
)
def test_a_mapping_is_proposed(tmp_path: Path, body: str, shown: list[str]) -> None:
    path = tmp_path / "export.csv"
    path.write_text(body)

    text = historian_mapping.propose(sample(find([str(path)], (), s3=dict)[0]), latest_us=LATEST_US).text

    assert [one for one in shown if one not in text] == []


def test_a_proposal_filled_in_is_a_mapping_that_imports(bring: Import, lake: Folder, tmp_path: Path) -> None:
    body = "TagName;Timestamp;Value;Status\nA;2026-03-01 10:00:00;1,5;Good\nA;2026-03-01 10:01:00;2,5;Good\n"
    path = tmp_path / "export.csv"
    path.write_text(body)
    proposed = historian_mapping.propose(sample(find([str(path)], (), s3=dict)[0]), latest_us=LATEST_US).text

    filled = proposed.replace("zone: TODO", "zone: UTC").replace("position: TODO", "position: r/h/p/process")

    assert counts(bring(filled, body)) == (2, 2, 0, 0)


def test_a_file_of_nothing_but_bad_lines_is_all_kept_and_not_all_held(
    bring: Import, lake: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.importing.MOST_NAMED", 3)

    done = bring(WIDE, "Time,Flow\n" + "2026-03-01 10:00:00,off\n" * 50)

    assert counts(done) == (50, 0, 0, 50)
    assert (len(done.bad), done.reasons.total(), len(lake.rows(schema.QUARANTINE))) == (3, 50, 50)


def test_times_between_milliseconds_are_told_apart(bring: Import, lake: Folder) -> None:
    lines = [f"2026-03-01 10:00:00.{digits},1\n" for digits in ("000001", "000002", "000001", "000")]

    done = bring(WIDE, "Time,Flow\n" + "".join(lines))

    assert counts(done) == (4, 3, 1, 0)
    assert sorted(lake.rows(schema.READINGS)["capture_id"].to_pylist())[:2] == [
        "import/r/h/p/process@1772359200000",
        "import/r/h/p/process@1772359200000.001",
    ]


def test_a_line_that_no_reader_of_csv_takes_costs_itself(bring: Import, lake: Folder) -> None:
    lines = [
        "Time,Flow",
        '2026-03-01 10:00:00,"1"',
        '2026-03-01 10:01:00,"2',
        "2026-03-01\r10:02:00,3",
        "2026-03-01 10:03:00,x",
    ]

    done = bring(WIDE, "\n".join([*lines, "2026-03-01 10:04:00,4"]))

    assert counts(done) == (5, 3, 0, 2)
    assert [value for _, _, value in readings(lake)] == [1.0, 3.0, 4.0]
    assert refused(done) == [
        (3, "found a quotation mark without its other"),
        (5, 'in column Flow, found "x", wanted a number'),
    ]
