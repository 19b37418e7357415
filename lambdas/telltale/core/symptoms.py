"""What is measured of a capture before anything is concluded: lines, levels and envelopes, axis by axis.

A symptom is a number, with the sentence that says it and the lines it was taken from (ISO 13372: a perception, made by
measurement, that may tell of a fault). The rules of `core.rules` judge them. A measure that cannot be taken answers
with the reason instead, as a plain sentence.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, isfinite, pi, sqrt
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from telltale.core import cepstrum, envelope
from telltale.core.bearings import fault_orders
from telltale.core.envelope import Kurtogram
from telltale.core.findings import CLEAR_OF_NOISE, Line
from telltale.core.plant import Machine
from telltale.core.rolling import (
    CLASS_NAMES,
    KURTOSIS_EXCESS,
    LINE_NAMES,
    RACES,
    Comb,
    Reference,
    RollingEvidence,
    shallow,
)
from telltale.core.spectrum import HANN_LINE_POWER, MM_S2_PER_G, Lines

Array = NDArray[Any]

SPEED_TOLERANCE = 0.01  # of a line at a multiple of the speed: speeds are measured to 1 % or better (practice)
MAINS_TOLERANCE = 0.002  # of the mains: grids keep well within the 1 % of EN 50160 (guess)
RESOLVED_BINS = 3.0  # lines this far apart have Hann lobes (4 bins wide) that meet below half their height
APART = 0.7  # of that, between a line that is known to be there and one that is asked for (guess)
NOT_NEGLIGIBLE = 0.1  # of the largest harmonic, from which a harmonic counts (guess)

# Without a history of the machine an amplitude is judged against the boundary of zones B and C of ISO 10816-1 class III
# and of ISO 20816-3 group 1, rigid: above that of smaller machines, so that none is called faulty that a standard calls
# sound. A single line is judged against the half of its power.
ABSOLUTE_MM_S = 4.5
# With one: practice alerts at 2 to 3 times normal; and ISO 20816-1 finds a change significant from a quarter of the
# boundary of zones B and C, here of class II (2.8 mm/s).
GROWN = 2.0
SIGNIFICANT_MM_S = 0.25 * 2.8

NORMAL_OF_ORDER: Mapping[float, str] = {1: "order_1_mm_s", 2: "order_2_mm_s", 3: "order_3_mm_s"}
HALF_ORDERS = (0.5, 1.5, 2.5)
HARMONICS = tuple(range(1, 11))
HIGH_BANDS = ("band_2000_5000_g", "band_5000_10000_g", "band_10000_20000_g")  # where friction and bubbles are heard
LISTEN_FROM_HZ = 1000.0  # lines of shafts and meshes, which also make envelopes swing, are below (practice)
STRUCK = 0.4  # depth of modulation of strikes that stand out: about that from which a race is named
HIGH_GROWN = 2.0  # 6 dB
IMPULSIVE = KURTOSIS_EXCESS  # of the envelope of a band

FAMILY_ORDERS = 6.0  # around the mesh that sidebands are gathered: beyond, those of a local defect have faded (guess)
FAMILY_TOLERANCE = 0.1  # of their spacing: the cepstrum of so few lines is that coarse

# A resonance amplifies the noise around it too. Structures of machines have a damping of 1 to 5 %: their peak is 2 to
# 10 % of its frequency wide (practice).
HUMP_LOW_HZ, HUMP_TOP_HZ = 10.0, 1000.0
HUMP_WIDTH = 0.1  # either side of its middle
HUMP_BINS = 16  # that it is wide at least, so that the lobe of one line (4 bins) is no hump
HUMP_SECONDS = 1.0  # so that the lowest stretches hold enough bins for a median (guess)


class Measured(NamedTuple):
    """A symptom: its value, the sentence that says it, the lines that are as high as it says."""

    value: float
    text: str
    lines: tuple[Line, ...] = ()


# A bearing's fault → the class of core.rolling
CLASS_OF_FAULT: Mapping[str, str] = {
    "BEARING_OUTER_RACE": "OR",
    "BEARING_INNER_RACE": "IR",
    "BEARING_ROLLING_ELEMENT": "B",
    "BEARING_CAGE": "C",
}

Unknown = str  # why a measure could not be taken


@dataclass(frozen=True, eq=False)
class Axis:
    """One axis of a capture, measured.

    direction : horizontal, vertical, axial, or "" where it is not known.
    samples : in g.   velocity : its lines.   orders : order → its velocity line: half and whole ones up to 10, as far
    as the record can show them; empty where there are none, and `no_orders` says why.
    row, normal : its routine indicators, and what is usual for them here (may be empty).
    impulsive : where the record is impulsive above the lines of the shaft.   reference : a healthy record of this
    machine.   speed_hz : of the shaft now, to compare it with that.
    calibrated : whether samples are in g; False: in g times a factor that nobody knows, so that ratios hold and levels
    do not.
    """

    axis: str
    direction: str
    samples: Array
    fs_hz: float
    velocity: Lines
    orders: Mapping[float, Line]
    no_orders: str
    row: Mapping[str, float | None]
    normal: Mapping[str, float]
    rolling: RollingEvidence
    impulsive: Kurtogram
    reference: Reference | None = None
    speed_hz: float | None = None
    calibrated: bool = True

    def level(self, name: str) -> float | None:
        """A routine indicator; None where it is not known."""
        value = self.row.get(name)
        return None if value is None or not isfinite(value) else float(value)

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.fs_hz

    @property
    def resolution_hz(self) -> float:
        """How far apart two lines must be to be told apart."""
        return RESOLVED_BINS / self.seconds

    @property
    def of_growth(self) -> bool:
        """Whether what is usual for the shaft's lines is known, so that only what has grown need be explained."""
        return all(name in self.normal for name in ("velocity_rms_mm_s", *NORMAL_OF_ORDER.values()))

    @property
    def velocity_mm_s(self) -> float | None:
        """RMS of the velocity, or of what has grown of it."""
        value = self.level("velocity_rms_mm_s")
        return None if value is None else self.grown(value, "velocity_rms_mm_s")

    def order_mm_s(self, *orders: float) -> float:
        """RMS of these lines of the shaft together, or of what has grown of them; all ratios are of these."""
        return sqrt(
            sum(self.grown(self.orders[order].amplitude, NORMAL_OF_ORDER.get(order, "")) ** 2 for order in orders)
        )

    def grown(self, value: float, name: str) -> float:
        """What is left of a level when what is usual for the indicator is taken off, as powers."""
        usual = self.normal.get(name, 0.0) if self.of_growth else 0.0
        return sqrt(max(0.0, value**2 - usual**2))


