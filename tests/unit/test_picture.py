"""The evidence picture: what it shows, where, and that it can be read."""

from dataclasses import replace
from functools import cache
from itertools import combinations
from math import inf, nan, pi, sqrt
from time import process_time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from telltale.adapters import png
from telltale.core import picture, svg
from telltale.core.bearings import CATALOGUE, fault_orders
from telltale.core.capture import Waveform
from telltale.core.drawing import Drawing, Polyline, Text
from telltale.core.findings import CANNOT_TELL, FAULTS, NO_FAULT_FOUND, SENSOR_FAULT, Diagnosis, Finding, Line
from telltale.core.plant import Machine
from telltale.core.plot import LEFT, RIGHT, STRONG

FS_HZ = 25_600.0
N = 8192
SPEED_HZ = 29.5
BEARING = CATALOGUE["6205-2RS"]
BPFO_HZ = fault_orders(BEARING).bpfo * SPEED_HZ
PUMP = Machine("Pump", BEARING, blades=7, line_hz=50.0, poles=2, directions={"x": "axial", "y": "vertical"})
TITLE = "riverside/pump-hall/pump-1/pump-inboard · s-102 · 2026-11-20 02:11 UTC"
DAY_MS = 86_400_000.0


def waveform(x: NDArray[np.float64], *, fs_hz: float = FS_HZ, axis: str = "y") -> Waveform:
    scale = max(float(np.abs(x).max()), 1e-6) / 32767
    return Waveform(axis, np.round(x / scale).astype(np.int16), fs_hz, scale, "g")


def running(n: int = N, *, seed: int = 1) -> NDArray[np.float64]:
    """A shaft's 1× of 1 mm/s RMS in noise, in g."""
    t = np.arange(n) / FS_HZ
    once = sqrt(2) * 2 * pi * SPEED_HZ / 9806.65 * np.sin(2 * pi * SPEED_HZ * t)
    return once + 0.02 * np.random.default_rng(seed).standard_normal(n)


def struck(n: int = N, *, hz: float = BPFO_HZ) -> NDArray[np.float64]:
    """The same, with a resonance at 3 kHz that is struck `hz` times a second."""
    t = np.arange(n) / FS_HZ
    since = t % (1 / hz)
    return running(n) + 0.5 * np.exp(-800 * since) * np.sin(2 * pi * 3000 * since)


def diagnosis(verdict: str = NO_FAULT_FOUND, *lines: Line, speed_hz: float | None = SPEED_HZ) -> Diagnosis:
    finding = Finding(verdict, "y", 0.9, ("it shows",), (), lines)
    return Diagnosis(
        verdict,
        0.9,
        "velocity is 1.0 mm/s on y, normal 1.0",
        (finding,) if lines else (),
        speed_hz=speed_hz,
        speed_source="measured" if speed_hz else "unknown",
        bands_hz={"y": (2000.0, 4000.0)},
    )


def line(name: str, kind: str, hz: float, *, amplitude: float = 1.0, floor: float = 0.01, axis: str = "y") -> Line:
    return Line(name, kind, axis, hz, amplitude, floor, "mm/s" if kind == "velocity" else "g")


OUTER = diagnosis("BEARING_OUTER_RACE", *(line(f"outer race {k}×", "envelope", k * BPFO_HZ) for k in (1, 2, 3)))
TREND = [(n * DAY_MS, 0.01 + 0.001 * n * (n > 20)) for n in range(31)]


def drawn(
    wave: Waveform,
    found: Diagnosis,
    *,
    machine: Machine = PUMP,
    title: str = TITLE,
    trend: list[tuple[float, float]] | None = None,
    limit: float | None = 0.0297,
    label: str = "env_rms_g",
) -> Drawing:
    trend = TREND if trend is None else trend
    return picture.evidence(
        wave, diagnosis=found, machine=machine, title=title, trend=trend, limit=limit, trend_label=label
    )


def texts(drawing: Drawing) -> list[str]:
    return [shape.text for shape in drawing.shapes if isinstance(shape, Text)]


