"""Panels: round ticks, curves that keep their peaks, names that do not touch."""

from itertools import combinations, pairwise
from math import log10

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from telltale.core.drawing import Polyline, Text
from telltale.core.plot import (
    LEFT,
    RIGHT,
    STRONG,
    Mark,
    Panel,
    drawn,
    level_ticks,
    nice_step,
    nice_ticks,
    short,
    thinned,
    tick_texts,
)

HZ = np.linspace(0, 400, 1601)


def spectrum(*marks: Mark, peaks: tuple[float, ...] = (100.0,)) -> Panel:
    y = np.full(len(HZ), 0.1)
    y[np.searchsorted(HZ, peaks)] = 2.0
    return Panel("Spectrum, g", x=HZ, y=y, span=(0.0, 400.0), unit="Hz", marks=marks)


def texts(*panels: Panel) -> list[Text]:
    shapes, _ = drawn(panels, top=100, bottom=1000, gap=18)
    return [shape for shape in shapes if isinstance(shape, Text)]


def at_x(hz: float) -> float:
    return LEFT + hz / 400 * (RIGHT - LEFT)


# Ticks


@given(st.floats(1e-9, 1e9), st.integers(2, 12))
def test_a_step_is_round_and_not_finer_than_it_may_be(span: float, most: int) -> None:
    step = nice_step(span, most=most)

    mantissa = step / 10 ** np.floor(log10(step) + 1e-9)
    assert min(abs(mantissa - round_) for round_ in (1, 2, 5)) < 1e-6
    assert span / step <= most * (1 + 1e-6)
    assert span / step > most / 2.6


@given(st.floats(-100, 100), st.floats(1e-6, 1e6), st.integers(2, 12))
def test_ticks_lie_inside_and_are_evenly_spaced(spans: float, span: float, most: int) -> None:
    low = spans * span

    ticks = nice_ticks(low, low + span, most=most)

    assert 0 < len(ticks) <= most + 1
    assert all(low - 1e-6 * span <= tick <= low + span * (1 + 1e-6) for tick in ticks)
    steps = [b - a for a, b in pairwise(ticks)]
    assert steps == pytest.approx(steps[:1] * len(steps), rel=1e-6)


@given(st.floats(1e-9, 1e9), st.booleans(), st.integers(2, 12))
def test_a_level_can_be_read_however_few_ticks_there_may_be(high: float, signed: bool, most: int) -> None:
    ticks = level_ticks(-high if signed else 0.0, high, most=most)

    assert len(ticks) <= most + 1
    assert 0.0 in ticks
    assert max(ticks) >= 0.4 * high
    assert max(ticks) <= high * (1 + 1e-6)
    assert min(ticks) == (-max(ticks) if signed else 0.0)


@pytest.mark.parametrize(
    ("low", "high", "texts"),
    [
        (0, 300, ["0", "100", "200", "300"]),
        (-0.62, 0.62, ["–0.5", "0.0", "0.5"]),
        (0, 0.031, ["0.00", "0.01", "0.02", "0.03"]),
        (0, 3.1e-6, ["0", "1.0e-6", "2.0e-6", "3.0e-6"]),
        (0, 3.1e7, ["0", "1.0e7", "2.0e7", "3.0e7"]),
    ],
)
def test_ticks_are_written_with_the_decimals_they_need(low: float, high: float, texts: list[str]) -> None:
    assert tick_texts(nice_ticks(low, high, most=4)) == texts


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0"), (0.02974, "0.0297"), (9.4534, "9.45"), (1234.4, "1234"), (-2e-6, "–2e-6")]
)
def test_a_number_in_the_text_has_three_digits(value: float, text: str) -> None:
    assert short(value) == text


# Curves


@given(arrays(np.float64, st.integers(2, 3000), elements=st.floats(-1e3, 1e3)), st.integers(2, 300))
def test_thinning_keeps_every_columns_lowest_and_highest_point_and_adds_none(y: np.ndarray, columns: int) -> None:
    x = np.arange(len(y)) / len(y)

    a, b = thinned(x, y, span=(0.0, 1.0), columns=columns)

    assert len(a) <= max(2 * columns, 2)
    assert set(zip(a, b, strict=True)) <= set(zip(x, y, strict=True))
    assert (np.diff(a) > 0).all()
    column = np.minimum((x * columns).astype(int), columns - 1)
    of_kept = np.minimum((a * columns).astype(int), columns - 1)
    for one in np.unique(column):
        assert b[of_kept == one].min() == y[column == one].min()
        assert b[of_kept == one].max() == y[column == one].max()