@dataclass(frozen=True, eq=False)
class Symptoms:
    """A capture, measured. `axes` are those whose sensor is sound."""

    machine: Machine
    speed_hz: float | None
    axes: tuple[Axis, ...]
    notes: tuple[str, ...] = field(default=())

    @property
    def directions_known(self) -> bool:
        return any(axis.direction for axis in self.axes)

    def radial(self) -> tuple[Axis, ...]:
        """The axes across the shaft; all of them where no direction is known."""
        return tuple(axis for axis in self.axes if axis.direction != "axial")

    def axial(self) -> Axis | None:
        return next((axis for axis in self.axes if axis.direction == "axial"), None)


Measure = Callable[[Symptoms, Axis], Measured | Unknown]

NO_SPEED = "no shaft speed is known or could be found"
NO_AXIAL = "no axial direction is known"
NO_VELOCITY = "the velocity from 10 to 1000 Hz is not known"
NO_SCALE = "the recording has no scale: levels in mm/s are not known"


# How high an amplitude is


def _raised(axis: Axis, line: Line, normal: float | None, *, name: str = "") -> Measured | Unknown:
    """A velocity line over its limit; 1 is on it. Without a history the whole velocity must be over its own, too.

    name : of several lines together; of one it is its own, with its frequency.
    """
    if not axis.calibrated:
        return _raised_without_scale(axis, line, normal, name)
    text = f"{_named(axis, line, name)} {line.amplitude:.2f}"
    if normal is None:
        limit, velocity = ABSOLUTE_MM_S / sqrt(2), axis.level("velocity_rms_mm_s")
        whole = line.amplitude if velocity is None else velocity
        text = f"{text} of {whole:.2f} mm/s, limits {limit:.2f} and {ABSOLUTE_MM_S:.2f} without a history"
        return Measured(min(line.amplitude / limit, whole / ABSOLUTE_MM_S), text, (line,))
    limit = max(GROWN * normal, normal + SIGNIFICANT_MM_S)
    return Measured(line.amplitude / limit, f"{text} mm/s, normal {normal:.2f}, limit {limit:.2f}", (line,))


def _raised_without_scale(axis: Axis, line: Line, normal: float | None, name: str) -> Measured | Unknown:
    """Only growth can be told: of a healthy record without a scale, too, which must be that of the same sensor."""
    if not normal:
        return NO_SCALE
    ratio = line.amplitude / normal
    return Measured(ratio / GROWN, f"{_named(axis, line, name)} is {ratio:.1f} times normal, limit {GROWN:g}", (line,))


def _named(axis: Axis, line: Line, name: str) -> str:
    along = "axial " if axis.direction == "axial" else ""
    return f"{along}{name or f'{line.name} ({line.hz:.1f} Hz)'}"


def _usual(axis: Axis, *names: str) -> float | None:
    """What is usual for the lines of these indicators together: at most the usual velocity, if they are not known."""
    known = [axis.normal.get(name) for name in names]
    if all(value is not None for value in known):
        return sqrt(sum(value**2 for value in known if value is not None))
    return axis.normal.get("velocity_rms_mm_s")


def _together(name: str, lines: tuple[Line, ...]) -> Line:
    """Several lines as one: their powers add."""
    first = lines[0]
    return Line(
        name,
        first.spectrum,
        first.axis,
        first.hz,
        sqrt(sum(line.amplitude**2 for line in lines)),
        sqrt(sum(line.floor**2 for line in lines)),
        first.unit,
    )


def _of(ratio: float) -> str:
    """A ratio in words, before what it is a ratio to."""
    if ratio < 1:
        return f"{ratio:.0%} of"
    return f"{ratio:.1f} times" if ratio < 10 else f"{ratio:.0f} times" if ratio < 100 else "over 100 times"


def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator > 0 else (0.0 if numerator <= 0 else float("inf"))


# Measures of the shaft's lines


def order_1_raised(symptoms: Symptoms, axis: Axis) -> Measured | Unknown:
    if not axis.orders:
        return axis.no_orders
    return _raised(axis, axis.orders[1], _usual(axis, "order_1_mm_s"))


def order_1_share(symptoms: Symptoms, axis: Axis) -> Measured | Unknown:
    if not axis.orders:
        return axis.no_orders
    velocity = axis.velocity_mm_s
    if velocity is None:
        return NO_VELOCITY
    share = min(1.0, _ratio(axis.order_mm_s(1), velocity) ** 2)
    return Measured(share, f"1× holds {share:.0%} of the velocity's power", (axis.orders[1],))


