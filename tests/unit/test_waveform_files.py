"""A known signal reads the same from every kind of file; a file that cannot be read says why in a line."""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from cli.problem import Problem
from cli.readers import csv_layout, sound
from cli.waveforms import Options, Record, cut, even_fs_hz, read
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from telltale.adapters import parquet
from telltale.core.features import axes_features
from telltale.core.plant import UNKNOWN_MACHINE
from telltale.core.schema import WAVEFORMS

FS_HZ = 10_000
G = 9.80665
SINE_G = np.sin(2 * np.pi * 100 * np.arange(FS_HZ) / FS_HZ)  # 100 Hz, 1 g, 1 s
RMS_G = 0.7071  # 1/√2
VELOCITY_MM_S = 11.04  # 1 g / (2 π 100 Hz) / √2


def wav(
    path: Path, frames: NDArray[Any], *, bits: int = 16, kind: int = 1, fs: int = FS_HZ, extensible: bool = False
) -> Path:
    """A WAV file of frames, shape (n, channels), already in the file's type (24 bits: int32)."""
    whole = frames.astype("<i4").reshape(-1, 1).view(np.uint8)[:, :3] if bits == 24 else frames
    data = whole.tobytes()
    channels = frames.shape[1]
    head = (channels, fs, fs * channels * bits // 8, channels * bits // 8, bits)
    form = struct.pack("<HHIIHH", 0xFFFE if extensible else kind, *head)
    if extensible:
        form += struct.pack("<HHIH14s", 22, bits, 0, kind, bytes(14))
    junk = b"LIST" + struct.pack("<I", 3) + b"abc\0"  # an odd chunk before the sound
    body = (
        b"WAVE" + b"fmt " + struct.pack("<I", len(form)) + form + junk + b"data" + struct.pack("<I", len(data)) + data
    )
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    return path


def npz(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


def text(path: Path, lines: list[str], encoding: str = "utf-8") -> Path:
    path.write_bytes(("\n".join(lines) + "\n").encode(encoding))
    return path


def rows(columns: list[Any], delimiter: str = ",", decimal: str = ".") -> list[str]:
    return [delimiter.join(f"{value:.9g}".replace(".", decimal) for value in row) for row in zip(*columns, strict=True)]


T_S = np.arange(FS_HZ) / FS_HZ


def csv_file(header: str, columns: list[Any], **written: str) -> Callable[[Path], Path]:
    return lambda folder: text(folder / "f.csv", [header, *rows(columns, **written)])


def parquet_file(**columns: Any) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        pa.parquet.write_table(pa.table(columns), folder / "f.parquet")
        return folder / "f.parquet"

    return make


def sound_file(
    full_scale: float, dtype: str, *, shift: int = 0, scale_g: float = 2.0, **how: Any
) -> Callable[[Path], Path]:
    counts = np.rint if dtype[-2] in "iu" else np.asarray
    return lambda folder: wav(
        folder / "f.wav", (counts(SINE_G * full_scale / scale_g) + shift).astype(dtype)[:, None], **how
    )


IN_2_G = Options(scale_g=2.0)
FILES: dict[str, tuple[Callable[[Path], Path], Options]] = {
    "npz float g": (lambda f: npz(f / "f.npz", x=SINE_G, fs=FS_HZ), Options()),
    "npz float32, named rate": (lambda f: npz(f / "f.npz", x=SINE_G.astype("f4"), sampling_rate=FS_HZ), Options()),
    "npz counts and their scale": (
        lambda f: npz(f / "f.npz", DE=np.rint(SINE_G * 8000).astype("i2"), DE_scale=1 / 8000, fs_hz=FS_HZ),
        Options(),
    ),
    "npz m/s2 by name": (lambda f: npz(f / "f.npz", acc_m_s2=SINE_G * G, fs=FS_HZ), Options()),
    "npz m/s2 by the user": (lambda f: npz(f / "f.npz", acc=SINE_G * G, fs=FS_HZ), Options(unit="m/s2")),
    "npz with times": (lambda f: npz(f / "f.npz", x=SINE_G, t_s=T_S), Options()),
    "npz matrix": (lambda f: npz(f / "f.npz", acc=np.column_stack([SINE_G, SINE_G]), fs=FS_HZ), Options()),
    "npz snapshots in mg": (
        lambda f: npz(f / "f.npz", acc_mg=np.stack([np.zeros((FS_HZ, 2)), np.c_[SINE_G, SINE_G] * 1000]), fs=FS_HZ),
        Options(),
    ),
    "wav 8 bit": (sound_file(127, "u1", shift=128, scale_g=2.0, bits=8), IN_2_G),
    "wav 16 bit": (sound_file(2**15, "<i2"), IN_2_G),
    "wav 24 bit": (sound_file(2**23, "<i4", bits=24), IN_2_G),
    "wav 32 bit": (sound_file(2**31, "<i4", bits=32), IN_2_G),
    "wav float": (sound_file(1, "<f4", bits=32, kind=3), IN_2_G),
    "wav float in g": (sound_file(1, "<f8", bits=64, kind=3, scale_g=1.0), Options(unit="g")),
    "wav extensible": (sound_file(2**15, "<i2", extensible=True), IN_2_G),
    "csv": (csv_file("t_s,x_g", [T_S, SINE_G]), Options()),
    "csv of a European logger": (
        csv_file("Zeit;ax (m/s²)", [T_S, SINE_G * G], delimiter=";", decimal=","),
        Options(time="Zeit"),
    ),
    "csv tab, ms": (csv_file("time (ms)\tx [mg]", [T_S * 1000, SINE_G * 1000], delimiter="\t"), Options()),
    "csv without header": (lambda f: text(f / "f.csv", rows([T_S, SINE_G])), Options(unit="g")),
    "csv of one column": (lambda f: text(f / "f.csv", rows([SINE_G])), Options(fs_hz=FS_HZ, unit="g")),
    "csv in spaces": (csv_file("  t   x_g", [T_S, SINE_G], delimiter="   "), Options()),
    "parquet": (parquet_file(t_s=T_S, x_g=SINE_G), Options()),
    "parquet timestamps": (
        parquet_file(t=pa.array((T_S * 1e9).round().astype("i8"), pa.timestamp("ns")), x_g=SINE_G.astype("f4")),
        Options(),
    ),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_sine_of_one_g_reads_the_same_from_every_kind_of_file(kind: str, tmp_path: Path) -> None:
    make, said = FILES[kind]

    [record] = read(make(tmp_path), said)

    for wave in record.channels.values():
        [row] = axes_features([(wave, None, UNKNOWN_MACHINE)])
        coarse = 0.01 if kind == "wav 8 bit" else 0.001  # 8 bits: full scale 127 of 128, and rounding
        assert wave.fs_hz == FS_HZ
        assert row["rms_g"] == pytest.approx(RMS_G, rel=coarse)
        assert row["velocity_rms_mm_s"] == pytest.approx(VELOCITY_MM_S, rel=coarse)
    assert record.calibrated


def one(path: Path, **said: Any) -> Record:
    [record] = read(path, Options(**said))
    return record


# ---- channels and axes ---------------------------------------------------------------------------


def axes(record: Record) -> dict[str, str]:
    return {name: wave.axis for name, wave in record.channels.items()}


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["x", "y", "z"], ["x", "y", "z"]),
        (["ax", "ay"], ["x", "y"]),
        (["acc_Z_g", "acc_X_g"], ["z", "x"]),
        (["DE", "FE"], ["DE", "FE"]),
        (["de_x", "fe_x"], ["de_x", "fe_x"]),  # both are x of something
        (["x", "tacho"], ["x", "tacho"]),
    ],
)
def test_channels_are_axes_of_one_sensor_where_all_their_names_say_so(
    names: list[str], found: list[str], tmp_path: Path
) -> None:
    record = one(npz(tmp_path / "f.npz", fs=FS_HZ, **dict.fromkeys(names, SINE_G)))

    assert list(axes(record).values()) == found
    assert len(record.sensors) == (1 if set(found) <= set("xyz") else len(names))


