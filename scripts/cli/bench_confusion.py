"""Measure the diagnosis on simulated machines: every fault, at three severities, with and without a history.

Prints how often the fault that was put in is the one named, what else was named, and how often a finding of some
confidence was right.
"""

import argparse
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any

import numpy as np
from telltale.core import plant, rolling
from telltale.core.bearings import CATALOGUE
from telltale.core.capture import Waveform
from telltale.core.diagnosis import diagnose
from telltale.core.features import axes_features
from telltale.core.findings import CANNOT_TELL, NO_FAULT_FOUND, SENSOR_FAULT, Diagnosis

from cli.plant_model import HOUR_S, MAINS_HZ, Fault, FaultKind, Kind, Machine, Sample, capture

FS_HZ = 26667.0
LENGTHS = (4096, 26667, 106668)  # samples: 0.15 s, 1 s and 4 s
SEVERITIES = (0.5, 1.0, 2.0)
SPEEDS_RPM = (985.0, 1480.0, 2950.0)  # of induction motors with 6, 4 and 2 poles
BEARINGS = ("6205-2RS", "6203-2RS")
T_S = 1_790_000_000.0
HEALTHY = 5  # captures a history is learned from here
DIRECTIONS = {"x": "horizontal", "y": "vertical", "z": "axial"}
TYPES = {Kind.MOTOR: "Motor", Kind.PUMP: "Pump", Kind.FAN: "Fan", Kind.GEARBOX: "Gearbox"}

NAMES: Mapping[FaultKind, str] = {
    FaultKind.IMBALANCE: "IMBALANCE",
    FaultKind.MISALIGNMENT: "MISALIGNMENT",
    FaultKind.STRUCTURAL_LOOSENESS: "STRUCTURAL_LOOSENESS",
    FaultKind.LOOSENESS: "ROTATING_LOOSENESS",
    FaultKind.OUTER_RACE: "BEARING_OUTER_RACE",
    FaultKind.INNER_RACE: "BEARING_INNER_RACE",
    FaultKind.BALL: "BEARING_ROLLING_ELEMENT",
    FaultKind.CAGE: "BEARING_CAGE",
    FaultKind.GEAR: "GEAR_WEAR",
    FaultKind.BLADE_PASS: "BLADE_PASS",
    FaultKind.CAVITATION: "CAVITATION",
    FaultKind.RESONANCE: "RESONANCE",
    FaultKind.ELECTRICAL: "ELECTRICAL",
    FaultKind.LUBRICATION: "LUBRICATION",
    FaultKind.LOOSE_SENSOR: SENSOR_FAULT,
    FaultKind.SATURATION: SENSOR_FAULT,
}
WHERE: Mapping[FaultKind, tuple[Kind, ...]] = {
    FaultKind.GEAR: (Kind.GEARBOX,),
    FaultKind.CAVITATION: (Kind.PUMP,),
    FaultKind.BLADE_PASS: (Kind.PUMP, Kind.FAN),
    FaultKind.ELECTRICAL: (Kind.MOTOR,),
}
BEARING = "BEARING_NOT_LOCALISED"  # right, if vague, for any of these
BEARING_FAULTS = frozenset(name for name in NAMES.values() if name.startswith("BEARING_"))


@dataclass(frozen=True)
class Case:
    """One simulated capture. `fault` None: a sound machine."""

    fault: FaultKind | None
    severity: float
    samples: int
    history: bool
    seed: int

    @property
    def truth(self) -> str:
        return NO_FAULT_FOUND if self.fault is None else NAMES[self.fault]


@dataclass(frozen=True)
class Outcome:
    """What was said of a case."""

    case: Case
    diagnosis: Diagnosis

    @property
    def right(self) -> bool:
        return is_right(self.diagnosis.verdict, self.case.truth)


def is_right(said: str, truth: str) -> bool:
    """Whether a verdict or a finding is true of a fault: "not localised" is, of any fault of a bearing."""
    return said == truth or (said == BEARING and truth in BEARING_FAULTS)


def cases(seeds: Sequence[int]) -> Iterator[Case]:
    """As many sound machines as there are cases of one fault, for each length and each state of knowledge."""
    for seed in seeds:
        for samples in LENGTHS:
            for history in (True, False):
                for severity in SEVERITIES:
                    for fault in (None, *NAMES):
                        yield Case(fault, severity, samples, history, seed)


def outcome(case: Case) -> Outcome:
    """The diagnosis of one case; the same for the same case."""
    rng = np.random.default_rng([case.seed, case.samples, round(10 * case.severity), *map(ord, str(case.fault))])
    kinds = tuple(Kind) if case.fault is None else WHERE.get(case.fault, tuple(Kind))
    model = _model(kinds[int(rng.integers(len(kinds)))], rng)
    machine = known(model)
    history = [_take(model, None, case, T_S - (at + 1) * 36 * HOUR_S) for at in range(HEALTHY)] if case.history else []
    rows = [_rows(sample, machine) for sample in history]
    fault = None if case.fault is None else Fault(case.fault, 0.0, T_S / case.severity**0.5)
    sample = _take(model, fault, case, T_S)
    return Outcome(
        case,
        diagnose(
            waveforms(sample),
            machine=machine,
            speed_hz=sample.speed_rpm / 60,
            speed_source="measured",
            normal=_normal(rows) if rows else None,
            reference=_references(history[0]) if history else None,
        ),
    )


