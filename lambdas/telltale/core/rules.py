"""The rules of the diagnosis: for each fault, what speaks for it and against it, how much, and who says so.

The form is that of ISO 13379-1 (a fault, its symptoms, their weights) with the symptoms of ISO 13373-3 and of practice.
A criterion places a measure on a scale: at `against` it says -1, at `neutral` 0, at `supports` +1, straight lines
between, nothing beyond; `against` None: its absence says nothing. A required criterion that says less than 0 rules the
fault out. The score of a rule is the weighted mean of what its criteria say; one that could not be measured says 0 and
keeps its weight, so that ignorance costs certainty. `core.diagnosis` turns scores into confidence.
"""

from dataclasses import dataclass
from functools import partial

from telltale.core import symptoms as measured
from telltale.core.findings import Line
from telltale.core.symptoms import Axis, Measure, Symptoms, Unknown


@dataclass(frozen=True)
class Criterion:
    """One thing to look at. `what` : its name for the reader.   source : of the three numbers."""

    what: str
    measure: Measure
    against: float | None
    neutral: float
    supports: float
    weight: float
    source: str
    required: bool = False

    def says(self, value: float) -> float:
        """From -1 (against) to 1 (for)."""
        toward = (value - self.neutral) / (self.supports - self.neutral)
        if toward >= 0:
            return min(1.0, toward)
        if self.against is None:
            return 0.0
        return max(-1.0, -(value - self.neutral) / (self.against - self.neutral))


@dataclass(frozen=True)
class Rule:
    """One fault. `radial` : looked for across the shaft only, where directions are known.   caution : what one capture
    leaves open, said with every finding.   ceiling : of the score, where one capture can never be sure.
    """

    fault: str
    criteria: tuple[Criterion, ...]
    radial: bool = False
    types: tuple[str, ...] = ()  # of machines that can have it; empty: all
    caution: str = ""
    ceiling: float = 1.0


@dataclass(frozen=True)
class Judged:
    """A rule applied to one axis. `score` : -1 to 1; None where a required criterion rules it out."""

    score: float | None
    axis: str
    supports: tuple[str, ...] = ()
    contradicts: tuple[str, ...] = ()
    lines: tuple[Line, ...] = ()
    unknown: tuple[str, ...] = ()


_ISO = "ISO 13373-3"
_ZONE = "limit: core.symptoms; scale: a zone of ISO 10816-1 is 2.5"
_CHARTS = "vibration charts of practice"


def _raised(what: str, measure: Measure, weight: float = 3.0) -> Criterion:
    return Criterion(what, measure, 0.4, 1.0, 2.5, weight, _ZONE, required=True)


def _bearing(fault: str, call: str) -> Rule:
    return Rule(
        fault,
        (
            Criterion(
                f"envelope lines call it ({call})",
                partial(measured.bearing_called, call=call),
                0,
                0.5,
                1,
                4,
                "core.rolling",
                required=True,
            ),
            Criterion(
                "depth of the modulation, over the depth from which it is named",
                partial(measured.bearing_depth, call=call),
                0.5,
                1,
                2,
                2,
                "scale: a factor of 2 (guess)",
            ),
            Criterion(
                "depth of the next defect, over this one's",
                partial(measured.bearing_next, call=call),
                1,
                0.7,
                0.3,
                2,
                "guess",
            ),
            Criterion(
                "lines of its family that stand clear of the noise",
                partial(measured.bearing_family, call=call),
                0,
                1,
                3,
                1,
                "Randall and Antoni 2011: the fundamental and 2 to 3 harmonics",
            ),
            Criterion(
                "growth over the healthy machine (1: the limit)",
                measured.bearing_abnormal,
                0,
                0.5,
                1.5,
                2,
                "core.rolling: 6 dB",
            ),
        ),
    )


