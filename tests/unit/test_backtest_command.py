"""`telltale backtest`: what the lake keeps is enough to replay it exactly, and what differs is said in words."""

import argparse
import io
import json
import pickle
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import extract_features
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import work_orders
from cli import backtest as command
from cli import history, sql
from cli.backtest import How, replayed
from cli.deployment import Deployment
from cli.history import Files, Kept, Lake
from cli.problem import Problem
from telltale.adapters import duck, wire
from telltale.adapters.answer import Answer
from telltale.adapters.cmms.logbook import Logbook
from telltale.adapters.cmms.port import Status
from telltale.adapters.feature_stream import Message, read
from telltale.adapters.parquet import arrow_schema
from telltale.adapters.registry import Registry
from telltale.core import schema
from telltale.core.backtest import READ, History, backtest, differences, placed, replay
from telltale.core.cases import case_id
from telltale.core.detect import CaseChange, Row
from telltale.core.plant import Position

from tests.aws_line import START_MS, Clock, records
from tests.unit.test_from_rows_to_label import FOUND, HOUR, PUMP, Context, Plant, b64, shaken, works

__all__ = ["works"]  # a fixture

KEPT = ("captures", "features", "readings", "cases", "verdicts")
PLACE = "plant/hall/pump-7/motor-de"


# ---- the lake is enough --------------------------------------------------------------------------


