"""The routine set against the same features written plainly: one record at a time, double precision, SciPy, loops.

The plain version shares no code with the core, only the definitions. The tolerances are those that single precision
allows; the envelope agrees to them on the same grid of points, and to a few per cent with the record's own rate.
"""

from typing import Any

import numpy as np
import pytest
from cli.plain_features import features as plain
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from telltale.core import fft
from telltale.core.bearings import CATALOGUE, fault_orders
from telltale.core.features import envelope_band_hz, features
from telltale.core.schema import FEATURES

Array = NDArray[Any]
NAMES = tuple(column.name for column in FEATURES)
ORDERS = fault_orders(CATALOGUE["6205-2RS"])
SCALE_G = 1e-3
MACHINE: dict[str, Any] = {
    "speed_hz": 29.7,
    "bearing_orders": ORDERS,
    "blades": 7,
    "teeth": 23,
    "line_hz": 50.0,
    "bands_hz": [(100, 300), (1000, 4000), (640, 650)],
}

# What single precision leaves, relative to the value; absolute, where a value may be 0 although its record is not.
RELATIVE = 2e-5
ABSOLUTE = {"mean_g": 1e-6, "skewness": 1e-6, "drift_g": 1e-6}


def counts(n: int, fs_hz: float, *, seed: int = 3) -> Array:
    """A machine's record in counts: noise, shaft, mesh with sidebands, and a resonance that is struck."""
    rng, t = np.random.default_rng(seed), np.arange(n) / fs_hz
    shaft = sum(2000 / order * np.sin(2 * np.pi * 29.9 * order * t + order) for order in (0.5, 1, 2, 3, 5))
    mesh = 800 * (1 + 0.4 * np.cos(2 * np.pi * 29.9 * t)) * np.sin(2 * np.pi * 23 * 29.9 * t)
    since = np.mod(t, 1 / 107.0)
    struck = 3000 * np.exp(-since / 0.001) * np.sin(2 * np.pi * 0.17 * fs_hz * since)
    return (1000 * rng.normal(size=n) + shaft + mesh + struck + 4000).astype(np.int16)


def points(n: int, fs_hz: float, band: tuple[float, float] | None = None) -> int:
    """How many samples of the envelope the core takes."""
    low, high = envelope_band_hz(fs_hz) if band is None else band
    hz = np.fft.rfftfreq(n, 1 / fs_hz)
    return fft.fast_length(int(np.sum((hz >= low * (1 - 1e-9)) & (hz < high * (1 - 1e-9)))) * 5 // 4)


def agree(name: str, found: float, wanted: float, relative: float = RELATIVE) -> None:
    assert found == pytest.approx(wanted, rel=relative, abs=ABSOLUTE.get(name, 1e-12), nan_ok=True), name


@pytest.mark.parametrize(
    ("n", "fs_hz"),
    [(4096, 25600.0), (26700, 26700.0), (25601, 25600.0), (4095, 3200.0), (8192, 48000.0), (700, 12800.0), (97, 9e3)],
)
def test_every_indicator_agrees_with_its_plain_version(n: int, fs_hz: float) -> None:
    x = np.stack([counts(n, fs_hz, seed=seed) for seed in range(4)])

    found = features(x, fs_hz=fs_hz, scale_g=SCALE_G, **MACHINE)

    for i, row in enumerate(x):
        wanted = plain(row * SCALE_G, fs_hz=fs_hz, count_g=SCALE_G, envelope_points=points(n, fs_hz), **MACHINE)
        assert set(wanted) == set(NAMES)
        for name in NAMES:
            agree(name, found[name][i], wanted[name])


def test_rows_of_one_stack_may_belong_to_different_machines() -> None:
    n, fs_hz = 8192, 25600.0
    x = np.stack([counts(n, fs_hz, seed=seed) for seed in range(4)])
    machines: list[dict[str, Any]] = [
        MACHINE,
        {**MACHINE, "speed_hz": 24.1, "teeth": 40, "speed_tolerance": 0.01, "envelope_band_hz": (1000.0, 6000.0)},
        {"bands_hz": [(np.nan, np.nan)] * 3},
        {**MACHINE, "blades": np.nan, "line_hz": 60.0, "envelope_band_hz": (1000.0, 6000.0)},
    ]
    defaults = {
        "speed_hz": np.nan, "speed_tolerance": 0.03, "bearing_orders": (np.nan,) * 4, "blades": np.nan,
        "teeth": np.nan, "line_hz": np.nan, "envelope_band_hz": (np.nan, np.nan), "bands_hz": None,
    }  # fmt: skip

    found = features(
        x,
        fs_hz=fs_hz,
        scale_g=SCALE_G,
        **{name: [machine.get(name, value) for machine in machines] for name, value in defaults.items()},
    )

    for i, machine in enumerate(machines):
        wanted = plain(
            x[i] * SCALE_G,
            fs_hz=fs_hz,
            count_g=SCALE_G,
            envelope_points=points(n, fs_hz, machine.get("envelope_band_hz")),
            **machine,
        )
        for name in NAMES:
            agree(name, found[name][i], wanted[name])


def test_the_envelope_hardly_depends_on_how_many_points_it_is_taken_at() -> None:
    n, fs_hz = 25600, 25600.0
    x = counts(n, fs_hz)

    found = features(x, fs_hz=fs_hz, scale_g=SCALE_G, **MACHINE)
    wanted = plain(x * SCALE_G, fs_hz=fs_hz, count_g=SCALE_G, **MACHINE)

    agree("env_rms_g", found["env_rms_g"].item(), wanted["env_rms_g"], 0.01)
    agree("env_kurtosis", found["env_kurtosis"].item(), wanted["env_kurtosis"], 0.03)
    agree("env_bpfo_g", found["env_bpfo_g"].item(), wanted["env_bpfo_g"], 0.02)


@given(
    st.integers(4, 3000), st.sampled_from([1000.0, 3200.0, 26667.0]), st.integers(0, 2**32 - 1), st.floats(5.0, 200.0)
)
@settings(max_examples=60, deadline=None)
def test_they_agree_at_every_length_and_speed_and_are_unknown_together(
    n: int, fs_hz: float, seed: int, speed_hz: float
) -> None:
    x = (np.random.default_rng(seed).normal(size=n) * 1000).astype(np.int16)
    machine = {**MACHINE, "speed_hz": speed_hz}

    found = features(x.astype(float), fs_hz=fs_hz, scale_g=SCALE_G, **machine)
    wanted = plain(x * SCALE_G, fs_hz=fs_hz, envelope_points=points(n, fs_hz), **machine)

    for name in NAMES:
        agree(name, found[name].item(), wanted[name], 1e-7)
