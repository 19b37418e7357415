"""`telltale explain`: what the line wrote is made again from stored bytes, and any byte that was changed is found."""

import io
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cli import __main__ as command
from cli import explain as explain_command
from cli.deployment import Deployment
from cli.sql import ENGINE
from telltale.adapters.parquet import arrow_schema
from telltale.adapters.receipts import PENDING
from telltale.adapters.registry import Registry
from telltale.core import schema
from telltale.core.plant import Limits

from tests.aws_line import START_MS
from tests.unit.test_backtest_command import Lived, scalars, waves
from tests.unit.test_from_rows_to_label import HOUR, PUMP, works

OUTPUTS = {
    "GlueDatabase": "telltale",
    "LakeBucket": "lake",
    "RegistryTable": "registry",
    "StatesTable": "states",
    "CasesTable": "cases",
}
TABLES = {table.name: table for table in schema.TABLES}


class Desk:
    """A person at the command line, and the files below it."""

    def __init__(self, line: Lived) -> None:
        self.line = line
        self._s3 = line.works.aws.s3
        [case] = line.works.cases.all()
        self.case = case.change.case_id
        self.opening = f"{self.case}#1"
        [self.opened_by] = case.change.evidence["capture_ids"]

    def explain(self, *arguments: str) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patched, redirect_stdout(out), redirect_stderr(err):
            patched.setattr(sys, "argv", ["telltale", "explain", *arguments])
            status = command.main()
        return status, out.getvalue(), err.getvalue()

    def differences(self, *arguments: str) -> list[str]:
        """What is not as it was, of the opening of the case unless something else is asked for."""
        status, out, err = self.explain(*(arguments or (self.opening,)), "--json", "--no-history")
        assert not err
        found = json.loads(out)
        assert status == (0 if found["identical"] else 1)
        return [f"{one['step']}: {one['what']}" for part in found["explained"] for one in part["differences"]]

    def keys(self, prefix: str) -> list[str]:
        listed = self._s3.list_objects_v2(Bucket="lake", Prefix=prefix)["Contents"]
        return [item["Key"] for item in listed]

    def key(self, table: str) -> str:
        """The file with the capture that opened the case."""
        keys = self.keys(f"data/{table}/")
        if table in ("cases", "readings"):
            return keys[0]
        return next(key for key in keys if self.opened_by in column(self.body(key), "capture_id"))

    def body(self, key: str) -> bytes:
        return bytes(self._s3.get_object(Bucket="lake", Key=key)["Body"].read())

    @contextmanager
    def put(self, *objects: tuple[str, bytes]) -> Iterator[None]:
        """These objects are others for a while."""
        before = [(key, self.body(key)) for key, _ in objects]
        try:
            for key, body in objects:
                self._s3.put_object(Bucket="lake", Key=key, Body=body)
            yield
        finally:
            for key, body in before:
                self._s3.put_object(Bucket="lake", Key=key, Body=body)

    def edited(self, table: str, change: Callable[[dict[str, Any]], None]) -> AbstractContextManager[None]:
        """Somebody writes the file of the capture that opened the case anew, with its first row changed."""
        key = self.key(table)
        rows = pq.read_table(io.BytesIO(self.body(key))).to_pylist()
        change(next(row for row in rows if row.get("capture_id", self.opened_by) == self.opened_by))
        sink = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows, arrow_schema(TABLES[table])), sink)
        return self.put((key, sink.getvalue()))


def column(body: bytes, name: str) -> list[Any]:
    return list(pq.read_table(io.BytesIO(body), columns=[name])[name].to_pylist())


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    """Captures with waveforms and scalars, of which some opened a case. Made once: each test leaves it as it was."""
    fixture: Any = works  # pytest does not type the function below one
    with pytest.MonkeyPatch.context() as patched, contextmanager(fixture.__wrapped__)(patched) as plant:
        line = Lived(plant, patched)
        line.capture(scalars(0, 0.2), scalars(1, 0.3, y=0.2))
        line.capture(*(waves(n) for n in (2, 3, 4, 5)))
        patched.setattr(explain_command, "current", lambda: Deployment(OUTPUTS, {ENGINE: "duckdb"}))
        yield Desk(line)


def test_a_case_is_made_again_and_is_identical(desk: Desk) -> None:
    status, out, err = desk.explain(desk.case)

    assert (status, err) == (0, "")
    assert out.rstrip().endswith("re-created: identical")
    for told in (desk.case, desk.opened_by, "velocity_rms_mm_s", "made again from the samples are equal bit for bit",
                 "the diagnosis was made again", "the history leads to what the case recorded",
                 "code 0.1.0+", "the position as it is set now"):  # fmt: skip
        assert told in out


def test_a_capture_and_an_event_are_made_again_too(desk: Desk) -> None:
    t_ms = START_MS + HOUR * 3
    for what in (f"s-1@{t_ms}", f"{PUMP.id}@{t_ms}:HEALTHY-WARNING", f"s-1@{t_ms}:Sensor Faulty"):
        status, out, err = desk.explain(what)
        assert status == 0, out + err
        assert "re-created: identical" in out
        assert "the verdicts were made again from the history" in out