def _share(axis: Axis, line: Line) -> Measured | Unknown:
    velocity = axis.level("velocity_rms_mm_s")
    if velocity is None or velocity <= 0:
        return NO_VELOCITY
    share = min(1.0, (line.amplitude / velocity) ** 2)
    return Measured(share, f"{line.name} holds {share:.0%} of the velocity's power", (line,))


def harmonics_over_1(symptoms: Symptoms, axis: Axis) -> Measured | Unknown:
    if not axis.orders:
        return axis.no_orders
    ratio = _ratio(axis.order_mm_s(2, 3), axis.order_mm_s(1))
    lines = (axis.orders[2], axis.orders[3])
    return Measured(ratio, f"2× and 3× together are {_of(ratio)} 1×", lines)


def order_2_over_1(symptoms: Symptoms, axis: Axis) -> Measured | Unknown:
    if not axis.orders:
        return axis.no_orders
    ratio = _ratio(axis.order_mm_s(2), axis.order_mm_s(1))
    return Measured(ratio, f"2× is {_of(ratio)} 1×", (axis.orders[2],))


def axial_over_radial_1(symptoms: Symptoms, axis: Axis) -> Measured | Unknown:
    return _axial_over_radial(symptoms, 1)


def axial_over_radial_1_2(symptoms: Symptoms, axis: Axis) -> Measured | Unknown:
    return _axial_over_radial(symptoms, 1, 2)


def _axial_over_radial(symptoms: Symptoms, *orders: int) -> Measured | Unknown:
    axial, radial = symptoms.axial(), symptoms.radial()
    if axial is None or not radial:
        return NO_AXIAL
    for axis in (axial, *radial):
        if not axis.orders:
            return axis.no_orders
    along = axial.order_mm_s(*orders)
    across = max(axis.order_mm_s(*orders) for axis in radial)
    ratio = _ratio(along, across)
    name = " and ".join(f"{order}×" for order in orders)
    text = f"axial {name} {'is' if len(orders) == 1 else 'are'} {_of(ratio)} radial"
    return Measured(ratio, text, tuple(axial.orders[order] for order in orders))


def radial_unlike(symptoms: Symptoms, axis: Axis) -> Measured | Unknown:
    """1x of the larger radial direction over the smaller."""
    radial = symptoms.radial()
    if not symptoms.directions_known or len(radial) < 2:
        return "two radial directions are not known"
    for one in radial:
        if not one.orders:
            return one.no_orders
    small, large = sorted(radial, key=lambda one: one.order_mm_s(1))[-2:]
    # what has grown can be next to nothing in one direction: a ratio to less than the noise means nothing
    least = max(small.order_mm_s(1), small.orders[1].floor)
    ratio = _ratio(large.order_mm_s(1), least)
    text = f"1× on {large.axis} is {_of(ratio)} that on {small.axis}"
    return Measured(ratio, text, (large.orders[1],))


def misalignment_raised(symptoms: Symptoms, axis: Axis) -> Measured | Unknown:
    """The most raised of 2x and, along the shaft, 1x."""
    if not axis.orders:
        return axis.no_orders
    found = [_raised(axis, axis.orders[2], _usual(axis, "order_2_mm_s"))]
    axial = symptoms.axial()
    if axial is not None:
        found.append(_raised(axial, axial.orders[1], _usual(axial, "order_1_mm_s")))
        found.append(_raised(axial, axial.orders[2], _usual(axial, "order_2_mm_s")))
    return _most(found)


def _most(found: Sequence[Measured | Unknown]) -> Measured | Unknown:
    """The one with the largest value; where none could be measured, why the first could not."""
    measured = [one for one in found if not isinstance(one, str)]
    return max(measured, key=lambda one: one.value) if measured else found[0]


def order_4_10_over_2(symptoms: Symptoms, axis: Axis) -> Measured | Unknown:
    if not axis.orders:
        return axis.no_orders
    high = axis.grown(_together("4× to 10×", _shaft_lines(symptoms, axis, 4)).amplitude, "order_4_10_mm_s")
    ratio = _ratio(high, axis.order_mm_s(2))
    return Measured(ratio, f"4× to 10× together are {_of(ratio)} 2×")


def _shaft_lines(symptoms: Symptoms, axis: Axis, first: int) -> tuple[Line, ...]:
    """The harmonics from `first` on that nothing else than the shaft makes: not the blades, not the teeth."""
    others = {order for order in (symptoms.machine.blades, symptoms.machine.teeth) if order is not None}
    return tuple(
        line for order, line in axis.orders.items() if order >= first and order not in others and order % 1 == 0
    )


def high_orders_raised(symptoms: Symptoms, axis: Axis) -> Measured | Unknown:
    if not axis.orders:
        return axis.no_orders
    line = _together("3× to 10×", _shaft_lines(symptoms, axis, 3))
    return _raised(axis, line, _usual(axis, "order_3_mm_s", "order_4_10_mm_s"), name="3× to 10×")


def harmonics_counted(symptoms: Symptoms, axis: Axis) -> Measured | Unknown:
    if not axis.orders:
        return axis.no_orders
    lines = _shaft_lines(symptoms, axis, 1)
    largest = max(line.amplitude for line in lines)
    clear = [line for line in lines if line.clear and line.amplitude >= NOT_NEGLIGIBLE * largest]
    text = f"{len(clear)} of the harmonics from 1× to 10× stand clear of the noise"
    return Measured(float(len(clear)), text, tuple(clear))


