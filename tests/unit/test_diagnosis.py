"""Simulated machines are diagnosed: the fault that was put in is the fault that is named, and sound ones are sound."""

import pytest
from cli.plant_model import Fault, FaultKind, Kind, Machine, capture
from telltale.core import plant
from telltale.core.capture import Waveform
from telltale.core.diagnosis import diagnose
from telltale.core.findings import Diagnosis

FS_HZ = 26667.0
T_S = 1_790_000_000.0
DIRECTIONS = {"x": "horizontal", "y": "vertical", "z": "axial"}
SECOND = 26667  # samples


def diagnosed(
    kind: Kind, fault: FaultKind | None, *, severity: float = 1.0, n: int = SECOND, seed: int = 1
) -> Diagnosis:
    model = Machine(kind.value, kind, 1480.0)
    faults = [] if fault is None else [Fault(fault, 0.0, T_S / severity**0.5)]
    sample = capture(model, faults, t_s=T_S, sensor="a", seed=seed, fs_hz=FS_HZ, n_samples=n)
    assert sample is not None
    return diagnose(
        [Waveform(axis, sample.waveforms[at], FS_HZ, sample.scale, "g") for at, axis in enumerate("xyz")],
        machine=plant.Machine(bearing=model.bearing, directions=DIRECTIONS),
        speed_hz=sample.speed_rpm / 60,
        speed_source="measured",
    )


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        (FaultKind.IMBALANCE, "IMBALANCE"),
        (FaultKind.OUTER_RACE, "BEARING_OUTER_RACE"),
        (FaultKind.INNER_RACE, "BEARING_INNER_RACE"),
        (FaultKind.BALL, "BEARING_ROLLING_ELEMENT"),
    ],
)
def test_a_developed_fault_is_named(fault: FaultKind, named: str) -> None:
    diagnosis = diagnosed(Kind.MOTOR, fault)

    assert diagnosis.verdict == named


@pytest.mark.parametrize("kind", Kind)
def test_a_sound_machine_has_no_fault(kind: Kind) -> None:
    assert diagnosed(kind, None).verdict == "NO_FAULT_FOUND"