def test_channels_are_chosen_and_given_their_axes(tmp_path: Path) -> None:
    path = npz(tmp_path / "f.npz", fs=FS_HZ, DE=SINE_G, FE=SINE_G, BA=SINE_G)

    assert axes(one(path, channels=("fe", "DE"))) == {"FE": "FE", "DE": "DE"}
    assert axes(one(path, channels=("y=DE", "x=FE"))) == {"DE": "y", "FE": "x"}
    assert axes(one(path, axes=True)) == {"DE": "x", "FE": "y", "BA": "z"}


@pytest.mark.parametrize(
    ("channels", "told"),
    [
        (("DA",), r'found no channel "DA".*; there are DE, FE'),
        (("x=AE",), r'found no channel "AE".*; there are DE, FE'),
        (("",), r'found no channel ""; there are DE, FE'),
        (("x=DE", "x=FE"), "several channels for x"),
    ],
)
def test_a_channel_that_is_not_there_is_told_with_those_that_are(
    channels: tuple[str, ...], told: str, tmp_path: Path
) -> None:
    path = npz(tmp_path / "f.npz", fs=FS_HZ, DE=SINE_G, FE=SINE_G)

    with pytest.raises(Problem, match=told):
        read(path, Options(channels=channels))


def test_four_channels_are_not_axes(tmp_path: Path) -> None:
    path = wav(tmp_path / "f.wav", np.zeros((FS_HZ, 4), "<i2"))

    assert list(axes(one(path)).values()) == ["ch1", "ch2", "ch3", "ch4"]
    with pytest.raises(Problem, match="--axes: found 4 channels, wanted 1 to 3"):
        read(path, Options(axes=True))


