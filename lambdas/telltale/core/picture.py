"""The evidence picture: what was seen in one axis of one capture, with the lines that decided it.

Four panels: the waveform, its spectrum, the spectrum of its envelope, the trend of the deciding indicator. A line that
supports the verdict is drawn thick, with a triangle over it and its name in bold; any other place where a fault would
show is thin, dashed and grey. So it reads without colour too: printed, or by those who see few colours.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import inf, isfinite, pi, sqrt

import numpy as np

from telltale.core import drawing, envelope, spectrum
from telltale.core.bearings import FaultOrders, fault_orders
from telltale.core.capture import Waveform
from telltale.core.drawing import Anchor, Drawing, Point, Polyline, Rect, Shape, Text
from telltale.core.features import envelope_band_hz
from telltale.core.findings import CANNOT_TELL, FAULTS, NO_FAULT_FOUND, SENSOR_FAULT, Diagnosis, Line
from telltale.core.plant import Machine
from telltale.core.plot import (
    GREY,
    INK,
    LEFT,
    MARGIN,
    NORMAL,
    RIGHT,
    ROW,
    SMALL,
    STRONG,
    WIDTH,
    Array,
    Axes,
    Mark,
    Panel,
    clear_of,
    drawn,
    on_white,
    short,
    trace,
    triangle,
)
from telltale.core.schema import FEATURES

HEIGHT = 1440
LARGE, MEDIUM = 34.0, 28.0  # font sizes of the verdict
GAP = 18.0
LEGEND = 30.0  # height of the last line
PALE = "#8c8c8c"
INDENT = 22.0  # of the verdict, behind its bar
REASON_LINES = 4

# The colour of the bar beside the verdict, of Okabe and Ito's palette; the words say the same.
FAULTY, CALM, OPEN, SENSOR = STRONG, "#009e73", "#555555", "#0072b2"
VERDICTS = {
    CANNOT_TELL: ("cannot tell what it is", OPEN),
    NO_FAULT_FOUND: ("no fault found", CALM),
    SENSOR_FAULT: ("sensor fault", SENSOR),
}

VELOCITY_TOP_HZ = 1000.0  # ISO 20816-1
SLOW_SHAFT_HZ, SLOW_FROM_HZ, FROM_HZ = 10.0, 2.0, 10.0  # ISO 20816-3: from 2 Hz where the shaft is below 600 r/min
HIGH_FREQUENCY = ("CAVITATION", "LUBRICATION")  # faults that are heard as noise, above the lines of the machine
HIGH_FROM_HZ = 1000.0
ORDERS_SHOWN = 10  # of the shaft: rotor faults show in the first ten (ISO 13373-3)
TURNS_SHOWN = 8  # of the shaft in the waveform: enough to count impacts and to see them swell and fade (a guess)
SECONDS_SHOWN = 0.25  # of it where no speed is known: 8 turns at 1920 r/min
SIDEBANDS_SHOWN = 6  # on either side of a gear mesh whose sidebands would run together otherwise (a guess)
DISTINCT_PX = 40.0  # from one sideband to the next, to be seen as lines and named
SHORTEST = 64  # samples below which no spectrum is drawn (a guess)
FEWEST = 8  # points that a spectrum has at least (a guess)
ENVELOPE_TOP_HZ = 500.0  # of its spectrum, where nothing is known of the machine (a guess)
ENVELOPE_TOP_BPFI = 2.1  # of its spectrum otherwise, at least: every fundamental and its first harmonic

# A line that was found is the calculated one this near to it. Bearings slip by 2 % and geometry is half a percent off;
# the shaft's own lines are as far off as its speed, which may be a nominal one (a guess).
MATCH = {"envelope": 0.025, "velocity": 0.01, "acceleration": 0.01}
CLEAR = 2.0  # times its floor that a line must reach to be drawn as support: in noise the strongest does (a guess)
NEGLIGIBLE = 0.1  # of the largest, below which a line supports nothing (a guess)

# The line that a defect of the bearing shows at.
NAMED = {
    "BEARING_OUTER_RACE": "BPFO",
    "BEARING_INNER_RACE": "BPFI",
    "BEARING_ROLLING_ELEMENT": "BSF",
    "BEARING_CAGE": "FTF",
}


def evidence(
    waveform: Waveform,
    *,
    diagnosis: Diagnosis,
    machine: Machine,
    title: str,
    trend: Sequence[tuple[float, float]] = (),
    limit: float | None = None,
    trend_label: str = "",
) -> Drawing:
    """The picture of one axis of a capture: WIDTH wide, and at most HEIGHT high.

    diagnosis : of the whole capture; its lines on this axis are marked.   title : position, sensor and time.
    trend : (time in ms since 1970, value) up to this capture; values that are not numbers are left out.
    limit : of the values, in their unit.   trend_label : the indicator, a column of core.schema.FEATURES or any words,
    with their unit in brackets: "temperature (°C)".
    What cannot be drawn (a record that is silent, too short or not finite, no trend) is said in its place.
    ValueError if the unit of the waveform is neither g nor m/s2, or its sampling rate is not a positive number.
    """
    record = _record(waveform, diagnosis.speed_hz)
    head, top = _head(diagnosis, title, _facts(record, diagnosis, machine))
    panels = (
        _waveform_panel(record, diagnosis, machine),
        _spectrum_panel(record, diagnosis, machine),
        _envelope_panel(record, diagnosis, machine),
        _trend_panel(trend, limit, trend_label),
    )
    body, end = drawn(panels, top=top, bottom=HEIGHT - MARGIN - LEGEND, gap=GAP)
    height = round(end + LEGEND + MARGIN)
    words = _described(diagnosis, [mark for panel in panels for mark in panel.marks])
    shapes = (*head, *body, *_legend(panels, height - MARGIN))
    return Drawing(WIDTH, height, shapes, drawing.one_line(title), words)


def deciding(waveforms: Sequence[Waveform], diagnosis: Diagnosis) -> Waveform:
    """The waveform whose picture shows the verdict best: of the axis of its finding, else the one that moves most.

    ValueError without any waveform.
    """
    axis = next((finding.axis for finding in diagnosis.findings if finding.fault == diagnosis.verdict), None)
    return max(waveforms, key=lambda waveform: (waveform.axis == axis, _spread(waveform)))


def _spread(waveform: Waveform) -> float:
    spread = float(np.std(waveform.samples)) * waveform.scale if len(waveform.samples) else 0.0
    return spread if isfinite(spread) else 0.0


@dataclass(frozen=True, eq=False)
class _Record:
    """One axis in g, without its mean. `problem` : why no spectrum can be drawn of it; empty where one can."""

    axis: str
    x: Array
    fs_hz: float
    speed_hz: float | None
    problem: str

    @property
    def seconds(self) -> float:
        return len(self.x) / self.fs_hz


def _record(waveform: Waveform, speed_hz: float | None) -> _Record:
    if not 0 < waveform.fs_hz < inf:
        raise ValueError(f"sampling rate {waveform.fs_hz} Hz, wanted a positive number")
    x = waveform.g()
    x = spectrum.centred(x) if len(x) else x
    speed = speed_hz if speed_hz is not None and 0 < speed_hz < inf else None
    return _Record(waveform.axis, x, waveform.fs_hz, speed, _problem(x))


def _problem(x: Array) -> str:
    if len(x) < SHORTEST:
        return f"the record has {len(x)} samples, wanted {SHORTEST} or more"
    if not np.isfinite(x).all():
        return "the record holds values that are not numbers"
    return "" if x.any() else "the record is silent: all its samples are the same"


# Words


def _verdict(verdict: str) -> tuple[str, str]:
    """Its words, and its colour."""
    if verdict in FAULTS:
        return FAULTS[verdict][0], FAULTY
    return VERDICTS.get(verdict, (verdict.replace("_", " ").lower(), OPEN))


def _capital(words: str) -> str:
    """With a capital, unless it begins with a sign or the name of an axis."""
    return words[:1].upper() + words[1:] if words[1:2].isalpha() else words


def _reason(reason: str) -> str:
    """As many of its clauses as there is room for, but at least one."""
    clauses = drawing.one_line(reason).split("; ")
    width = RIGHT - MARGIN - INDENT
    while len(clauses) > 1:
        rows = drawing.wrapped("; ".join(clauses), size=SMALL, width=width, lines=REASON_LINES + 1)
        if len(rows) <= REASON_LINES:
            break
        clauses.pop()
    return _capital("; ".join(clauses))


def _facts(record: _Record, diagnosis: Diagnosis, machine: Machine) -> str:
    direction = machine.directions.get(record.axis)
    axis = f"axis {record.axis}, {direction}" if direction else f"axis {record.axis}"
    length = f"{short(record.seconds)} s" if record.seconds >= 1 else f"{short(1000 * record.seconds)} ms"
    source = "" if diagnosis.speed_source == "unknown" else f", {diagnosis.speed_source}"
    speed = f"{60 * record.speed_hz:.0f} r/min{source}" if record.speed_hz else "speed not known"
    return f"{axis} · {length} at {record.fs_hz / 1000:.4g} kHz · {speed}"


def _described(diagnosis: Diagnosis, marks: Sequence[Mark]) -> str:
    """The picture in words, for those who hear it."""
    sure = _sure(diagnosis)
    words = _capital(_verdict(diagnosis.verdict)[0]) + (f", {sure}" if sure else "") + f". {_capital(diagnosis.reason)}"
    seen = ", ".join(f"{_name(mark)} at {mark.x:.1f} Hz" for mark in marks if mark.strong)
    return drawing.one_line(words.rstrip(".") + "." + (f" Marked: {seen}." if seen else ""))


def _sure(diagnosis: Diagnosis) -> str:
    """How sure; nothing where nothing is known."""
    known = isfinite(diagnosis.confidence) and diagnosis.confidence > 0
    return f"confidence {diagnosis.confidence:.0%}" if known else ""


def _head(diagnosis: Diagnosis, title: str, facts: str) -> tuple[list[Shape], float]:
    """What stands above the panels, and where it ends."""
    words, color = _verdict(diagnosis.verdict)
    what, begin = _paragraph(title, MARGIN, sizes=(NORMAL, SMALL), lines=2, bold=True)
    more, begin = _paragraph(facts, begin, sizes=(NORMAL, SMALL), lines=2, color=GREY)
    begin += 10
    name, y = _paragraph(_capital(words), begin, sizes=(LARGE, MEDIUM), lines=2, bold=True, indent=INDENT)
    trust, y = _paragraph(_sure(diagnosis), y, sizes=(NORMAL,), lines=1, bold=True, indent=INDENT)
    why, y = _paragraph(_reason(diagnosis.reason), y, sizes=(NORMAL, SMALL), lines=REASON_LINES, indent=INDENT)
    return [*what, *more, Rect(MARGIN, begin, 10, y - begin, fill=color), *name, *trust, *why], y + GAP


def _paragraph(
    text: str,
    top: float,
    *,
    sizes: tuple[float, ...],
    lines: int,
    bold: bool = False,
    color: str = INK,
    indent: float = 0.0,
) -> tuple[list[Text], float]:
    """The text in lines from `top` on, and where they end."""
    left = MARGIN + indent
    size, rows = drawing.fitted(text, sizes=sizes, width=RIGHT - left, lines=lines, bold=bold)
    step = 1.3 * size
    texts = [Text(left, top + n * step + size, row, size, color, bold=bold) for n, row in enumerate(rows)]
    return texts, top + len(rows) * step


def _legend(panels: Iterable[Panel], y: float) -> list[Shape]:
    """What the marks mean, where there are any."""
    strengths = {mark.strong for panel in panels for mark in panel.marks}
    x = LEFT
    shapes: list[Shape] = []
    if True in strengths:
        words = Text(x + 14, y, "supports the verdict", SMALL)
        shapes += [triangle(x, y), words]
        x = words.box[2] + 40
    if False in strengths:
        shapes += [Polyline(((x, y - 16), (x, y + 4)), GREY, 1.0, (4, 4))]
        shapes += [Text(x + 12, y, "where other faults would show", SMALL, GREY)]
    return shapes


# Marks


def _supporting(diagnosis: Diagnosis, axis: str, kind: str) -> list[Line]:
    """The lines of one kind of spectrum that the verdict rests on: of its finding, in this axis, clear of the noise.

    A finding also names lines that speak for it by being small: harmonics of an imbalance, a bearing's lines where it
    cavitates. These are left out.
    """
    if kind == "envelope" and not diagnosis.verdict.startswith("BEARING"):
        return []
    found = [
        line
        for finding in diagnosis.findings
        if finding.fault == diagnosis.verdict
        for line in finding.lines
        if (line.axis, line.spectrum) == (axis, kind) and line.amplitude > 0 and line.ratio >= CLEAR
    ]
    largest = max((line.amplitude for line in found), default=0.0)
    return [line for line in found if line.amplitude >= NEGLIGIBLE * largest]


def _emphasised(places: Sequence[Mark], lines: Sequence[Line]) -> tuple[Mark, ...]:
    """The calculated places; where a supporting line was found, it takes the place's name, and stands where it is."""
    marks = list(places)
    for line in lines:
        place = _place(marks, line)
        if place in marks:
            marks.remove(place)
        if not place.strong:
            label = f"{place.label}{_at(line.hz)}" if place.rank == 0 else place.label
            place = replace(place, x=line.hz, label=label, strong=True)
        marks.append(place)
    return tuple(marks)


