"""`telltale forecast`: the forecast of the core, for the eye, for programs and as a picture."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from cli import forecast as subject
from cli import sql
from cli.deployment import Deployment
from cli.problem import Problem
from telltale.adapters import duck
from telltale.adapters.answer import Answer
from telltale.adapters.cases import Case
from telltale.adapters.parquet import arrow_schema
from telltale.core import prognosis, schema
from telltale.core.judgement import CaseChange
from telltale.core.plant import Position

from tests.command import telltale

ROWS = 240
T_S = np.arange(ROWS) * 3600.0
PLACE = "riverside/pump-hall/pump-1/pump-inboard"


def level(seed: int = 1) -> Any:
    return 1 + 2 * T_S / T_S[-1] + 0.1 * np.random.default_rng(seed).standard_normal(ROWS)


def times() -> Any:
    return np.datetime64("2026-03-01T00:00:00") + T_S.astype("timedelta64[s]")


@pytest.fixture
def history(tmp_path: Path) -> Path:
    path = tmp_path / "pump.csv"
    pa.csv.write_csv(pa.table({"timestamp": times(), "velocity_rms_mm_s": level(), "note": ["a"] * ROWS}), path)
    return path


def test_a_history_has_the_very_forecast_of_the_core(
    history: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, _ = telltale(
        ["forecast", history, "--limit", 4, "--json", tmp_path / "out.json"], monkeypatch, capsys, columns=200
    )

    found = prognosis.forecast(T_S, level(), limit=4.0)
    [said] = json.loads((tmp_path / "out.json").read_text())
    assert status == 0
    assert prognosis.sentence(found, name="velocity_rms_mm_s", unit="mm/s") in out
    assert (said["low_s"], said["high_s"]) == pytest.approx(found.interval_s)
    assert said["verdict"] == "reaches"
    assert said["indicator"] == "velocity_rms_mm_s"


def test_what_is_beyond_the_horizon_is_null(
    history: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    telltale(["forecast", history, "--limit", 40, "--json", tmp_path / "out.json"], monkeypatch, capsys, columns=200)

    [said] = json.loads((tmp_path / "out.json").read_text())
    assert (said["verdict"], said["low_s"], said["median_s"]) == ("not within", None, None)
    assert set(said["percentiles"]) == {None}


def test_the_last_days_and_the_horizon_can_be_chosen(
    history: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--last", 5, "--within", 2, "--json", tmp_path / "out.json"]
    telltale(["forecast", history, "--limit", 4, *options], monkeypatch, capsys, columns=200)

    [said] = json.loads((tmp_path / "out.json").read_text())
    assert said["rows"] == 121
    assert said["horizon_s"] == 2 * 86_400


def test_rows_without_times_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pq.write_table(pa.table({"s": level()}), tmp_path / "rows.parquet")

    _, out, _ = telltale(["forecast", tmp_path / "rows.parquet", "--limit", 4], monkeypatch, capsys, columns=200)

    assert " rows (80 %)" in out
    assert "day" not in out
    assert "hour" not in out


def test_a_falling_indicator_reaches_its_limit_from_above(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pq.write_table(pa.table({"t_s": T_S, "bar": 10 - level()}), tmp_path / "p.parquet")

    _, out, _ = telltale(
        ["forecast", tmp_path / "p.parquet", "--limit", 6, "--falling"], monkeypatch, capsys, columns=200
    )

    assert "bar reaches 6, in " in out


def test_a_folder_is_forecast_file_by_file_and_drawn(
    history: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken.parquet").write_bytes(b"no table")

    status, out, err = telltale(
        ["forecast", tmp_path, "--limit", 4, "--plot", tmp_path / "pictures"], monkeypatch, capsys
    )

    assert status == 1
    assert "pump.csv" in out
    assert "broken.parquet: not a table" in err
    assert (tmp_path / "pictures" / "pump.csv.svg").read_text().startswith("<svg")


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ([], "one of them"),
        (["pump.csv"], "no limit"),
        (["pump.csv", "--limit", "4", "--position", PLACE], "one of them"),
        (["--position", PLACE], "no axis"),
        (["missing.csv", "--limit", "4"], "no such file"),
        (["pump.csv", "--limit", "4", "--column", "flow"], "no column flow"),
        (["pump.csv", "--limit", "4", "--column", "note"], "wanted numbers"),
        (["pump.csv", "--limit", "4", "--time", "when"], "no column when"),
        (["pump.csv", "--limit", "nan"], "wanted a number"),
        (["pump.csv", "--limit", "4", "--within", "0"], "above 0"),
        (["pump.csv", "--limit", "4", "--plot", "pump.png"], "ends in .svg"),
        (["two.csv", "--limit", "4"], "which column"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    arguments: list[str],
    what: str,
    history: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(history.parent)
    Path("two.csv").write_text("t,a,b\n1,2,3\n2,3,4\n")

    status, out, err = telltale(["forecast", *arguments], monkeypatch, capsys, columns=200)

    assert (status, out) == (1, "")
    assert what in err
    assert len(err.splitlines()) <= 2


class Positions:
    """What the registry knows, without a table."""

    def __init__(self, machine_class: str | None) -> None:
        self.machine_class = machine_class

    def positions(self, places: list[str]) -> dict[str, Position]:
        return {place: Position(place, machine_class=self.machine_class) for place in places}


class Opened:
    """The cases, without a table."""

    def __init__(self, cases: list[Case]) -> None:
        self._cases = cases

    def all(self) -> list[Case]:
        return self._cases


@pytest.fixture
def lake(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The queries that were asked."""
    asked: list[str] = []

    def run(deployment: Deployment, text: str) -> Answer:
        asked.append(text)
        return Answer(pa.table({"t": times().tolist(), "velocity_rms_mm_s": level()}), more=False, engine="duckdb")

    monkeypatch.setattr(sql, "run", run)
    monkeypatch.setattr(subject, "current", lambda: Deployment({"RegistryTable": "r", "CasesTable": "c"}, {}))
    monkeypatch.setattr(Deployment, "client", lambda *_: None)
    monkeypatch.setattr(subject, "Registry", lambda *_: Positions("iso20816-3/2-rigid"))
    return asked