# ---- what files say beside the samples -----------------------------------------------------------


def test_a_file_tells_its_speed(tmp_path: Path) -> None:
    varying = np.linspace(1400, 1500, FS_HZ)

    assert one(npz(tmp_path / "a.npz", x=SINE_G, fs=FS_HZ, rpm=1797.0)).speed_rpm == 1797
    record = one(parquet_file(t_s=T_S, x_g=SINE_G, speed_rpm=varying)(tmp_path))
    assert record.speed_rpm == pytest.approx(1450)
    assert any("varies from 1400 to 1500 r/min" in note for note in record.notes)


def test_a_sound_without_a_scale_says_that_its_levels_mean_nothing(tmp_path: Path) -> None:
    record = one(wav(tmp_path / "f.wav", np.rint(SINE_G * 16384).astype("<i2")[:, None]))

    [wave] = record.channels.values()
    assert not record.calibrated
    assert "only ratios mean something" in record.notes[0]
    assert wave.samples.max() * wave.scale == pytest.approx(0.5)


def test_bare_counts_say_that_their_levels_mean_nothing_until_a_scale_is_given(tmp_path: Path) -> None:
    path = npz(tmp_path / "f.npz", x=np.rint(SINE_G * 16384).astype("i2"), fs=FS_HZ)

    assert not one(path).calibrated
    scaled = one(path, scale_g=4.0)
    assert scaled.calibrated
    assert scaled.channels["x"].scale * 16384 == pytest.approx(2.0)


def test_a_table_says_what_it_left_out_and_took_for_granted(tmp_path: Path) -> None:
    columns = {"t_s": T_S, "x": SINE_G, "temp_c": T_S + 20, "idx": np.arange(FS_HZ), "note": ["ok"] * FS_HZ}

    record = one(parquet_file(**columns)(tmp_path))

    assert list(record.channels) == ["x"]
    assert "no unit is given for x: taken as g (--unit)" in record.notes
    assert "not acceleration, left out: idx, temp_c" in record.notes


