"""`telltale diagnose --capture` and `--case`: a capture in the lake is judged as the line judges it."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest
from cli import __main__ as command
from cli import diagnose as diagnose_command
from cli.deployment import Deployment
from telltale.adapters import parquet
from telltale.adapters.lake import Lake, glue_catalog
from telltale.adapters.states import States, StateWrite
from telltale.core import detect, schema
from telltale.core.capture import Waveform
from telltale.core.detect import Row, State, step
from telltale.core.diagnosis import diagnose
from telltale.core.features import axes_features
from telltale.core.plant import Position

from tests.aws_line import POSITION, START_MS, Aws, Clock, Office, aws, change, office

FS_HZ, SCALE, RPM = 5000.0, 0.001, 1470.0
COUNTS = np.random.default_rng(5).integers(-200, 200, (2, 8192)).astype(np.int16)
WAVES = [Waveform(axis, counts, FS_HZ, SCALE, "g") for axis, counts in zip("xy", COUNTS, strict=True)]
STEP_MS = 600_000


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    """A deployment with two captures in its lake; a case opened at the first of them."""
    with aws() as made:
        store(tmp_path)
        outputs = {"GlueDatabase": "telltale", "LakeBucket": "lake"}
        outputs |= {"RegistryTable": "registry", "StatesTable": "states", "CasesTable": "cases"}
        monkeypatch.setattr(diagnose_command, "current", lambda: Deployment(outputs, {}))
        yield office(made, Clock())


def store(folder: Path) -> None:
    glue = boto3.client("glue")
    glue.create_database(DatabaseInput={"Name": "telltale"})
    lake = Lake(glue_catalog(glue, {}), database="telltale", location=f"file://{folder}")
    waves, captures = [], []
    for number in (1, 2):
        ids: dict[str, Any] = {"capture_id": f"c-{number}", "position": POSITION, "site": "plant", "sensor": "s-1"}
        ids["t"] = START_MS + (number - 1) * STEP_MS
        held = {"fs_hz": FS_HZ, "unit": "g", "scale": SCALE}
        waves += [{**ids, **held, "axis": wave.axis, "samples": wave.samples * number} for wave in WAVES]
        captures.append(
            {**ids, "part": "xys", "gateway": "g-1", "received_at": START_MS, "speed_rpm": RPM, "record_id": "r"}
        )
    for table, rows in ((schema.WAVEFORMS, waves), (schema.CAPTURES, captures)):
        path = folder / f"{table.name}.parquet"
        path.write_bytes(parquet.write(table, rows))
        lake.add(table, [f"file://{path}"], number=1)


def telltale(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[int, Any, str]:
    """Exit status, the JSON lines on stdout, and stderr."""
    monkeypatch.setattr(sys, "argv", ["telltale", "diagnose", *arguments, "--format", "json"])
    status = command.main()
    out, err = capsys.readouterr()
    return status, [json.loads(line) for line in out.splitlines()], err


def plain(value: Any) -> Any:
    return json.loads(json.dumps(value))


def learned(made: Aws) -> dict[str, dict[str, float]]:
    """What is normal at the position, after enough captures to have learned it; it is stored as the line stores it."""
    rows = dict(zip("xy", axes_features([(wave, RPM / 60, Position(POSITION).machine) for wave in WAVES]), strict=True))
    state = State.new()
    for number in range(200):
        state, _, _ = step(state, Row(f"r{number}", "xy", number, number, "s-1", axes=rows), Position(POSITION))
    write = StateWrite(POSITION, 1, state.pack(), state.state, 1, 1, "s-1", "g-1", "batch")
    States(made.dynamodb, "states").put([write], judged_at=1)
    return detect.normals(State.unpack(state.pack()))


def test_a_capture_is_diagnosed_with_its_speed_and_what_was_learned_at_its_position(
    at: Office, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    normal = learned(at.aws)

    status, [found], _ = telltale(["--capture", "c-1"], monkeypatch, capsys)

    said = diagnose(
        WAVES, machine=Position(POSITION).machine, speed_hz=RPM / 60, speed_source="measured", normal=normal
    )
    assert status == 0
    assert normal["x"]
    assert found["diagnosis"] == plain(said.as_dict())
    assert (found["file"], found["channels"], found["speed_rpm"]) == (POSITION, {"x": "x", "y": "y"}, RPM)


def test_a_case_is_diagnosed_from_the_capture_that_its_diagnosis_names_or_else_that_which_opened_it(
    at: Office, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    at.open(change())
    _, [opened], _ = telltale(["--case", "aaaa"], monkeypatch, capsys)
    at.open(change(revision=2, what="updated", evidence={"diagnosis": {"t_ms": START_MS + STEP_MS}}))
    _, [updated], _ = telltale(["--case", "aaaa"], monkeypatch, capsys)

    assert opened["record"].startswith("c-1, ")
    assert updated["record"].startswith("c-2, ")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--capture", "c-3"], "the lake has no waveforms of a capture c-3"),
        (["--capture", "x' or 'a' = 'a"], "as the id of a capture, wanted"),
        (["--capture", "s-1@1790000000000"], "the lake has no waveforms of a capture s-1@1790000000000"),
        (["--case", "bbbb"], "no case begins with"),
        (["--capture", "c-1", "x.npz"], "found files and a capture of the lake, wanted one of them"),
    ],
)
def test_what_is_not_there_is_told(
    arguments: list[str], told: str, at: Office, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, found, err = telltale(arguments, monkeypatch, capsys)

    assert (status, found) == (1, [])
    assert told in err


def test_one_axis_of_a_stored_capture_can_be_chosen(
    at: Office, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, [found], _ = telltale(["--capture", "c-2", "--channel", "y"], monkeypatch, capsys)

    assert found["channels"] == {"y": "y"}