def bars_x(drawing: Drawing) -> list[float]:
    """Where the thick bars of supporting lines stand."""
    return [s.points[0][0] for s in drawing.shapes if isinstance(s, Polyline) and s.color == STRONG and s.width == 4.0]


# What it says


def test_the_head_says_what_where_when_how_sure_and_why() -> None:
    said = " | ".join(texts(drawn(waveform(struck()), OUTER)))

    for words in (
        "riverside/pump-hall/pump-1/pump-inboard · s-102",
        "2026-11-20 02:11 UTC",
        "axis y, vertical · 320 ms at 25.6 kHz · 1770 r/min, measured",
        "Bearing, outer race",
        "confidence 90%",
        "Velocity is 1.0 mm/s on y, normal 1.0",
    ):
        assert words in said


def test_every_axis_has_a_unit() -> None:
    said = texts(drawn(waveform(struck()), OUTER))

    headings = ("Waveform, g", "Velocity spectrum, mm/s RMS", "Envelope spectrum, g RMS", "Trend of env_rms_g, g")
    assert [text for text in said if text in headings] == list(headings)
    ends = [text.split(" ")[1] for text in said if text.split(" ")[0].strip("–").isdigit() and " " in text]
    assert ends == ["ms", "Hz", "Hz", "days"]


@pytest.mark.parametrize("verdict", [*FAULTS, CANNOT_TELL, NO_FAULT_FOUND, SENSOR_FAULT])
def test_every_verdict_is_said_in_words(verdict: str) -> None:
    said = texts(drawn(waveform(running()), diagnosis(verdict)))

    assert not any("_" in text for text in said if "env_rms_g" not in text)


def test_it_is_told_to_those_who_cannot_see_it() -> None:
    drawing = drawn(waveform(struck()), OUTER)

    assert drawing.title == TITLE
    assert drawing.description.startswith("Bearing, outer race, confidence 90%. Velocity is 1.0 mm/s on y, normal 1.0.")
    assert f"BPFO at {BPFO_HZ:.1f} Hz, 2×BPFO at {2 * BPFO_HZ:.1f} Hz" in drawing.description


# Levels

BIN_HZ = FS_HZ / N


def highest(drawing: Drawing, panel: int) -> float:
    """The highest point of the curve of a panel, read from the numbers beside it."""
    curve = [s for s in drawing.shapes if isinstance(s, Polyline) and s.color == "#222222"][panel]
    upper, lower = min(y for _, y in curve.points), max(y for _, y in curve.points)
    numbers = [
        (shape.y - 0.33 * shape.size, float(shape.text))
        for shape in drawing.shapes
        if isinstance(shape, Text) and shape.x == LEFT - 8 and upper - 40 < shape.y < lower + 20
    ]
    (y0, v0), (y1, v1) = numbers[:2]
    return v0 + (upper - y0) / (y1 - y0) * (v1 - v0)


def test_a_line_of_2_mm_s_rms_is_as_high_as_2() -> None:
    hz = 10 * BIN_HZ
    t = np.arange(N) / FS_HZ
    x = sqrt(2) * 2 * 2 * pi * hz / 9806.65 * np.sin(2 * pi * hz * t)

    assert highest(drawn(waveform(x), diagnosis(speed_hz=hz)), 1) == pytest.approx(2.0, rel=0.01)


def test_a_line_of_half_a_g_rms_is_as_high_as_half() -> None:
    hz = 1000 * BIN_HZ
    x = sqrt(2) * 0.5 * np.sin(2 * pi * hz * np.arange(N) / FS_HZ)

    assert highest(drawn(waveform(x), diagnosis("CAVITATION")), 1) == pytest.approx(0.5, rel=0.01)


def test_a_carrier_that_swings_by_a_tenth_of_a_g_rms_has_a_line_as_high_in_its_envelope() -> None:
    swing_hz, t = 30 * BIN_HZ, np.arange(N) / FS_HZ
    x = (1 + 0.1 * sqrt(2) * np.sin(2 * pi * swing_hz * t)) * np.sin(2 * pi * 1000 * BIN_HZ * t)

    assert highest(drawn(waveform(x), diagnosis()), 2) == pytest.approx(0.1, rel=0.02)


