"""Bearing defects by modulation depth, on simulated bearings with known defects."""

import json
from math import log
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from telltale.core import rolling
from telltale.core.bearings import CATALOGUE, FaultOrders, fault_orders

Array = NDArray[Any]

ORDERS = fault_orders(CATALOGUE["6205-2RS"])
ORDERS_6203 = fault_orders(CATALOGUE["6203-2RS"])
FS_HZ, SPEED_HZ = 25_600.0, 29.3
OF_CLASS = {"OR": ORDERS.bpfo, "IR": ORDERS.bpfi, "B": 2 * ORDERS.bsf}


def noise(seconds: float, *, seed: int = 1) -> Array:
    return np.random.default_rng(seed).standard_normal(round(seconds * FS_HZ))


def ringing(times_s: Array, force: Array, seconds: float) -> Array:
    """A resonance at 4.1 kHz, struck at these times."""
    n = round(seconds * FS_HZ)
    inside = (times_s >= 0) & (times_s < seconds)
    grid = np.bincount((times_s[inside] * FS_HZ).astype(int), force[inside], n)[:n]
    t = np.arange(400) / FS_HZ
    response = np.exp(-t / 0.001) * np.sin(2 * np.pi * 4100 * t)
    size = 2 * (n + len(t))
    struck: Array = np.fft.irfft(np.fft.rfft(grid, size) * np.fft.rfft(response, size), size)[:n]
    return struck


def defect(
    order: float,
    *,
    seconds: float = 4.0,
    slip: float = 0.0,
    jitter: float = 0.01,
    load_zone: float = 0.0,
    seed: int = 1,
) -> Array:
    """Strikes at `order` times the speed, each a little early or late, and harder in the load zone once a turn."""
    rng = np.random.default_rng(seed)
    hz = order * SPEED_HZ * (1 + slip)
    times = np.cumsum((1 + jitter * rng.standard_normal(int(seconds * hz * 1.2))) / hz)
    return ringing(times, 1 + load_zone * np.cos(2 * np.pi * SPEED_HZ * times), seconds)


def shaft(orders: list[float], *, seconds: float) -> Array:
    """Knocks locked to the shaft, at these multiples of its speed."""
    times = [np.arange(0.01, seconds, 1 / (order * SPEED_HZ)) for order in orders]
    return sum((ringing(t, np.ones(len(t)), seconds) for t in times), np.zeros(round(seconds * FS_HZ)))


def judge(x: Array, *, orders: FaultOrders | None = ORDERS, **more: Any) -> rolling.RollingEvidence:
    return rolling.evidence(x, fs_hz=FS_HZ, speed_hz=SPEED_HZ, orders=orders, **more)


# Known defects


@pytest.mark.parametrize("call", OF_CLASS)
def test_a_known_defect_is_named_and_its_frequency_found(call: str) -> None:
    found = judge(defect(OF_CLASS[call], slip=0.004) + 0.3 * noise(4.0, seed=2))

    assert found.call == call
    assert found.positive
    assert found.combs[call].hz == pytest.approx(OF_CLASS[call] * SPEED_HZ * 1.004, rel=0.002)
    assert found.combs[call].slip == pytest.approx(0.004, abs=0.002)
    assert max(found.scores, key=lambda name: found.scores[name]) == call


def test_an_inner_race_is_named_though_its_strikes_come_and_go_with_the_load_zone() -> None:
    assert judge(defect(ORDERS.bpfi, load_zone=0.9) + 0.3 * noise(4.0)).call == "IR"


@pytest.mark.parametrize("slip", [-0.006, 0.006])
@pytest.mark.parametrize("call", ["OR", "IR"])
def test_slip_changes_no_name(call: str, slip: float) -> None:
    assert judge(defect(OF_CLASS[call], slip=slip) + 0.3 * noise(4.0)).call == call