def _place(marks: Sequence[Mark], line: Line) -> Mark:
    """The calculated place of a line: of its name, else the most important near it, else a new one."""
    reach = MATCH.get(line.spectrum, 0.0) * line.hz
    near = [mark for mark in marks if abs(mark.x - line.hz) <= reach]
    own = line.name.replace(" ", "")  # "2× mains" is our "2×mains"
    best = sorted(near, key=lambda mark: (mark.label.replace(" ", "") != own, mark.rank, abs(mark.x - line.hz)))
    return best[0] if best else Mark(line.hz, drawing.one_line(line.name))


def _at(hz: float) -> str:
    return f" {hz:.1f} Hz"


def _name(mark: Mark) -> str:
    """Without the frequency that the first line of a fault is shown with."""
    return mark.label.removesuffix(_at(mark.x))


def _inside(marks: Iterable[Mark], span: tuple[float, float]) -> tuple[Mark, ...]:
    return tuple(mark for mark in marks if span[0] < mark.x < span[1])


def _shaft_marks(speed_hz: float | None, machine: Machine) -> list[Mark]:
    """Where rotor, electrical and flow faults show, and the gear mesh."""
    marks = []
    if speed_hz:
        marks += [Mark(speed_hz, "1×", 0)]
        marks += [Mark(k * speed_hz, f"{k}×", 1 if k <= 3 else 3) for k in range(2, ORDERS_SHOWN + 1)]
        marks += [Mark(machine.blades * speed_hz, "blade pass", 2)] if machine.blades else []
        marks += [Mark(machine.teeth * speed_hz, "mesh", 2)] if machine.teeth else []
    if machine.line_hz:
        marks += [Mark(machine.line_hz, "mains", 3), Mark(2 * machine.line_hz, "2×mains", 2)]
    return marks


