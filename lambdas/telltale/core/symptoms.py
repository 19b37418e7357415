"""What is measured of a capture before anything is concluded: lines, levels and envelopes, axis by axis.

A symptom is a number, with the sentence that says it and the lines it was taken from (ISO 13372: a perception, made by
measurement, that may tell of a fault). The rules of `core.rules` judge them. A measure that cannot be taken answers
with the reason instead, as a plain sentence.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import isfinite, pi, sqrt
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from telltale.core.findings import Line
from telltale.core.plant import Machine
from telltale.core.rolling import CLASS_NAMES, DEPTH, RollingEvidence
from telltale.core.spectrum import MM_S2_PER_G, Lines

Array = NDArray[Any]

SPEED_TOLERANCE = 0.01  # of a line at a multiple of the speed: speeds are measured to 1 % or better (practice)
MAINS_TOLERANCE = 0.002  # of the mains: grids keep well within the 1 % of EN 50160 (guess)
RESOLVED_BINS = 3.0  # lines this far apart have Hann lobes (4 bins wide) that meet below half their height
CLEAR_OF_NOISE = 4.0  # a line this far above the floor is one: 12 dB; noise alone reaches 3 (guess)
NOT_NEGLIGIBLE = 0.1  # of the largest harmonic, from which a harmonic counts (guess)

# Without a history of the machine an amplitude is judged against the boundary of zones B and C of ISO 10816-1 class III
# and of ISO 20816-3 group 1, rigid: above that of smaller machines, so that none is called faulty that a standard calls
# sound.
ABSOLUTE_MM_S = 4.5
ABSOLUTE_MAINS_MM_S = 1.8  # of the line at 2× mains: 0.1 in/s peak, as practice has it (guess)
# With one: practice alerts at 2 to 3 times normal; and ISO 20816-1 finds a change significant from a quarter of the
# boundary of zones B and C, here of class II (2.8 mm/s).
GROWN = 2.0
SIGNIFICANT_MM_S = 0.25 * 2.8

HALF_ORDERS = (0.5, 1.5, 2.5)
HARMONICS = tuple(range(1, 11))
HIGH_BANDS = ("band_2000_5000_g", "band_5000_10000_g", "band_10000_20000_g")  # where friction and bubbles are heard
DEFECT_DEPTH = DEPTH  # of a modulation, from which a race is named

# A resonance amplifies the noise around it too. Structures of machines have a damping of 1 to 5 %: their peak is 2 to
# 10 % of its frequency wide (practice).
HUMP_LOW_HZ, HUMP_TOP_HZ = 10.0, 1000.0
HUMP_WIDTH = 0.1  # either side of its middle
HUMP_SECONDS = 1.0  # so that the lowest stretches hold enough bins for a median (guess)


class Measured(NamedTuple):
    """A symptom: its value, the sentence that says it, the lines it was taken from."""

    value: float
    text: str
    lines: tuple[Line, ...] = ()


Unknown = str  # why a measure could not be taken


@dataclass(frozen=True, eq=False)
class Axis:
    """One axis of a capture, measured.

    direction : horizontal, vertical, axial, or "" where it is not known.
    velocity : its lines.   orders : order → its velocity line: half and whole ones up to 10, as far as the record can
    show them; empty without a speed.   row, normal : its routine indicators, and what is usual for them here (may be
    empty).
    """

    axis: str
    direction: str
    seconds: float
    velocity: Lines
    orders: Mapping[float, Line]
    row: Mapping[str, float | None]
    normal: Mapping[str, float]
    rolling: RollingEvidence | None

    def level(self, name: str) -> float | None:
        """A routine indicator; None where it is not known."""
        value = self.row.get(name)
        return None if value is None or not isfinite(value) else float(value)

    @property
    def resolution_hz(self) -> float:
        """How far apart two lines must be to be told apart."""
        return RESOLVED_BINS / self.seconds


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


# How high an amplitude is


def _raised(line: Line, normal: float | None, absolute: float = ABSOLUTE_MM_S) -> Measured:
    """A velocity line over its limit; 1 is on it."""
    if normal is None:
        return Measured(
            line.amplitude / absolute,
            f"{line.name} is {line.amplitude:.2f} mm/s on {line.axis}, limit {absolute:g} mm/s for want of a history",
            (line,),
        )
    limit = max(GROWN * normal, normal + SIGNIFICANT_MM_S)
    return Measured(
        line.amplitude / limit,
        f"{line.name} is {line.amplitude:.2f} mm/s on {line.axis}, normal {normal:.2f}, limit {limit:.2f} mm/s",
        (line,),
    )


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


def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator > 0 else (0.0 if numerator <= 0 else float("inf"))


# Measures of the shaft's lines


def order_1_raised(symptoms: Symptoms, axis: Axis) -> Measured | Unknown:
    if not axis.orders:
        return NO_SPEED
    return _raised(axis.orders[1], _usual(axis, "order_1_mm_s"))


def order_1_share(symptoms: Symptoms, axis: Axis) -> Measured | Unknown:
    return _share(axis, axis.orders.get(1), NO_SPEED)


def _share(axis: Axis, line: Line | None, missing: Unknown) -> Measured | Unknown:
    velocity = axis.level("velocity_rms_mm_s")
    if line is None:
        return missing
    if velocity is None or velocity <= 0:
        return "the velocity from 10 to 1000 Hz is not known"
    share = min(1.0, (line.amplitude / velocity) ** 2)
    return Measured(share, f"{line.name} holds {share:.0%} of the velocity's power on {axis.axis}", (line,))


def harmonics_over_1(symptoms: Symptoms, axis: Axis) -> Measured | Unknown:
    if not axis.orders:
        return NO_SPEED
    lines = (axis.orders[2], axis.orders[3])
    ratio = _ratio(_together("2× and 3×", lines).amplitude, axis.orders[1].amplitude)
    return Measured(ratio, f"2× and 3× together are {ratio:.2f} of 1× on {axis.axis}", lines)


def order_2_over_1(symptoms: Symptoms, axis: Axis) -> Measured | Unknown:
    if not axis.orders:
        return NO_SPEED
    ratio = _ratio(axis.orders[2].amplitude, axis.orders[1].amplitude)
    return Measured(ratio, f"2× is {ratio:.2f} of 1× on {axis.axis}", (axis.orders[1], axis.orders[2]))


def axial_over_radial_1(symptoms: Symptoms, axis: Axis) -> Measured | Unknown:
    return _axial_over_radial(symptoms, (1,))


def axial_over_radial_1_2(symptoms: Symptoms, axis: Axis) -> Measured | Unknown:
    return _axial_over_radial(symptoms, (1, 2))


def _axial_over_radial(symptoms: Symptoms, orders: tuple[int, ...]) -> Measured | Unknown:
    axial = symptoms.axial()
    if axial is None or len(symptoms.axes) < 2:
        return NO_AXIAL
    if not axial.orders:
        return NO_SPEED
    name = " and ".join(f"{order}×" for order in orders)
    along = _together(name, tuple(axial.orders[order] for order in orders))
    across = max(
        (_together(name, tuple(axis.orders[order] for order in orders)) for axis in symptoms.radial()),
        key=lambda line: line.amplitude,
    )
    ratio = _ratio(along.amplitude, across.amplitude)
    text = f"axial {name} is {along.amplitude:.2f} mm/s, {ratio:.2f} of the radial {across.amplitude:.2f} mm/s"
    return Measured(ratio, text, (along, across))


def radial_unlike(symptoms: Symptoms, axis: Axis) -> Measured | Unknown:
    """1x of the larger radial direction over the smaller."""
    if not symptoms.directions_known or len(symptoms.radial()) < 2:
        return "two radial directions are not known"
    if not axis.orders:
        return NO_SPEED
    small, large = sorted((radial.orders[1] for radial in symptoms.radial()), key=lambda line: line.amplitude)[-2:]
    ratio = _ratio(large.amplitude, small.amplitude)
    text = (
        f"1× is {large.amplitude:.2f} mm/s on {large.axis} and {small.amplitude:.2f} on {small.axis}, {ratio:.1f} to 1"
    )
    return Measured(ratio, text, (large, small))


def misalignment_raised(symptoms: Symptoms, axis: Axis) -> Measured | Unknown:
    """The most raised of 2x and, along the shaft, 1x."""
    if not axis.orders:
        return NO_SPEED
    found = [_raised(axis.orders[2], _usual(axis, "order_2_mm_s"))]
    axial = symptoms.axial()
    if axial is not None:
        found.append(_raised(axial.orders[1], _usual(axial, "order_1_mm_s")))
        found.append(_raised(axial.orders[2], _usual(axial, "order_2_mm_s")))
    return max(found, key=lambda measured: measured.value)


def order_4_10_over_2(symptoms: Symptoms, axis: Axis) -> Measured | Unknown:
    if not axis.orders:
        return NO_SPEED
    high = _together("4× to 10×", _shaft_lines(symptoms, axis, 4))
    ratio = _ratio(high.amplitude, axis.orders[2].amplitude)
    return Measured(ratio, f"4× to 10× together are {ratio:.2f} of 2× on {axis.axis}", (axis.orders[2],))


def _shaft_lines(symptoms: Symptoms, axis: Axis, first: int) -> tuple[Line, ...]:
    """The harmonics from `first` on that nothing else than the shaft makes: not the blades, not the teeth."""
    others = {order for order in (symptoms.machine.blades, symptoms.machine.teeth) if order is not None}
    return tuple(
        line for order, line in axis.orders.items() if order >= first and order not in others and order % 1 == 0
    )


def high_orders_raised(symptoms: Symptoms, axis: Axis) -> Measured | Unknown:
    if not axis.orders:
        return NO_SPEED
    line = _together("3× to 10×", _shaft_lines(symptoms, axis, 3))
    return _raised(line, _usual(axis, "order_3_mm_s", "order_4_10_mm_s"))


def harmonics_counted(symptoms: Symptoms, axis: Axis) -> Measured | Unknown:
    if not axis.orders:
        return NO_SPEED
    lines = _shaft_lines(symptoms, axis, 1)
    largest = max(line.amplitude for line in lines)
    clear = [line for line in lines if line.ratio >= CLEAR_OF_NOISE and line.amplitude >= NOT_NEGLIGIBLE * largest]
    text = f"{len(clear)} of the harmonics from 1× to 10× stand clear on {axis.axis}"
    return Measured(float(len(clear)), text, tuple(clear))


def half_orders_over_1(symptoms: Symptoms, axis: Axis) -> Measured | Unknown:
    if not axis.orders or symptoms.speed_hz is None:
        return NO_SPEED
    if any(order not in axis.orders for order in HALF_ORDERS):
        return f"a record of {axis.seconds:.2f} s cannot separate half orders of {symptoms.speed_hz:.1f} Hz"
    lines = tuple(axis.orders[order] for order in HALF_ORDERS)
    clear = [line for line in lines if line.ratio >= CLEAR_OF_NOISE]
    ratio = _ratio(_together("half orders", lines).amplitude, axis.orders[1].amplitude) if clear else 0.0
    return Measured(ratio, f"0.5×, 1.5× and 2.5× together are {ratio:.2f} of 1× on {axis.axis}", lines)


def floor_raised(symptoms: Symptoms, axis: Axis) -> Measured | Unknown:
    return _over_normal(axis, "noise_floor_g_rthz", "the noise floor")


def _over_normal(axis: Axis, name: str, words: str) -> Measured | Unknown:
    value, normal = axis.level(name), axis.normal.get(name)
    if value is None:
        return f"{words} could not be measured"
    if normal is None or normal <= 0:
        return f"what is normal here for {words} is not known"
    return Measured(value / normal, f"{words} is {value / normal:.1f} times normal on {axis.axis}")


# Measures of what else passes, pulls and meshes


def blade_raised(symptoms: Symptoms, axis: Axis) -> Measured | Unknown:
    line = _blade_line(symptoms, axis)
    return line if isinstance(line, str) else _raised(line, _usual(axis, "blade_pass_mm_s"))


def blade_share(symptoms: Symptoms, axis: Axis) -> Measured | Unknown:
    line = _blade_line(symptoms, axis)
    return line if isinstance(line, str) else _share(axis, line, NO_SPEED)


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
    return Measured(ratio, f"{line.name} is {ratio:.1f} times the larger of its neighbouring harmonics", (line,))


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
    return line if isinstance(line, str) else _raised(line, _usual(axis, "line_2_mm_s"), ABSOLUTE_MAINS_MM_S)


def mains_share(symptoms: Symptoms, axis: Axis) -> Measured | Unknown:
    line = _mains_line(symptoms, axis)
    return line if isinstance(line, str) else _share(axis, line, NO_SPEED)


def mains_over_shaft(symptoms: Symptoms, axis: Axis) -> Measured | Unknown:
    line = _mains_line(symptoms, axis)
    if isinstance(line, str) or symptoms.speed_hz is None:
        return line if isinstance(line, str) else NO_SPEED
    order = max(1, round(line.hz / symptoms.speed_hz))
    shaft = _line(axis, order * symptoms.speed_hz, f"{order}×", MAINS_TOLERANCE)
    ratio = _ratio(line.amplitude, 0.0 if shaft is None else shaft.amplitude)
    text = f"{line.name} at {line.hz:.1f} Hz is {ratio:.1f} times {order}× at {order * symptoms.speed_hz:.1f} Hz"
    return Measured(ratio, text, (line,) if shaft is None else (line, shaft))


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
    return Measured(ratio, f"sidebands at pole pass ({spacing_hz:.2f} Hz) stand {ratio:.1f} above the noise", beside)


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
    whole = _together("gear mesh with its sidebands", (mesh.line, *mesh.sidebands))
    usual_g, usual_ratio = axis.normal.get("gear_mesh_g"), axis.normal.get("gear_sideband_ratio")
    if usual_g is None or usual_ratio is None:
        return _raised(whole, axis.normal.get("velocity_rms_mm_s"))
    per_g = MM_S2_PER_G / (2 * pi * mesh.line.hz)
    return _raised(whole, usual_g * per_g * sqrt(1 + usual_ratio**2))


def sidebands_over_mesh(symptoms: Symptoms, axis: Axis) -> Measured | Unknown:
    mesh = _mesh(symptoms, axis)
    if isinstance(mesh, str):
        return mesh
    ratio = _ratio(_together("sidebands", mesh.sidebands).amplitude, mesh.line.amplitude)
    text = f"sidebands at ±1× and ±2× are {ratio:.2f} of the gear mesh at {mesh.line.hz:.1f} Hz on {axis.axis}"
    return Measured(ratio, text, (mesh.line, *mesh.sidebands))


def mesh_share(symptoms: Symptoms, axis: Axis) -> Measured | Unknown:
    mesh = _mesh(symptoms, axis)
    if isinstance(mesh, str):
        return mesh
    return _share(axis, _together("gear mesh with its sidebands", (mesh.line, *mesh.sidebands)), NO_SPEED)


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
    """Acceleration above 2 kHz over what is normal for it."""
    known = [name for name in HIGH_BANDS if axis.level(name) is not None and axis.normal.get(name) is not None]
    if not known:
        return "what is normal here above 2 kHz is not known"
    value = sqrt(sum((axis.level(name) or 0.0) ** 2 for name in known))
    normal = sqrt(sum(axis.normal[name] ** 2 for name in known))
    ratio = _ratio(value, normal)
    return Measured(ratio, f"above 2 kHz it is {value:.3f} g on {axis.axis}, {ratio:.1f} times its normal {normal:.3f}")


def envelope_impulsive(symptoms: Symptoms, axis: Axis) -> Measured | Unknown:
    kurtosis = axis.level("env_kurtosis")
    if kurtosis is None:
        return "the envelope could not be taken"
    return Measured(kurtosis, f"the envelope's kurtosis is {kurtosis:.1f} on {axis.axis} (noise has 2, impacts more)")


def defect_depth(symptoms: Symptoms, axis: Axis) -> Measured | Unknown:
    """The deepest modulation at a defect frequency, as a share of the depth from which a defect is named."""
    if axis.rolling is None or not axis.rolling.combs:
        return "without a speed and a bearing geometry, defect lines were not looked for"
    comb = max(axis.rolling.combs.values(), key=lambda comb: comb.depth)
    text = f"the deepest defect lines ({comb.fault}) modulate by {comb.depth:.2f} on {axis.axis}"
    return Measured(comb.depth / DEFECT_DEPTH, text, comb.lines)


def off_orders(symptoms: Symptoms, axis: Axis) -> Measured | Unknown:
    """The share of the velocity's power that is on no line of the shaft."""
    velocity = axis.level("velocity_rms_mm_s")
    if not axis.orders:
        return NO_SPEED
    if velocity is None or velocity <= 0:
        return "the velocity from 10 to 1000 Hz is not known"
    lines = [line for order, line in axis.orders.items() if order % 1 == 0]
    share = max(0.0, 1 - sum(line.amplitude**2 for line in lines) / velocity**2)
    return Measured(share, f"{share:.0%} of the velocity's power on {axis.axis} is on no harmonic of the shaft")