# What is marked


def test_lines_that_support_the_verdict_are_thick_and_stand_where_they_were_found() -> None:
    drawing = drawn(waveform(struck(n=65_536)), OUTER)

    top_hz = 1.08 * 3 * BPFO_HZ
    expected = [LEFT + k * BPFO_HZ / top_hz * (RIGHT - LEFT) for k in (1, 2, 3)]
    assert bars_x(drawing) == pytest.approx(expected, abs=1.0)
    assert {f"BPFO {BPFO_HZ:.1f} Hz", "2×BPFO", "3×BPFO"} <= set(texts(drawing))


def test_a_line_that_slipped_stands_where_it_was_found() -> None:
    found_hz = 0.985 * BPFO_HZ
    found = diagnosis("BEARING_OUTER_RACE", line("outer race 1×", "envelope", found_hz))

    drawing = drawn(waveform(struck(n=65_536, hz=found_hz)), found)

    top_hz = 1.08 * 3 * BPFO_HZ
    assert bars_x(drawing) == pytest.approx([LEFT + found_hz / top_hz * (RIGHT - LEFT)], abs=1.0)
    assert f"BPFO {found_hz:.1f} Hz" in texts(drawing)


def test_places_of_other_faults_are_marked_but_not_emphasised() -> None:
    drawing = drawn(waveform(running()), diagnosis())

    assert bars_x(drawing) == []
    assert {"1×", "2×", "3×", "mains", "BPFO", "BPFI", "BSF", "FTF"} <= set(texts(drawing))


def test_a_line_that_another_finding_or_another_axis_or_the_noise_speaks_for_is_not_emphasised() -> None:
    lines = (line("1×", "velocity", SPEED_HZ, axis="x"), line("2×", "velocity", 2 * SPEED_HZ, floor=0.9))
    other = Finding("MISALIGNMENT", "y", 0.3, (), (), (line("3×", "velocity", 3 * SPEED_HZ),))
    found = diagnosis("IMBALANCE", *lines)

    drawing = drawn(waveform(running()), replace(found, findings=(*found.findings, other)))

    assert bars_x(drawing) == []


def test_a_line_that_supports_by_being_small_is_not_emphasised() -> None:
    lines = (
        line("1×", "velocity", SPEED_HZ, amplitude=8.0),
        line("2×", "velocity", 2 * SPEED_HZ, amplitude=0.3, floor=0.02),
    )

    drawing = drawn(waveform(running()), diagnosis("IMBALANCE", *lines))

    assert len(bars_x(drawing)) == 1


def test_a_line_found_in_acceleration_is_shown_in_acceleration_with_its_sidebands() -> None:
    gearbox = Machine("Gearbox", teeth=20)
    mesh = 20 * SPEED_HZ
    lines = [line(name, "acceleration", hz) for name, hz in (("mesh", mesh), ("lower sideband", mesh - SPEED_HZ))]

    said = texts(drawn(waveform(running()), diagnosis("GEAR_WEAR", *lines), machine=gearbox))

    assert any(text.startswith("Acceleration spectrum") for text in said)
    assert {f"mesh {mesh:.1f} Hz", "–1×", "+1×"} <= set(said)


def test_a_line_that_was_not_calculated_is_shown_under_the_name_it_was_given() -> None:
    found = diagnosis("RESONANCE", line("hump", "velocity", 190.0))

    assert "hump" in texts(drawn(waveform(running()), found))


def test_a_gear_mesh_is_shown_from_near_enough_to_name_its_sidebands() -> None:
    gearbox = Machine("Gearbox", teeth=23)
    mesh = 23 * SPEED_HZ
    found = [line(f"mesh{k:+d}×", "velocity", mesh + k * SPEED_HZ, amplitude=2.0 if k else 3.0) for k in range(-2, 3)]

    drawing = drawn(waveform(running()), diagnosis("GEAR_WEAR", *found), machine=gearbox)

    assert len(bars_x(drawing)) == 5
    assert {f"mesh {mesh:.1f} Hz", "–2×", "–1×", "+1×", "+2×"} <= set(texts(drawing))