def _mesh_marks(speed_hz: float | None, machine: Machine) -> list[Mark]:
    """The gear mesh, its harmonics, and the sidebands around each."""
    if not (speed_hz and machine.teeth):
        return []
    marks = [Mark(k * machine.teeth * speed_hz, f"{k}×mesh".removeprefix("1×"), min(k - 1, 1)) for k in (1, 2, 3)]
    sides = {-2: "–2×", -1: "–1×", 1: "+1×", 2: "+2×"}
    return marks + [Mark(mark.x + k * speed_hz, name, 4) for mark in marks for k, name in sides.items()]


def _bearing_marks(record: _Record, diagnosis: Diagnosis, machine: Machine) -> list[Mark]:
    """Where defects of the bearing show: the harmonics of the one that is named, and the fundamentals of the others.

    A rolling element strikes both races in one turn of its own: 2×BSF is its first line as much as BSF.
    """
    speed = record.speed_hz
    shaft = [Mark(speed, "1×", 3)] if speed else []
    if not speed or machine.bearing is None:
        return shaft
    orders = fault_orders(machine.bearing)
    named = NAMED.get(diagnosis.verdict)
    marks = []
    for name, order in zip(("BPFO", "BPFI", "BSF", "FTF"), orders, strict=True):
        count = 2 if name == "BSF" else 1
        count = count if name != named else 3 * count
        strikes = 2 if name == "BSF" else 1
        marks += [
            Mark(k * order * speed, f"{k}×{name}".removeprefix("1×"), min(1, abs(k - strikes)) if name == named else 2)
            for k in range(1, count + 1)
        ]
    return shaft + marks + _bearing_sidebands(named, orders, speed)


