"""`telltale features`: what the line would compute, for programs and for the eye; one bad file stops no other."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli import machine
from cli.features import COLUMNS, figure, meaning
from telltale.core.bearings import CATALOGUE
from telltale.core.capture import Waveform
from telltale.core.features import axes_features
from telltale.core.plant import Bearing, Machine
from telltale.core.schema import FEATURES

from tests.command import telltale

FS_HZ = 12_000
COUNTS = np.random.default_rng(3).integers(-20_000, 20_000, (2, 12_000)).astype(np.int16)
SCALE_G = 0.0002
NAMES = [column.name for column in FEATURES]
PLANT = """
sites:
  mill:
    gateways: {gw: {}}
    areas:
      hall:
        assets:
          fan-1:
            speed_rpm: 1480
            bearing: 6203-2RS
            positions:
              drive-end: {sensor: s-1}
"""


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "run.npz"
    np.savez(path, DE=COUNTS[0], FE=COUNTS[1], fs=FS_HZ, rpm=1797.0, DE_scale=SCALE_G, FE_scale=SCALE_G)
    return path


def in_the_line(counts: Any, speed_rpm: float | None, of: Machine) -> dict[str, float | None]:
    speed_hz = None if speed_rpm is None else speed_rpm / 60
    return axes_features([(Waveform("x", counts, FS_HZ, SCALE_G, "g"), speed_hz, of)])[0]


def test_json_has_the_very_numbers_of_the_line(
    recording: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, _ = telltale(["features", recording, "--bearing", "6205", "--format", "json"], monkeypatch, capsys)

    found = json.loads(out)
    expected = [in_the_line(counts, 1797.0, Machine(bearing=CATALOGUE["6205-2RS"])) for counts in COUNTS]
    assert status == 0
    assert [channel["features"] for channel in found["channels"]] == expected


def test_a_json_object_is_one_record(
    recording: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["features", recording, "--seconds", "0.25", "--channel", "FE", "--format", "json"]

    _, out, _ = telltale(arguments, monkeypatch, capsys)

    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["record"] for line in lines] == ["0-0.25 s", "0.25-0.5 s", "0.5-0.75 s", "0.75-1 s"]
    assert {key: lines[0][key] for key in ("file", "speed_rpm", "speed_source", "bearing", "calibrated", "notes")} == {
        "file": "run.npz",
        "speed_rpm": 1797.0,
        "speed_source": "in the file",
        "bearing": None,
        "calibrated": True,
        "notes": [],
    }
    [channel] = lines[0]["channels"]
    assert list(channel) == ["channel", "axis", "fs_hz", "n_samples", "features"]
    assert (channel["channel"], channel["fs_hz"], channel["n_samples"]) == ("FE", 12_000, 3000)
    assert list(channel["features"]) == NAMES


def test_csv_has_a_line_a_channel_under_the_lake_s_names(
    recording: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, out, _ = telltale(["features", recording, "--format", "csv"], monkeypatch, capsys)

    lines = list(csv.DictReader(io.StringIO(out)))
    assert list(lines[0]) == [*COLUMNS, *NAMES]
    assert [line["channel"] for line in lines] == ["DE", "FE"]
    assert float(lines[1]["rms_g"]) == in_the_line(COUNTS[1], 1797.0, Machine())["rms_g"]
    assert lines[0]["env_bpfo_g"] == ""  # no bearing: not known, and not 0


def test_a_table_shows_each_value_with_its_unit_and_meaning_in_eighty_columns(
    recording: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, out, _ = telltale(["features", recording], monkeypatch, capsys)

    rms = [figure(in_the_line(counts, None, Machine())["rms_g"]) for counts in COUNTS]
    [line] = [line for line in out.splitlines() if line.strip().startswith("rms_g")]
    assert line.split() == ["rms_g", *rms, "g", "acceleration", "RMS"]
    assert max(map(len, out.splitlines())) <= 80
    assert "12,000 Hz · 1 s · 1,797 r/min (in the file)" in out


def test_what_is_not_known_is_listed_with_why(
    recording: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, out, _ = telltale(["features", recording], monkeypatch, capsys)

    words = " ".join(out.split())
    assert "not known without a speed and a bearing: env_bpfo_g, env_bpfi_g" in words
    assert "band_10000_20000_g" in words.split("too slowly sampled for it:")[1]


def test_levels_without_a_scale_are_marked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "counts.npz", x=COUNTS[0], fs=FS_HZ)

    _, out, err = telltale(["features", tmp_path / "counts.npz"], monkeypatch, capsys)

    [line] = [line for line in out.splitlines() if line.strip().startswith("rms_g")]
    [crest] = [line for line in out.splitlines() if line.strip().startswith("crest")]
    assert " g* " in line
    assert "*" not in crest
    assert "only ratios mean something" in err


def test_a_bad_file_stops_no_other_and_shows_in_the_status(
    recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.wav").write_bytes(b"no sound")

    status, out, err = telltale(["features", tmp_path / "bad.wav", recording, "--format", "json"], monkeypatch, capsys)

    assert status == 1
    assert [json.loads(line)["file"] for line in out.splitlines()] == ["run.npz"]
    assert err.splitlines() == [
        "telltale: bad.wav: found no RIFF header, wanted a WAV file",
        "telltale: 1 of 2 files failed",
    ]


def test_a_position_of_the_plant_says_what_the_file_and_the_command_do_not(
    recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "plant.yaml").write_text(PLANT)
    np.savez(tmp_path / "bare.npz", x=COUNTS[0], fs=FS_HZ, x_scale=SCALE_G)
    at = ["--plant", tmp_path / "plant.yaml", "--position", "mill/hall/fan-1/drive-end", "--format", "json"]

    def speed_and_bearing(*arguments: Any) -> tuple[float, str, str]:
        _, out, _ = telltale(["features", *arguments, *at], monkeypatch, capsys)
        found = json.loads(out)
        return found["speed_rpm"], found["speed_source"], found["bearing"]["name"]

    assert speed_and_bearing(tmp_path / "bare.npz") == (1480, "of the position", "6203-2RS")
    assert speed_and_bearing(recording) == (1797, "in the file", "6203-2RS")
    assert speed_and_bearing(recording, "--rpm", 1500, "--bearing", "6205") == (1500, "given", "6205-2RS")


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (["--channel", "DF"], 1, 'found no channel "DF"; there are DE, FE'),
        (["--bearing", "6025"], 2, 'bearing "6025" is not in the catalogue; near it are 6205'),
        (["--bearing", "9,50,39"], 2, "wanted ELEMENTS,ELEMENT_MM,PITCH_MM[,ANGLE]"),
        (["--bearing", "9,7.94"], 2, "wanted ELEMENTS,ELEMENT_MM,PITCH_MM[,ANGLE]"),
        (["--band", "2000-1000"], 2, "wanted two frequencies in Hz such as 2000-8000"),
        (["--band", "1-2", "--band", "2-3", "--band", "3-4", "--band", "4-5", "--band", "5-6"], 1, "at most 4"),
        (["--direction", "DE=sideways"], 2, "wanted AXIS=horizontal|vertical|axial"),
        (["--direction", "z=axial"], 1, 'found no axis "z"; there are DE, FE'),
        (["--seconds", "5"], 1, "found 1 s, wanted 5 s for one piece"),
        (["--position", "mill/x"], 1, 'found no position "mill/x"'),
    ],
)
def test_a_mistake_is_told_with_what_was_wanted(
    arguments: list[str],
    status: int,
    told: str,
    recording: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    left, out, err = telltale(["features", recording, *arguments], monkeypatch, capsys)

    assert (left, out) == (status, "")
    assert told in err
    assert len(err.splitlines()) <= 2


def test_without_a_file_it_says_what_to_give(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, err = telltale(["features"], monkeypatch, capsys)

    assert status == 1
    assert "no file is given" in err


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("6205-2RS", CATALOGUE["6205-2RS"]),
        ("6205-2rs", CATALOGUE["6205-2RS"]),
        ("6205", CATALOGUE["6205-2RS"]),
        ("9,7.94,39.04", Bearing(9, 7.94, 39.04)),
        ("16,8.4,71.5,15.17", Bearing(16, 8.4, 71.5, 15.17)),
    ],
)
def test_a_bearing_is_named_in_full_in_part_or_by_its_geometry(text: str, found: Bearing) -> None:
    assert machine.bearing(text) == found


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, ""), (0.0, "0"), (1234.56, "1235"), (12345.6, "12350"), (0.00012346, "0.0001235"), (-2.0, "-2")],
)
def test_a_figure_has_four_digits(value: float | None, shown: str) -> None:
    assert figure(value) == shown


def test_meanings_are_short_and_say_their_band() -> None:
    by_name = {column.name: meaning(column) for column in FEATURES}

    assert by_name["velocity_rms_mm_s"] == "velocity RMS, 10-1000 Hz"
    assert not any("null" in words for words in by_name.values())
