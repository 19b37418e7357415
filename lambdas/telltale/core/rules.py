"""The rules of the diagnosis: for each fault, what speaks for it and against it, how much, and who says so.

The form is that of ISO 13379-1 (a fault, its symptoms, their weights) with the symptoms of ISO 13373-3 and of practice.
A criterion places a measure on a scale: at `against` it says -1, at `neutral` 0, at `supports` +1, straight lines
between, nothing beyond; `against` None: its absence says nothing. A required criterion that says less than 0 rules the
fault out. The score of a rule is the weighted mean of what its criteria say; one that could not be measured says 0 and
keeps its weight, so that ignorance costs certainty. `core.diagnosis` turns scores into confidence.
"""

from dataclasses import dataclass
from functools import partial

from telltale.core import symptoms as m
from telltale.core.findings import FAULTS, Line
from telltale.core.symptoms import Axis, Measure, Symptoms, Unknown


@dataclass(frozen=True)
class Criterion:
    """One thing to look at. `what` : its name for the reader.   source : of the three numbers."""

    what: str
    measure: Measure
    against: float | None
    neutral: float
    supports: float | None
    weight: float
    source: str
    required: bool = False

    @property
    def of_much(self) -> bool:
        """Whether it supports by a high value: lines that support by being low are no evidence to point at."""
        return self.supports is not None and self.supports > self.neutral

    def says(self, value: float) -> float:
        """From -1 (against) to 1 (for)."""
        for end, sign in ((self.supports, 1.0), (self.against, -1.0)):
            if end is not None and (way := (value - self.neutral) / (end - self.neutral)) > 0:
                return sign * min(1.0, way)
        return 0.0


Scale = tuple[float | None, float, float | None]  # against, neutral, supports


def look(what: str, measure: Measure, scale: Scale, weight: float, *source: str) -> Criterion:
    """Something that speaks for or against."""
    return Criterion(what, measure, *scale, weight, "; ".join(source))


def must(what: str, measure: Measure, scale: Scale, weight: float, *source: str) -> Criterion:
    """Something without which it is not this fault."""
    return Criterion(what, measure, *scale, weight, "; ".join(source), required=True)


@dataclass(frozen=True)
class Rule:
    """One fault. `radial` : looked for across the shaft only, where directions are known.   types : of the machines
    that can have it, empty for all.   unless : faults that would explain it as well, for one found by exclusion.
    ceiling : of the confidence, where what else looks the same is known and cannot be measured.
    caution : what one capture leaves open, said with every finding.
    """

    fault: str
    criteria: tuple[Criterion, ...]
    radial: bool = False
    types: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()
    ceiling: float = 1.0
    caution: str = ""


@dataclass(frozen=True)
class Judged:
    """A rule applied to one axis. `score` : -1 to 1; None where a required criterion rules it out."""

    score: float | None
    axis: str
    supports: tuple[str, ...] = ()
    contradicts: tuple[str, ...] = ()
    lines: tuple[Line, ...] = ()
    unknown: tuple[str, ...] = ()


# Who says so. A number whose source is a guess is one; the shape of the symptom is from the standard or from practice.
ISO = "ISO 13373-3"
CHARTS = "charts of practice"  # vibration identification charts, as every maker of analysers prints them
ZONE = "a zone of ISO 10816-1 is a factor of 2.5"
RANDALL = "Randall and Antoni 2011"
ANTONI = "Antoni 2006: 0 for noise"
ROLLING = "core.rolling"
GUESS = "guess"

OR, IR, B, C = (
    {
        "called": partial(m.bearing_called, call=call),
        "depth": partial(m.bearing_margin, call=call),
        "over shaft": partial(m.bearing_over_shaft, call=call),
        "family": partial(m.bearing_family, call=call),
        "cage": partial(m.cage_over, call=call),
    }
    for call in ("OR", "IR", "B", "C")
)
# A bearing that strikes raises all that cavitation does, and shows lines besides.
LOCALISED = ("BEARING_OUTER_RACE", "BEARING_INNER_RACE", "BEARING_ROLLING_ELEMENT", "BEARING_CAGE")
not_localised = partial(m.bearing_called, call="?")

