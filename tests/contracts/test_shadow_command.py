"""`telltale shadow`: a candidate is written down, scored by what was heard since, and promoted or stopped."""

import json
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cli import __main__ as command
from cli import backtest as backtest_command
from cli import plant, shadow
from cli.deployment import Deployment
from telltale.adapters import duck
from telltale.adapters.answer import Answer
from telltale.adapters.registry import Registry
from telltale.adapters.shadows import Moved, Shadows
from telltale.core.shadow import Act

from tests.aws_line import START_MS
from tests.unit.test_backtest_command import KEPT, Lived, scalars
from tests.unit.test_from_rows_to_label import HOUR, PUMP, Plant, works

__all__ = ["works"]  # a fixture

OUTPUTS = {"RegistryTable": "registry", "GlueDatabase": "telltale", "LakeBucket": "lake"}


def iso(t_ms: int) -> str:
    return datetime.fromtimestamp(t_ms / 1000, UTC).isoformat()


class Desk:
    """A person at the command line."""

    def __init__(self, line: Lived, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.line, self._monkeypatch, self._capsys = line, monkeypatch, capsys
        self.registry = Registry(line.works.aws.dynamodb, "registry")
        self.shadows = Shadows(line.works.aws.dynamodb, "registry")

    def shadow(self, *arguments: str) -> tuple[int, str, str]:
        self._monkeypatch.setattr(sys, "argv", ["telltale", "shadow", *arguments])
        self._capsys.readouterr()
        status = command.main()
        return status, *self._capsys.readouterr()

    def start(self, *more: str) -> tuple[int, str, str]:
        candidate = "--limit", "velocity_warning_mm_s=0.25", "--by", "mia", "--why", "late"
        return self.shadow("start", "tight", PUMP.asset, *candidate, "--from", iso(START_MS), *more)


@pytest.fixture
def desk(works: Plant, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Desk:
    """Some hours at half the warning, then a case."""
    line = Lived(works, monkeypatch)
    line.capture(*(scalars(n, 0.3) for n in range(8)))
    line.capture(*(scalars(n, 0.8) for n in range(8, 14)))

    def run(deployment: Deployment, text: str) -> Answer:
        tables = {name: line.table(name) for name in KEPT}
        table, more = duck.execute(text, tables, database="telltale")
        return Answer(table, more, "duckdb")

    for module in (shadow, plant):
        monkeypatch.setattr(module, "current", lambda: Deployment(OUTPUTS, {}))
    monkeypatch.setattr("cli.sql.run", run)
    return Desk(line, monkeypatch, capsys)


def test_a_shadow_is_scored_by_what_was_heard_since_it_began(desk: Desk, tmp_path: Path) -> None:
    status, out, err = desk.start()
    assert (status, err) == (0, "")
    assert out == "tight runs beside 1 position from 2026-09-21 14:13 UTC: velocity_warning_mm_s 0.25\n"
    kept = desk.line.kept()

    status, out, err = desk.shadow("score", "tight", "--json", str(tmp_path / "s.json"), "--jobs", "1")

    assert (status, err) == (0, "")
    assert "earlier" in out
    found = json.loads((tmp_path / "s.json").read_text())
    tight = replace(PUMP, limits=replace(PUMP.limits, velocity_warning_mm_s=0.25))
    done = backtest_command.Task([kept], [(PUMP, tight)], backtest_command.How()).done()
    plain = backtest_command.document(done, backtest_command.Overrides({}, {}, None, None))
    assert (found["before"], found["after"]) == (plain["before"], plain["after"])
    assert (found["before"]["cases"], found["after"]["cases"]) == (1, 1)
    assert found["shadow"] == "tight"
    assert found["acts"] == [{"kind": "started", "t_ms": START_MS, "by": "mia", "why": "late"}]


def test_a_shadow_that_begins_later_counts_from_there_and_knows_what_was_before(desk: Desk, tmp_path: Path) -> None:
    desk.start("--from", iso(START_MS + 7 * HOUR))

    status, _, _ = desk.shadow("score", "tight", "--json", str(tmp_path / "s.json"), "--jobs", "1")

    found = json.loads((tmp_path / "s.json").read_text())
    assert status == 0
    assert found["positions"][0]["rows"] == 7
    assert (found["before"]["cases"], found["after"]["cases"]) == (1, 1)


def test_promoting_writes_registry_and_plant_file_and_keeps_who_and_why(desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "plant.yaml"
    file.write_text(
        "sites:\n  plant:\n    areas:\n      hall:\n        assets:\n          pump-7:\n            positions:\n"
        "              motor-de:\n                limits: {velocity_warning_mm_s: 0.5}  # by hand\n"
    )
    desk.start()
    status, _, err = desk.shadow("promote", "tight", "--why", "earlier", "--yes", "--plant", str(file))
    assert status == 1
    assert "says otherwise of plant/hall/pump-7/motor-de than the registry" in err
    assert "limits: {velocity_warning_mm_s: 0.25}" in err

    status, out, err = desk.shadow("promote", "tight", "--why", "earlier", "--by", "mia", "--yes")

    assert (status, err) == (0, "")
    assert "limits.velocity_warning_mm_s: 0.5 → 0.25" in out
    assert "limits: {velocity_warning_mm_s: 0.25}" in out
    live = desk.registry.positions([PUMP.id])[PUMP.id]
    assert live == replace(PUMP, limits=replace(PUMP.limits, velocity_warning_mm_s=0.25))
    [kept] = desk.shadows.all()
    assert [(act.kind, act.by, act.why) for act in kept.acts] == [
        ("started", "mia", "late"),
        ("promoted", "mia", "earlier"),
    ]
    assert desk.shadow("promote", "tight", "--why", "again")[2].startswith("telltale: tight was promoted by mia")
    assert desk.shadow("score", "tight")[2].startswith("telltale: tight was promoted by mia")


def test_promoting_is_refused_when_the_plant_changed_since(desk: Desk) -> None:
    desk.start()
    desk.registry.put(replace(PUMP, speed_rpm=990.0))

    status, _, err = desk.shadow("promote", "tight", "--why", "earlier", "--yes")
    scored = desk.shadow("score", "tight", "--jobs", "1")

    assert status == 1
    assert "1 position changed since tight began: plant/hall/pump-7/motor-de" in err
    assert desk.registry.positions([PUMP.id])[PUMP.id].limits == PUMP.limits
    assert scored[0] == 0
    assert "cannot be promoted" in scored[2].replace("\n", " ")


def test_a_shadow_is_listed_and_stopped(desk: Desk) -> None:
    assert desk.shadow("list")[1] == "no shadow runs\n"
    desk.start()
    listed = desk.shadow("list")[1]
    desk.shadow("stop", "tight", "--why", "no better")
    scored = desk.shadow("score", "tight", "--jobs", "1")

    assert "tight" in listed
    assert desk.shadow("list")[1] == "no shadow runs\n"
    assert "stopped" in desk.shadow("list", "--all")[1]
    assert (scored[0], "tight, stopped, since" in scored[1]) == (0, True)
    assert set(desk.registry.plant().positions) == {PUMP.id}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("start", "t", "--all", "--why", "x"), "the candidate is what is live already"),
        (("start", "t", "--set", "growth=2", "--why", "x"), "no position"),
        (("start", "t", "nowhere", "--set", "growth=2", "--why", "x"), "the plant has no position nowhere"),
        (("start", "t t", "--all", "--set", "growth=2", "--why", "x"), 'found "t t" as a name'),
        (("start", "t", "--all", "--set", "growht=2", "--why", "x"), "did you mean"),
        (("score", "t"), 'there is no shadow "t"'),
        (("stop", "t", "--why", "x"), 'there is no shadow "t"'),
    ],
)
def test_what_makes_no_sense_is_said_in_a_line(desk: Desk, arguments: tuple[str, ...], told: str) -> None:
    status, out, err = desk.shadow(*arguments)

    assert (status, out) == (1, "")
    assert told in err
    assert desk.shadows.all() == []


def test_two_people_cannot_overwrite_each_other(desk: Desk) -> None:
    desk.start()
    [read] = desk.shadows.all()
    desk.shadows.put(read.after(Act("stopped", 1, "mia", "no")), replacing=read)

    with pytest.raises(Moved):
        desk.shadows.put(read.after(Act("promoted", 2, "ben", "yes")), replacing=read)
    with pytest.raises(Moved):
        desk.shadows.put(read, replacing=None)
    assert desk.start()[2].startswith("telltale: there is a shadow tight, which is stopped")