def test_a_position_of_the_lake_is_forecast_to_its_next_zone(
    lake: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, _ = telltale(
        ["forecast", "--position", PLACE, "--axis", "y", "--last", 90], monkeypatch, capsys, columns=200
    )

    assert status == 0
    assert "velocity_rms_mm_s reaches ISO 20816-3:2022 group 2, rigid, zone D, 4.5 mm/s, in " in out
    assert f"position = '{PLACE}' AND axis = 'y' AND t >= current_timestamp - interval '90' day" in lake[0]


@pytest.mark.parametrize(
    ("options", "what"),
    [(["--indicator", "rms_g"], "no limit"), (["--indicator", "x; DROP"], "there is no indicator")],
)
def test_an_indicator_needs_a_name_and_a_limit(
    options: list[str],
    what: str,
    lake: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(subject, "numbers", lambda column: level())
    monkeypatch.setattr(
        sql,
        "run",
        lambda *_: Answer(pa.table({"t": times().tolist(), "rms_g": level()}), more=False, engine="duckdb"),
    )

    status, _, err = telltale(
        ["forecast", "--position", PLACE, "--axis", "y", *options], monkeypatch, capsys, columns=200
    )

    assert status == 1
    assert what in err


@pytest.mark.parametrize(
    ("channel", "options", "status", "shown"),
    [
        ("z", [], 0, "axis = 'z'"),
        ("temperature", ["--axis", "x"], 0, "axis = 'x'"),
        ("temperature", [], 1, "about temperature"),
    ],
)
def test_a_case_says_which_history_is_forecast(
    channel: str,
    options: list[str],
    status: int,
    shown: str,
    lake: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    change = CaseChange("case-abc", 1, "opened", 0, 0, "WARNING", "WARNING", "zone", channel, "why")
    monkeypatch.setattr(subject, "Cases", lambda *_: Opened([Case(PLACE, change, 0, None, None)]))

    left, _, err = telltale(["forecast", "--case", "abc", *options], monkeypatch, capsys, columns=200)

    assert left == status
    assert shown in (lake[0] if lake else err)


@pytest.mark.parametrize("since", ["", " AND t >= current_timestamp - interval '90' day"])
def test_the_query_is_one_that_the_lake_takes(since: str) -> None:
    query = subject.query(PLACE, "y", "velocity_rms_mm_s", since)
    features = next(one for one in schema.TABLES if one.name == "features")

    found, _ = duck.execute(query, {"features": arrow_schema(features).empty_table()}, database="lake", limit=None)

    assert found.column_names == ["t", "velocity_rms_mm_s"]


def test_a_position_that_could_end_a_query_is_refused(
    lake: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, err = telltale(["forecast", "--position", "a' OR '1", "--axis", "y"], monkeypatch, capsys, columns=200)

    assert (status, lake) == (1, [])
    assert "as a position" in err


def test_a_level_in_the_last_zone_has_reached_its_boundary() -> None:
    limit, name = subject.next_limit(
        Position(PLACE, machine_class="iso20816-3/2-rigid"), "velocity_rms_mm_s", np.full(9, 9.0)
    )

    assert (limit, name[-6:]) == (4.5, "zone D")


def test_a_position_without_a_class_has_no_limit() -> None:
    with pytest.raises(Problem, match="no limit"):
        subject.next_limit(Position(PLACE), "velocity_rms_mm_s", np.ones(9))