def test_a_speed_that_is_two_percent_off_is_put_right_where_the_record_is_long_enough() -> None:
    x = 0.5 * defect(ORDERS.bpfo) + shaft([1], seconds=4.0) + 0.1 * noise(4.0)

    found = rolling.evidence(x, fs_hz=FS_HZ, speed_hz=SPEED_HZ * 1.02, orders=ORDERS)

    assert found.speed_refined
    assert found.speed_hz == pytest.approx(SPEED_HZ, rel=0.001)
    assert found.call == "OR"


def test_a_record_without_lines_of_the_shaft_keeps_the_speed_that_was_stated() -> None:
    found = judge(defect(ORDERS.bpfo) + 0.3 * noise(4.0))

    assert (found.speed_hz, found.speed_refined) == (SPEED_HZ, False)


def test_the_lines_come_with_their_frequencies_and_the_noise_around_them() -> None:
    comb = judge(defect(ORDERS.bpfo) + 0.3 * noise(4.0), axis="y").combs["OR"]

    assert [line.hz for line in comb.lines] == pytest.approx([comb.hz, 2 * comb.hz, 3 * comb.hz])
    assert {(line.axis, line.spectrum, line.unit) for line in comb.lines} == {("y", "envelope", "depth")}
    assert all(line.ratio > 3 for line in comb.lines)


def test_depth_is_what_was_put_in() -> None:
    """Noise whose power is 1 + m cos: the squared envelope has one line, of RMS m / sqrt(2).

    Of pairs of bins that far apart a band of b Hz lacks the share f / b; a line between two bins loses up to 7 %.
    """
    m, hz, t = 0.8, ORDERS.bpfo * SPEED_HZ, np.arange(round(10 * FS_HZ)) / FS_HZ
    x = noise(10.0) * np.sqrt(1 + m * np.cos(2 * np.pi * hz * t))

    comb = judge(x).combs["OR"]

    low, high = comb.band_hz
    assert comb.depth == pytest.approx(m / np.sqrt(2) * (1 - hz / (high - low)), rel=0.08)


# What is no defect of the bearing


def test_noise_is_no_defect() -> None:
    assert judge(noise(4.0)).call == "N"


def test_noise_is_called_a_race_in_one_record_of_a_hundred_at_most_however_short() -> None:
    calls = [judge(noise(seconds, seed=seed)).call for seconds in (0.2, 0.5) for seed in range(100)]

    assert sum(call in ("OR", "IR") for call in calls) <= 2


def test_a_depth_that_few_bins_of_noise_reach_is_not_enough() -> None:
    """400 samples: noise in bands of 50 bins modulates by what would be enough in a long record."""
    records = (noise(0.1, seed=seed)[:400] for seed in range(200))
    found = [rolling.evidence(x, fs_hz=FS_HZ, speed_hz=260.0, orders=ORDERS).combs.values() for x in records]
    told = [comb for combs in found for comb in combs if not comb.unresolved]

    assert max(comb.depth for comb in told) > rolling.DEPTH
    assert max(comb.margin for comb in told) < 1


@pytest.mark.parametrize("orders", [[1.0], [5.0], [1.0, 2.0, 3.0]], ids=str)
def test_what_is_locked_to_the_shaft_is_no_race(orders: list[float]) -> None:
    assert judge(shaft(orders, seconds=4.0) + 0.1 * noise(4.0)).call not in ("OR", "IR")


def test_one_strong_line_at_a_harmonic_of_a_race_is_not_that_race() -> None:
    """Twice BPFO and little at BPFO: something else strikes there."""
    found = judge(defect(2 * ORDERS.bpfo) + 0.3 * noise(4.0))

    assert found.call not in ("OR", "IR")