def known(model: Machine) -> plant.Machine:
    """What a careful owner would write into the plant file of a simulated machine."""
    return plant.Machine(
        type=TYPES[model.kind],
        bearing=model.bearing,
        blades=model.blades if model.kind in (Kind.PUMP, Kind.FAN) else None,
        teeth=model.teeth if model.kind is Kind.GEARBOX else None,
        line_hz=MAINS_HZ,
        poles=round(2 * MAINS_HZ * 60 / model.speed_rpm) if model.kind is Kind.MOTOR else None,
        directions=DIRECTIONS,
    )


def waveforms(sample: Sample) -> list[Waveform]:
    return [Waveform(axis, sample.waveforms[at], FS_HZ, sample.scale, "g") for at, axis in enumerate("xyz")]


def _model(kind: Kind, rng: np.random.Generator) -> Machine:
    return Machine(
        f"{kind.value}-{rng.integers(1_000_000)}",
        kind,
        SPEEDS_RPM[int(rng.integers(len(SPEEDS_RPM)))],
        bearing=CATALOGUE[BEARINGS[int(rng.integers(len(BEARINGS)))]],
        blades=int(rng.integers(5, 9)),
        teeth=int(rng.integers(17, 32)),
    )


def _take(model: Machine, fault: Fault | None, case: Case, t_s: float) -> Sample:
    faults = [] if fault is None else [fault]
    sample = capture(model, faults, t_s=t_s, sensor="a", seed=case.seed, fs_hz=FS_HZ, n_samples=case.samples)
    if sample is None:
        raise ValueError(f"{case} was lost")
    return sample


def _rows(sample: Sample, machine: plant.Machine) -> dict[str, dict[str, float | None]]:
    items = waveforms(sample)
    found = axes_features([(item, sample.speed_rpm / 60, machine) for item in items])
    return {item.axis: row for item, row in zip(items, found, strict=True)}


def _normal(rows: Sequence[Mapping[str, Mapping[str, float | None]]]) -> dict[str, dict[str, float]]:
    return {axis: _medians([row[axis] for row in rows]) for axis in rows[0]}


def _medians(rows: Sequence[Mapping[str, float | None]]) -> dict[str, float]:
    known = {name: [value for row in rows if (value := row[name]) is not None] for name in rows[0]}
    return {name: median(values) for name, values in known.items() if len(values) == len(rows)}


def _references(sample: Sample) -> dict[str, rolling.Reference]:
    return {
        axis: rolling.reference(sample.waveforms[at] * sample.scale, fs_hz=FS_HZ, speed_hz=sample.speed_rpm / 60)
        for at, axis in enumerate("xyz")
    }


# The command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seeds", type=int, default=4, metavar="N", help="plants to simulate (default 4)")
    parser.add_argument("--first", type=int, default=1000, metavar="SEED", help="the first one's seed (default 1000)")


def figures(arguments: argparse.Namespace) -> dict[str, Any]:
    """What was measured, by name; the tables are printed."""
    outcomes = [outcome(case) for case in cases(range(arguments.first, arguments.first + arguments.seeds))]
    print(f"\n{table(outcomes)}\n\n{calibration(outcomes)}\n")
    faulty = [o for o in outcomes if o.case.fault is not None]
    named = [o for o in faulty if o.diagnosis.fault is not None]
    sound = [o for o in outcomes if o.case.fault is None]
    return {
        "cases": len(outcomes),
        "named": round(len(named) / len(faulty), 3),
        "right_when_named": round(sum(o.right for o in named) / max(1, len(named)), 3),
        "right": round(sum(o.right for o in faulty) / len(faulty), 3),
        "sound": len(sound),
        "sound_called_faulty": sum(o.diagnosis.fault is not None for o in sound),
        "sound_cannot_tell": sum(o.diagnosis.verdict == CANNOT_TELL for o in sound),
    }


def failed(found: Mapping[str, Any]) -> bool:
    """The figures are figures; none is a failure."""
    return False


def table(outcomes: Sequence[Outcome]) -> str:
    """What it is → how often that was named, by knowledge and length; and what was named instead. Markdown."""
    states = [(history, samples) for history in (True, False) for samples in LENGTHS]
    names = [f"{'with' if history else 'no'} history, {samples / FS_HZ:.2g} s" for history, samples in states]
    lines = [f"| what it is | {' | '.join(names)} | named instead |", "|---" * (len(states) + 2) + "|"]
    for truth in dict.fromkeys(o.case.truth for o in outcomes):
        own = [o for o in outcomes if o.case.truth == truth]
        shares = []
        for state in states:
            at = [o for o in own if (o.case.history, o.case.samples) == state]
            shares.append(f"{sum(o.right for o in at)}/{len(at)}")
        wrong = Counter(o.diagnosis.verdict for o in own if not o.right and o.diagnosis.fault is not None)
        instead = ", ".join(f"{name} {count}" for name, count in wrong.most_common())
        lines.append(f"| {truth} | {' | '.join(shares)} | {instead} |")
    return "\n".join(lines)


CONFIDENCES = (0.0, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.01)


def calibration(outcomes: Sequence[Outcome]) -> str:
    """Confidence of the likeliest finding → how often it was right, as a Markdown table."""
    best = [(o.diagnosis.findings[0], o.case.truth) for o in outcomes if o.diagnosis.findings]
    lines = ["| confidence | likeliest findings | right |", "|---|---|---|"]
    for low, high in pairwise(CONFIDENCES):
        inside = [is_right(finding.fault, truth) for finding, truth in best if low <= finding.confidence < high]
        if inside:
            lines.append(
                f"| {low:.2f}-{min(1.0, high):.2f} | {len(inside)} | {sum(inside)} ({sum(inside) / len(inside):.0%}) |"
            )
    return "\n".join(lines)