def test_a_rolling_element_strikes_at_twice_its_own_speed() -> None:
    strikes = 2 * fault_orders(BEARING).bsf * SPEED_HZ
    found = diagnosis("BEARING_ROLLING_ELEMENT", line("rolling element 1×", "envelope", strikes))

    said = texts(drawn(waveform(struck(hz=strikes)), found))

    assert {f"2×BSF {strikes:.1f} Hz", f"1/2×BSF = {1000 / strikes:.2f} ms"} <= set(said)


def test_the_lines_of_a_bearing_do_not_speak_for_another_fault() -> None:
    found = diagnosis("CAVITATION", line("outer race 1×", "envelope", BPFO_HZ))

    assert bars_x(drawn(waveform(running()), found)) == []


def test_a_confidence_of_nothing_is_not_said() -> None:
    said = texts(drawn(waveform(running()), replace(diagnosis(CANNOT_TELL), confidence=0.0)))

    assert not any("confidence" in text for text in said)


def test_lines_close_to_each_other_are_told_apart_by_their_names() -> None:
    found = diagnosis("ELECTRICAL", line("2× mains", "velocity", 100.0), speed_hz=49.8)

    said = texts(drawn(waveform(running(n=65_536)), found))

    assert "2×mains" in said
    assert len(bars_x(drawn(waveform(running(n=65_536)), found))) == 1


def test_of_a_long_record_some_turns_are_shown_around_its_highest_peak_and_the_whole_in_small() -> None:
    x = running(n=256_000)
    x[200_000] = 3.0

    drawing = drawn(waveform(x), diagnosis())

    assert any(text.endswith("peak 3 g · 271 ms of 10 s") for text in texts(drawing))
    [curve] = [s for s in drawing.shapes if isinstance(s, Polyline) and s.color == "#222222"][:1]
    x_of_peak, _ = min(curve.points, key=lambda point: point[1])
    assert x_of_peak == pytest.approx(LEFT + (RIGHT - LEFT) / 4, abs=1)


def test_the_strikes_of_a_defect_are_measured_in_the_waveform_and_otherwise_the_turns_of_the_shaft() -> None:
    assert f"1/BPFO = {1000 / BPFO_HZ:.2f} ms" in texts(drawn(waveform(struck()), OUTER))
    assert "1 turn = 33.9 ms" in texts(drawn(waveform(running()), diagnosis()))


def test_the_trend_ends_with_this_capture_and_shows_its_limit() -> None:
    drawing = drawn(waveform(running()), diagnosis())

    assert "now 0.04, limit 0.0297" in texts(drawing)
    dashed = [s for s in drawing.shapes if isinstance(s, Polyline) and s.dash and s.color == STRONG]
    assert len(dashed) == 1
    assert {"–30", "0 days", "limit"} <= set(texts(drawing))


def test_a_trend_that_comes_in_disorder_is_put_in_order() -> None:
    assert drawn(waveform(running()), diagnosis(), trend=TREND[::-1]) == drawn(waveform(running()), diagnosis())


# What cannot be drawn


@pytest.mark.parametrize("n", [0, 1, 2, 63, 64, 200])
def test_a_short_record_is_drawn_as_far_as_it_goes(n: int) -> None:
    said = texts(drawn(Waveform("y", np.arange(n, dtype=np.int16), FS_HZ, 1e-4, "g"), diagnosis()))

    assert any("samples" in text or "too short" in text for text in said)


def test_a_silent_record_says_so() -> None:
    said = texts(drawn(Waveform("y", np.full(N, 7, np.int16), FS_HZ, 1e-4, "g"), diagnosis(SENSOR_FAULT)))

    assert said.count("the record is silent: all its samples are the same") == 2


def test_a_record_that_is_not_finite_says_so() -> None:
    said = texts(drawn(Waveform("y", np.arange(N, dtype=np.int16), FS_HZ, nan, "g"), diagnosis()))

    assert said.count("the record holds values that are not numbers") == 3


