"""`telltale diagnose`: the diagnosis of the core, for programs, for the eye and as a picture; docs/files.md runs."""

import csv
import io
import json
import re
import shlex
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli import __main__ as command
from cli.deployment import ROOT
from cli.diagnose import COLUMNS, Healthy, finite
from numpy.typing import NDArray
from telltale.core import rolling
from telltale.core.bearings import CATALOGUE, fault_orders
from telltale.core.capture import Waveform
from telltale.core.diagnosis import diagnose
from telltale.core.features import axes_features
from telltale.core.findings import VERDICTS
from telltale.core.plant import Machine

from tests.command import telltale

FS_HZ, RPM, SECONDS = 12_000, 1800.0, 2.0
BEARING = CATALOGUE["6205-2RS"]
PAGE = (ROOT / "docs" / "files.md").read_text()
EXAMPLES = re.findall(
    r"^scripts/telltale (.+)$", "".join(re.findall(r"```bash\n.*?```", PAGE, re.DOTALL)), re.MULTILINE
)


def noise(seed: int, level_g: float = 0.02) -> NDArray[np.float64]:
    """What a sound machine sounds like: noise that swells once a turn, most of it in the load zone."""
    n = int(FS_HZ * SECONDS)
    turn = np.arange(n) / FS_HZ * RPM / 60 % 1
    return np.random.default_rng(seed).normal(0, level_g, n) * (1 + 2 * np.exp(-20 * (turn - 0.5) ** 2))


def outer_race(seed: int) -> NDArray[np.float64]:
    """Noise, and an outer race that is struck BPFO times a second, give or take the slip: bursts of 3.2 kHz."""
    n = int(FS_HZ * SECONDS)
    steps_s = (1 + np.random.default_rng(seed).normal(0, 0.01, n)) / (fault_orders(BEARING).bpfo * RPM / 60)
    at_s = np.cumsum(steps_s)
    t_s = np.arange(200) / FS_HZ
    burst = np.exp(-t_s / 0.001) * np.sin(2 * np.pi * 3200 * t_s)
    strikes = np.zeros(n)
    strikes[(at_s[at_s < SECONDS] * FS_HZ).astype(int)] = 1
    return noise(seed) + np.convolve(strikes, burst)[:n]


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """A struck outer race at DE, nothing at FE."""
    np.savez(tmp_path / "run.npz", DE=outer_race(1), FE=noise(2), fs=FS_HZ, rpm=RPM)
    return tmp_path / "run.npz"


def plain(value: Any) -> Any:
    """As JSON has it."""
    return json.loads(json.dumps(value))


