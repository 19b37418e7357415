"""How fast a shaft turns: found on simulated machines, with a confidence that keeps its word, and not in noise."""

from math import pi
from typing import Any

import numpy as np
import pytest
from cli.plant_model import Fault, FaultKind, Kind, Machine, capture
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from telltale.core import speed
from telltale.core.speed import LEAST_TURNS, SpeedEstimate

Array = NDArray[Any]
FS_HZ = 25600.0
KINDS = tuple(Kind)
FAULTS = tuple(kind for kind in FaultKind if kind not in (FaultKind.DROPOUT, FaultKind.SATURATION))
SENSORS = ((25600.0, 4096), (3200.0, 3200), (3200.0, 2048), (12800.0, 8192))


def time_s(n: int, fs_hz: float = FS_HZ) -> Array:
    return np.arange(n) / fs_hz


def noise(n: int, *, rows: int = 1, seed: int = 7) -> Array:
    return np.random.default_rng(seed).normal(size=(rows, n))


def shaft(hz: float, accelerations: dict[float, float], *, n: int = 25600, fs_hz: float = FS_HZ) -> Array:
    """Lines at multiples of `hz`, in g peak, under a little noise."""
    lines = (a * np.sin(2 * pi * k * hz * time_s(n, fs_hz) + k) for k, a in accelerations.items())
    return sum(lines, start=0.01 * noise(n)[0])


def simulated(number: int) -> tuple[Array, float, float, FaultKind | None]:
    """Three axes in g of one machine of any kind, fault and sensor; its rate, its speed and its fault."""
    rng = np.random.default_rng([number, 11])
    fs_hz, n = SENSORS[number % len(SENSORS)]
    machine = Machine(f"m-{number}", KINDS[rng.integers(len(KINDS))], float(rng.uniform(400, 3600)))
    fault = None if rng.uniform() < 0.2 else FAULTS[rng.integers(len(FAULTS))]
    sample = capture(
        machine,
        [] if fault is None else [Fault(fault, 0, 1000)],
        t_s=float(rng.uniform(200, 1400)),
        sensor="s",
        seed=number,
        fs_hz=fs_hz,
        n_samples=n,
    )
    assert sample is not None
    return sample.waveforms * np.float32(sample.scale), fs_hz, sample.speed_rpm / 60, fault


def blind(x: Array, *, fs_hz: float = FS_HZ, low_hz: float = 5.0, high_hz: float = 100.0) -> SpeedEstimate:
    found = speed.estimate(x, fs_hz=fs_hz, low_hz=low_hz, high_hz=high_hz)
    assert found is not None
    return found


# Textbook shafts


@given(st.floats(8, 60))
@settings(max_examples=25)
def test_a_shaft_with_harmonics_is_found_to_a_thousandth(hz: float) -> None:
    found = blind(shaft(hz, {1: 0.2, 2: 0.3, 3: 0.2, 6: 0.4}))

    assert found.hz == pytest.approx(hz, rel=1e-3)
    assert found.confidence > 0.8
    assert set(found.harmonics) >= {1, 2, 3}


def test_misalignment_whose_second_harmonic_is_the_largest_is_not_taken_for_twice_the_speed() -> None:
    found = blind(shaft(24.7, {1: 0.1, 2: 0.6, 3: 0.2, 4: 0.1}))

    assert found.hz == pytest.approx(24.7, rel=1e-3)


def test_looseness_with_half_orders_is_not_taken_for_half_the_speed() -> None:
    orders = {k / 2: (0.3 if k % 2 == 0 else 0.1) for k in range(1, 13)}

    found = blind(shaft(24.7, orders))

    assert found.hz == pytest.approx(24.7, rel=1e-3)


def test_a_single_line_is_believed_less_than_a_family() -> None:
    single, family = blind(shaft(24.7, {1: 0.3})), blind(shaft(24.7, {1: 0.3, 2: 0.2, 3: 0.1}))

    assert single.confidence < family.confidence


def test_axes_help_each_other() -> None:
    x = np.stack([shaft(24.7, {1: 0.05, 2: 0.02}), shaft(24.7, {2: 0.1}), shaft(24.7, {3: 0.2})])

    found = blind(x)

    assert found.hz == pytest.approx(24.7, rel=1e-3)


# The confidence


@pytest.mark.parametrize(("fs_hz", "n"), SENSORS)
def test_noise_is_not_believed(fs_hz: float, n: int) -> None:
    found = [blind(noise(n, rows=3, seed=seed), fs_hz=fs_hz).confidence for seed in range(25)]

    assert max(found) < 0.5
    assert np.median(found) < 0.2