def test_one_sample_in_a_million_stays_visible() -> None:
    y = np.zeros(1_000_000)
    y[123_456] = -7.0

    _, kept = thinned(np.arange(1e6), y, span=(0.0, 1e6), columns=400)

    assert kept.min() == -7.0


def test_only_what_is_shown_is_kept() -> None:
    a, _ = thinned(HZ, HZ, span=(100.0, 200.0), columns=50)

    assert (a.min(), a.max()) == (100.0, 200.0)


# Marks


def test_a_strong_mark_is_a_thick_bar_as_high_as_its_peak_under_a_triangle() -> None:
    shapes, _ = drawn([spectrum(Mark(100.0, "BPFO", strong=True))], top=100, bottom=1000, gap=18)

    strong = [shape for shape in shapes if isinstance(shape, Polyline) and shape.color == STRONG]
    bar, triangle = strong
    curve = max((s for s in shapes if isinstance(s, Polyline)), key=lambda s: len(s.points))
    peak = min(y for _, y in curve.points)
    assert bar.width == 4.0
    assert bar.points[1] == pytest.approx((at_x(100.0), peak))
    assert triangle.fill == STRONG
    assert triangle.points[0] == pytest.approx((at_x(100.0), peak - 4))


def test_another_mark_is_thin_and_dashed_at_its_place() -> None:
    shapes, _ = drawn([spectrum(Mark(250.0, "BPFI"))], top=100, bottom=1000, gap=18)

    [dashed] = [shape for shape in shapes if isinstance(shape, Polyline) and shape.dash]
    assert [x for x, _ in dashed.points] == pytest.approx([at_x(250.0)] * 2)


def test_marks_that_fall_on_one_place_share_their_names() -> None:
    shown = [text.text for text in texts(spectrum(Mark(100.0, "2×mains", 1), Mark(100.2, "4×", 3)))]

    assert "2×mains, 4×" in shown


def test_where_there_is_no_room_for_all_names_the_important_ones_stand() -> None:
    crowd = [Mark(100.0 + 4 * k, f"line {k}", 3) for k in range(20)]

    shown = [text for text in texts(spectrum(*crowd, Mark(141.0, "BPFO", 0, strong=True))) if "line" in text.text]

    bold = [text.text for text in texts(spectrum(*crowd, Mark(141.0, "BPFO", 0, strong=True))) if text.bold]
    assert "BPFO" in bold
    assert 0 < len(shown) < 20


@st.composite
def marks(draw: st.DrawFn) -> tuple[Mark, ...]:
    return tuple(
        Mark(draw(st.floats(1, 399)), draw(st.sampled_from(["1×", "BPFO", "2×mains", "blade pass"])), rank, strong)
        for rank, strong in draw(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=30))
    )


@given(marks(), st.lists(st.floats(1, 399), max_size=3))
def test_no_two_texts_overlap_wherever_the_marks_are(marks: tuple[Mark, ...], peaks: list[float]) -> None:
    shown = texts(spectrum(*marks, peaks=tuple(peaks)))

    for a, b in combinations((text.box for text in shown), 2):
        assert not (a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3])
    assert all(text.box[0] >= 0 and text.box[2] <= 720 for text in shown)


# Panels


def test_what_is_missing_takes_little_room_and_says_why() -> None:
    missing = Panel("Trend", missing="no earlier values are known")

    shapes, end = drawn([spectrum(), missing], top=100, bottom=1000, gap=18)

    shown = [shape.text for shape in shapes if isinstance(shape, Text)]
    assert shown[-2:] == ["Trend", "no earlier values are known"]
    assert end < 500


def test_a_curve_that_is_zero_everywhere_has_axes_all_the_same() -> None:
    shown = texts(Panel("Spectrum, g", x=HZ, y=np.zeros(len(HZ)), span=(0.0, 400.0), unit="Hz"))

    assert [text.text for text in shown if "Hz" in text.text] == ["400 Hz"]