def test_json_has_the_very_diagnosis_of_the_core(
    recording: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["diagnose", recording, "--channel", "DE", "--bearing", "6205", "--format", "json"]

    status, out, err = telltale(arguments, monkeypatch, capsys)

    wave_g = Waveform("DE", np.load(recording)["DE"], FS_HZ, 1.0, "g")
    said = diagnose([wave_g], machine=Machine(bearing=BEARING), speed_hz=RPM / 60, speed_source="measured")
    found = json.loads(out)
    assert (status, err) == (0, "")
    assert found["diagnosis"] == plain(said.as_dict())
    assert found["diagnosis"]["verdict"] == "BEARING_OUTER_RACE"


def test_channels_that_are_no_axes_have_a_diagnosis_each(
    recording: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, apart, _ = telltale(["diagnose", recording, "--bearing", "6205", "--format", "json"], monkeypatch, capsys)
    _, together, _ = telltale(["diagnose", recording, "--axes", "--format", "json"], monkeypatch, capsys)

    lines = [json.loads(line) for line in apart.splitlines()]
    assert [(line["record"], line["channels"]) for line in lines] == [("DE", {"DE": "DE"}), ("FE", {"FE": "FE"})]
    assert lines[1]["diagnosis"]["verdict"] != "BEARING_OUTER_RACE"
    assert json.loads(together)["channels"] == {"DE": "x", "FE": "y"}


def test_a_json_object_says_what_it_rests_on(
    recording: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["diagnose", recording, "--channel", "FE", "--rpm", "1790", "--bearing", "6205", "--format", "json"]

    _, out, _ = telltale(arguments, monkeypatch, capsys)

    found = json.loads(out)
    assert list(found) == [
        *("file", "record", "calibrated", "notes", "channels", "speed_rpm", "speed_source", "bearing", "diagnosis")
    ]
    assert (found["speed_rpm"], found["speed_source"], found["bearing"]["name"]) == (1790, "given", "6205-2RS")
    assert found["diagnosis"]["verdict"] in VERDICTS
    assert found["diagnosis"]["speed_source"] in ("nominal", "refined")


def test_a_healthy_recording_says_what_is_normal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "now.npz", x=noise(3, 0.2), fs=FS_HZ, rpm=RPM)
    np.savez(tmp_path / "healthy.npz", x=noise(4), fs=FS_HZ, rpm=RPM)
    healthy, now = (Waveform("x", np.load(tmp_path / f"{n}.npz")["x"], FS_HZ, 1.0, "g") for n in ("healthy", "now"))

    _, out, _ = telltale(
        ["diagnose", tmp_path / "now.npz", "--reference", tmp_path / "healthy.npz", "--format", "json"],
        monkeypatch,
        capsys,
    )

    [row] = axes_features([(healthy, RPM / 60, Machine())])
    said = diagnose(
        [now],
        machine=Machine(),
        speed_hz=RPM / 60,
        speed_source="measured",
        normal={"x": {name: value for name, value in row.items() if value is not None}},
        reference={"x": rolling.reference(healthy.samples, fs_hz=FS_HZ, speed_hz=RPM / 60)},
    )
    assert json.loads(out)["diagnosis"] == plain(said.as_dict())


def test_what_is_normal_grows_with_the_speed() -> None:
    row = {"rms_g": 1.0, "velocity_rms_mm_s": 1.0, "displacement_rms_um": 1.0, "crest": 3.0, "count_g": 0.001}

    faster = Healthy({"x": row}, rpm=800).normal_at(1200)["x"]

    assert faster == pytest.approx(row | {"rms_g": 2.25, "velocity_rms_mm_s": 1.5})
    assert Healthy({"x": row}).normal_at(1200) == Healthy({"x": row}, rpm=800).normal_at(None) == {"x": row}


def test_a_reference_without_the_channel_is_refused(
    recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "healthy.npz", DE=noise(4), fs=FS_HZ)
    np.savez(tmp_path / "still.npz", DE=np.zeros(1000), FE=np.zeros(1000), fs=FS_HZ)

    missing = telltale(["diagnose", recording, "--reference", tmp_path / "healthy.npz"], monkeypatch, capsys)
    still = telltale(["diagnose", recording, "--reference", tmp_path / "still.npz"], monkeypatch, capsys)

    assert (missing[0], still[0]) == (1, 1)
    assert "--reference: found DE, wanted also FE" in missing[2]
    assert "still.npz: --reference: found 1000 samples, wanted" in still[2]


def test_a_table_shows_verdict_evidence_and_what_was_not_looked_for_in_eighty_columns(
    recording: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, out, _ = telltale(["diagnose", recording, "--channel", "DE", "--bearing", "6205"], monkeypatch, capsys)

    words = " ".join(out.split())
    assert "bearing, outer race confidence" in words
    assert " + " in words
    assert re.search(r"speed (29\.9|30\.0)\d Hz, 1,\d{3} r/min, (measured|refined)", words)
    assert re.search(r"BPFO 107\.\d · BPFI 162\.\d · BSF 70\.\d · FTF 1[12]\.\d Hz", words)
    assert "gear wear no number of teeth is known" in words.split("not looked for")[1]
    assert max(map(len, out.splitlines())) <= 80


def test_csv_has_a_line_a_sensor(
    recording: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, out, _ = telltale(["diagnose", recording, "--bearing", "6205", "--format", "csv"], monkeypatch, capsys)

    lines = list(csv.DictReader(io.StringIO(out)))
    assert list(lines[0]) == list(COLUMNS)
    assert [line["channels"] for line in lines] == ["DE", "FE"]
    assert (lines[0]["verdict"], lines[0]["axis"]) == ("BEARING_OUTER_RACE", "DE")


def test_a_number_that_json_cannot_hold_is_null() -> None:
    assert finite({"a": [1.5, float("inf")], "b": (float("nan"), "x")}) == {"a": [1.5, None], "b": [None, "x"]}


def test_levels_that_nobody_knows_are_not_relied_on_in_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "counts.npz", x=(noise(1, 1.0) * 1000).astype(np.int16), fs=FS_HZ)

    _, out, _ = telltale(["diagnose", tmp_path / "counts.npz"], monkeypatch, capsys)

    assert "nothing was judged by limits in mm/s" in " ".join(out.split())


@pytest.mark.parametrize(("kind", "begins"), [("svg", b"<svg"), ("png", b"\x89PNG")])
def test_a_picture_is_drawn(
    kind: str,
    begins: bytes,
    recording: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / f"evidence.{kind}"

    status, _, err = telltale(["diagnose", recording, "--channel", "DE", "--picture", file], monkeypatch, capsys)

    assert status == 0
    assert file.read_bytes().startswith(begins)
    assert f"drawn in {file}" in err


def test_several_pictures_need_a_folder(
    recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    in_one = telltale(["diagnose", recording, "--picture", tmp_path / "one.svg"], monkeypatch, capsys)
    telltale(["diagnose", recording, "--picture", tmp_path / "all"], monkeypatch, capsys)

    assert in_one[0] == 1
    assert "found run.npz, DE and run.npz, FE, wanted a folder" in in_one[2]
    assert sorted(path.name for path in (tmp_path / "all").iterdir()) == ["run.npz-DE.svg", "run.npz-FE.svg"]


# ---- docs/files.md -------------------------------------------------------------------------------


def sound(path: Path, samples: NDArray[np.float64]) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(FS_HZ)
        file.writeframes((samples / 5 * 32767).astype("<i2").tobytes())


@pytest.fixture
def files(recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the page names."""
    recording.rename(tmp_path / "bearing.npz")
    sound(tmp_path / "motor.wav", outer_race(5))
    sound(tmp_path / "healthy.wav", noise(6))
    rows = zip(np.arange(int(FS_HZ * SECONDS)) / FS_HZ, outer_race(7) * 9.81, noise(8) * 9.81, strict=True)
    lines = ["t_s;ax (m/s^2);ay (m/s^2)", *(";".join(f"{value:.7f}" for value in row) for row in rows)]
    (tmp_path / "logger.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "plant.yaml").write_text((ROOT / "plant.yaml").read_text())
    (tmp_path / "recordings").mkdir()
    (tmp_path / "recordings" / "rows.csv").write_text("t_s,rms_g\n0,1.0\n10,1.1\n")
    (tmp_path / "captures").mkdir()
    (tmp_path / "captures" / "1.csv").write_text((tmp_path / "logger.csv").read_text())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_page_has_examples_of_each_command() -> None:
    assert {example.split()[0] for example in EXAMPLES} == {"features", "diagnose", "watch"}


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_of_the_page_runs(
    example: str, files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = telltale(shlex.split(example), monkeypatch, capsys)

    assert (status, [line for line in err.splitlines() if line.startswith("telltale:")]) == (0, [])
    assert out


def test_the_page_names_every_ending_and_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.parser_for("diagnose").parse_args(["diagnose", "--help"])
    options = set(re.findall(r"--[a-z-]+", capsys.readouterr().out)) - {"--help"}

    assert options - set(re.findall(r"--[a-z-]+", PAGE)) == set()
    assert set(re.findall(r"`(\.\w+)`", PAGE.split("## Channels")[0])) == {".npz", ".wav", ".csv", ".parquet"}