def _bearing_sidebands(named: str | None, orders: FaultOrders, speed: float) -> list[Mark]:
    """A defect that turns passes the load once a turn: of the shaft on the inner race, of the cage on an element."""
    centre, spacing, of = {"BPFI": (orders.bpfi, 1.0, "1×"), "BSF": (2 * orders.bsf, orders.ftf, "FTF")}.get(
        named or "", (0.0, 0.0, "")
    )
    return [
        Mark((k * centre + sign * spacing) * speed, f"{'+' if sign > 0 else '–'}{of}", 4)
        for k in (1, 2, 3)
        for sign in (-1, 1)
        if centre
    ]


# Waveform


def _waveform_panel(record: _Record, diagnosis: Diagnosis, machine: Machine) -> Panel:
    """The whole of a short record; of a long one some turns around its highest peak, under the whole in small."""
    x = record.x
    if len(x) < 2 or not np.isfinite(x).all():
        return Panel("Waveform", missing=record.problem)
    peak = float(np.abs(x).max())
    factor, unit = _scaled("g", peak)
    level = f"RMS {short(factor * float(np.sqrt(np.mean(x * x))))} {unit}, peak {short(factor * peak)} {unit}"
    ms = np.arange(len(x)) * (1000 / record.fs_hz)
    highest = float(ms[np.argmax(np.abs(x))])
    shown = 1000 * (TURNS_SHOWN / record.speed_hz if record.speed_hz else SECONDS_SHOWN)
    long = ms[-1] > 1.5 * shown
    begin = min(max(highest - shown / 4, 0.0), float(ms[-1]) - shown) if long else 0.0
    span = (begin, begin + shown) if long else (0.0, float(ms[-1]))
    period = _period(record, diagnosis, machine)
    if period and (not peak or 1000 / period[1] > span[1] - span[0]):
        period = None

    def more(axes: Axes) -> list[Shape]:
        return [*(_overview(ms, x * factor, axes) if long else ()), *_measure(period, highest, axes)]

    note = f"{level} · {short(shown)} ms of {short(record.seconds)} s" if long else level
    rows = (2 if long else 0) + (1 if period else 0)
    return Panel(f"Waveform, {unit}", note, ms, x * factor, span, "ms", signed=True, rows=rows, more=more)