class Lived:
    """A plant whose captures go through extraction and detection, and what its lake then holds."""

    def __init__(self, works: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
        self.works, self.clock, self.heard, self.given = works, Clock(), 0, 0
        monkeypatch.setattr(work_orders, "now_ms", self.clock)
        works.logbook = Logbook(works.aws.dynamodb, "logbook", self.clock)
        Registry(works.aws.dynamodb, "registry").put(PUMP)

    def capture(self, *payloads: dict[str, Any]) -> None:
        envelopes = [
            {
                "payload": b64(payload),
                "topic": "dt/telltale/g-1/s-1/capture",
                "client": "g-1",
                "received_ms": received_ms,
            }
            for received_ms, payload in enumerate(
                payloads, start=500 + max(self.clock.now_ms, *(one["t"] for one in payloads))
            )
        ]
        batch = records([json.dumps(envelope).encode() for envelope in envelopes], first=self.given + 1)
        self.given += len(batch)
        for record in batch:
            record["eventSourceARN"] = record["eventSourceARN"].replace("/features", "/captures")
        assert extract_features.handler({"Records": batch}, Context()) == {"batchItemFailures": []}
        self.clock.now_ms = max(self.clock.now_ms, *(payload["t"] + 60_000 for payload in payloads))
        self.hear()

    def hear(self) -> None:
        """Detection is given what is new on its stream."""
        said = self.works.acts()
        if said[self.heard :]:
            self.works.rows(said[self.heard :], arrival_ms=self.clock.now_ms)
        self.heard = len(said)

    def close(self) -> None:
        """The technician closes the order of the last case."""
        self.works.queue()
        *_, entry = self.works.logbook.entries()
        self.works.logbook.set_status(entry.order.ref, Status.IN_PROGRESS, by="mia")
        self.works.say(entry.request.case_id)
        self.works.queue()
        self.hear()
        self.works.logbook.set_status(entry.order.ref, Status.DONE, by="mia", closure=FOUND)
        self.works.say(entry.request.case_id)
        self.works.queue()
        self.hear()

    def sent(self) -> list[Row]:
        """The rows on detection's stream, with the indicators that it looks at."""
        messages = [message for message in map(read, self.works.acts()) if isinstance(message, Message)]
        return [only_read(message.item) for message in messages if isinstance(message.item, Row)]

    def table(self, name: str) -> pa.Table:
        s3 = self.works.aws.s3
        listed = s3.list_objects_v2(Bucket="lake", Prefix=f"data/{name}/").get("Contents", [])
        bodies = [s3.get_object(Bucket="lake", Key=item["Key"])["Body"].read() for item in listed]
        known = next(table for table in schema.TABLES if table.name == name)
        return pa.concat_tables(
            [arrow_schema(known).empty_table(), *(pq.read_table(io.BytesIO(one)) for one in bodies)]
        )

    def kept(self) -> Kept:
        return Kept(PUMP.id, {name: self.table(name) for name in KEPT})


def only_read(row: Row) -> Row:
    axes = {axis: {name: of[name] for name in READ if name in of} for axis, of in row.axes.items()}
    return replace(row, axes=axes)


def scalars(n: int, mm_s: float, *, y: float | None = None) -> dict[str, Any]:
    """A message without waveforms, whose device computed the velocity."""
    velocity = {"x": mm_s} | ({} if y is None else {"y": y})
    said = {"v": 1, "sensor": "s-1", "t": START_MS + n * HOUR, "velocity_rms_mm_s": velocity, "temperature_c": 40.5}
    return {**said, "battery_pct": 87, "tags": {"load_kw": 30.0 + n, "flow": 2}}


def waves(n: int) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(wire.encode_json(shaken(n)))
    return made


@pytest.fixture
def lived(works: Plant, monkeypatch: pytest.MonkeyPatch) -> Lived:
    """Waveforms, scalars, a late and a doubled message; a case that is acknowledged, repaired, and opened again."""
    line = Lived(works, monkeypatch)
    line.capture(scalars(0, 0.2), scalars(1, 0.3, y=0.2))
    line.capture(*(waves(n) for n in (2, 3, 4, 5)))
    line.close()
    line.capture(scalars(6, 0.2), scalars(6, 0.2), scalars(3, 0.9))
    line.capture(*(scalars(n, 0.8) for n in (8, 9, 10, 11, 12, 13, 14)))
    return line


def of_case(change: CaseChange) -> tuple[Any, ...]:
    times = change.t_ms, change.opened_ms
    words = change.severity, change.state, change.rule, change.channel, change.reason, change.by
    return change.case_id, change.revision, change.change, *times, *words, change.evidence.get("capture_ids", [])


def test_what_the_line_wrote_is_what_a_backtest_says_of_unchanged_settings(lived: Lived) -> None:
    kept = lived.kept()
    past = History(PUMP, placed(kept.rows(), kept.log()))

    replayed_changes = [change for *_, changes in replay(past.items, PUMP) for change in changes]

    assert [change.change for change in kept.log()] == ["opened", "acknowledged", "resolved", "reopened"]
    assert sorted(map(of_case, replayed_changes)) == sorted(map(of_case, kept.log()))
    assert len(kept.written()) > 60
    assert differences(past, kept.written()) == []
    found = backtest(past, PUMP)
    assert found.changes == ()
    assert [(case.truth, case.closed_ms) for case in found.before.cases] == [("unknown", None)]


def test_the_rows_of_the_lake_are_the_messages_that_detection_was_sent(lived: Lived) -> None:
    sent, kept = lived.sent(), lived.kept().rows()

    assert [row.axes for row in kept] == [row.axes for row in sent]
    assert (sent[0].tags, sent[0].battery_pct) == ({"load_kw": 30.0, "flow": 2.0}, 87.0)
    assert kept == sent


def test_a_verdict_that_the_live_settings_do_not_give_is_named(lived: Lived) -> None:
    kept = lived.kept()
    other = Position(PUMP.id, limits=PUMP.limits, settings={"warning_n": 1, "warning_m": 1})

    found = differences(History(other, placed(kept.rows(), kept.log())), kept.written())

    assert found
    assert {one.what.split()[1] for one in found} <= {"zone", "baseline"}
    assert "persistent" in (found[0].written or "")


def test_the_queries_are_of_athenas_dialect_and_bring_what_the_files_bring(
    lived: Lived, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = {name: lived.table(name) for name in KEPT}

    def run(_: Deployment, text: str, **__: Any) -> Answer:
        table, more = duck.execute(text, tables, database="telltale")
        return Answer(table, more, "duckdb")

    monkeypatch.setattr(sql, "run", run)
    lake = Lake(Deployment({}, {}), to_ms=START_MS + 100 * HOUR)

    [kept] = history.kept(lake, lake.positions(), KEPT)

    assert kept.rows() == lived.kept().rows()
    assert sorted(map(of_case, kept.log())) == sorted(map(of_case, lived.kept().log()))
    assert kept.written().keys() == lived.kept().written().keys()


def test_files_of_the_lakes_tables_are_as_good_as_the_lake(
    lived: Lived, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in KEPT:
        pq.write_table(lived.table(name), tmp_path / f"{name}.parquet")
    plant = tmp_path / "plant.yaml"
    plant.write_text(PLANT)

    said = told(["--files", *map(str, sorted(tmp_path.glob("*.parquet"))), "--live", str(plant), "--check"], capsys)

    assert "no case differs" in said
    assert "give each verdict and each case that the line wrote" in said


PLANT = f"""
sites:
  plant:
    areas:
      hall:
        assets:
          pump-7:
            positions:
              motor-de:
                type: {PUMP.type}
                limits: {{velocity_warning_mm_s: 0.5, velocity_alarm_mm_s: 1.0}}
                speed_rpm: {PUMP.speed_rpm}
"""


# ---- the command ---------------------------------------------------------------------------------


def told(words: Sequence[str], capsys: pytest.CaptureFixture[str]) -> str:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    assert command.run(parser.parse_args(list(words))) == 0
    return " ".join(capsys.readouterr().out.split())


def table(levels: Sequence[float], position: str = PLACE) -> pa.Table:
    hours = range(len(levels))
    return pa.table(
        {
            "position": [position] * len(levels),
            "capture_id": [f"c{n}" for n in hours],
            "sensor": ["s-1"] * len(levels),
            "axis": ["x"] * len(levels),
            "t": pa.array([START_MS + n * HOUR for n in hours], pa.timestamp("ms", "UTC")),
            "velocity_rms_mm_s": pa.array(levels, pa.float64()),
        }
    )


def closed_case(n: int) -> pa.Table:
    """The log of a case that opened with the n-th row and was closed five hours later as a false alarm."""
    opened = START_MS + n * HOUR
    shared = {
        "position": PLACE,
        "case_id": case_id(PLACE, opened),
        "severity": "WARNING",
        "state": "WARNING",
        "channel": "x",
    }
    codes = {"failure_mode": "NO_ISSUE", "failure_cause": "UNDETERMINED", "action_taken": "NO_ACTION"}
    rows: list[dict[str, Any]] = [
        {**shared, "revision": 1, "change": "opened", "t": opened, "opened_at": opened, "reason": "x: loud"},
        {
            **shared,
            "revision": 2,
            "change": "resolved",
            "t": opened + 5 * HOUR,
            "opened_at": opened,
            "by": "mia",
            **codes,
        },
    ]
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = {name: [row.get(name) for row in rows] for name in names}
    times = {name: pa.array(columns.pop(name), pa.timestamp("ms", "UTC")) for name in ("t", "opened_at")}
    return pa.table({**columns, **times})


LEVELS = [1.0] * 10 + [5.0] * 6 + [1.0] * 20


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    pq.write_table(table(LEVELS), tmp_path / "features.parquet")
    pq.write_table(closed_case(13), tmp_path / "cases.parquet")
    (tmp_path / "live.yaml").write_text(PLANT.replace("warning_mm_s: 0.5", "warning_mm_s: 4").replace("1.0", "8"))
    return ["--files", *(str(tmp_path / name) for name in ("features.parquet", "cases.parquet"))]


def test_a_limit_that_spares_a_false_alarm_is_told_with_its_reason_and_captures(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = ["--live", str(tmp_path / "live.yaml"), "--limit", "velocity_warning_mm_s=6"]

    said = told([*files, *wanted, "--json", str(tmp_path / "out.json")], capsys)

    assert "1 position, 36 captures in 1.5 days from 2026-09-21 14:13" in said
    assert "false 1 0" in said
    assert "− gone 2026-09-22 03:13, WARNING, closed as NO_ISSUE: false" in said
    assert "0 of 6 rows reached a limit meanwhile, at most 0.83 (x zone)" in said
    assert "captures c13" in said
    written = json.loads((tmp_path / "out.json").read_text())
    assert (written["before"]["false"], written["after"]["false"], written["after"]["orders"]) == (1, 0, 0)
    [place] = written["positions"]
    assert place["changes"][0]["what"] == "gone"
    assert place["before"]["listed"][0]["capture_ids"] == ["c13"]


def test_what_the_live_settings_do_not_give_is_said(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    said = told(files, capsys)  # without the plant file, no limit is known

    assert "do not give what the line wrote, in 1 places" in said
    assert "2026-09-22 03:13: the line opened it, the settings that are live now do not" in said


def test_a_csv_file_of_indicators_needs_no_more_than_times(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    times = [datetime.fromtimestamp((START_MS + n * HOUR) / 1000, UTC).isoformat() for n in range(len(LEVELS))]
    lines = [f"{t},{level}" for t, level in zip(times, LEVELS, strict=True)]
    (tmp_path / "fan.csv").write_text("\n".join(["t,velocity_rms_mm_s", *lines]) + "\n")

    said = told(["--files", str(tmp_path / "fan.csv"), "--limit", "velocity_warning_mm_s=4", "--failed", "end"], capsys)

    assert "+ new 2026-09-22 03:13, WARNING, failed 22.0 h later" in said


def test_a_plot_shows_before_and_after(files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    live = ["--live", str(tmp_path / "live.yaml"), "--limit", "velocity_warning_mm_s=2"]

    told([*files, *live, "--plot", str(tmp_path / "p.svg")], capsys)

    drawn = (tmp_path / "p.svg").read_text()
    assert drawn.startswith("<svg")
    assert "Before: highest score" in drawn
    assert "After: highest score" in drawn


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--set", "grwth=2"], '--set: found "grwth" (did you mean "growth"?), wanted one of alarm_m, alarm_n'),
        (["--set", "growth"], '--set growth: found "", wanted growth=NUMBER'),
        (["--set", "growth=0.5"], "--set: found wanted memory"),
        (["--limit", "velocity=2"], '--limit: found "velocity"'),
        (["--machine-class", "iso10816-1/V"], 'found the machine class "iso10816-1/V" (did you mean "iso10816-1/'),
        (["elsewhere"], "the history is empty: no captures of elsewhere"),
        (["--from", "2030-01-01"], f"the history is empty: no captures of {PLACE} from 2030-01-01 00:00"),
        (["--from", "2027-01-01", "--to", "2026-01-01"], "--from is not before --to"),
        (["--check"], "--check compares with the table verdicts, which is not among the files"),
    ],
)
def test_mistakes_are_said_in_one_line(
    files: list[str], words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Problem) as raised:
        told([*files, *words], capsys)

    assert str(raised.value).startswith(message)


def test_a_file_of_something_else_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pq.write_table(pa.table({"a": [1], "b": [2]}), tmp_path / "other.parquet")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 and no more")

    for name in ("other.parquet", "broken.parquet", "missing.parquet"):
        with pytest.raises(Problem) as raised:
            told(["--files", str(tmp_path / name)], capsys)
        assert name in str(raised.value)


def test_many_positions_are_replayed_side_by_side_with_the_same_result(tmp_path: Path) -> None:
    names = [f"plant/hall/pump-{n}/de" for n in range(5)]
    pq.write_table(pa.concat_tables([table(LEVELS, name) for name in names]), tmp_path / "features.parquet")
    source = Files([tmp_path / "features.parquet"])
    pairs = {name: (Position(name), Position(name, machine_class="iso10816-1/II")) for name in names}

    alone, together = (replayed(source, pairs, How(), jobs=jobs) for jobs in (1, 2))

    assert alone == together
    assert [one.comparison.position for one in together] == names
    assert all(len(one.comparison.changes) == 1 for one in together)


def test_other_processes_are_sent_the_rows_of_their_positions_alone(tmp_path: Path) -> None:
    hours = 200
    columns = {
        "position": ["a"] * hours + ["b"] * hours,
        "t": [*range(hours)] * 2,
        "rms_g": np.linspace(1, 2, 2 * hours),
    }
    pq.write_table(pa.table(columns), tmp_path / "features.parquet")
    one, both = (history.kept(Files([tmp_path / "features.parquet"]), names, ("features",)) for names in ("a", "ab"))

    sent = pickle.dumps(both[0])

    assert len(sent) < 1.1 * len(pickle.dumps(one[0]))
    assert pickle.loads(sent).rows() == both[0].rows()