def velocity_raised(symptoms: Symptoms, axis: Axis) -> Measured | Unknown:
    velocity = axis.level("velocity_rms_mm_s")
    if velocity is None:
        return "the velocity from 10 to 1000 Hz is not known"
    normal = axis.normal.get("velocity_rms_mm_s")
    limit = ABSOLUTE_MM_S if normal is None else max(GROWN * normal, normal + SIGNIFICANT_MM_S)
    return Measured(velocity / limit, f"the velocity is {velocity:.2f} mm/s on {axis.axis}, limit {limit:.2f} mm/s")


def hump(symptoms: Symptoms, axis: Axis) -> Measured | Unknown:
    """How far the noise is raised around some frequency up to HUMP_TOP_HZ, above what it is on either side."""
    found = _hump(axis)
    if isinstance(found, str):
        return found
    hz, ratio = found
    return Measured(ratio, f"around {hz:.0f} Hz the noise on {axis.axis} is {ratio:.1f} times that on either side")


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
    return _raised(max(inside, key=lambda line: line.amplitude), axis.normal.get("velocity_rms_mm_s"))


def _hump(axis: Axis) -> tuple[float, float] | Unknown:
    if axis.seconds < HUMP_SECONDS:
        return (
            f"a record of {axis.seconds:.2f} s is too short to see a hump in the noise; {HUMP_SECONDS:g} s are needed"
        )
    lines = axis.velocity
    best = (0.0, 0.0)
    square = lines.bins**2
    hz = HUMP_LOW_HZ
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
    """1 where the record calls this defect, 0 where not. `call` : a class of core.rolling, or "?": not localised."""
    rolling = axis.rolling
    if rolling is None or rolling.call is None:
        return "the record could not be judged for bearing defects" if rolling is None else rolling.reason
    if call != "?" and call not in rolling.combs:
        return _no_comb(symptoms)
    return Measured(float(_called(axis) == call), f"{axis.axis}: {rolling.reason}", _comb_lines(axis, call))