def test_sharp_lines_that_beat_at_a_race_s_frequency_are_not_that_race() -> None:
    """Steady tones a BPFI apart modulate the envelope deeply, and nothing of it smears: no strikes make them."""
    seconds = 8.0
    t = np.arange(round(seconds * FS_HZ)) / FS_HZ
    tones = [np.sin(2 * np.pi * (3000 + k * ORDERS.bpfi * SPEED_HZ) * t + k**2) for k in range(5)]

    found = judge(np.sum(tones, axis=0) + noise(seconds))

    assert found.combs["IR"].depth > found.combs["IR"].needed
    assert found.call == "N"


def test_a_line_that_lies_on_a_multiple_of_the_speed_says_nothing() -> None:
    """Twice the spin of a 6203's balls is 3.988 times the speed."""
    found = judge(shaft([4.0], seconds=4.0) + 0.1 * noise(4.0), orders=ORDERS_6203)

    assert "4 times the speed" in found.combs["B"].unresolved
    assert found.combs["B"].margin == 0
    assert not found.positive


# Against a healthy reference


def test_growth_without_a_race_is_not_localised() -> None:
    healthy = rolling.reference(noise(2.0), fs_hz=FS_HZ, speed_hz=SPEED_HZ)

    found = judge(2.5 * noise(4.0, seed=3), reference=healthy)

    assert (found.call, found.positive) == ("B", False)
    assert found.abnormality == pytest.approx(20 * np.log10(2.5) / 6, abs=0.1)
    assert found.reason.startswith("rolling element or not localised: +8.")


def test_the_same_machine_again_is_normal() -> None:
    healthy = rolling.reference(noise(2.0), fs_hz=FS_HZ, speed_hz=SPEED_HZ)

    found = judge(noise(4.0, seed=3), reference=healthy)

    assert found.call == "N"
    assert found.abnormality == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize("ratio", [0.6, 1.5])
def test_levels_may_grow_with_the_square_of_the_speed(ratio: float) -> None:
    healthy = rolling.reference(noise(2.0), fs_hz=FS_HZ, speed_hz=SPEED_HZ / ratio)

    found = judge(ratio**2 * noise(2.0), reference=healthy)

    assert found.abnormality == pytest.approx(0, abs=0.001)