def _overview(ms: Array, x: Array, axes: Axes) -> list[Shape]:
    """The whole record in small, with a frame around the part that is shown."""
    left, top, right, _ = axes.box
    bottom = top - ROW - 10
    high = float(np.abs(x).max()) or 1.0
    small = Axes((left, bottom - 2 * ROW + 14, right, bottom), (0.0, float(ms[-1])), (-high, high))
    a, b = (small.at_x(edge) for edge in axes.x)
    b, upper, lower = max(b, a + 3), small.box[1] - 3, bottom + 3
    return [
        Polyline(trace(ms, x, small), PALE),
        Polyline(((a, lower), (left, top)), PALE),
        Polyline(((b, lower), (right, top)), PALE),
        Polyline(((a, upper), (b, upper), (b, lower), (a, lower), (a, upper)), INK, 2.0),
    ]


def _period(record: _Record, diagnosis: Diagnosis, machine: Machine) -> tuple[str, float] | None:
    """What to measure in the waveform, in Hz: the strikes of the defect that is named, else the turns of the shaft."""
    lines = _supporting(diagnosis, record.axis, "envelope")
    for mark in _emphasised(_bearing_marks(record, diagnosis, machine), lines):
        if mark.strong and mark.rank == 0:
            return f"1/{_name(mark)}", mark.x
    return ("1 turn", record.speed_hz) if record.speed_hz else None


