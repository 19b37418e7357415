"""`telltale modes` and `telltale relearn`: what a person sees of what is normal, and how it is learned anew."""

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from cli import modes as modes_command
from cli import relearn as relearn_command
from cli.deployment import Deployment
from cli.history import Kept
from cli.problem import Problem
from telltale.adapters.feature_stream import decode
from telltale.adapters.parquet import arrow_schema
from telltale.core import schema
from telltale.core.detect import State
from telltale.core.plant import OperatingMode, Position

from tests.aws_line import POSITION, START_MS, aws
from tests.unit.test_detection import HEALTHY_THEN_BAD, HOUR, Line, row
from tests.unit.test_modes import PUMP, SHORT, Machine

NAMES = ["s/hall/pump-1/motor-de", "s/hall/pump-2/motor-de", "s/hall/pump-2/motor-nde"]
POSITIONS = {name: Position(name) for name in NAMES}


def test_a_position_is_found_by_its_path_its_end_or_what_only_it_has() -> None:
    for part, name in ((NAMES[0], NAMES[0]), ("motor-nde", NAMES[2]), ("pump-1", NAMES[0])):
        assert modes_command.find(POSITIONS, part).id == name


@pytest.mark.parametrize(("part", "said"), [("pump-9", "no position"), ("pump-2", "is part of 2 positions")])
def test_a_position_that_is_not_one_is_a_problem(part: str, said: str) -> None:
    with pytest.raises(Problem, match=said):
        modes_command.find(POSITIONS, part)


def shown(machine: Machine) -> list[str]:
    return list(modes_command._lines(machine.position, modes_command.learned(machine.state, machine.position)))


def test_modes_show_how_far_each_is_learned_and_what_is_usual_in_it() -> None:
    machine = Machine().hears(12, rpm=1480, rms_g=1.0, velocity_rms_mm_s=2.0).hears(4, rpm=740, rms_g=0.25)

    assert shown(machine) == [
        PUMP.id,
        "  740 r/min: learning, 4 of 10, the last one",
        "  1480 r/min: learned from 12 captures",
        "      x: rms_g 1 g, velocity_rms_mm_s 2 mm/s",
    ]


def test_modes_of_the_plant_file_are_shown_though_nothing_was_heard_of_them() -> None:
    edges = (OperatingMode("slow", (300.0, 900.0)), OperatingMode("full", (900.0, 1600.0)))
    machine = Machine(Position(PUMP.id, settings=SHORT, modes=edges)).hears(3, rpm=740, rms_g=0.25)

    assert shown(machine) == [
        PUMP.id,
        "  full: not heard yet; 900 to 1600 r/min",
        "  slow: learning, 3 of 10; 300 to 900 r/min",
    ]


def test_a_position_without_a_speed_has_one_mode() -> None:
    assert shown(Machine().hears(3, rms_g=1.0))[1] == "  one mode, its speed is not known: learning, 3 of 10"


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    with aws() as made:
        outputs = {"RegistryTable": "registry", "StatesTable": "states", "FeaturesStream": "features"}
        here = Deployment(outputs, {"AWS_DEFAULT_REGION": "us-east-1"})
        for command in (modes_command, relearn_command):
            monkeypatch.setattr(command, "current", lambda: here)
        yield Line(made)


def relearn(**options: Any) -> int:
    return relearn_command.run(
        argparse.Namespace(**{"position": POSITION, "why": "new impeller", "by": "mia", **options})
    )


def sent(line: Line) -> list[bytes]:
    """What is on the stream that detection reads."""
    [shard] = line.aws.kinesis.list_shards(StreamName="features")["Shards"]
    start = {"StreamName": "features", "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
    iterator = line.aws.kinesis.get_shard_iterator(**start)["ShardIterator"]
    return [record["Data"] for record in line.aws.kinesis.get_records(ShardIterator=iterator)["Records"]]


def test_what_is_normal_is_learned_anew_for_a_person_who_asks_and_who_when_and_why_is_kept(
    line: Line, capsys: pytest.CaptureFixture[str]
) -> None:
    line.feed([row(n, 1.0) for n in range(5)])

    relearn()
    [record] = sent(line)
    line.feed([record, record], first=6)
    line.feed([row(5, 1.0)], first=8)

    assert capsys.readouterr().out == f"{POSITION} learns anew what is normal, from the next capture on\n"
    [kept] = line.table("acts")
    assert (kept["position"], kept["kind"], kept["by"], kept["why"]) == (POSITION, "relearn", "mia", "new impeller")
    told = Kept(POSITION, {"acts": pa.Table.from_pylist([kept, kept], arrow_schema(schema.ACTS))}).asked()
    assert told == [(replace(decode(record).item, t_ms=START_MS), START_MS + 4 * HOUR + 500)]  # heard at START_MS
    state = State.unpack(line.states.get([POSITION])[POSITION].core)
    assert modes_command.learned(state, Position(POSITION))[0].rows == 1
    assert [(receipt.stored, receipt.duplicate) for receipt in line.receipts] == [(5, 0), (1, 1), (1, 0)]


def test_a_person_is_told_that_an_open_case_comes_first(line: Line, capsys: pytest.CaptureFixture[str]) -> None:
    line.feed(HEALTHY_THEN_BAD)

    relearn()

    assert (
        capsys.readouterr().out
        == f"{POSITION} learns anew what is normal, once {line.case_id()} is closed, which is open\n"
    )


def test_a_request_without_a_reason_is_a_problem() -> None:
    with pytest.raises(Problem, match="--why is empty"):
        relearn(why=" ")


def test_modes_of_the_deployment_are_listed_and_given_to_programs(
    line: Line, capsys: pytest.CaptureFixture[str]
) -> None:
    modes_command.run(argparse.Namespace(position=None, json=False))
    modes_command.run(argparse.Namespace(position=POSITION, json=False))
    line.feed([row(n, 1.0, speed_rpm=1480.0) for n in range(3)])
    modes_command.run(argparse.Namespace(position=POSITION, json=True))

    *before, document = capsys.readouterr().out.splitlines()
    assert before == ["no position has more than one operating mode", f"nothing has been heard of {POSITION}"]
    [mode] = json.loads(document)[POSITION]
    assert (mode["name"], mode["rows"], mode["state"]) == ("1480 r/min", 3, "learning, 3 of 100")