def half_orders_over_1(symptoms: Symptoms, axis: Axis) -> Measured | Unknown:
    if not axis.orders or symptoms.speed_hz is None:
        return axis.no_orders
    if any(order not in axis.orders for order in HALF_ORDERS):
        return f"a record of {axis.seconds:.2f} s cannot separate half orders of {symptoms.speed_hz:.1f} Hz"
    lines = tuple(axis.orders[order] for order in HALF_ORDERS)
    clear = any(line.clear for line in lines)
    ratio = _ratio(_together("half orders", lines).amplitude, axis.orders[1].amplitude) if clear else 0.0
    return Measured(ratio, f"0.5×, 1.5× and 2.5× together are {_of(ratio)} 1×", lines)


def floor_raised(symptoms: Symptoms, axis: Axis) -> Measured | Unknown:
    return _over_normal(axis, "noise_floor_g_rthz", "the noise floor")


def _over_normal(axis: Axis, name: str, words: str) -> Measured | Unknown:
    value, normal = axis.level(name), axis.normal.get(name)
    if value is None:
        return f"{words} could not be measured"
    if normal is None or normal <= 0:
        return f"what is normal here for {words} is not known"
    return Measured(value / normal, f"{words} is {value / normal:.1f} times normal")


# Measures of what else passes, pulls and meshes


def blade_raised(symptoms: Symptoms, axis: Axis) -> Measured | Unknown:
    line = _blade_line(symptoms, axis)
    return line if isinstance(line, str) else _raised(axis, line, _usual(axis, "blade_pass_mm_s"))


def blade_share(symptoms: Symptoms, axis: Axis) -> Measured | Unknown:
    line = _blade_line(symptoms, axis)
    return line if isinstance(line, str) else _share(axis, line)


def blade_over_neighbours(symptoms: Symptoms, axis: Axis) -> Measured | Unknown:
    line = _blade_line(symptoms, axis)
    if isinstance(line, str) or symptoms.machine.blades is None or symptoms.speed_hz is None:
        return line if isinstance(line, str) else NO_SPEED
    beside = [
        _line(axis, order * symptoms.speed_hz, f"{order}×")
        for order in (symptoms.machine.blades - 1, symptoms.machine.blades + 1)
    ]
    largest = max((found.amplitude for found in beside if found is not None), default=0.0)
    ratio = _ratio(line.amplitude, largest)
    return Measured(ratio, f"{line.name} is {_of(ratio)} its neighbouring harmonics", (line,))


def _blade_line(symptoms: Symptoms, axis: Axis) -> Line | Unknown:
    blades = symptoms.machine.blades
    if blades is None:
        return "no number of blades, vanes or lobes is known"
    if symptoms.speed_hz is None:
        return NO_SPEED
    return _line(axis, blades * symptoms.speed_hz, f"blade pass {blades}×") or _cannot_show(axis, f"{blades}×")


def _line(axis: Axis, hz: float, name: str, tolerance: float = SPEED_TOLERANCE) -> Line | None:
    return axis.velocity.at(hz, tolerance=tolerance, name=name)


def _cannot_show(axis: Axis, name: str) -> Unknown:
    return f"a record of {axis.seconds:.2f} s up to {axis.velocity.top_hz:.0f} Hz cannot show {name}"


def mains_raised(symptoms: Symptoms, axis: Axis) -> Measured | Unknown:
    line = _mains_line(symptoms, axis)
    return line if isinstance(line, str) else _raised(axis, line, _usual(axis, "line_2_mm_s"))


def mains_share(symptoms: Symptoms, axis: Axis) -> Measured | Unknown:
    line = _mains_line(symptoms, axis)
    return line if isinstance(line, str) else _share(axis, line)


def mains_over_shaft(symptoms: Symptoms, axis: Axis) -> Measured | Unknown:
    line = _mains_line(symptoms, axis)
    if isinstance(line, str) or symptoms.speed_hz is None:
        return line if isinstance(line, str) else NO_SPEED
    order = max(1, round(line.hz / symptoms.speed_hz))
    shaft = _line(axis, order * symptoms.speed_hz, f"{order}×", MAINS_TOLERANCE)
    ratio = _ratio(line.amplitude, 0.0 if shaft is None else shaft.amplitude)
    return Measured(ratio, f"{line.name} is {_of(ratio)} {order}× ({order * symptoms.speed_hz:.1f} Hz)", (line,))


def pole_pass(symptoms: Symptoms, axis: Axis) -> Measured | Unknown:
    """How far the sidebands of 2x mains at poles x slip stand above the noise."""
    line, poles = _mains_line(symptoms, axis), symptoms.machine.poles
    if isinstance(line, str) or symptoms.speed_hz is None:
        return line if isinstance(line, str) else NO_SPEED
    if poles is None:
        return "no number of poles is known"
    spacing_hz = line.hz - poles * symptoms.speed_hz  # poles × (synchronous speed - speed)
    if spacing_hz < axis.resolution_hz:
        return f"a record of {axis.seconds:.2f} s cannot separate pole pass sidebands of {spacing_hz:.2f} Hz"
    beside = axis.velocity.sidebands(line.hz, spacing_hz, pairs=1, tolerance=MAINS_TOLERANCE, name=line.name)
    ratio = min((found.ratio for found in beside), default=0.0)
    return Measured(ratio, f"sidebands at pole pass ({spacing_hz:.2f} Hz) are {_of(ratio)} the noise", beside)


def _mains_line(symptoms: Symptoms, axis: Axis) -> Line | Unknown:
    mains_hz, speed_hz = symptoms.machine.line_hz, symptoms.speed_hz
    if mains_hz is None:
        return "no mains frequency is known"
    if speed_hz is not None:
        order = max(1, round(2 * mains_hz / speed_hz))
        if abs(2 * mains_hz - order * speed_hz) < axis.resolution_hz:
            return f"a record of {axis.seconds:.2f} s cannot separate {order}× shaft from 2× mains"
    line = _line(axis, 2 * mains_hz, "2× mains", MAINS_TOLERANCE)
    return line or _cannot_show(axis, "2× mains")