def _measure(period: tuple[str, float] | None, from_ms: float, axes: Axes) -> list[Shape]:
    """One period, measured above the plot from the highest peak on, or up to it."""
    if period is None:
        return []
    left, top, right, _ = axes.box
    begin, end = axes.at_x(from_ms), axes.at_x(from_ms + 1000 / period[1])
    if end > right:
        begin, end = 2 * begin - end, begin
    words = f"{period[0]} = {short(1000 / period[1])} ms"
    wide = drawing.text_width(words, size=SMALL)
    at = end + 10 if end + 10 + wide <= right else begin - 10 - wide
    if begin < left or at < left or end - begin < 3:
        return []
    y = top - 11
    ends = [Polyline(((x, y - 7), (x, y + 7)), INK, 2.0) for x in (begin, end)]
    return [Polyline(((begin, y), (end, y)), INK, 2.0), *ends, *on_white(Text(at, y + 6, words, SMALL))]


# Spectrum


def _spectrum_panel(record: _Record, diagnosis: Diagnosis, machine: Machine) -> Panel:
    """Of velocity, in which rotor faults show alike at any speed; of acceleration where the verdict rests on it."""
    velocity, acceleration = (_supporting(diagnosis, record.axis, kind) for kind in ("velocity", "acceleration"))
    high = diagnosis.verdict in HIGH_FREQUENCY
    if record.problem:
        return Panel("Spectrum", missing=record.problem)
    if high or (acceleration and not velocity):
        return _acceleration_panel(record, machine, acceleration, high=high)
    return _velocity_panel(record, machine, velocity, gear=diagnosis.verdict == "GEAR_WEAR")


def _velocity_panel(record: _Record, machine: Machine, lines: Sequence[Line], *, gear: bool) -> Panel:
    places = _shaft_marks(record.speed_hz, machine)
    slow = record.speed_hz is not None and record.speed_hz < SLOW_SHAFT_HZ
    low = SLOW_FROM_HZ if slow else FROM_HZ
    wanted = [1.1 * mark.x for mark in places if mark.rank <= 2] + [1.1 * line.hz for line in lines]
    wanted += [(ORDERS_SHOWN + 0.5) * record.speed_hz if record.speed_hz else VELOCITY_TOP_HZ]
    top = min(max(wanted), VELOCITY_TOP_HZ, record.fs_hz / 2)
    begin = 0.0
    if gear and lines:
        begin, top = _around(lines, record.speed_hz, record.fs_hz / 2)
        places = _mesh_marks(record.speed_hz, machine)
    hz, peak = spectrum.amplitude(record.x, fs_hz=record.fs_hz)
    inside = (hz >= low) & (hz <= top)
    if np.count_nonzero(inside) < FEWEST:
        return Panel("Velocity spectrum", missing=_too_short(hz[1], top))
    velocity = peak[inside] / sqrt(2) * spectrum.MM_S2_PER_G / (2 * pi * hz[inside])
    return _spectral("Velocity spectrum", "mm/s", hz[inside], velocity, (begin, top), _emphasised(places, lines))