RULES: tuple[Rule, ...] = (
    Rule(
        "IMBALANCE",
        (
            _raised("1× raised", measured.order_1_raised),
            Criterion(
                "1×, share of the velocity's power", measured.order_1_share, 0.2, 0.5, 0.8, 3, f"{_ISO}; {_CHARTS}"
            ),
            Criterion("2× and 3× over 1×", measured.harmonics_over_1, 1.0, 0.5, 0.25, 2, f"{_ISO}; {_CHARTS}"),
            Criterion("axial over radial 1×", measured.axial_over_radial_1, 1.0, 0.5, 0.3, 1.5, _CHARTS),
            Criterion("larger over smaller radial 1×", measured.radial_unlike, 5.0, 3.0, 2.0, 1.5, f"{_CHARTS}; guess"),
        ),
        radial=True,
        caution="one capture does not show whether 1× is steady in amplitude and phase, nor tell a bent shaft from it",
    ),
    Rule(
        "MISALIGNMENT",
        (
            _raised("2×, or axial 1×, raised", measured.misalignment_raised),
            Criterion("2× over 1×", measured.order_2_over_1, 0.25, 0.5, 1.5, 3, "Piotrowski, Shaft Alignment Handbook"),
            Criterion(
                "axial over radial 1× and 2×", measured.axial_over_radial_1_2, 0.2, 0.5, 1.0, 2, f"{_ISO}; {_CHARTS}"
            ),
            Criterion("4× to 10× over 2×", measured.order_4_10_over_2, 1.0, 0.6, 0.3, 1.5, "guess"),
            Criterion("half orders over 1×", measured.half_orders_over_1, 0.3, 0.15, 0.05, 1, "guess"),
        ),
        radial=True,
        caution="phase across the coupling was not measured",
    ),
    Rule(
        "STRUCTURAL_LOOSENESS",
        (
            _raised("1× raised", measured.order_1_raised, weight=2.0),
            Criterion(
                "larger over smaller radial 1×",
                measured.radial_unlike,
                1.5,
                3.0,
                5.0,
                4,
                f"{_ISO}: directional; factors: guess",
                required=True,
            ),
            Criterion("1×, share of the velocity's power", measured.order_1_share, 0.2, 0.5, 0.8, 2, _CHARTS),
            Criterion("axial over radial 1×", measured.axial_over_radial_1, 1.0, 0.5, 0.3, 1, _CHARTS),
        ),
        radial=True,
        caution="a resonance near 1× in one direction looks the same; feet and frame tell them apart",
    ),
    Rule(
        "ROTATING_LOOSENESS",
        (
            _raised("3× to 10× raised", measured.high_orders_raised),
            Criterion(
                "harmonics of 1× to 10× that stand clear", measured.harmonics_counted, 2, 4, 7, 3, f"{_CHARTS}; guess"
            ),
            Criterion("half orders over 1×", measured.half_orders_over_1, 0.02, 0.1, 0.3, 3, f"{_ISO}; factors: guess"),
            Criterion("noise floor over normal", measured.floor_raised, None, 1.5, 3.0, 1, f"{_ISO}; factors: guess"),
        ),
        radial=True,
    ),
    _bearing("BEARING_OUTER_RACE", "OR"),
    _bearing("BEARING_INNER_RACE", "IR"),
    _bearing("BEARING_ROLLING_ELEMENT", "B"),
    _bearing("BEARING_CAGE", "C"),
    Rule(
        "BEARING_NOT_LOCALISED",
        (
            Criterion(
                "abnormal, and no defect's lines",
                partial(measured.bearing_called, call="?"),
                0,
                0.5,
                1,
                3,
                "core.rolling",
                required=True,
            ),
            Criterion(
                "growth over the healthy machine (1: the limit)",
                measured.bearing_abnormal,
                0,
                0.5,
                1.5,
                2,
                "core.rolling: 6 dB",
            ),
            Criterion(
                "kurtosis of the envelope", measured.envelope_impulsive, 2.0, 3.0, 5.0, 2, "Antoni 2006; scale: guess"
            ),
        ),
        caution="by exclusion: something has changed, and no line says which part it is",
    ),
    Rule(
        "GEAR_WEAR",
        (
            _raised("mesh and sidebands raised", measured.mesh_raised),
            Criterion(
                "sidebands over mesh", measured.sidebands_over_mesh, 0.25, 0.5, 1.0, 3, f"{_ISO}; factors: guess"
            ),
            Criterion("share of the velocity's power", measured.mesh_share, 0.05, 0.2, 0.5, 2, "guess"),
        ),
        caution="sound gears change with load too",
    ),
    Rule(
        "BLADE_PASS",
        (
            _raised("blade pass raised", measured.blade_raised),
            Criterion("share of the velocity's power", measured.blade_share, 0.1, 0.3, 0.6, 3, f"{_CHARTS}; guess"),
            Criterion("over the neighbouring harmonics", measured.blade_over_neighbours, 1.0, 2.0, 4.0, 2, "guess"),
        ),
        caution="operation away from the best efficiency point raises it without a defect",
    ),
    Rule(
        "CAVITATION",
        (
            Criterion(
                "above 2 kHz over normal", measured.high_raised, 1.0, 2.0, 5.0, 3, "6 dB; scale: guess", required=True
            ),
            Criterion(
                "velocity off the shaft's lines", measured.off_orders, 0.2, 0.5, 0.8, 3, f"{_CHARTS}: broadband, random"
            ),
            Criterion("deepest defect modulation", measured.defect_depth, 1.0, 0.7, 0.4, 2, "core.rolling"),
            Criterion(
                "kurtosis of the envelope", measured.envelope_impulsive, 2.0, 2.5, 4.0, 2, "Antoni 2006; scale: guess"
            ),
        ),
        types=("Pump",),
        caution="suction pressure tells it from turbulence",
    ),
    Rule(
        "RESONANCE",
        (
            Criterion("hump in the noise", measured.hump, 1.5, 3.0, 6.0, 3, "10 dB; guess", required=True),
            Criterion("a shaft's line in it, raised", measured.line_in_hump, 0.4, 1.0, 2.5, 3, _ZONE, required=True),
            Criterion("larger over smaller radial 1×", measured.radial_unlike, 1.0, 2.0, 4.0, 1, f"{_CHARTS}; guess"),
        ),
        caution="one capture at one speed cannot prove it: a bump test or a run-up can",
        ceiling=0.5,
    ),
    Rule(
        "ELECTRICAL",
        (
            _raised("2× mains raised", measured.mains_raised),
            Criterion("over the nearest harmonic of the shaft", measured.mains_over_shaft, 0.5, 1.0, 3.0, 2, "guess"),
            Criterion("share of the velocity's power", measured.mains_share, 0.05, 0.2, 0.5, 2, "guess"),
            Criterion("sidebands at pole pass, over noise", measured.pole_pass, None, 3.0, 6.0, 1, f"{_ISO}; guess"),
        ),
        caution="it vanishes at once when the power is cut: that test decides",
    ),
    Rule(
        "LUBRICATION",
        (
            Criterion(
                "above 2 kHz over normal", measured.high_raised, 1.0, 2.0, 5.0, 3, "6 dB; scale: guess", required=True
            ),
            Criterion("deepest defect modulation", measured.defect_depth, 1.0, 0.7, 0.4, 2, "core.rolling"),
            Criterion(
                "kurtosis of the envelope", measured.envelope_impulsive, 5.0, 3.5, 2.5, 3, "Antoni 2006; scale: guess"
            ),
            Criterion(
                "velocity over its limit",
                measured.velocity_raised,
                1.5,
                1.0,
                0.6,
                2,
                "friction moves no machine; guess",
            ),
        ),
        caution="greasing and listening decides",
    ),
)


