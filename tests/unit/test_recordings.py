"""Bearings that ran until they failed: warned in time, and no false alarm, with the one set of defaults.

The recordings lie beside the repository in `../shared/data`; `healthy` and `onset` are its `truth.csv`.
"""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from telltale.core.bearings import fault_orders
from telltale.core.detect import CaseChange, Row, State, step
from telltale.core.features import features
from telltale.core.plant import Bearing, Position

DATA = Path(__file__).parents[3] / "shared" / "data"
FEMTO, IMS = DATA / "femto", DATA / "ims_features"
FEMTO_BEARING = Bearing(elements=13, element_diameter_mm=3.5, pitch_diameter_mm=25.6)
FEMTO_FS_HZ = 25_600.0
POSITION = Position("rig/bench/shaft/bearing", bearing=FEMTO_BEARING)

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not DATA.exists(), reason=f"NOT CHECKED on real recordings: {DATA} is missing"),
]

Axes = Mapping[str, Mapping[str, float | None]]


@dataclass(frozen=True)
class Truth:
    """What is known of one run, in snapshots. `healthy` : half-open ranges; onset None: it never failed."""

    run: str
    healthy: tuple[range, ...]
    onset: int | None
    failure: int


def truths(folder: Path) -> list[Truth]:
    with (folder / "truth.csv").open() as file:
        rows = list(csv.DictReader(file))
    return [
        Truth(
            row["run"],
            tuple(range(*map(int, part.split("-"))) for part in row["healthy"].split(";") if part),
            int(row["onset_early"]) if row["fails"] == "1" else None,
            int(row["failure"]),
        )
        for row in rows
    ]


def femto(run: str) -> Iterator[Axes]:
    recording = np.load(FEMTO / f"{run}.npz")
    found = features(
        np.moveaxis(recording["acc_mg"], 1, 2).astype(np.float32),
        fs_hz=FEMTO_FS_HZ,
        scale_g=0.001,
        speed_hz=float(recording["rpm"]) / 60,
        bearing_orders=fault_orders(FEMTO_BEARING),
    )
    columns = {name: value.tolist() for name, value in found.items()}  # NaN counts as missing, like None
    for place in range(len(recording["acc_mg"])):
        yield {axis: {name: column[place][at] for name, column in columns.items()} for at, axis in enumerate("xy")}


def ims(run: str) -> Iterator[Axes]:
    table = pq.read_table(IMS / f"{run}.parquet").to_pydict()
    channels = [(axis, name) for axis, name in (("x", "ch1"), ("y", "ch2")) if f"{name}_std" in table]
    sources = {"rms_g": "std", "peak_g": "max"} | {
        f"env_{line}_g": f"env_{line}_energy" for line in ("bpfo", "bpfi", "bsf")
    }
    for place in range(len(table["idx"])):
        yield {
            axis: {name: level(table[f"{channel}_{source}"][place], source) for name, source in sources.items()}
            for axis, channel in channels
        }


def level(value: float | None, source: str) -> float | None:
    """Energies as amplitudes."""
    return value**0.5 if value is not None and source.endswith("energy") else value


@cache
def replayed(folder: Path, run: str) -> list[tuple[int, CaseChange]]:
    """What became of the run's case, with the snapshot of each change."""
    state, changes = State.new(), []
    for place, axes in enumerate((femto if folder == FEMTO else ims)(run)):
        state, _, changed = step(state, Row(f"c{place}", "xy", place, place, "rig", axes=axes), POSITION)
        changes += [(place, change) for change in changed]
    return changes


def opened(folder: Path, run: str) -> list[int]:
    return [place for place, change in replayed(folder, run) if change.change == "opened"]


RUNS = [(folder, truth) for folder in (FEMTO, IMS) if folder.exists() for truth in truths(folder)]
EVERY_RUN = [pytest.param(*run, id=run[1].run) for run in RUNS]
FAILING_RUNS = [pytest.param(*run, id=run[1].run) for run in RUNS if run[1].onset is not None]


@pytest.mark.parametrize("run", ["Bearing1_4", "Bearing3_1"])
def test_a_bearing_that_fails_abruptly_is_one_case_opened_before_the_failure(run: str) -> None:
    [truth] = [one for one in truths(FEMTO) if one.run == run]

    [first] = opened(FEMTO, run)

    assert truth.onset is not None
    assert truth.onset <= first < truth.failure


@pytest.mark.parametrize(("folder", "truth"), EVERY_RUN)
def test_no_case_opens_while_a_bearing_is_healthy(folder: Path, truth: Truth) -> None:
    assert [place for place in opened(folder, truth.run) if any(place in healthy for healthy in truth.healthy)] == []


@pytest.mark.parametrize(("folder", "truth"), FAILING_RUNS)
def test_every_bearing_that_fails_is_warned_of(folder: Path, truth: Truth) -> None:
    [first] = opened(folder, truth.run)

    assert first < truth.failure