class Mesh(NamedTuple):
    """The line of the gear mesh and its sidebands at the shaft's speed, in mm/s."""

    line: Line
    sidebands: tuple[Line, ...]


def mesh_raised(symptoms: Symptoms, axis: Axis) -> Measured | Unknown:
    """Mesh and sidebands together: against normal in g, where that is known, since the schema keeps it in g."""
    mesh = _mesh(symptoms, axis)
    if isinstance(mesh, str):
        return mesh
    name = f"gear mesh ({mesh.line.hz:.1f} Hz) with sidebands"
    whole = _together(name, (mesh.line, *mesh.sidebands))
    usual_g, usual_ratio = axis.normal.get("gear_mesh_g"), axis.normal.get("gear_sideband_ratio")
    if usual_g is None or usual_ratio is None:
        return _raised(axis, whole, axis.normal.get("velocity_rms_mm_s"), name=name)
    per_g = MM_S2_PER_G / (2 * pi * mesh.line.hz)
    return _raised(axis, whole, usual_g * per_g * sqrt(1 + usual_ratio**2), name=name)


def mesh_raised_or_struck(symptoms: Symptoms, axis: Axis) -> Measured | Unknown:
    """The more telling of: mesh and sidebands raised; strikes once a turn, over the depth of a clear one."""
    mesh, strikes = mesh_raised(symptoms, axis), once_a_turn(symptoms, axis)
    if isinstance(mesh, str) or isinstance(strikes, str) or mesh.value >= strikes.value / STRUCK:
        return mesh
    return strikes._replace(value=strikes.value / STRUCK)


def sidebands_over_mesh(symptoms: Symptoms, axis: Axis) -> Measured | Unknown:
    mesh = _mesh(symptoms, axis)
    if isinstance(mesh, str):
        return mesh
    ratio = _ratio(_together("sidebands", mesh.sidebands).amplitude, mesh.line.amplitude)
    return Measured(ratio, f"sidebands at ±1× and ±2× are {_of(ratio)} the mesh", (mesh.line, *mesh.sidebands))


def mesh_family(symptoms: Symptoms, axis: Axis) -> Measured | Unknown:
    """1 where the cepstrum around the mesh finds lines that are 1x apart, 0 where it does not."""
    mesh, speed_hz = _mesh(symptoms, axis), symptoms.speed_hz
    if isinstance(mesh, str) or speed_hz is None:
        return mesh if isinstance(mesh, str) else NO_SPEED
    if axis.seconds * speed_hz < cepstrum.LEAST_PERIODS:
        return f"a record of {axis.seconds:.2f} s is too short for families of lines {speed_hz:.1f} Hz apart"
    families = cepstrum.sideband_families(
        axis.samples,
        fs_hz=axis.fs_hz,
        low_spacing_hz=speed_hz * (1 - FAMILY_TOLERANCE),
        high_spacing_hz=speed_hz * (1 + FAMILY_TOLERANCE),
        low_hz=max(0.0, mesh.line.hz - FAMILY_ORDERS * speed_hz),
        high_hz=mesh.line.hz + FAMILY_ORDERS * speed_hz,
    )
    if not families:
        return Measured(0.0, "the cepstrum shows no lines 1× apart around the mesh")
    family = families[0]
    text = f"the cepstrum shows lines {family.spacing_hz:.2f} Hz apart around the mesh"
    return Measured(1.0, f"{text}, {family.ratio:.1f} times the ripple of noise")


def mesh_share(symptoms: Symptoms, axis: Axis) -> Measured | Unknown:
    mesh = _mesh(symptoms, axis)
    if isinstance(mesh, str):
        return mesh
    return _share(axis, _together("gear mesh with sidebands", (mesh.line, *mesh.sidebands)))


def _mesh(symptoms: Symptoms, axis: Axis) -> Mesh | Unknown:
    teeth, speed_hz = symptoms.machine.teeth, symptoms.speed_hz
    if teeth is None:
        return "no number of teeth is known"
    if speed_hz is None:
        return NO_SPEED
    if speed_hz < axis.resolution_hz:
        return f"a record of {axis.seconds:.2f} s cannot separate sidebands {speed_hz:.1f} Hz apart"
    line = _line(axis, teeth * speed_hz, f"gear mesh {teeth}×", SPEED_TOLERANCE / 2)
    if line is None:
        return _cannot_show(axis, "the gear mesh")
    beside = axis.velocity.sidebands(line.hz, speed_hz, pairs=2, tolerance=0.0, name="mesh")
    return Mesh(line, beside) if beside else _cannot_show(axis, "the gear mesh's sidebands")


# Measures of noise, of what is heard at high frequencies, and of the envelope


def high_raised(symptoms: Symptoms, axis: Axis) -> Measured | Unknown:
    """Acceleration above 2 kHz over what is normal for it; against the healthy record where only that is known."""
    known = [name for name in HIGH_BANDS if axis.level(name) is not None and axis.normal.get(name) is not None]
    if not known:
        return _over_reference(axis)
    value = sqrt(sum((axis.level(name) or 0.0) ** 2 for name in known))
    normal = sqrt(sum(axis.normal[name] ** 2 for name in known))
    ratio = _ratio(value, normal)
    return Measured(ratio, f"above 2 kHz it is {_level(axis, value)}{ratio:.1f} times normal")