def bearing_depth(symptoms: Symptoms, axis: Axis, *, call: str) -> Measured | Unknown:
    if axis.rolling is None or call not in axis.rolling.combs:
        return _no_comb(symptoms)
    comb = axis.rolling.combs[call]
    text = f"{CLASS_NAMES[call]} lines at {comb.hz:.1f} Hz modulate by {comb.depth:.2f} on {axis.axis}"
    return Measured(comb.depth / DEFECT_DEPTH, text, comb.lines)


def bearing_next(symptoms: Symptoms, axis: Axis, *, call: str) -> Measured | Unknown:
    """The depth of the next deepest class over that of this one."""
    if axis.rolling is None or call not in axis.rolling.combs or len(axis.rolling.combs) < 2:
        return _no_comb(symptoms)
    combs = axis.rolling.combs
    other = max((name for name in combs if name != call), key=lambda name: combs[name].depth)
    ratio = _ratio(combs[other].depth, combs[call].depth)
    return Measured(ratio, f"{CLASS_NAMES[other]} lines are {ratio:.2f} as deep on {axis.axis}", combs[other].lines)


def bearing_family(symptoms: Symptoms, axis: Axis, *, call: str) -> Measured | Unknown:
    if axis.rolling is None or call not in axis.rolling.combs:
        return _no_comb(symptoms)
    clear = tuple(line for line in axis.rolling.combs[call].lines if line.ratio >= CLEAR_OF_NOISE)
    names = ", ".join(f"{line.name} {line.ratio:.0f} times" for line in clear) or "none"
    return Measured(float(len(clear)), f"lines that stand clear of the envelope's noise on {axis.axis}: {names}", clear)