def test_the_lake_s_own_waveforms_are_one_record_a_capture(tmp_path: Path) -> None:
    ids = {"position": "a/b/c/d", "site": "a", "sensor": "s", "t": 0, "fs_hz": 1000.0, "unit": "g", "scale": 0.001}
    counts = np.arange(100, dtype=np.int16)
    stored = [
        ids | {"capture_id": capture, "axis": axis, "samples": counts} for capture in ("c1", "c2") for axis in "yx"
    ]
    (tmp_path / "waveforms.parquet").write_bytes(parquet.write(WAVEFORMS, stored))

    records = read(tmp_path / "waveforms.parquet", Options())

    assert [(one.part, list(axes(one).values())) for one in records] == [("c1", ["x", "y"]), ("c2", ["x", "y"])]
    wave = records[0].channels["x"]
    assert (wave.fs_hz, wave.scale, wave.unit, str(wave.samples.dtype)) == (1000, 0.001, "g", "int16")
    np.testing.assert_array_equal(wave.samples, counts)


def test_a_run_to_failure_gives_its_last_snapshot_or_the_one_asked_for(tmp_path: Path) -> None:
    acc = np.arange(3 * 100 * 2, dtype=np.int16).reshape(3, 100, 2)
    path = npz(tmp_path / "f.npz", acc_mg=acc, t_s=np.arange(3.0), fs=25_600)

    assert one(path).part == "snapshot 2"
    np.testing.assert_array_equal(one(path, snapshot=0).channels["y"].samples, acc[0, :, 1])
    assert [record.part for record in read(path, Options(snapshot=None))] == ["snapshot 0", "snapshot 1", "snapshot 2"]
    with pytest.raises(Problem, match="found 3 snapshots, wanted --snapshot from 0 to 2"):
        read(path, Options(snapshot=3))


def test_a_record_is_cut_into_whole_pieces(tmp_path: Path) -> None:
    pieces = cut(one(npz(tmp_path / "f.npz", x=SINE_G, fs=FS_HZ)), 0.3)

    assert [piece.part for piece in pieces] == ["0-0.3 s", "0.3-0.6 s", "0.6-0.9 s"]
    np.testing.assert_array_equal(pieces[2].channels["x"].samples, SINE_G[6000:9000])
    with pytest.raises(Problem, match="found 1 s, wanted 2 s"):
        cut(one(tmp_path / "f.npz"), 2.0)


# ---- times ---------------------------------------------------------------------------------------


@given(st.integers(50, 200_000), st.integers(100, 400), st.floats(0, 1e6))
def test_times_rounded_to_a_hundredth_of_an_interval_give_the_whole_rate(fs: int, n: int, start: float) -> None:
    digits = int(np.ceil(np.log10(fs))) + 2
    t_s = np.round(np.arange(n) / fs, digits) + round(start) % 100

    fs_hz, notes = even_fs_hz(Path("f.csv"), "t_s", t_s)

    assert fs_hz == pytest.approx(fs, rel=0.02 / n)
    assert notes == []


def test_times_that_are_not_even_are_refused_with_the_place(tmp_path: Path) -> None:
    gap = np.concatenate([T_S[:500], T_S[500:] + 0.01])
    path = csv_file("t_s,x_g", [gap, SINE_G])(tmp_path)

    with pytest.raises(Problem, match=r"not evenly spaced: found 0.0101 s after row 500, 0.0001 s elsewhere"):
        read(path, Options())
    assert one(path, fs_hz=FS_HZ).channels["x"].fs_hz == FS_HZ


def test_times_that_jitter_are_told(tmp_path: Path) -> None:
    jitter = np.random.default_rng(1).uniform(-0.2, 0.2, FS_HZ) / FS_HZ

    record = one(csv_file("t_s,x_g", [T_S + jitter, SINE_G])(tmp_path))

    assert "jitter by" in record.notes[0]


# ---- files that cannot be read -------------------------------------------------------------------


def whole_wav(folder: Path) -> bytes:
    return wav(folder / "whole.wav", np.zeros((1000, 1), "<i2")).read_bytes()


def whole_npz(folder: Path) -> bytes:
    return npz(folder / "whole.npz", x=SINE_G, fs=FS_HZ).read_bytes()