def _over_reference(axis: Axis) -> Measured | Unknown:
    """The growth of the octave above LISTEN_FROM_HZ that has grown most over the healthy record, as an amplitude."""
    if axis.reference is None:
        return "what is normal here at high frequencies is not known"
    speed_power = 1.0
    if axis.speed_hz is not None and axis.reference.speed_hz is not None:
        speed_power = (axis.speed_hz / axis.reference.speed_hz) ** 4  # inertial forces go as the speed squared
    top_hz = min(axis.reference.top_hz, axis.velocity.top_hz)
    found = []
    low_hz = LISTEN_FROM_HZ
    while 2 * low_hz <= top_hz:
        inside = slice(int(low_hz / axis.velocity.bin_hz), int(2 * low_hz / axis.velocity.bin_hz))
        power = float(np.sum(axis.velocity.bins[inside] ** 2)) / HANN_LINE_POWER
        found.append((_ratio(power, speed_power * axis.reference.band(low_hz, 2 * low_hz)), low_hz, power))
        low_hz *= 2
    if not found:
        return "the record or the healthy one is too slowly sampled for octaves above 1 kHz"
    grown, low_hz, power = max(found)
    text = f"at {_khz(low_hz, 2 * low_hz)} it is {_level(axis, sqrt(power))}{sqrt(grown):.1f} times the healthy record"
    return Measured(sqrt(grown), text)


def _level(axis: Axis, value: float) -> str:
    return f"{value:.2g} g, " if axis.calibrated else ""


def _khz(low_hz: float, high_hz: float) -> str:
    return f"{low_hz / 1000:.1f}-{high_hz / 1000:.1f} kHz"


def impulsive(symptoms: Symptoms, axis: Axis) -> Measured | Unknown:
    """Excess kurtosis of the most impulsive band above LISTEN_FROM_HZ: 0 for noise."""
    band = axis.impulsive.choice
    if band is None:
        return "the record is too short or too slowly sampled for bands above 1 kHz"
    if not axis.impulsive.significant:
        return Measured(0.0, f"no impacts: excess kurtosis {band.kurtosis:.1f}, as noise has")
    strong = "impacts: " if band.kurtosis >= IMPULSIVE else ""
    text = f"{strong}excess kurtosis {band.kurtosis:.1f} at {_khz(band.low_hz, band.high_hz)}"
    return Measured(max(0.0, band.kurtosis), text)


def high_abnormal(symptoms: Symptoms, axis: Axis) -> Measured | Unknown:
    """The larger of: growth above 2 kHz over HIGH_GROWN, excess kurtosis over IMPULSIVE. From 1 it is abnormal."""
    grown, struck = high_raised(symptoms, axis), impulsive(symptoms, axis)
    found = [
        measured._replace(value=measured.value / limit)
        for measured, limit in ((grown, HIGH_GROWN), (struck, IMPULSIVE))
        if not isinstance(measured, str)
    ]
    return max(found, key=lambda measured: measured.value) if found else str(grown)


def off_orders(symptoms: Symptoms, axis: Axis) -> Measured | Unknown:
    """The share of the velocity's power that is on no line of the shaft."""
    found = _off_orders_mm_s(symptoms, axis)
    if isinstance(found, str):
        return found
    share = min(1.0, _ratio(found, axis.velocity_mm_s or 0.0) ** 2)
    return Measured(share, f"{share:.0%} of the velocity's power is on no line of the shaft")


def off_orders_raised(symptoms: Symptoms, axis: Axis) -> Measured | Unknown:
    """The velocity that is on no line of the shaft, over its limit."""
    found = _off_orders_mm_s(symptoms, axis)
    if isinstance(found, str):
        return found
    if not axis.calibrated:
        return NO_SCALE
    limit = SIGNIFICANT_MM_S if axis.of_growth else ABSOLUTE_MM_S / sqrt(2)
    text = f"{found:.2f} mm/s are on no line of the shaft, limit {limit:.2f}"
    return Measured(found / limit, text)


def _off_orders_mm_s(symptoms: Symptoms, axis: Axis) -> float | Unknown:
    velocity = axis.velocity_mm_s
    if not axis.orders:
        return axis.no_orders
    if velocity is None:
        return NO_VELOCITY
    high = axis.grown(_together("", _shaft_lines(symptoms, axis, 4)).amplitude, "order_4_10_mm_s")
    blade = _blade_line(symptoms, axis)
    blades = 0.0 if isinstance(blade, str) else axis.grown(blade.amplitude, "blade_pass_mm_s")
    return sqrt(max(0.0, velocity**2 - axis.order_mm_s(1, 2, 3) ** 2 - high**2 - blades**2))


def off_orders_of_pump(symptoms: Symptoms, axis: Axis) -> Measured | Unknown:
    return off_orders_raised(symptoms, axis) if symptoms.machine.type == "Pump" else "the machine is no pump"


def mains_apart(symptoms: Symptoms, axis: Axis) -> Measured | Unknown:
    """1 where 2x of the shaft can be told from 2x mains; 0 where it cannot."""
    mains_hz, speed_hz = symptoms.machine.line_hz, symptoms.speed_hz
    if mains_hz is None:
        return "no mains frequency is known"
    if speed_hz is None:
        return NO_SPEED
    apart = abs(2 * mains_hz - 2 * speed_hz) >= axis.resolution_hz
    text = f"a record of {axis.seconds:.2f} s can{'' if apart else 'not'} tell 2× ({2 * speed_hz:.1f} Hz) from 2× mains"
    return Measured(float(apart), text)