def judge(rule: Rule, symptoms: Symptoms) -> Judged | Unknown:
    """The rule on the axis where it speaks loudest; the reason where what it requires could not be measured."""
    if rule.types and symptoms.machine.type not in rule.types:
        return f"the machine is not known to be a {' or '.join(rule.types).lower()}"
    axes = symptoms.radial() if rule.radial else symptoms.axes
    answers = [_judge(rule, symptoms, axis) for axis in axes or symptoms.axes]
    judged = [answer for answer in answers if isinstance(answer, Judged)]
    if not judged:
        return next((answer for answer in answers if isinstance(answer, str)), "no axis could be measured")
    return max(judged, key=lambda answer: -2.0 if answer.score is None else answer.score)


def _judge(rule: Rule, symptoms: Symptoms, axis: Axis) -> Judged | Unknown:
    total, ruled_out = 0.0, False
    supports: list[str] = []
    contradicts: list[str] = []
    lines: list[Line] = []
    unknown: list[str] = []
    for criterion in rule.criteria:
        found = criterion.measure(symptoms, axis)
        if isinstance(found, str):
            if criterion.required:
                return found
            unknown.append(found)
            continue
        says = criterion.says(found.value)
        ruled_out = ruled_out or (criterion.required and says < 0)
        total += criterion.weight * says
        lines.extend(found.lines)
        (supports if says >= 0 else contradicts).append(found.text)
    score = total / sum(criterion.weight for criterion in rule.criteria)
    return Judged(
        None if ruled_out else min(rule.ceiling, score),
        axis.axis,
        tuple(supports),
        tuple(contradicts),
        tuple(dict.fromkeys(lines)),
        tuple(dict.fromkeys(unknown)),
    )