# fmt: off
RULES: tuple[Rule, ...] = (
    Rule("IMBALANCE", (
        must("1× raised, 1: its limit",               m.order_1_raised,        (0.4, 1, 2.5),     3, ZONE),
        look("1×, share of the velocity's power",     m.order_1_share,         (0.2, 0.5, 0.8),   3, ISO, CHARTS),
        look("2× and 3× over 1×",                     m.harmonics_over_1,      (1, 0.5, 0.25),    2, ISO, CHARTS),
        look("axial over radial 1×",                  m.axial_over_radial_1,   (1, 0.5, 0.3),   1.5, CHARTS),
        look("larger over smaller radial 1×",         m.radial_unlike,         (5, 3, 2),         2, CHARTS, GUESS),
        look("hump in the noise under 1×",            m.hump_under_1,          (6, 3, None),      1, GUESS),
    ), radial=True, caution="one capture does not show whether 1× is steady in amplitude and phase, "
                            "nor tell a bent shaft from it"),
    Rule("MISALIGNMENT", (
        must("2×, or axial 1×, raised, 1: its limit", m.misalignment_raised,   (0.4, 1, 2.5),     3, ZONE),
        look("2× over 1×",                            m.order_2_over_1,        (0.25, 0.5, 1.5),  3, CHARTS),
        look("axial over radial 1× and 2×",           m.axial_over_radial_1_2, (0.2, 0.5, 1),     2, ISO, CHARTS),
        look("4× to 10× over 2×",                     m.order_4_10_over_2,     (1, 0.6, 0.3),   1.5, GUESS),
        look("half orders over 1×",                   m.half_orders_over_1,    (0.3, 0.15, 0.05), 1, GUESS),
        look("2× shaft told from 2× mains",           m.mains_apart,           (0, 0.5, None),    4, "resolution"),
        look("hump in the noise under 2×",            m.hump_under_2,          (6, 3, 1.5),       2, GUESS),
    ), radial=True, caution="phase across the coupling was not measured"),
    Rule("STRUCTURAL_LOOSENESS", (
        must("1× raised, 1: its limit",               m.order_1_raised,        (0.4, 1, 2.5),     2, ZONE),
        must("larger over smaller radial 1×",         m.radial_unlike,         (1.5, 3, 5),       4, ISO, GUESS),
        look("1×, share of the velocity's power",     m.order_1_share,         (0.2, 0.5, 0.8),   2, CHARTS),
        look("axial over radial 1×",                  m.axial_over_radial_1,   (1, 0.5, 0.3),     1, CHARTS),
        look("hump in the noise under 1×",            m.hump_under_1,          (6, 3, None),      2, GUESS),
    ), radial=True, caution="a resonance near 1× in one direction looks the same; feet and frame tell them apart"),
    Rule("ROTATING_LOOSENESS", (
        must("3× to 10× raised, 1: their limit",      m.high_orders_raised,    (0.4, 1, 2.5),     3, ZONE),
        look("harmonics of 1× to 10× that are clear", m.harmonics_counted,     (2, 4, 7),         3, CHARTS, GUESS),
        look("half orders over 1×",                   m.half_orders_over_1,    (0.02, 0.1, 0.3),  3, ISO, GUESS),
        look("noise floor over normal",               m.floor_raised,          (None, 1.5, 3),    1, ISO, GUESS),
    ), radial=True),
    Rule("BEARING_OUTER_RACE", (
        must("called by its envelope lines",          OR["called"],            (0, 0.5, 1),       5, ROLLING),
        look("depth of modulation, 1: its limit",     OR["depth"],             (0.5, 1, 2),       2, GUESS),
        look("over the shaft's harmonics beside it",  OR["over shaft"],        (0.7, 1.2, 2.5),   3, GUESS),
        look("lines of its family that are clear",    OR["family"],            (0, 1, 3),         1, RANDALL),
        look("growth or impulses above 1 kHz, 1: limit", m.high_abnormal,      (None, 1, 2),      2, ROLLING),
        look("the cage's depth over its own",         OR["cage"],              (0.9, 0.7, 0.4),   3, GUESS),
    )),
    Rule("BEARING_INNER_RACE", (
        must("called by its envelope lines",          IR["called"],            (0, 0.5, 1),       5, ROLLING),
        look("depth of modulation, 1: its limit",     IR["depth"],             (0.5, 1, 2),       2, GUESS),
        look("over the shaft's harmonics beside it",  IR["over shaft"],        (0.7, 1.2, 2.5),   3, GUESS),
        look("told from a rolling element's lines",   m.element_apart,         (0, 0.5, None),    4, "resolution"),
        look("lines of its family that are clear",    IR["family"],            (0, 1, 3),         1, RANDALL),
        look("growth or impulses above 1 kHz, 1: limit", m.high_abnormal,      (None, 1, 2),      2, ROLLING),
    )),
    Rule("BEARING_ROLLING_ELEMENT", (
        must("called by its envelope lines",          B["called"],             (0, 0.5, 1),       3, ROLLING),
        look("depth of modulation, 1: its limit",     B["depth"],              (0.5, 1, 2),       2, GUESS),
        look("over the shaft's harmonics beside it",  B["over shaft"],         (0.7, 1.2, 2.5),   3, GUESS),
        look("lines of its family that are clear",    B["family"],             (0, 1, 3),         1, RANDALL),
        look("growth or impulses above 1 kHz, 1: limit", m.high_abnormal,      (None, 1, 2),      2, ROLLING),
    )),
    Rule("BEARING_CAGE", (
        must("depth of modulation, 1: its limit",     C["depth"],              (0.5, 1, 2),       3, ROLLING),
        must("its depth over a rolling element's",    B["cage"],               (0.7, 1.2, 2.5),   3, GUESS),
        must("no race is called",                     m.no_race_called,        (0, 0.5, 1),       2, ROLLING),
        look("over the shaft's harmonics beside it",  C["over shaft"],         (0.7, 1.2, 2.5),   3, GUESS),
        look("lines of its family that are clear",    C["family"],             (0, 1, 3),         1, RANDALL),
        look("growth or impulses above 1 kHz, 1: limit", m.high_abnormal,      (0.3, 1, 2),       2, ROLLING),
    )),
    Rule("BEARING_NOT_LOCALISED", (
        must("abnormal, and no defect's lines",       not_localised,           (0, 0.5, 1),       3, ROLLING),
        must("growth or impulses above 1 kHz, 1: limit", m.high_abnormal,      (0.3, 1, 2),       3, ROLLING),
        look("excess kurtosis of the envelope",       m.impulsive,             (0, 1, 3),         3, ANTONI, GUESS),
        look("velocity off the shaft's lines (pump)", m.off_orders_of_pump,    (2.5, 1, None),    3, GUESS),
    ), ceiling=0.6, caution="by exclusion: something strikes, and no line says what",
         unless=(*LOCALISED, "GEAR_WEAR", "CAVITATION", "LUBRICATION")),
    Rule("GEAR_WEAR", (
        must("mesh raised, or struck once a turn",    m.mesh_raised_or_struck, (0.4, 1, 2.5),     3, ZONE),
        look("sidebands over mesh",                   m.sidebands_over_mesh,   (0.25, 0.5, 1),    3, ISO, GUESS),
        look("share of the velocity's power",         m.mesh_share,            (0.05, 0.2, 0.5),  2, GUESS),
        look("strikes once a turn: depth",            m.once_a_turn,           (None, 0.2, 0.5),  1, RANDALL, GUESS),
        look("a family of lines 1× apart: cepstrum",  m.mesh_family,           (None, 0, 1),      1, RANDALL),
    ), caution="sound gears change with load too"),
    Rule("BLADE_PASS", (
        must("blade pass raised, 1: its limit",       m.blade_raised,          (0.4, 1, 2.5),     3, ZONE),
        look("share of the velocity's power",         m.blade_share,           (0.1, 0.3, 0.6),   3, CHARTS, GUESS),
        look("over the neighbouring harmonics",       m.blade_over_neighbours, (1, 2, 4),         2, GUESS),
        look("hump in the noise under it",            m.hump_under_blades,     (6, 3, 1.5),       3, GUESS),
    ), caution="operation away from the best efficiency point raises it without a defect"),
    Rule("CAVITATION", (
        must("growth or impulses above 1 kHz, 1: limit", m.high_abnormal,      (0.3, 1, 2),       3, ROLLING),
        look("velocity off the shaft's lines, 1: limit", m.off_orders_raised,  (0.4, 1, 2.5),     6, ZONE),
        look("its share of the velocity's power",     m.off_orders,            (0.2, 0.5, 0.8),   2, CHARTS, GUESS),
        look("deepest defect modulation, 1: limit",   m.defect_margin,         (1, 0.7, None),    4, ROLLING),
        look("excess kurtosis of the envelope",       m.impulsive,             (0.5, 1, 2),       2, ANTONI, GUESS),
    ), types=("Pump",), ceiling=0.65, caution="suction pressure tells it from turbulence", unless=LOCALISED),
    Rule("RESONANCE", (
        must("hump in the noise",                     m.hump,                  (1.5, 3, 6),       3, GUESS),
        must("a line of the shaft in it, 1: its limit", m.line_in_hump,        (0.4, 1, 2.5),     3, ZONE),
        look("larger over smaller radial velocity",   m.radial_velocity_unlike, (1, 2, 4),        1, CHARTS, GUESS),
    ), caution="one capture at one speed cannot prove it: a bump test or a run-up can"),
    Rule("ELECTRICAL", (
        must("2× mains raised, 1: its limit",         m.mains_raised,          (0.4, 1, 2.5),     3, ZONE),
        look("over the nearest harmonic of the shaft", m.mains_over_shaft,     (0.5, 1, 3),       3, ISO, GUESS),
        look("share of the velocity's power",         m.mains_share,           (0.05, 0.2, 0.5),  2, GUESS),
        look("sidebands at pole pass, over the noise", m.pole_pass,            (None, 3, 6),      1, ISO, GUESS),
    ), caution="it vanishes at once when the power is cut: that test decides"),
    Rule("LUBRICATION", (
        must("above 2 kHz over normal",               m.high_raised,           (1, 2, 5),         3, "6 dB", GUESS),
        look("excess kurtosis of the envelope",       m.impulsive,             (3, 1.5, 0.5),     4, ANTONI, GUESS),
        look("deepest defect modulation, 1: limit",   m.defect_margin,         (1, 0.7, 0.4),     2, ROLLING),
        must("velocity over normal",                  m.velocity_grown,        (2.5, 2, 1.2),     3, GUESS),
    ), ceiling=0.55, caution="defects of rolling elements that leave no lines look the same: greasing and listening "
                             "decides"),
)
# fmt: on