def test_without_a_speed_no_order_is_marked() -> None:
    said = texts(drawn(waveform(running()), diagnosis(speed_hz=None)))

    assert "axis y, vertical · 320 ms at 25.6 kHz · speed not known" in said
    assert not {"1×", "BPFO"} & set(said)


@pytest.mark.parametrize(
    ("trend", "words"),
    [
        ([], "no earlier values are known"),
        ([(0.0, nan), (1.0, inf), (nan, 1.0)], "no earlier values are known"),
        ([(0.0, 0.031)], "no earlier values are known; now 0.031 g"),
    ],
)
def test_without_a_trend_it_says_so(trend: list[tuple[float, float]], words: str) -> None:
    assert words in texts(drawn(waveform(running()), diagnosis(), trend=trend))


def test_a_band_that_the_record_does_not_reach_is_said() -> None:
    found = replace(diagnosis(), bands_hz={"y": (20_000.0, 40_000.0)})

    assert "the record cannot show the band from 20 to 40 kHz" in texts(drawn(waveform(running()), found))


def test_an_unknown_unit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'V' of axis y, wanted g"):
        drawn(replace(waveform(running()), unit="V"), diagnosis())


@pytest.mark.parametrize("fs_hz", [0.0, -1.0, nan, inf])
def test_a_sampling_rate_that_is_none_is_refused(fs_hz: float) -> None:
    with pytest.raises(ValueError, match="positive number"):
        drawn(replace(waveform(running()), fs_hz=fs_hz), diagnosis())


def test_metres_per_second_squared_are_shown_in_g() -> None:
    wave = waveform(running())
    metric = replace(wave, unit="m/s2", scale=9.80665 * wave.scale)

    assert drawn(metric, diagnosis()) == drawn(wave, diagnosis())


# That it can be read


@cache
def cases() -> dict[str, Drawing]:
    wave = waveform(struck())
    long_words = "a reason that goes on and on; " * 20
    return {
        "outer race": drawn(wave, OUTER),
        "healthy": drawn(waveform(running()), diagnosis()),
        "no speed": drawn(wave, diagnosis(speed_hz=None), trend=[]),
        "long": drawn(waveform(struck(n=256_000)), OUTER),
        "short": drawn(waveform(running(n=200)), diagnosis()),
        "silent": drawn(Waveform("y", np.zeros(N, np.int16), FS_HZ, 1e-4, "g"), diagnosis(SENSOR_FAULT)),
        "noise": drawn(wave, diagnosis("CAVITATION")),
        "slow": drawn(waveform(running(n=65_536), fs_hz=2560.0), diagnosis(speed_hz=1.7)),
        "fast": drawn(wave, diagnosis(speed_hz=950.0)),
        "wordy": drawn(
            wave, replace(OUTER, reason=long_words), title="a title without end " * 20, label="a label without end " * 9
        ),
        "in one word": drawn(wave, replace(OUTER, reason="r" * 500), title="t" * 500, label="l" * 500),
        "elsewhere": drawn(wave, OUTER, title="泵房/泵一/轴承 · " * 9, label="температура (°C)"),
        "far below": drawn(wave, OUTER, trend=[(0, -4e-9), (1, 3e-9)], limit=-1e-9, label="x (W)"),
        "far above": drawn(wave, OUTER, trend=[(0, 4e9), (1e12, 3e9)], limit=2e9, label="x (W)"),
    }


CASES = (
    "outer race",
    "healthy",
    "no speed",
    "long",
    "short",
    "silent",
    "noise",
    "slow",
    "fast",
    "wordy",
    "in one word",
    "elsewhere",
    "far below",
    "far above",
)


def test_every_case_is_looked_at() -> None:
    assert set(CASES) == set(cases())


@pytest.mark.parametrize("name", CASES)
def test_no_two_texts_overlap(name: str) -> None:
    shown = [shape for shape in cases()[name].shapes if isinstance(shape, Text)]

    for one, other in combinations(shown, 2):
        a, b = one.box, other.box
        apart = a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
        assert apart, (one.text, other.text)