def array_file(folder: Path) -> bytes:
    np.save(folder / "x.npy", SINE_G)
    return (folder / "x.npy").read_bytes()


def raw(name: str, body: Callable[[Path], bytes]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(body(folder))
        return folder / name

    return make


def sine_with(value: float) -> NDArray[Any]:
    spoilt = SINE_G.copy()
    spoilt[7] = value
    return spoilt


BAD: dict[str, tuple[Callable[[Path], Path], str]] = {
    "another kind": (raw("f.mat", lambda f: b"x"), "found .mat, wanted one of .npz, .wav, .csv, .parquet"),
    "absent": (lambda f: f / "f.npz", "there is no file"),
    "a folder": (lambda f: f, "found no ending"),
    "empty npz": (raw("f.npz", lambda f: b""), "f.npz: damaged, or no archive"),
    "cut npz": (raw("f.npz", lambda f: whole_npz(f)[:5000]), "f.npz: damaged, or no archive"),
    "npy called npz": (raw("f.npz", lambda f: array_file(f)), "found one array without a name (.npy)"),
    "npz of words": (lambda f: npz(f / "f.npz", a=np.array(["a", "b"])), "found the arrays a, wanted samples"),
    "npz of objects": (lambda f: npz(f / "f.npz", a=np.array([{}, {}])), "f.npz: damaged, or no archive"),
    "npz without a rate": (
        lambda f: npz(f / "f.npz", x=SINE_G),
        "does not say how fast it was sampled, wanted a scalar fs",
    ),
    "npz of a cube of cubes": (
        lambda f: npz(f / "f.npz", x=np.zeros((2, 2, 2, 99)), fs=1000),
        "arrays of 4 dimensions",
    ),
    "npz of a wide matrix": (lambda f: npz(f / "f.npz", x=np.zeros((80, 90)), fs=1000), "at most 64 channels"),
    "npz of a bad rate": (lambda f: npz(f / "f.npz", x=SINE_G, fs=0), "found 0 Hz as its sampling rate"),
    "short": (lambda f: npz(f / "f.npz", x=SINE_G[:63], fs=FS_HZ), "channel x: found 63 samples, wanted 64 at least"),
    "NaN": (
        lambda f: npz(f / "f.npz", x=sine_with(np.nan), fs=FS_HZ),
        "channel x: found 1 of 10000 samples missing or infinite, the first at 7",
    ),
    "infinite": (lambda f: npz(f / "f.npz", x=sine_with(np.inf), fs=FS_HZ), "missing or infinite, the first at 7"),
    "empty wav": (raw("f.wav", lambda f: b""), "found no RIFF header"),
    "cut wav": (
        raw("f.wav", lambda f: whole_wav(f)[:-10]),
        "f.wav: cut off: found 1990 bytes of 2000 that it announces",
    ),
    "wav without data": (raw("f.wav", lambda f: whole_wav(f)[:44]), "f.wav: cut off: found no data in it"),
    "wav of another coding": (
        lambda f: wav(f / "f.wav", np.zeros((100, 1), "u1"), bits=8, kind=7),
        "found format 7 with 8 bits",
    ),
    "empty csv": (raw("f.csv", lambda f: b"\n\n"), "the file is empty, wanted a table"),
    "csv of a header": (lambda f: text(f / "f.csv", ["t_s,x_g"]), "f.csv: "),
    "csv cut off": (lambda f: text(f / "f.csv", ["t_s,x_g", *rows([T_S, SINE_G]), "1.0"]), "cut off: CSV parse error"),
    "csv with a hole": (
        lambda f: text(f / "f.csv", ["t_s,x_g", *rows([T_S, SINE_G])[:99], "0.0099,", *rows([T_S, SINE_G])[100:]]),
        "channel x: found 1 of 10000 samples missing or infinite, the first at 99",
    ),
    "csv of words": (lambda f: text(f / "f.csv", ["name,kind", "a,b", "c,d"]), "f.csv: "),
    "csv without times": (csv_file("x_g", [SINE_G]), "wanted a column of sample times"),
    "csv of a day": (csv_file("t_s,temp", [np.arange(FS_HZ) * 60, SINE_G]), "found values 60 s apart"),
    "csv of other units": (csv_file("t_s,v_mm_s", [T_S, SINE_G]), "found the columns t_s, v_mm_s, wanted one of accel"),
    "csv of one name twice": (csv_file("t_s,x,x", [T_S, SINE_G, SINE_G]), "several columns are called x"),
    "empty parquet": (raw("f.parquet", lambda f: b""), "f.parquet: not a table"),
    "cut parquet": (
        raw("f.parquet", lambda f: parquet_file(t_s=T_S, x_g=SINE_G)(f).read_bytes()[:3000]),
        "f.parquet: not a table",
    ),
    "parquet without rows": (parquet_file(t_s=np.zeros(0), x_g=np.zeros(0)), "the table has no rows"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_file_that_cannot_be_read_says_in_a_line_what_is_wrong(kind: str, tmp_path: Path) -> None:
    make, told = BAD[kind]
    path = make(tmp_path)

    with pytest.raises(Problem) as caught:
        read(path, Options())

    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("ending", ["npz", "wav", "csv", "parquet"])
@given(st.data())
def test_damaged_bytes_are_a_recording_or_a_line_of_why_not(
    ending: str, tmp_path_factory: Any, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    columns = {"t_s": T_S[:100], "x_g": SINE_G[:100]}
    makers: dict[str, Callable[[Path], Path]] = {
        "npz": lambda f: npz(f / "f.npz", x=SINE_G[:100], fs=FS_HZ),
        "wav": lambda f: wav(f / "f.wav", np.zeros((100, 1), "<i2")),
        "csv": csv_file("t_s,x_g", list(columns.values())),
        "parquet": parquet_file(**columns),
    }
    path = makers[ending](folder)
    whole = bytearray(path.read_bytes())
    for place, value in data.draw(st.dictionaries(st.integers(0, len(whole) - 1), st.integers(0, 255))).items():
        whole[place] = value
    path.write_bytes(bytes(whole[: data.draw(st.integers(0, len(whole)) | st.just(len(whole)))]))

    told, records = "", list[Record]()
    try:
        records = read(path, Options())
    except Problem as problem:
        told = str(problem)

    assert records or told.startswith(path.name)
    assert "\n" not in told
    assert all(np.isfinite(wave.samples).all() for record in records for wave in record.channels.values())


@given(hnp.arrays(np.int32, st.integers(1, 40), elements=st.integers(-(2**23), 2**23 - 1)))
def test_24_bits_are_read_exactly(tmp_path_factory: Any, counts: NDArray[np.int32]) -> None:
    path = wav(tmp_path_factory.mktemp("wav") / "f.wav", counts[:, None], bits=24)

    heard = sound(path)

    np.testing.assert_array_equal(heard.samples[:, 0], counts)


@pytest.mark.parametrize(
    ("lines", "names", "data"),
    [
        (["t,x", "0,1", "1,2"], ("t", "x"), 1),
        (["0,1", "1,2"], (), 0),
        (["Logger 5", "Rate;25600", "", "t;x", "(s);(g)", "0,0;1,5"], ("t (s)", "x (g)"), 5),
        (["t,x", "0,nan", "1,2"], ("t", "x"), 1),
    ],
)
def test_the_layout_of_a_table_is_read_from_its_first_lines(
    lines: list[str], names: tuple[str, ...], data: int
) -> None:
    layout = csv_layout(lines)

    assert (layout.names, layout.data) == (names, data)


def test_old_spreadsheets_write_their_squares_in_another_encoding(tmp_path: Path) -> None:
    path = text(tmp_path / "f.csv", ["t_s;ax (m/s²)", *rows([T_S, SINE_G], ";", ",")], encoding="cp1252")

    assert one(path).channels["ax"].unit == "m/s2"