def _acceleration_panel(record: _Record, machine: Machine, lines: Sequence[Line], *, high: bool) -> Panel:
    hz, peak = spectrum.amplitude(record.x, fs_hz=record.fs_hz)
    nyquist = record.fs_hz / 2
    if high:
        span = (min(HIGH_FROM_HZ, nyquist / 2), nyquist)
        return _spectral("Acceleration spectrum", "g", hz, peak / sqrt(2), span, _emphasised((), lines))
    marks = _emphasised(_mesh_marks(record.speed_hz, machine), lines)
    return _spectral("Acceleration spectrum", "g", hz, peak / sqrt(2), _around(lines, record.speed_hz, nyquist), marks)


def _around(lines: Sequence[Line], speed_hz: float | None, nyquist: float) -> tuple[float, float]:
    """From 0 to above the highest line; but only around the strongest where its sidebands would run together."""
    top = min(1.2 * max(line.hz for line in lines), nyquist)
    if speed_hz is None or speed_hz * (RIGHT - LEFT) >= DISTINCT_PX * top:
        return 0.0, top
    centre, reach = max(lines, key=lambda line: line.amplitude).hz, SIDEBANDS_SHOWN * speed_hz
    return max(0.0, centre - reach), min(centre + reach, nyquist)


def _too_short(bin_hz: float, top_hz: float) -> str:
    return f"the record is too short: it tells lines apart by {bin_hz:.0f} Hz, of {top_hz:.0f} Hz to show"


def _spectral(
    name: str,
    unit: str,
    hz: Array,
    amplitude: Array,
    span: tuple[float, float],
    marks: Sequence[Mark],
    note: str = "",
) -> Panel:
    inside = amplitude[(hz >= span[0]) & (hz <= span[1])]
    factor, unit = _scaled(unit, float(inside.max()) if len(inside) else 0.0)
    per, sign = (1000.0, "kHz") if span[1] >= 10_000 else (1.0, "Hz")
    heading = f"{name}, {unit} RMS"
    return Panel(heading, note, hz, amplitude * factor, span, sign, per, weight=1.3, marks=_inside(marks, span))


# Envelope


def _envelope_panel(record: _Record, diagnosis: Diagnosis, machine: Machine) -> Panel:
    if record.problem:
        return Panel("Envelope spectrum", missing=record.problem)
    low, high = _band(record, diagnosis, machine)
    try:
        seen = envelope.spectrum(record.x, fs_hz=record.fs_hz, low_hz=low, high_hz=high)
    except ValueError:
        why = f"the record cannot show the band from {low / 1000:.3g} to {high / 1000:.3g} kHz"
        return Panel("Envelope spectrum", missing=why)
    lines = _supporting(diagnosis, record.axis, "envelope")
    places = _bearing_marks(record, diagnosis, machine)
    top = min(_envelope_top(places, lines, record, machine), float(seen.hz[-1]))
    if top < FEWEST * seen.lines.bin_hz:
        return Panel("Envelope spectrum", missing=_too_short(seen.lines.bin_hz, top))
    amplitude = np.where(np.arange(len(seen.hz)) < spectrum.LOWEST_BIN, 0.0, seen.amplitude)
    note = f"of the band {low / 1000:.3g}–{high / 1000:.3g} kHz"
    return _spectral("Envelope spectrum", "g", seen.hz, amplitude, (0.0, top), _emphasised(places, lines), note)


def _envelope_top(places: Sequence[Mark], lines: Sequence[Line], record: _Record, machine: Machine) -> float:
    wanted = [1.08 * mark.x for mark in places if mark.rank <= 1] + [1.08 * line.hz for line in lines]
    if machine.bearing is not None and record.speed_hz:
        wanted += [ENVELOPE_TOP_BPFI * fault_orders(machine.bearing).bpfi * record.speed_hz]
    return max(wanted, default=ORDERS_SHOWN * record.speed_hz if record.speed_hz else ENVELOPE_TOP_HZ)