def bearing_abnormal(symptoms: Symptoms, axis: Axis) -> Measured | Unknown:
    if axis.rolling is None or axis.rolling.abnormality is None:
        return "the growth over the healthy machine is not known"
    text = (
        axis.rolling.abnormal_because or f"the record is {axis.rolling.abnormality:.1f} of the limit of what is normal"
    )
    return Measured(axis.rolling.abnormality, f"{axis.axis}: {text}")


def _called(axis: Axis) -> str:
    """The class that is called on an axis; "?" where it is abnormal and not localised, "N" where it is not."""
    rolling = axis.rolling
    if rolling is None or rolling.call is None or rolling.call == "N":
        return "N"
    if rolling.call != "B":
        return rolling.call
    if rolling.positive:
        return "B"
    cage = rolling.combs.get("C")
    return "C" if cage is not None and not cage.unresolved and cage.depth >= DEFECT_DEPTH else "?"


def _comb_lines(axis: Axis, call: str) -> tuple[Line, ...]:
    return axis.rolling.combs[call].lines if axis.rolling is not None and call in axis.rolling.combs else ()


def _no_comb(symptoms: Symptoms) -> Unknown:
    if symptoms.machine.bearing is None:
        return "no bearing geometry is known"
    return NO_SPEED if symptoms.speed_hz is None else "the record is too short for the defect lines of its bearing"