def test_the_confidence_promises_no_more_than_the_share_of_simulated_machines_that_is_right() -> None:
    found = []
    for number in range(300):
        x, fs_hz, hz, _ = simulated(number)
        if hz * x.shape[-1] / fs_hz > 1.1 * LEAST_TURNS:
            guess = blind(x, fs_hz=fs_hz)
            found.append((guess.confidence, abs(guess.hz / hz - 1) < 0.02))
    confidence, right = np.array(found).T

    for low, high in ((0.0, 0.3), (0.3, 0.7), (0.7, 0.9), (0.9, 1.0)):
        inside = (confidence >= low) & (confidence < high)
        assert np.count_nonzero(inside) >= 20
        assert -0.1 < right[inside].mean() - confidence[inside].mean() < 0.25
    assert np.count_nonzero(confidence > 0.9) > 0.3 * len(found)


def test_sound_machines_are_read_right() -> None:
    found = []
    for number in range(100):
        x, fs_hz, hz, fault = simulated(number)
        if fault is None and hz * x.shape[-1] / fs_hz > 2 * LEAST_TURNS:
            found.append(blind(x, fs_hz=fs_hz).hz / hz)

    assert len(found) > 5
    assert np.mean(np.abs(np.array(found) - 1) < 0.01) > 0.9


# Near a stated speed


def modulated(hz: float, *, depth: float, seconds: float = 8.0, fs_hz: float = 12800.0) -> Array:
    """Noise whose level swings a little with the shaft: nothing of it shows in the spectrum."""
    n = round(seconds * fs_hz)
    t = time_s(n, fs_hz)
    swing = sum(depth * np.cos(2 * pi * k * hz * t + k) for k in (1, 2, 3))
    return np.asarray((1 + swing) * noise(n, seed=3)[0])


@pytest.mark.parametrize("wrong", [-0.02, 0.0, 0.013, 0.024])
def test_a_stated_speed_that_is_wrong_is_put_right(wrong: float) -> None:
    found = speed.refine(modulated(29.3, depth=0.1), fs_hz=12800.0, near_hz=29.3 * (1 + wrong))

    assert found is not None
    assert found.hz == pytest.approx(29.3, rel=1e-3)
    assert found.confidence > 0.99
    assert set(found.harmonics) >= {1, 2, 3}


def test_noise_does_not_refine_a_speed() -> None:
    found = [speed.refine(noise(60000, seed=seed)[0], fs_hz=12000.0, near_hz=29.0) for seed in range(40)]

    assert sum(one is not None and one.confidence > 0.95 for one in found) <= 3


def test_a_record_of_few_turns_refines_nothing() -> None:
    x = modulated(29.3, depth=0.5, seconds=3.3)

    assert speed.refine(x, fs_hz=12800.0, near_hz=29.3) is None
    assert speed.refine(x, fs_hz=12800.0, near_hz=31.0) is not None


# What is defined for every input


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize(
    "x",
    [np.zeros(0), np.ones(1), noise(15)[0], np.zeros(25600), np.full(25600, 5.0), np.full(25600, np.nan)],
    ids=["none", "one", "short", "silent", "constant", "nan"],
)
def test_nothing_is_said_of_a_record_that_says_nothing(x: Array) -> None:
    assert speed.estimate(x, fs_hz=FS_HZ, low_hz=5, high_hz=100) is None
    assert speed.refine(x, fs_hz=100.0, near_hz=1.5) is None


@pytest.mark.filterwarnings("ignore:invalid value")
def test_an_axis_that_is_broken_does_not_spoil_the_others() -> None:
    good = shaft(24.7, {1: 0.2, 2: 0.3, 3: 0.2})
    x = np.stack([good, np.full(25600, np.nan), np.zeros(25600)])

    assert blind(x) == blind(good)


@pytest.mark.parametrize(("low", "high"), [(50, 20), (5, 20000), (np.nan, np.nan)])
def test_a_range_that_is_none_gives_none(low: float, high: float) -> None:
    assert speed.estimate(noise(4096), fs_hz=FS_HZ, low_hz=low, high_hz=high) is None


def test_speeds_of_which_the_record_holds_too_few_turns_are_not_looked_for() -> None:
    x = shaft(20.0, {1: 0.3, 2: 0.3, 3: 0.2}, n=4096)  # 3.2 turns

    found = speed.estimate(x, fs_hz=FS_HZ, low_hz=5, high_hz=30)

    assert found is None


def test_a_gain_changes_nothing_and_single_precision_little() -> None:
    x = shaft(24.7, {1: 0.2, 2: 0.3, 3: 0.2})

    base, louder, single = blind(x), blind(1000 * x), blind(x.astype(np.float32))

    assert louder.hz == pytest.approx(base.hz, rel=1e-9)
    assert louder.confidence == pytest.approx(base.confidence, rel=1e-6)
    assert single.hz == pytest.approx(base.hz, rel=1e-5)


def test_the_input_is_left_alone() -> None:
    x = shaft(24.7, {1: 0.2, 2: 0.3}, n=131072)
    before = x.copy()
    x.flags.writeable = False

    blind(x)
    speed.refine(x, fs_hz=FS_HZ, near_hz=24.7)

    np.testing.assert_array_equal(x, before)