def _band(record: _Record, diagnosis: Diagnosis, machine: Machine) -> tuple[float, float]:
    """The band of the envelope: the one diagnosed with, else the machine's own, else the default of its features."""
    chosen = diagnosis.bands_hz.get(record.axis) or machine.envelope_band_hz
    return chosen or envelope_band_hz(record.fs_hz)


# Trend


def _trend_panel(trend: Sequence[tuple[float, float]], limit: float | None, label: str) -> Panel:
    unit, name = _indicator(label)
    heading = f"Trend of {name}" if name else "Trend"
    points = sorted((float(t), float(v)) for t, v in trend if v is not None and isfinite(t) and isfinite(v))
    if len({t for t, _ in points}) < 2:
        only = f"; now {short(points[0][1])} {unit}".rstrip() if points else ""
        return Panel(heading, missing="no earlier values are known" + only)
    times, values = (np.asarray(column) for column in zip(*points, strict=True))
    border = limit if limit is not None and isfinite(limit) else None
    highest = max(float(np.abs(values).max()), abs(border or 0.0))
    factor, unit = _scaled(unit, highest)
    per, sign = _time_unit(float(times[-1] - times[0]))
    ago = (times - times[-1]) / per
    last, edge = float(values[-1]) * factor, None if border is None else border * factor
    now = f"now {short(last)}" + ("" if edge is None else f", limit {short(edge)}")
    curve = ago, values * factor
    return Panel(
        f"{heading}, {unit}" if unit else heading,
        now,
        *curve,
        (float(ago[0]), -0.02 * float(ago[0])),
        sign,
        signed=float(values.min()) < 0,
        reach=1.1 * highest * factor,
        more=lambda axes: [*_limit(edge, trace(*curve, axes), axes), _diamond(axes.at_x(0.0), axes.at_y(last))],
    )


def _limit(limit: float | None, curve: Sequence[Point], axes: Axes) -> list[Shape]:
    """The limit, and its name where it hides nothing of the curve."""
    if limit is None:
        return []
    left, _, right, _ = axes.box
    y = axes.at_y(limit)
    ends: tuple[tuple[float, Anchor], ...] = ((left + 8, "start"), ((left + right) / 2, "middle"), (right - 24, "end"))
    texts = (Text(x, level, "limit", SMALL, INK, anchor, bold=True) for level in (y - 8, y + 21) for x, anchor in ends)
    free = clear_of(curve, texts)
    line = Polyline(((left, y), (right, y)), STRONG, 2.0, (10, 5))
    return [line, *on_white(free)] if free else [line]


def _diamond(x: float, y: float) -> Polyline:
    return Polyline(((x, y - 7), (x + 7, y), (x, y + 7), (x - 7, y)), STRONG, 1.0, fill=STRONG)


def _indicator(label: str) -> tuple[str, str]:
    """Unit and name of the indicator: of its column, or from the brackets at the end of the words."""
    known = next((column for column in FEATURES if column.name == label), None)
    if known:
        return known.unit or "", label
    words = drawing.one_line(label)
    name, bracket, unit = words.rpartition("(")
    return (unit[:-1].strip(), name.strip()) if bracket and words.endswith(")") else ("", words)


def _time_unit(span_ms: float) -> tuple[float, str]:
    """The unit to tell this much time in: its length in ms, and its name."""
    units = ((86_400_000.0, "days"), (3_600_000.0, "h"), (60_000.0, "min"))
    return next(((ms, name) for ms, name in units if span_ms >= 3 * ms), (1000.0, "s"))


def _scaled(unit: str, largest: float) -> tuple[float, str]:
    """A thousandth of the unit where values are small, so that ticks are short; and the factor to it."""
    smaller = {"g": "mg", "mm/s": "µm/s"}.get(unit)
    return (1000.0, smaller) if smaller and 0 < largest < 0.01 else (1.0, unit)