def test_a_reference_at_another_sampling_rate_serves_where_it_reaches() -> None:
    wide = noise(4.0)
    spectrum = np.fft.rfft(wide)
    narrow = np.fft.irfft(spectrum[: len(spectrum) // 4 + 1]) / 4
    healthy = rolling.reference(wide, fs_hz=FS_HZ, speed_hz=SPEED_HZ)

    found = rolling.evidence(narrow, fs_hz=FS_HZ / 4, speed_hz=SPEED_HZ, orders=ORDERS, reference=healthy)

    assert found.abnormality == pytest.approx(0, abs=0.1)


def test_a_reference_survives_json() -> None:
    healthy = rolling.reference(noise(1.0), fs_hz=FS_HZ, speed_hz=None)

    assert rolling.Reference.from_dict(json.loads(json.dumps(healthy.as_dict()))) == healthy


def test_the_power_of_a_reference_is_that_of_the_record() -> None:
    x = noise(1.0)

    healthy = rolling.reference(x, fs_hz=FS_HZ, speed_hz=None)

    assert healthy.band(0, FS_HZ / 2) == pytest.approx(np.var(x), rel=0.001)
    assert healthy.band(2000, 5000) == pytest.approx(np.var(x) * 3000 / (FS_HZ / 2), rel=0.1)
    assert np.isnan(healthy.band(0, FS_HZ))


# Laws


@given(gain=st.floats(1e-6, 1e6))
def test_gain_and_offset_change_nothing_but_levels(gain: float) -> None:
    x = defect(ORDERS.bpfo, seconds=0.5) + 0.3 * noise(0.5)

    plain, scaled = judge(x), judge(gain * (x + 3.0))

    assert scaled.call == plain.call
    assert scaled.combs["OR"].depth == pytest.approx(plain.combs["OR"].depth, rel=1e-6)
    assert scaled.scores == pytest.approx(plain.scores, rel=1e-4)


def test_depth_does_not_depend_on_the_length_of_the_record() -> None:
    x = defect(ORDERS.bpfo, seconds=8.0, jitter=0.003) + 0.3 * noise(8.0)

    depths = [judge(x[: round(seconds * FS_HZ)]).combs["OR"].depth for seconds in (2.0, 4.0, 8.0)]

    assert depths == pytest.approx([depths[-1]] * 3, rel=0.15)


def test_of_a_long_record_the_first_turns_are_judged() -> None:
    first = rolling.MOST_TURNS / SPEED_HZ
    x = defect(ORDERS.bpfo, seconds=first) + 0.3 * noise(first)

    followed = judge(np.concatenate([x, 100 * noise(first)]))

    assert followed.call == "OR"
    assert followed.combs["OR"].depth == pytest.approx(judge(x).combs["OR"].depth, rel=1e-3)


def test_single_precision_gives_the_same() -> None:
    x = defect(ORDERS.bpfi) + 0.3 * noise(4.0)

    single, double = judge(x.astype(np.float32)), judge(x)

    assert single.call == double.call
    assert single.combs["IR"].depth == pytest.approx(double.combs["IR"].depth, rel=1e-4)


def test_the_record_is_not_modified() -> None:
    x = defect(ORDERS.bpfo, seconds=0.5) + 1
    before = x.copy()

    judge(x)

    np.testing.assert_array_equal(x, before)


def test_scores_are_shares() -> None:
    assert sum(judge(noise(1.0)).scores.values()) == pytest.approx(1)


# The same by hand


def test_a_comb_is_that_of_a_slow_and_obvious_computation() -> None:
    """The squared envelope of one band at full length by its definition, and its three lines one by one."""
    x = (defect(ORDERS.bpfo, jitter=0) + 0.3 * noise(4.0))[:102_400]
    comb = judge(x).combs["OR"]
    n, bin_hz = len(x), FS_HZ / len(x)
    spectrum = np.fft.fft(x - x.mean())
    frequency = np.fft.fftfreq(n, 1 / FS_HZ)
    order = round(SPEED_HZ / bin_hz)
    magnitude = np.abs(spectrum[: n // 2 + 1])
    medians = [np.median(magnitude[i : i + order]) for i in range(0, len(magnitude) - order + 1, order)]
    floor = np.interp(np.abs(frequency) / bin_hz, np.arange(len(medians)) * order + (order - 1) / 2, medians)
    low, high = comb.band_hz
    inside = (frequency >= low - bin_hz / 2) & (frequency < high - bin_hz / 2)
    square = np.abs(np.fft.ifft(np.where(inside, spectrum / floor, 0))) ** 2
    y = square / square.mean() - 1

    centre = ORDERS.bpfo * SPEED_HZ / bin_hz

    lines = []
    for number in (1, 2, 3):
        at, middle, reach = round(number * comb.hz / bin_hz), round(number * centre), int(0.3 * centre)
        power = [2 * abs(np.vdot(np.exp(2j * np.pi * k * np.arange(n) / n), y) / n) ** 2 for k in (at - 1, at, at + 1)]
        around = 2 * np.abs(np.fft.fft(y)[middle - reach : middle + reach + 1] / n) ** 2
        lines.append(max(0.0, sum(power) - 3 * np.median(around) / log(2)))
    slow = np.sqrt(lines[0] + min(lines[:2]) + min(lines))

    assert comb.depth == pytest.approx(slow, rel=1e-3)


# Too little to tell


def test_a_short_capture_of_a_slow_shaft_says_what_it_would_need() -> None:
    x = (defect(ORDERS.bpfi) + 0.3 * noise(4.0))[:4096]  # 0.16 s

    found = rolling.evidence(x, fs_hz=FS_HZ, speed_hz=10.0, orders=ORDERS)

    assert found.call is None
    assert "inner race (5.415 times the speed): needs 4 turns, the record holds 1.6" in found.notes
    assert "needs 4 turns" in found.reason


def test_a_short_capture_that_holds_enough_turns_names_the_race() -> None:
    x = (defect(ORDERS.bpfo) + 0.2 * noise(4.0))[:4096]

    found = judge(x)

    assert found.call == "OR"
    assert "cage (0.398 times the speed): needs 10 turns, the record holds 4.7" in found.notes


def test_a_short_capture_of_a_slow_shaft_can_still_be_abnormal() -> None:
    healthy = rolling.reference(noise(1.0), fs_hz=FS_HZ, speed_hz=10.0)

    found = rolling.evidence(3 * noise(0.16), fs_hz=FS_HZ, speed_hz=10.0, orders=ORDERS, reference=healthy)

    assert (found.call, found.positive) == ("B", False)


def test_a_shaft_too_fast_for_the_sampling_rate_says_so() -> None:
    found = rolling.evidence(noise(1.0), fs_hz=FS_HZ, speed_hz=2000.0, orders=ORDERS)

    assert found.combs == {}
    assert found.notes == ("the sampling rate leaves no band wide enough for the defect lines",)


@pytest.mark.parametrize(
    ("speed_hz", "orders", "missing"),
    [(None, ORDERS, "no speed is known"), (SPEED_HZ, None, "no bearing geometry is known")],
)
def test_without_speed_or_geometry_no_lines_are_looked_for(
    speed_hz: float | None, orders: FaultOrders | None, missing: str
) -> None:
    healthy = rolling.reference(noise(1.0), fs_hz=FS_HZ, speed_hz=None)

    alone = rolling.evidence(noise(1.0), fs_hz=FS_HZ, speed_hz=speed_hz, orders=orders)
    compared = rolling.evidence(noise(1.0), fs_hz=FS_HZ, speed_hz=speed_hz, orders=orders, reference=healthy)

    assert alone.call is None
    assert missing in alone.reason
    assert compared.call == "N"


def test_impacts_count_as_abnormal_without_a_reference() -> None:
    found = rolling.evidence(20 * shaft([0.2], seconds=2.0) + noise(2.0), fs_hz=FS_HZ, speed_hz=SPEED_HZ, orders=None)

    assert found.call == "B"
    assert "excess kurtosis" in found.reason


@pytest.mark.parametrize(
    "x",
    [np.zeros(0), np.ones(rolling.SHORTEST - 1), np.zeros(4096), np.full(4096, 3.0), np.full(4096, np.nan)],
    ids=["empty", "short", "silent", "constant", "nan"],
)
def test_a_record_that_cannot_be_judged_is_not_called(x: Array) -> None:
    found = judge(x)

    assert found.call is None
    assert f"{len(x)} samples" in found.reason
    with pytest.raises(ValueError, match="samples"):
        rolling.reference(x, fs_hz=FS_HZ, speed_hz=SPEED_HZ)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_one_bad_sample_makes_a_record_unfit(bad: float) -> None:
    x = noise(1.0)
    x[77] = bad

    assert judge(x).call is None


@given(n=st.integers(1, 3000))
def test_every_length_has_an_answer(n: int) -> None:
    found = judge(np.random.default_rng(n).standard_normal(n))

    assert found.call in (*rolling.CALLS, None)
    assert all(np.isfinite(comb.depth) for comb in found.combs.values())


@pytest.mark.parametrize(("fs_hz", "speed_hz"), [(0.0, 25.0), (float("nan"), 25.0), (25_600.0, 0.0), (25_600.0, -1.0)])
def test_a_rate_or_speed_that_is_none_is_refused(fs_hz: float, speed_hz: float) -> None:
    with pytest.raises(ValueError, match="wanted a positive number"):
        rolling.evidence(noise(0.1), fs_hz=fs_hz, speed_hz=speed_hz, orders=ORDERS)