def velocity_raised(symptoms: Symptoms, axis: Axis) -> Measured | Unknown:
    velocity = axis.level("velocity_rms_mm_s")
    if velocity is None:
        return NO_VELOCITY
    normal = axis.normal.get("velocity_rms_mm_s")
    if not axis.calibrated:
        return velocity_grown(symptoms, axis) if normal else NO_SCALE
    limit = ABSOLUTE_MM_S if normal is None else max(GROWN * normal, normal + SIGNIFICANT_MM_S)
    return Measured(velocity / limit, f"the velocity is {velocity:.2f} mm/s, limit {limit:.2f}")


def velocity_grown(symptoms: Symptoms, axis: Axis) -> Measured | Unknown:
    return _over_normal(axis, "velocity_rms_mm_s", "the velocity")


def hump(symptoms: Symptoms, axis: Axis) -> Measured | Unknown:
    """How far the noise is raised around some frequency up to HUMP_TOP_HZ, above what it is on either side."""
    found = _hump(axis)
    if isinstance(found, str):
        return found
    hz, ratio = found
    return Measured(ratio, f"around {hz:.0f} Hz the noise is {ratio:.1f} times that on either side")


def hump_under_1(symptoms: Symptoms, axis: Axis) -> Measured | Unknown:
    return _hump_under(axis, axis.orders.get(1))


def hump_under_2(symptoms: Symptoms, axis: Axis) -> Measured | Unknown:
    return _hump_under(axis, axis.orders.get(2))


def hump_under_blades(symptoms: Symptoms, axis: Axis) -> Measured | Unknown:
    line = _blade_line(symptoms, axis)
    return line if isinstance(line, str) else _hump_under(axis, line)


def _hump_under(axis: Axis, line: Line | None) -> Measured | Unknown:
    found = _hump(axis)
    if isinstance(found, str) or line is None:
        return found if isinstance(found, str) else axis.no_orders
    hz, ratio = found
    if abs(line.hz - hz) > HUMP_WIDTH * hz:
        return Measured(0.0, f"no hump in the noise under {line.name}")
    return Measured(ratio, f"under {line.name} the noise is {ratio:.1f} times that on either side")


def radial_velocity_unlike(symptoms: Symptoms, axis: Axis) -> Measured | Unknown:
    radial = [one for one in symptoms.radial() if one.velocity_mm_s is not None]
    if not symptoms.directions_known or len(radial) < 2:
        return "two radial directions are not known"
    small, large = sorted(one.velocity_mm_s or 0.0 for one in radial)[-2:]
    ratio = _ratio(large, small)
    return Measured(ratio, f"one radial velocity is {ratio:.1f} times the other")


def line_in_hump(symptoms: Symptoms, axis: Axis) -> Measured | Unknown:
    """The largest line of the shaft (or its blades) that lies in the hump, over its limit."""
    found = _hump(axis)
    if isinstance(found, str):
        return found
    hz, _ = found
    lines = list(axis.orders.values())
    blade = _blade_line(symptoms, axis)
    if not isinstance(blade, str):
        lines.append(blade)
    inside = [line for line in lines if abs(line.hz - hz) <= HUMP_WIDTH * hz]
    if not inside:
        return Measured(0.0, f"no line of the shaft lies within {HUMP_WIDTH:.0%} of {hz:.0f} Hz")
    return _raised(axis, max(inside, key=lambda line: line.amplitude), axis.normal.get("velocity_rms_mm_s"))


def _hump(axis: Axis) -> tuple[float, float] | Unknown:
    if axis.seconds < HUMP_SECONDS:
        return (
            f"a record of {axis.seconds:.2f} s is too short to see a hump in the noise; {HUMP_SECONDS:g} s are needed"
        )
    lines = axis.velocity
    best = (0.0, 0.0)
    square = lines.bins**2
    hz = max(HUMP_LOW_HZ, HUMP_BINS * lines.bin_hz / (2 * HUMP_WIDTH))
    while hz <= min(HUMP_TOP_HZ, lines.top_hz / 2):
        inside = _quiet(square, lines.bin_hz, hz * (1 - HUMP_WIDTH), hz * (1 + HUMP_WIDTH))
        below = _quiet(square, lines.bin_hz, hz * 0.5, hz * 0.7)
        above = _quiet(square, lines.bin_hz, hz * 1.4, hz * 2)
        ratio = _ratio(sqrt(inside), sqrt(max(below, above)))
        if ratio > best[1]:
            best = (hz, ratio)
        hz *= 1 + HUMP_WIDTH / 2
    return best


def _quiet(square: Array, bin_hz: float, low_hz: float, high_hz: float) -> float:
    """The noise of a stretch: the median of its bins, which takes no line for noise."""
    return float(np.median(square[int(low_hz / bin_hz) : int(high_hz / bin_hz) + 2]))


# Measures of the rolling bearing, as core.rolling found them


def bearing_called(symptoms: Symptoms, axis: Axis, *, call: str) -> Measured | Unknown:
    """1 where the record calls this defect, 0 where not. `call` : of core.rolling, or "?": abnormal, not localised."""
    rolling = axis.rolling
    comb = None if call == "?" else _comb(symptoms, axis, call)
    if isinstance(comb, str):
        return comb
    if rolling.call is None:
        return rolling.reason
    called = "?" if rolling.call == "B" and not rolling.positive else rolling.call
    if comb is None:
        return Measured(float(called == call), shallow(rolling.combs) if rolling.combs else rolling.reason)
    return Measured(float(called == call), comb.words, comb.lines)


def bearing_margin(symptoms: Symptoms, axis: Axis, *, call: str) -> Measured | Unknown:
    comb = _comb(symptoms, axis, call)
    if isinstance(comb, str):
        return comb
    return Measured(comb.margin, comb.words, comb.lines)


