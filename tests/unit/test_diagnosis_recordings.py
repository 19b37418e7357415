"""Recordings with labels, through the whole diagnosis: a race that is named is the race, a sound machine is sound.

They lie beside the repository in `../shared/data`; one second of each is taken.
"""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from telltale.core import rolling
from telltale.core.bearings import CATALOGUE, fault_orders
from telltale.core.capture import Waveform
from telltale.core.diagnosis import diagnose
from telltale.core.findings import Diagnosis
from telltale.core.plant import Bearing, Machine

DATA = Path(__file__).parents[3] / "shared" / "data"
NAMED = {"OR": "BEARING_OUTER_RACE", "IR": "BEARING_INNER_RACE"}

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not DATA.exists(), reason=f"NOT CHECKED on real recordings: {DATA} is missing"),
]


def records(folder: str, label: str) -> list[str]:
    with (DATA / folder / "meta.csv").open() as file:
        return [row["record"] for row in csv.DictReader(file) if row["label"] == label]


def diagnosed(x: NDArray[Any], *, fs_hz: float, rpm: float, bearing: Bearing) -> tuple[Diagnosis, str | None]:
    """What is said of the first second, and what the envelope alone calls."""
    x = x[: int(fs_hz)]
    found = diagnose(
        [Waveform("x", x, fs_hz, 1.0, "g")],
        machine=Machine(bearing=bearing),
        speed_hz=rpm / 60,
        speed_source="nominal",
    )
    called = rolling.evidence(x.astype(float), fs_hz=fs_hz, speed_hz=rpm / 60, orders=fault_orders(bearing))
    return found, called.call


@pytest.mark.parametrize("label", ["IR", "OR"])
def test_the_race_of_the_mfpt_bearing_is_named(label: str) -> None:
    for record in records("mfpt", label):
        file = np.load(DATA / "mfpt" / f"{record}.npz")

        found, called = diagnosed(file["x"], fs_hz=float(file["fs"]), rpm=1500, bearing=CATALOGUE["NICE"])

        if called == label:
            assert found.verdict == NAMED[label], record
        assert found.verdict not in set(NAMED.values()) - {NAMED[label]}, record


@pytest.mark.parametrize("label", ["IR", "OR", "B"])
def test_a_race_of_the_cwru_bearings_is_named_as_the_envelope_calls_it(label: str) -> None:
    for record in records("cwru", label)[::3]:
        file = np.load(DATA / "cwru" / f"{record}.npz")
        location = next(end for end in ("DE", "FE") if end in file)

        found, called = diagnosed(
            file[location] * float(file[f"{location}_scale"]),
            fs_hz=float(file["fs"]),
            rpm=float(file["rpm"]),
            bearing=CATALOGUE["6205-2RS"],
        )

        assert (found.verdict in NAMED.values()) == (called in NAMED), record
        assert called not in NAMED or found.verdict == NAMED[str(called)], record


def test_the_sound_bearings_of_hit_sm_have_no_fault() -> None:
    for record in records("hitsm", "N"):
        file = np.load(DATA / "hitsm" / f"{record}.npz")

        found, _ = diagnosed(file["x"], fs_hz=float(file["fs"]), rpm=float(file["rpm"]), bearing=CATALOGUE["6205-2RS"])

        assert found.fault is None, record