def markdown() -> str:
    """The rules as a table, for docs/diagnosis.md."""
    lines = [
        "| fault | what is looked at | against | neutral | supports | weight | source |",
        "|---|---|---|---|---|---|---|",
    ]
    for rule in RULES:
        for place, one in enumerate(rule.criteria):
            scale = " | ".join(
                "" if value is None else f"{value:g}" for value in (one.against, one.neutral, one.supports)
            )
            what = f"**{one.what}**" if one.required else one.what
            fault = FAULTS[rule.fault][0] if place == 0 else ""
            lines.append(f"| {fault} | {what} | {scale} | {one.weight:g} | {one.source} |")
    return "\n".join(lines)


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
    total = 0.0
    supports: list[str] = []
    contradicts: list[str] = []
    lines: list[Line] = []
    unknown: list[str] = []
    for criterion in sorted(rule.criteria, key=lambda criterion: not criterion.required):
        found = criterion.measure(symptoms, axis)
        if isinstance(found, str):
            if criterion.required:
                return found
            unknown.append(found)
            continue
        says = criterion.says(found.value)
        if criterion.required and says < 0:
            return Judged(None, axis.axis)
        total += criterion.weight * says
        if says or criterion.required:
            (contradicts if says < 0 else supports).append(found.text)
        if (says > 0 or criterion.required) and criterion.of_much:
            lines.extend(found.lines)
    score = total / sum(criterion.weight for criterion in rule.criteria if criterion.supports is not None)
    return Judged(
        score,
        axis.axis,
        tuple(dict.fromkeys(supports)),
        tuple(dict.fromkeys(contradicts)),
        tuple(dict.fromkeys(lines)),
        tuple(dict.fromkeys(unknown)),
    )