@pytest.mark.parametrize("name", CASES)
def test_everything_is_on_the_sheet(name: str) -> None:
    drawing = cases()[name]

    corners: list[tuple[float, float]] = []
    for shape in drawing.shapes:
        match shape:
            case Polyline():
                corners += shape.points
            case Text():
                corners += [shape.box[:2], shape.box[2:]]
            case _:
                corners += [(shape.x, shape.y), (shape.x + shape.width, shape.y + shape.height)]
    assert all(0 <= x <= drawing.width and 0 <= y <= drawing.height for x, y in corners)


@pytest.mark.parametrize("name", CASES)
def test_text_is_large_enough_for_a_phone(name: str) -> None:
    drawing = cases()[name]

    assert drawing.width == 720
    assert drawing.height <= 1440
    assert min(shape.size for shape in drawing.shapes if isinstance(shape, Text)) >= 18


@pytest.mark.parametrize("name", CASES)
def test_it_is_small_in_both_formats(name: str) -> None:
    assert len(svg.render(cases()[name]).encode()) <= 60_000
    assert len(png.render(cases()[name])) <= 120_000


def test_text_and_marks_stand_out_from_the_paper() -> None:
    """WCAG 2.1: text 4.5 to 1, graphics 3 to 1."""
    for drawing in cases().values():
        for shape in drawing.shapes:
            if isinstance(shape, Text):
                assert contrast(shape.color) >= 4.5
            elif isinstance(shape, Polyline) and shape.color != "#dddddd":  # the grid, which carries nothing
                assert contrast(shape.color) >= 3


def contrast(color: str) -> float:
    """With white. WCAG 2.1, relative luminance."""
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 1.05 / (0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] + 0.05)


def test_the_same_capture_gives_the_same_bytes() -> None:
    one, other = drawn(waveform(struck()), OUTER), drawn(waveform(struck()), OUTER)

    assert svg.render(one) == svg.render(other)
    assert png.render(one) == png.render(other)


def test_the_samples_are_left_alone() -> None:
    wave = waveform(struck())
    before = wave.samples.copy()

    drawn(wave, OUTER)

    np.testing.assert_array_equal(wave.samples, before)


@given(
    st.sampled_from([*FAULTS, CANNOT_TELL, NO_FAULT_FOUND]),
    st.floats(0.5, 200),
    st.integers(2, 200),
    st.lists(st.tuples(st.floats(1, 2000), st.sampled_from(["velocity", "acceleration", "envelope"])), max_size=8),
)
def test_whatever_is_found_no_texts_overlap(
    verdict: str, speed_hz: float, count: int, found: list[tuple[float, str]]
) -> None:
    lines = (line(f"line {n}", kind, hz) for n, (hz, kind) in enumerate(found))
    machine = Machine("Other", BEARING, blades=count, teeth=count + 1, line_hz=60.0)

    drawing = drawn(WAVE, diagnosis(verdict, *lines, speed_hz=speed_hz), machine=machine)

    boxes = sorted(shape.box for shape in drawing.shapes if isinstance(shape, Text))
    for a, b in combinations(boxes, 2):
        assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]


WAVE = waveform(struck(n=2048))


# Which axis


def test_the_axis_of_the_finding_is_the_one_to_show() -> None:
    waves = [waveform(running(), axis=axis) for axis in "xyz"]

    assert picture.deciding(waves, OUTER).axis == "y"


def test_without_a_finding_the_axis_that_moves_most_is_shown() -> None:
    waves = [waveform(k * running(), axis=axis) for k, axis in ((1, "x"), (3, "y"), (2, "z"))]

    assert picture.deciding(waves, diagnosis()).axis == "y"


def test_there_must_be_an_axis() -> None:
    with pytest.raises(ValueError, match=r"empty|argument"):
        picture.deciding([], diagnosis())


def test_drawing_is_a_matter_of_a_blink() -> None:
    """A blink is 150 ms; the best of three, for other work may run beside it."""
    png.render(cases()["healthy"])  # fonts are unpacked once

    def seconds() -> float:
        begin = process_time()
        png.render(drawn(WAVE, OUTER))
        return process_time() - begin

    assert min(seconds() for _ in range(3)) < 0.15