def test_every_changed_byte_of_a_data_file_is_found_and_its_file_named(desk: Desk) -> None:
    often = dict.fromkeys(("waveforms", "features", "captures"), 3)
    for table in (*often, "readings", "verdicts", "diagnoses", "cases"):
        key = desk.key(table)
        body = desk.body(key)
        what = column(body, "capture_id")[0] if table == "readings" else desk.opening
        for place in np.linspace(0, len(body) - 1, 2 + often.get(table, 1))[1:-1].astype(int).tolist():
            with desk.put((key, body[:place] + bytes((body[place] ^ 0x10,)) + body[place + 1 :])):
                found = desk.differences(what)
            assert any(key in one for one in found), (table, place)
    assert desk.differences() == []


@pytest.mark.parametrize(
    ("table", "name", "value"),
    [
        ("captures", "temperature_c", 17.25),
        ("captures", "received_at", None),
        ("captures", "gateway", "g-2"),
        ("features", "rms_g", 9.75),
        ("features", "kurtosis", 3.0),
        ("waveforms", "scale", 0.5),
        ("waveforms", "samples", None),
    ],
)
def test_a_value_that_was_changed_is_named_with_its_column_and_both_digests(
    desk: Desk, table: str, name: str, value: Any
) -> None:
    def change(row: dict[str, Any]) -> None:
        if name == "samples":
            row[name][100] ^= 1
        elif name == "received_at":
            row[name] = row[name].replace(microsecond=row[name].microsecond + 1)
        else:
            row[name] = value

    with desk.edited(table, change):
        found = [one for one in desk.differences() if "digest recorded" in one]

    assert len(found) == 1
    assert found[0].startswith(f"bytes: capture {desk.opened_by}: {table}")
    assert f"column {name}" in found[0] or (name == "temperature_c" and "in more than one byte" in found[0])


def test_a_verdict_that_was_rewritten_is_made_again_as_it_was(desk: Desk) -> None:
    with desk.edited("verdicts", lambda row: row.update(limit=77.0, reason="because")):
        found = desk.differences()

    assert any(one.startswith("verdict: ") and "limit: written 77.0, made again" in one for one in found)


def test_evidence_that_was_rewritten_in_the_lake_is_not_what_the_case_has(desk: Desk) -> None:
    def change(row: dict[str, Any]) -> None:
        row["evidence"] = row["evidence"].replace('"score":', '"score":1')

    with desk.edited("cases", change):
        found = desk.differences()

    assert "bytes: cases, verdicts: the row in the lake is not what the case itself has" in found
    assert "case: evidence, verdicts: is not what the row gives" in found


def test_a_row_that_was_changed_earlier_in_the_history_is_found_where_the_history_leads_elsewhere(desk: Desk) -> None:
    key = desk.key("features")
    rows = pq.read_table(io.BytesIO(desk.body(key))).to_pylist()
    earlier = next(row for row in rows if row["capture_id"] != desk.opened_by and row["axis"] == "x")
    was = earlier["velocity_rms_mm_s"]
    earlier["velocity_rms_mm_s"] = was * 2
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, arrow_schema(TABLES["features"])), sink)

    with desk.put((key, sink.getvalue())):
        status, out, _ = desk.explain(desk.opening)

    assert status == 1
    named = f"bytes: history: capture {earlier['capture_id']}: features x, column velocity_rms_mm_s is {2 * was}, "
    assert named in out


def test_settings_that_changed_since_are_told_and_the_outcome_with_them(desk: Desk) -> None:
    registry = Registry(desk.line.works.aws.dynamodb, "registry")
    registry.put(replace(PUMP, limits=Limits(velocity_warning_mm_s=50.0, velocity_alarm_mm_s=90.0)))

    status, out, _ = desk.explain(desk.opening)

    registry.put(PUMP)
    assert status == 0
    assert "the position was set otherwise" in out
    assert "limits.velocity_warning_mm_s: 0.5; now 50" in out
    assert "HEALTHY instead of" in out


def test_when_samples_and_earlier_rows_have_aged_away_the_case_is_still_made_again(desk: Desk) -> None:
    receipts, kept = desk.keys(PENDING), []
    for key in receipts:
        told = json.loads(desk.body(key))
        aged = told["function"] == "extract_features" and key != receipts[-1] and int(told["first"]) == 1
        files = [file for file in told["files"] if not aged and file["table"] != "waveforms"]
        kept.append((key, json.dumps({**told, "files": files}).encode()))

    with desk.put(*kept):
        status, out, _ = desk.explain(desk.opening)

    assert status == 0, out
    assert "its samples are no longer in the lake" in out
    assert "made again from the row and what the case recorded" in out
    assert "leads to another state than the case recorded" in out
    assert out.rstrip().endswith("re-created: identical")


@pytest.mark.parametrize("what", ["case-zzzz", "s-9@1790000000000", "no such thing!"])
def test_what_is_not_there_is_said_in_one_line(desk: Desk, what: str) -> None:
    status, out, err = desk.explain(what)

    assert (status, out) == (1, "")
    assert err.startswith("telltale: ")