def bearing_family(symptoms: Symptoms, axis: Axis, *, call: str) -> Measured | Unknown:
    comb = _comb(symptoms, axis, call)
    if isinstance(comb, str):
        return comb
    clear = tuple(line for line in comb.lines if line.clear)
    text = comb.words if clear else f"none of its lines is {CLEAR_OF_NOISE:g} times the noise"
    return Measured(float(len(clear)), text, clear)


def bearing_over_shaft(symptoms: Symptoms, axis: Axis, *, call: str) -> Measured | Unknown:
    """The defect's fundamental over the harmonics of the shaft on either side of it, in the envelope of its band.

    Whatever strikes once a turn has all harmonics of the shaft there, and some lie within the slip of any defect.
    """
    comb, speed_hz = _comb(symptoms, axis, call), symptoms.speed_hz
    if isinstance(comb, str) or speed_hz is None:
        return comb if isinstance(comb, str) else NO_SPEED
    low_hz, high_hz = comb.band_hz
    found = envelope.spectrum(axis.samples, fs_hz=axis.fs_hz, low_hz=max(low_hz, 1 / axis.seconds), high_hz=high_hz)
    order = comb.hz / speed_hz
    turns = [k for k in range(1, ceil(order) + 2) if abs(k - order) * speed_hz >= APART * axis.resolution_hz]
    beside = sorted(turns, key=lambda k: abs(k - order))[:2]
    line = found.line(comb.hz, slip=0.0, name=CLASS_NAMES[call])
    others = [found.line(k * speed_hz, slip=0.0, name=f"{k}×") for k in beside]
    if line is None or not any(others):
        return f"a record of {axis.seconds:.2f} s cannot separate it from the harmonics of the shaft"
    ratio = _ratio(line.amplitude, max(other.amplitude for other in others if other is not None))
    names = " and ".join(f"{k}×" for k in sorted(beside))
    return Measured(ratio, f"{LINE_NAMES[call]} is {_of(ratio)} {names} of the shaft beside it")


def element_apart(symptoms: Symptoms, axis: Axis) -> Measured | Unknown:
    """1 where an inner race's lines can be told from a rolling element's, which lie beside them; 0 where not."""
    if symptoms.machine.bearing is None or symptoms.speed_hz is None:
        return _no_comb(symptoms, axis)
    orders = fault_orders(symptoms.machine.bearing)
    apart_hz = abs(orders.bpfi - 2 * orders.bsf) * symptoms.speed_hz
    apart = apart_hz >= axis.resolution_hz
    text = f"a record of {axis.seconds:.2f} s can{'' if apart else 'not'} tell BPFI from 2×BSF, {apart_hz:.1f} Hz apart"
    return Measured(float(apart), text)


def no_race_called(symptoms: Symptoms, axis: Axis) -> Measured | Unknown:
    called = [one.axis for one in symptoms.axes if one.rolling.call in RACES]
    text = f"the lines of a race stand on {', '.join(called)}" if called else "the lines of no race stand out"
    return Measured(float(not called), text)


def cage_over(symptoms: Symptoms, axis: Axis, *, call: str) -> Measured | Unknown:
    """The depth of the cage's lines over this defect's: an outer race's are multiples of the cage's."""
    own, cage = _comb(symptoms, axis, call), _comb(symptoms, axis, "C")
    if isinstance(own, str) or isinstance(cage, str):
        return own if isinstance(own, str) else str(cage)
    ratio = _ratio(cage.margin, own.margin)
    return Measured(
        ratio, f"the cage's lines ({LINE_NAMES['C']} {cage.hz:.1f} Hz) are {_of(ratio)} its depth", cage.lines
    )


def defect_margin(symptoms: Symptoms, axis: Axis) -> Measured | Unknown:
    """The deepest lines of any defect; 1 is deep enough to name one."""
    combs = [comb for comb in axis.rolling.combs.values() if not comb.unresolved]
    if not combs:
        return _no_comb(symptoms, axis)
    comb = max(combs, key=lambda comb: comb.margin)
    text = f"deepest lines of a defect: {CLASS_NAMES[comb.fault]} ({comb.hz:.1f} Hz), {comb.of_limit}"
    return Measured(comb.margin, text, comb.lines)


def once_a_turn(symptoms: Symptoms, axis: Axis) -> Measured | Unknown:
    """How deep strikes once a turn modulate the most impulsive band: 1x to 3x together."""
    band, speed_hz = axis.impulsive.best, symptoms.speed_hz
    if band is None or speed_hz is None or not axis.impulsive.significant:
        return NO_SPEED if speed_hz is None else "no band is impulsive"
    found = envelope.spectrum(axis.samples, fs_hz=axis.fs_hz, low_hz=band[0], high_hz=band[1], axis=axis.axis)
    lines = [found.line(k * speed_hz, slip=SPEED_TOLERANCE, name=f"{k}× in the envelope") for k in (1, 2, 3)]
    shown = tuple(line for line in lines if line is not None and line.clear)
    depth = sqrt(sum(found.depth(line) ** 2 for line in shown))
    return Measured(depth, f"strikes once a turn make the envelope swing by {depth:.2f}", shown)


def _comb(symptoms: Symptoms, axis: Axis, call: str) -> Comb | Unknown:
    comb = axis.rolling.combs.get(call)
    if comb is None:
        return _no_comb(symptoms, axis)
    return comb.unresolved or comb


def _no_comb(symptoms: Symptoms, axis: Axis) -> Unknown:
    if symptoms.machine.bearing is None:
        return "no bearing geometry is known"
    if symptoms.speed_hz is None:
        return NO_SPEED
    unresolved = [comb.unresolved for comb in axis.rolling.combs.values() if comb.unresolved]
    return unresolved[0] if unresolved else "the record is too short for the lines of its bearing"
