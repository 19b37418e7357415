"""Bearing defects by modulation depth, on simulated bearings with known defects."""

import numpy as np
import pytest
from telltale.core import rolling
from telltale.core.bearings import CATALOGUE, fault_orders

ORDERS = fault_orders(CATALOGUE["6205-2RS"])
FS_HZ, SPEED_HZ = 25_600.0, 29.3


def struck(order: float, *, turns_with: float = 0.0, seconds: float = 2.0, noise: float = 0.3) -> np.ndarray:
    """A resonance at 4.1 kHz struck at `order` times the speed, with 1 % of slip, in noise."""
    rng = np.random.default_rng(1)
    n = int(seconds * FS_HZ)
    gaps = (1 + 0.01 * rng.standard_normal(int(seconds * order * SPEED_HZ * 1.1))) / (order * SPEED_HZ)
    times = np.cumsum(gaps)
    times = times[times < seconds]
    force = 1 + turns_with * np.cos(2 * np.pi * SPEED_HZ * times)
    grid = np.bincount((times * FS_HZ).astype(int), force, n)
    t = np.arange(400) / FS_HZ
    ringing = np.convolve(grid, np.exp(-t / 0.001) * np.sin(2 * np.pi * 4100 * t))[:n]
    return ringing + noise * rng.standard_normal(n)


@pytest.mark.parametrize(
    ("order", "call"), [(ORDERS.bpfo, "OR"), (ORDERS.bpfi, "IR"), (2 * ORDERS.bsf, "B")], ids=["outer", "inner", "ball"]
)
def test_a_known_defect_is_named(order: float, call: str) -> None:
    found = rolling.evidence(struck(order), fs_hz=FS_HZ, speed_hz=SPEED_HZ, orders=ORDERS)

    assert found.call == call
    assert found.positive


def test_noise_is_no_defect() -> None:
    noise = np.random.default_rng(2).standard_normal(40_000)

    assert rolling.evidence(noise, fs_hz=FS_HZ, speed_hz=SPEED_HZ, orders=ORDERS).call == "N"
