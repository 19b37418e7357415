"""The evidence picture: what was seen in one axis of one capture, with the lines that decided it.

Four panels: the waveform, its spectrum, the spectrum of its envelope, the trend of the deciding indicator. A line that
supports the verdict is drawn thick, with a triangle over it and its name in bold; any other place where a fault would
show is thin, dashed and grey. So it reads without colour too: printed, or by those who see few colours.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from math import ceil, floor, inf, isfinite, log10, pi, sqrt
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from telltale.core import drawing, envelope, spectrum
from telltale.core.bearings import fault_orders
from telltale.core.capture import Waveform
from telltale.core.drawing import Box, Drawing, Polyline, Rect, Shape, Text
from telltale.core.findings import CANNOT_TELL, FAULTS, NO_FAULT_FOUND, SENSOR_FAULT, Diagnosis, Line
from telltale.core.plant import Machine
from telltale.core.schema import FEATURES

Array = NDArray[Any]

# The sheet: a phone held upright. Its smallest text is 18 of 720, 1.6 mm high on a phone that is 64 mm wide.
WIDTH, HEIGHT = 720, 1440
MARGIN = 20.0
LEFT, RIGHT = 92.0, WIDTH - MARGIN  # of every plot
SMALL, NORMAL, LARGE = 18.0, 20.0, 34.0
HEADING, LABEL_ROW, LABEL_ROWS, TICK_ROW, GAP = 30.0, 23.0, 2, 26.0, 16.0

# Okabe and Ito's palette, whose colours every kind of colour blindness can tell apart.
INK, CURVE, GREY, GRID = "#000000", "#222222", "#555555", "#dddddd"
STRONG, CALM, OPEN, SENSOR = "#d55e00", "#009e73", "#555555", "#0072b2"

VERDICTS = {
    CANNOT_TELL: ("cannot tell what it is", OPEN),
    NO_FAULT_FOUND: ("no fault found", CALM),
    SENSOR_FAULT: ("sensor fault", SENSOR),
}
VELOCITY_TOP_HZ = 1000.0  # ISO 20816-1
SLOW_SHAFT_HZ, SLOW_FROM_HZ, FROM_HZ = 10.0, 2.0, 10.0  # ISO 20816-3: from 2 Hz where the shaft is below 600 r/min
ORDERS_SHOWN = 10  # of the shaft: rotor faults show in the first ten (ISO 13373-3)
HARMONICS_SHOWN = 3  # of a bearing's lines; practice asks for two or three
TURNS_SHOWN = 8  # turns of the shaft in the waveform: enough to count impacts and to see them swell and fade (a guess)
SECONDS_SHOWN = 0.25  # of it where no speed is known: 8 turns at 1920 r/min
SHORTEST = 64  # samples below which a spectrum is not drawn (a guess)
MATCH = 0.025  # a line is the one that was calculated if it is this near: 2 % of slip and half a percent of geometry
ENVELOPE_TOP_OF_NYQUIST = 0.8  # anti-alias filters fall off above
ENVELOPE_BAND_HZ = (2000.0, 10000.0)  # where no other is known: above most machine tones, practice
SPREAD_HZ = 500.0  # of the envelope's spectrum, where nothing is known of the machine (a guess)
CLEAR = (
    2.0  # times its floor that a line must reach to be drawn as support: the strongest of noise alone does (a guess)
)
DISTINCT_PX = 9.0  # sidebands must be this far apart to be seen as lines

# The line that a defect of the bearing is named by.
NAMED = {
    "BEARING_OUTER_RACE": "BPFO",
    "BEARING_INNER_RACE": "BPFI",
    "BEARING_ROLLING_ELEMENT": "BSF",
    "BEARING_CAGE": "FTF",
}
# Faults that show where no line is: their spectrum is that of acceleration, to its end.
HIGH_FREQUENCY = ("CAVITATION", "LUBRICATION")


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
    """The picture of one axis of a capture, WIDTH × HEIGHT.

    diagnosis : of the whole capture; its lines on this axis are marked.   title : position, sensor and time.
    trend : (time in ms since 1970, value) in order of time, the last of them this capture; values that are not numbers
    are left out.   limit : in the unit of the values.   trend_label : the indicator, a column of core.schema.FEATURES
    or any words with their unit in brackets: "temperature (°C)".
    What cannot be drawn (a record that is silent, too short or not finite, no trend) is said in its place, and the
    other panels take its room.
    ValueError if the unit of the waveform is neither g nor m/s2, or its sampling rate is not a positive number.
    """
    record = _record(waveform, diagnosis.speed_hz)
    header, top = _header(diagnosis, title, _facts(waveform, record, diagnosis, machine))
    panels = [
        _waveform_panel(record, _period(diagnosis, machine, waveform.axis)),
        _spectrum_panel(record, diagnosis, machine),
        _envelope_panel(record, diagnosis, machine),
        _trend_panel(trend, limit, trend_label),
    ]
    boxes = _boxes(panels, top)
    shapes = [shape for panel, box in zip(panels, boxes, strict=True) for shape in _drawn(panel, box)]
    words = f"{_verdict(diagnosis)}. {drawing.one_line(diagnosis.reason)}"
    marked = [f"{mark.label} {mark.hz:.1f} Hz" for panel in panels for mark in panel.marks if mark.strong]
    seen = f" Marked: {', '.join(marked)}." if marked else ""
    return Drawing(WIDTH, HEIGHT, (*header, *shapes), drawing.one_line(title), words + seen)


def deciding(waveforms: Sequence[Waveform], diagnosis: Diagnosis) -> Waveform:
    """The waveform whose picture shows the verdict best: of the axis of its finding, else the one that moves most.

    ValueError without any waveform.
    """
    axis = next((finding.axis for finding in diagnosis.findings if finding.fault == diagnosis.verdict), None)
    return max(waveforms, key=lambda w: (w.axis == axis, _spread(w)))


def _spread(waveform: Waveform) -> float:
    spread = float(np.std(waveform.samples)) * waveform.scale if len(waveform.samples) else 0.0
    return spread if isfinite(spread) else 0.0


# The record


@dataclass(frozen=True, eq=False)
class _Record:
    """One axis in g, without its mean. `problem` : why no spectrum can be drawn; empty where one can."""

    axis: str
    x: Array
    fs_hz: float
    speed_hz: float | None
    problem: str


def _record(waveform: Waveform, speed_hz: float | None) -> _Record:
    factors = {"g": 1.0, "m/s2": 1 / spectrum.STANDARD_GRAVITY_M_S2}
    if waveform.unit not in factors:
        raise ValueError(f"waveform in {waveform.unit}, wanted g or m/s2")
    if not 0 < waveform.fs_hz < inf:
        raise ValueError(f"sampling rate {waveform.fs_hz} Hz, wanted a positive number")
    x = np.asarray(waveform.samples, np.float64) * (waveform.scale * factors[waveform.unit])
    x = spectrum.centred(x) if len(x) else x
    speed = speed_hz if speed_hz is not None and 0 < speed_hz < inf else None
    return _Record(waveform.axis, x, waveform.fs_hz, speed, _problem(x))


def _problem(x: Array) -> str:
    if len(x) < SHORTEST:
        return f"the record has {len(x)} samples, {SHORTEST} are needed"
    if not np.isfinite(x).all():
        return "the record holds values that are not numbers"
    return "" if x.any() else "the record is silent: every sample is the same"


# The head of the sheet


def _verdict(diagnosis: Diagnosis) -> str:
    words = _of_verdict(diagnosis.verdict)[0]
    sure = f", confidence {diagnosis.confidence:.0%}" if isfinite(diagnosis.confidence) else ""
    return words[:1].upper() + words[1:] + sure


def _of_verdict(verdict: str) -> tuple[str, str]:
    """Its words and its colour."""
    if verdict in FAULTS:
        return FAULTS[verdict][0], STRONG
    return VERDICTS.get(verdict, (verdict.replace("_", " ").lower(), OPEN))


def _facts(waveform: Waveform, record: _Record, diagnosis: Diagnosis, machine: Machine) -> str:
    direction = machine.directions.get(waveform.axis)
    axis = f"axis {waveform.axis}" + (f", {direction}" if direction else "")
    seconds = len(record.x) / record.fs_hz
    length = f"{seconds:.3g} s" if seconds >= 1 else f"{1000 * seconds:.3g} ms"
    speed = f"{60 * record.speed_hz:.0f} r/min, {diagnosis.speed_source}" if record.speed_hz else "speed not known"
    return f"{axis} · {length} at {record.fs_hz / 1000:.4g} kHz · {speed}"


def _header(diagnosis: Diagnosis, title: str, facts: str) -> tuple[list[Shape], float]:
    """What stands above the panels, and where it ends."""
    shapes: list[Shape] = []
    y = MARGIN
    for text, lines, bold in ((title, 2, True), (facts, 2, False)):
        size, rows = drawing.fitted(text, sizes=(NORMAL, SMALL), width=WIDTH - 2 * MARGIN, lines=lines, bold=bold)
        for row in rows:
            y += 1.3 * size
            shapes.append(Text(MARGIN, y - 0.3 * size, row, size, INK if bold else GREY, bold=bold))
    words, color = _of_verdict(diagnosis.verdict)
    inset, width = MARGIN + 22, WIDTH - 2 * MARGIN - 22
    first = y + 12
    y = first + 2
    size, rows = drawing.fitted(words[:1].upper() + words[1:], sizes=(LARGE, 30, 26), width=width, lines=2, bold=True)
    for row in rows:
        y += 1.2 * size
        shapes.append(Text(inset, y - 0.25 * size, row, size, INK, bold=True))
    if isfinite(diagnosis.confidence):
        y += 1.35 * NORMAL
        shapes.append(Text(inset, y - 0.3 * NORMAL, f"confidence {diagnosis.confidence:.0%}", NORMAL, INK, bold=True))
    size, rows = drawing.fitted(diagnosis.reason, sizes=(NORMAL, SMALL), width=width, lines=4)
    for row in rows:
        y += 1.3 * size
        shapes.append(Text(inset, y - 0.3 * size, row, size, INK))
    shapes.insert(0, Rect(MARGIN, first, 10, y + 4 - first, fill=color))
    return shapes, y + 4 + GAP


# Panels


class _Mark(NamedTuple):
    """A place in a spectrum where a fault would show. `rank` : the smaller, the sooner it is labelled."""

    hz: float
    label: str
    rank: int = 9
    strong: bool = False


@dataclass(frozen=True, eq=False)
class _Panel:
    """A plot before it has a place: curves in units of its axes.

    x, y : one curve.   unit_x, unit_y : what they are in.   span : of x that is shown.   zero : y begins at 0.
    more : adds shapes, given the finished axes.   missing : why there is nothing to draw.
    """

    heading: str
    note: str = ""
    x: Array = field(default_factory=lambda: np.empty(0))
    y: Array = field(default_factory=lambda: np.empty(0))
    unit_x: str = ""
    span: tuple[float, float] = (0.0, 1.0)
    rows: int = 0  # of labels above the plot
    weight: float = 1.0
    signed: bool = False
    reach: float = 0.0  # y that must be shown besides the curve
    marks: tuple[_Mark, ...] = ()
    more: Callable[["_Axes"], Iterable[Shape]] | None = None
    missing: str = ""


@dataclass(frozen=True)
class _Axes:
    """Where values are on the sheet."""

    box: Box
    x: tuple[float, float]
    y: tuple[float, float]

    def at_x(self, value: float) -> float:
        left, _, right, _ = self.box
        return left + (value - self.x[0]) / (self.x[1] - self.x[0]) * (right - left)

    def at_y(self, value: float) -> float:
        _, top, _, bottom = self.box
        return bottom - (value - self.y[0]) / (self.y[1] - self.y[0]) * (bottom - top)


def _boxes(panels: Sequence[_Panel], top: float) -> list[Box]:
    """The room of each panel, from its heading to its ticks; what is missing takes two lines."""
    words = HEADING + LABEL_ROW
    fixed = sum(words + GAP for panel in panels if panel.missing)
    weights = sum(panel.weight for panel in panels if not panel.missing)
    free = HEIGHT - MARGIN - top - fixed - GAP * sum(not panel.missing for panel in panels)
    boxes = []
    for panel in panels:
        high = words if panel.missing else free * panel.weight / weights
        boxes.append((LEFT, top, RIGHT, top + high))
        top += high + GAP
    return boxes


def _drawn(panel: _Panel, room: Box) -> list[Shape]:
    left, top, right, bottom = room
    heading = Text(MARGIN, top + 0.8 * NORMAL, panel.heading, NORMAL, INK, bold=True)
    if panel.missing:
        return [heading, *_sentence(panel.missing, top + HEADING + 0.6 * SMALL)]
    shapes: list[Shape] = [heading]
    if panel.note:
        begin = heading.box[2] + 12
        note = drawing.shortened(panel.note, size=SMALL, width=right - begin)
        shapes.append(Text(right, heading.y, note, SMALL, GREY, "end"))
    box = (left, top + HEADING + panel.rows * LABEL_ROW, right, bottom - TICK_ROW)
    axes, ticks = _axes(panel, box)
    shapes += ticks
    shapes += _mark_lines(panel, axes)
    shapes.append(Polyline(_trace(panel, axes), CURVE, 1.5))
    shapes += _strong_bars(panel, axes)
    shapes += _labels(panel.marks, axes)
    if panel.more:
        shapes += panel.more(axes)
    return shapes


def _sentence(text: str, y: float) -> list[Shape]:
    return [Text(MARGIN, y, drawing.shortened(text, size=SMALL, width=RIGHT - MARGIN), SMALL, GREY)]


# Axes


def nice_step(span: float, *, most: int) -> float:
    """The smallest of 1, 2, 5 times a power of ten that cuts `span` (above 0) into at most `most` steps."""
    least = span / most
    power = 10.0 ** floor(log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * (1 - 1e-9))


def nice_ticks(low: float, high: float, *, most: int) -> list[float]:
    """Round numbers in [low, high], at most `most` + 1 of them, evenly spaced."""
    step = nice_step(high - low, most=most)
    first, last = ceil(low / step - 1e-9), floor(high / step + 1e-9)
    return [k * step for k in range(first, last + 1)]


def tick_texts(ticks: Sequence[float]) -> list[str]:
    """The ticks as text, with as many decimals as their distance asks for."""
    step = ticks[1] - ticks[0] if len(ticks) > 1 else ticks[0] if ticks else 1.0
    largest = max((abs(tick) for tick in ticks), default=0.0)
    decimals = max(0, -floor(log10(abs(step)) + 1e-9)) if step else 0
    if largest >= 1e6 or decimals > 5:
        return [f"{tick:.2g}".replace("e+0", "e").replace("e-0", "e-") for tick in ticks]
    return [f"{tick:.{decimals}f}".replace("-", "–") for tick in ticks]


def _axes(panel: _Panel, box: Box) -> tuple[_Axes, list[Shape]]:
    left, top, right, bottom = box
    inside = panel.y[(panel.x >= panel.span[0]) & (panel.x <= panel.span[1])]
    largest = max(float(np.abs(inside).max()) if len(inside) else 0.0, panel.reach) or 1.0
    highest = 1.06 * largest
    axes = _Axes(box, panel.span, (-highest if panel.signed else 0.0, highest))
    shapes: list[Shape] = []
    ticks = nice_ticks(*axes.y, most=max(2, int((bottom - top) / 38)))
    for tick, text in zip(ticks, tick_texts(ticks), strict=True):
        y = axes.at_y(tick)
        shapes.append(Polyline(((left, y), (right, y)), GRID))
        shapes.append(Text(left - 8, y + 0.35 * SMALL, text, SMALL, INK, "end"))
    ticks = nice_ticks(*panel.span, most=6)
    texts = tick_texts(ticks)
    texts[-1] += f" {panel.unit_x}"
    end = 0.0
    for tick, text in zip(ticks, texts, strict=True):
        x = axes.at_x(tick)
        shapes.append(Polyline(((x, bottom), (x, bottom + 5)), INK))
        half = drawing.text_width(text, size=SMALL) / 2
        middle = min(x, WIDTH - 4 - half)
        if middle - half >= end:
            shapes.append(Text(middle, bottom + 22, text, SMALL, INK, "middle"))
            end = middle + half + 8
    shapes.append(Polyline(((left, top), (left, bottom), (right, bottom)), INK, 1.5))
    return axes, shapes


# Curves


def thinned(x: Array, y: Array, *, span: tuple[float, float], columns: int) -> tuple[Array, Array]:
    """The curve y(x), x rising, cut to `span` and thinned so that no peak is lost: of each of `columns` equal parts
    its lowest and its highest point, in the order they come. A curve of fewer points is kept as it is.
    """
    first, last = np.searchsorted(x, span[0], "left"), np.searchsorted(x, span[1], "right")
    x, y = x[first:last], y[first:last]
    if len(x) <= 2 * columns:
        return x, y
    column = np.minimum(((x - span[0]) / (span[1] - span[0]) * columns).astype(np.intp), columns - 1)
    starts = np.flatnonzero(np.diff(column, prepend=-1))
    order = np.lexsort((y, column))  # each part's points in order of height
    ends = np.append(starts[1:], len(x)) - 1
    kept = np.unique(np.concatenate([order[starts], order[ends]]))
    return x[kept], y[kept]


def _trace(panel: _Panel, axes: _Axes) -> tuple[drawing.Point, ...]:
    left, _, right, _ = axes.box
    x, y = thinned(panel.x, panel.y, span=panel.span, columns=int(right - left))
    return tuple((axes.at_x(a), axes.at_y(b)) for a, b in zip(x.tolist(), y.tolist(), strict=True))


# Marks


def _mark_lines(panel: _Panel, axes: _Axes) -> list[Shape]:
    """The thin ones, behind the curve."""
    _, top, _, bottom = axes.box
    return [
        Polyline(((axes.at_x(mark.hz), top), (axes.at_x(mark.hz), bottom)), GREY, 1.0, (4, 4))
        for mark in panel.marks
        if not mark.strong
    ]


def _strong_bars(panel: _Panel, axes: _Axes) -> list[Shape]:
    """For each line that supports the verdict its peak, drawn again and thick, under a triangle."""
    left, top, right, bottom = axes.box
    pixel = (panel.span[1] - panel.span[0]) / (right - left)
    shapes: list[Shape] = []
    for mark in (mark for mark in panel.marks if mark.strong):
        x = axes.at_x(mark.hz)
        reach = 1.5 * max(pixel, float(panel.x[1] - panel.x[0]))
        near = panel.y[(panel.x >= mark.hz - reach) & (panel.x <= mark.hz + reach)]
        peak = axes.at_y(float(near.max())) if len(near) else bottom
        tip = max(top + 10, peak - 4)
        shapes.append(Polyline(((x, bottom), (x, min(peak, bottom - 2))), STRONG, 4.0))
        shapes.append(Polyline(((x, tip), (x - 7, tip - 12), (x + 7, tip - 12)), STRONG, 1.0, fill=STRONG))
    return shapes


def _labels(marks: Sequence[_Mark], axes: _Axes) -> list[Shape]:
    """The names of the marks, above the plot: the important first, each where there is room, or not at all."""
    shapes: list[Shape] = []
    taken: list[Box] = []
    for mark in sorted(marks, key=lambda mark: (not mark.strong, mark.rank, mark.hz)):
        for text, leader in _places(mark, axes):
            if not any(_meet(own, box) for own in (text.box, leader) for box in taken):
                taken += [text.box, leader]
                shapes += [text, Polyline((leader[:2], (leader[0], leader[3])), GREY)]
                break
    return shapes


def _places(mark: _Mark, axes: _Axes) -> Iterable[tuple[Text, Box]]:
    """Where its name could stand, best first, each with the line that leads to it."""
    left, top, right, _ = axes.box
    x, half = axes.at_x(mark.hz), drawing.text_width(mark.label, size=SMALL, bold=mark.strong) / 2
    for shift in (0.0, -0.5, 0.5, -0.9, 0.9):
        for row in range(LABEL_ROWS):
            middle = min(max(x + shift * half, left + half), right - half)
            y = top - 9 - row * LABEL_ROW
            text = Text(middle, y, mark.label, SMALL, INK if mark.strong else GREY, "middle", mark.strong)
            yield text, (x, text.box[3], x, top)


def _meet(a: Box, b: Box) -> bool:
    """Whether two boxes, with a little air around them, overlap."""
    air = 3
    return a[0] - air < b[2] and b[0] - air < a[2] and a[1] < b[3] and b[1] < a[3]


def _in_span(marks: Iterable[_Mark], span: tuple[float, float]) -> tuple[_Mark, ...]:
    return tuple(mark for mark in marks if isfinite(mark.hz) and span[0] < mark.hz < span[1])


def _supporting(diagnosis: Diagnosis, axis: str, *spectra: str) -> list[Line]:
    """The lines that the verdict rests on: of its finding, in this axis, and clear of the noise."""
    return [
        line
        for finding in diagnosis.findings
        if finding.fault == diagnosis.verdict
        for line in finding.lines
        if line.axis == axis and line.spectrum in spectra and line.amplitude > 0 and line.ratio >= CLEAR
    ]


def _with_supporting(places: Sequence[_Mark], lines: Sequence[Line]) -> list[_Mark]:
    """The calculated places, those where a supporting line was found emphasised and moved to where it is."""
    marks = list(places)
    for line in lines:
        near = [mark for mark in marks if abs(mark.hz - line.hz) <= MATCH * line.hz]
        best = min(near, key=lambda mark: (mark.rank, abs(mark.hz - line.hz)), default=_Mark(line.hz, line.name, 1))
        if best in marks:
            marks.remove(best)
        label = best.label if best.strong or best.rank else f"{best.label} {line.hz:.1f} Hz"
        marks.append(best._replace(hz=line.hz, strong=True, label=label))
    return marks


# Waveform


def _waveform_panel(record: _Record, period: tuple[str, float] | None) -> _Panel:
    heading = "Waveform, g"
    x, fs_hz = record.x, record.fs_hz
    if len(x) < 2 or not np.isfinite(x).all():
        missing = record.problem or "the record is too short to be drawn"
        return _Panel(heading, missing=missing)
    ms = np.arange(len(x)) * (1000 / fs_hz)
    shown = TURNS_SHOWN / record.speed_hz if record.speed_hz else SECONDS_SHOWN
    highest = int(np.argmax(np.abs(x)))
    level = f"RMS {_short(float(np.sqrt(np.mean(x * x))))} g, peak {_short(float(np.abs(x).max()))} g"
    if len(x) <= 1.5 * shown * fs_hz:
        span = (0.0, float(ms[-1]))
        strip = None
    else:
        first = min(max(ms[highest] - 250 * shown, 0.0), ms[-1] - 1000 * shown)
        span = (float(first), float(first + 1000 * shown))
        level += f" · below: {_short(1000 * shown)} ms of {_short(len(x) / fs_hz)} s"
        strip = (ms, x)
    return _Panel(
        heading,
        level,
        ms,
        x,
        "ms",
        span,
        rows=2 if strip else 0,
        weight=1.2 if strip else 1.0,
        signed=True,
        more=lambda axes: [*_strip(strip, axes), *_bracket(period, float(ms[highest]), axes)],
    )


def _strip(whole: tuple[Array, Array] | None, axes: _Axes) -> list[Shape]:
    """The whole record, small, above the part that is shown."""
    if whole is None:
        return []
    ms, x = whole
    left, top, right, _ = axes.box
    box = (left, top - 2 * LABEL_ROW, right, top - 10)
    high = float(np.abs(x).max()) or 1.0
    small = _Axes(box, (0.0, float(ms[-1])), (-high, high))
    a, b = thinned(ms, x, span=small.x, columns=int(right - left) // 2)
    points = tuple((small.at_x(t), small.at_y(v)) for t, v in zip(a.tolist(), b.tolist(), strict=True))
    from_x, to_x = small.at_x(axes.x[0]), small.at_x(axes.x[1])
    to_x = max(to_x, from_x + 3)
    return [
        Polyline(points, "#8c8c8c"),
        Polyline(((from_x, box[1]), (to_x, box[1]), (to_x, box[3]), (from_x, box[3]), (from_x, box[1])), INK, 2.0),
        Polyline(((from_x, box[3]), (left, top)), GREY),
        Polyline(((to_x, box[3]), (right, top)), GREY),
    ]


def _period(diagnosis: Diagnosis, machine: Machine, axis: str) -> tuple[str, float] | None:
    """What to measure in the waveform, and its frequency: the strikes of a bearing's defect, or turns of the shaft."""
    for mark in _bearing_marks(diagnosis, machine):
        for line in _supporting(diagnosis, axis, "envelope"):
            if mark.rank == 0 and abs(mark.hz - line.hz) <= MATCH * line.hz:
                return f"1/{mark.label}", line.hz
    return ("1 turn", diagnosis.speed_hz) if diagnosis.speed_hz else None


def _bracket(period: tuple[str, float] | None, from_ms: float, axes: _Axes) -> list[Shape]:
    """A measure of one period, from the highest peak on."""
    if period is None:
        return []
    name, hz = period
    left, top, right, _ = axes.box
    begin, end = axes.at_x(from_ms), axes.at_x(from_ms + 1000 / hz)
    if end > right:
        begin, end = begin - (end - begin), begin
    if begin < left or end - begin < 5:
        return []
    text = f"{name} = {_short(1000 / hz)} ms"
    wide = drawing.text_width(text, size=SMALL)
    words = end + 8 if end + 8 + wide <= right else begin - 8 - wide
    if words < left:
        return []
    y = top + 11
    return [
        Rect(words - 3, y - 11, wide + 6, 22),
        Polyline(((begin, y), (end, y)), INK, 2.0),
        Polyline(((begin, y - 7), (begin, y + 7)), INK, 2.0),
        Polyline(((end, y - 7), (end, y + 7)), INK, 2.0),
        Text(words, y + 6, text, SMALL),
    ]


# Spectrum


def _spectrum_panel(record: _Record, diagnosis: Diagnosis, machine: Machine) -> _Panel:
    own = _supporting(diagnosis, record.axis, "acceleration")
    high = diagnosis.verdict in HIGH_FREQUENCY
    if high or (own and not _supporting(diagnosis, record.axis, "velocity")):
        return _acceleration_panel(record, diagnosis, machine, own, whole=high)
    return _velocity_panel(record, diagnosis, machine)


def _velocity_panel(record: _Record, diagnosis: Diagnosis, machine: Machine) -> _Panel:
    if record.problem:
        return _Panel("Velocity spectrum, mm/s RMS", missing=record.problem)
    lines = _supporting(diagnosis, record.axis, "velocity")
    places = _shaft_marks(record.speed_hz, machine)
    slow = record.speed_hz is not None and record.speed_hz < SLOW_SHAFT_HZ
    low = SLOW_FROM_HZ if slow else FROM_HZ
    wanted = [1.1 * mark.hz for mark in places if mark.rank < 3] + [1.1 * line.hz for line in lines]
    wanted += [(ORDERS_SHOWN + 0.5) * record.speed_hz] if record.speed_hz else [VELOCITY_TOP_HZ]
    top = min(max(wanted), VELOCITY_TOP_HZ, record.fs_hz / 2)
    hz, peak = spectrum.amplitude(record.x, fs_hz=record.fs_hz)
    inside = (hz >= low) & (hz <= top)
    velocity = peak[inside] / sqrt(2) * spectrum.MM_S2_PER_G / (2 * pi * hz[inside])
    if len(velocity) < 3:
        return _Panel("Velocity spectrum, mm/s RMS", missing=f"the record is too short for lines below {top:.0f} Hz")
    return _spectral("Velocity spectrum", "mm/s", hz[inside], velocity, (0.0, top), _with_supporting(places, lines))


def _acceleration_panel(
    record: _Record, diagnosis: Diagnosis, machine: Machine, lines: Sequence[Line], *, whole: bool
) -> _Panel:
    if record.problem:
        return _Panel("Acceleration spectrum, g RMS", missing=record.problem)
    hz, peak = spectrum.amplitude(record.x, fs_hz=record.fs_hz)
    places = [] if whole else _mesh_marks(record.speed_hz, machine)
    span = (0.0, record.fs_hz / 2) if whole else _around(lines, record)
    return _spectral("Acceleration spectrum", "g", hz, peak / sqrt(2), span, _with_supporting(places, lines))


def _around(lines: Sequence[Line], record: _Record) -> tuple[float, float]:
    """From 0 to above the highest line; only around the strongest where sidebands would run together otherwise."""
    top = min(1.2 * max(line.hz for line in lines), record.fs_hz / 2)
    if record.speed_hz is None or record.speed_hz * (RIGHT - LEFT) / top >= DISTINCT_PX:
        return 0.0, top
    centre = max(lines, key=lambda line: line.amplitude).hz
    reach = 6 * record.speed_hz
    return max(0.0, centre - reach), min(centre + reach, record.fs_hz / 2)


def _spectral(
    name: str, unit: str, hz: Array, amplitude: Array, span: tuple[float, float], marks: Sequence[_Mark], note: str = ""
) -> _Panel:
    inside = amplitude[(hz >= span[0]) & (hz <= span[1])]
    factor, unit = _scaled(unit, float(inside.max()) if len(inside) else 0.0)
    thousand = span[1] >= 10_000
    per = 1000.0 if thousand else 1.0
    return _Panel(
        f"{name}, {unit} RMS",
        note,
        hz / per,
        amplitude * factor,
        "kHz" if thousand else "Hz",
        (span[0] / per, span[1] / per),
        rows=LABEL_ROWS,
        weight=1.25,
        marks=tuple(mark._replace(hz=mark.hz / per) for mark in _in_span(marks, span)),
    )


def _shaft_marks(speed_hz: float | None, machine: Machine) -> list[_Mark]:
    """Where rotor, electrical and flow faults show, and the gear mesh."""
    marks = []
    if machine.line_hz:
        marks += [_Mark(machine.line_hz, "mains", 2), _Mark(2 * machine.line_hz, "2×mains", 1)]
    if speed_hz:
        marks += [_Mark(k * speed_hz, f"{k}×", 0 if k == 1 else 1 if k <= 3 else 3) for k in range(1, ORDERS_SHOWN + 1)]
        marks += [_Mark(machine.blades * speed_hz, f"{machine.blades}× blades", 1)] if machine.blades else []
        marks += [_Mark(machine.teeth * speed_hz, f"{machine.teeth}× mesh", 2)] if machine.teeth else []
    return marks


def _mesh_marks(speed_hz: float | None, machine: Machine) -> list[_Mark]:
    """The gear mesh, its harmonics, and the sidebands around each."""
    if not (speed_hz and machine.teeth):
        return []
    mesh = machine.teeth * speed_hz
    marks = [_Mark(k * mesh, "mesh" if k == 1 else f"{k}×mesh", 0 if k == 1 else 1) for k in (1, 2, 3)]
    for mark in tuple(marks):
        marks += [
            mark._replace(hz=mark.hz + s * speed_hz, label=f"{s:+d}×".replace("-", "–"), rank=4) for s in (-2, -1, 1, 2)
        ]
    return marks


# Envelope


def _envelope_panel(record: _Record, diagnosis: Diagnosis, machine: Machine) -> _Panel:
    heading = "Envelope spectrum, g RMS"
    if record.problem:
        return _Panel(heading, missing=record.problem)
    low, high = _band(record, diagnosis, machine)
    try:
        seen = envelope.spectrum(record.x, fs_hz=record.fs_hz, low_hz=low, high_hz=high, axis=record.axis)
    except ValueError:
        return _Panel(heading, missing=f"the record cannot show the band from {low:.0f} to {high:.0f} Hz")
    lines = _supporting(diagnosis, record.axis, "envelope")
    places = _bearing_marks(diagnosis, machine)
    wanted = [1.08 * mark.hz for mark in places if mark.rank <= 2] + [1.08 * line.hz for line in lines]
    wanted += [] if wanted else [ORDERS_SHOWN * record.speed_hz if record.speed_hz else SPREAD_HZ]
    top = min(max(wanted), float(seen.hz[-1]))
    amplitude = np.where(seen.hz < 2 * seen.lines.bin_hz, 0.0, seen.amplitude)  # the window's lobe of the mean
    note = f"of {low / 1000:.3g} to {high / 1000:.3g} kHz"
    marks = _with_supporting(places, lines)
    return _spectral("Envelope spectrum", "g", seen.hz, amplitude, (0.0, top), marks, note)


def _band(record: _Record, diagnosis: Diagnosis, machine: Machine) -> tuple[float, float]:
    """The band of the envelope: the one diagnosed with, else the machine's own, else what practice takes."""
    chosen = diagnosis.bands_hz.get(record.axis) or machine.envelope_band_hz
    if chosen:
        return chosen
    top = min(ENVELOPE_BAND_HZ[1], ENVELOPE_TOP_OF_NYQUIST * record.fs_hz / 2)
    return min(ENVELOPE_BAND_HZ[0], top / 2), top


def _bearing_marks(diagnosis: Diagnosis, machine: Machine) -> list[_Mark]:
    """Where defects of the bearing show: the harmonics of the one that is named, the fundamentals of the others."""
    speed = diagnosis.speed_hz
    if not speed or machine.bearing is None:
        return [_Mark(speed, "1×", 3)] if speed else []
    orders = fault_orders(machine.bearing)
    hz = {"BPFO": orders.bpfo, "BPFI": orders.bpfi, "BSF": orders.bsf, "FTF": orders.ftf}
    named = NAMED.get(diagnosis.verdict, "")
    marks = [_Mark(speed, "1×", 3)]
    for name, order in hz.items():
        marks.append(_Mark(order * speed, name, 0 if name == named else 2))
        if name == named or name == "BSF":
            count = HARMONICS_SHOWN + (name == "BSF")
            marks += [_Mark(k * order * speed, f"{k}×{name}", 1 if name == named else 2) for k in range(2, count + 1)]
    spacing = {"BPFI": speed, "BSF": orders.ftf * speed}.get(named)
    if spacing:
        for k in range(1, HARMONICS_SHOWN + 1):
            centre = k * hz[named] * speed
            marks += [_Mark(centre + s * spacing, "+" if s > 0 else "–", 5) for s in (-1, 1)]
    return marks


# Trend


def _trend_panel(trend: Sequence[tuple[float, float]], limit: float | None, label: str) -> _Panel:
    unit, name = _indicator(label)
    points = [(float(t), float(v)) for t, v in trend if v is not None and isfinite(t) and isfinite(v)]
    if not points:
        return _Panel(f"Trend of {name}" if name else "Trend", missing="no earlier values are known here")
    times, values = (np.asarray(column) for column in zip(*points, strict=True))
    per, unit_x = _time_unit(float(times[-1] - times[0]))
    ago = (times - times[-1]) / per
    border = limit if limit is not None and isfinite(limit) else None
    highest = max(float(np.abs(values).max()), abs(border or 0.0))
    factor, unit = _scaled(unit, highest)
    span = (float(ago[0]), 0.0) if ago[0] < 0 else (-1.0, 0.0)
    return _Panel(
        f"Trend of {name}, {unit}".rstrip(", ") if name else "Trend",
        "",
        ago,
        values * factor,
        unit_x,
        (span[0], span[1] - 0.02 * span[0]),
        reach=1.1 * highest * factor,
        signed=float(values.min()) < 0,
        more=lambda axes: _limit_and_last(
            axes, float(values[-1]) * factor, None if border is None else border * factor
        ),
    )


def _limit_and_last(axes: _Axes, last: float, limit: float | None) -> list[Shape]:
    left, _, right, _ = axes.box
    x, y = axes.at_x(0.0), axes.at_y(last)
    shapes: list[Shape] = []
    taken: Box | None = None
    if limit is not None:
        height = axes.at_y(limit)
        words = Text(left + 8, height - 7, f"limit {_short(limit)}", SMALL, INK, bold=True)
        taken = words.box
        shapes += [Polyline(((left, height), (right, height)), STRONG, 2.0, (10, 5)), *_on_white(words)]
    diamond = ((x, y - 7), (x + 7, y), (x, y + 7), (x - 7, y))
    shapes.append(Polyline(diamond, STRONG, 1.0, fill=STRONG))
    value = Text(x - 14, y + 6, _short(last), SMALL, INK, "end", bold=True)
    if taken is None or not _meet(value.box, taken):
        shapes += _on_white(value)
    return shapes


def _on_white(text: Text) -> list[Shape]:
    left, top, right, bottom = text.box
    return [Rect(left - 3, top, right - left + 6, bottom - top), text]


def _indicator(label: str) -> tuple[str, str]:
    """Unit and name of the indicator: from the schema for its columns, else from brackets at the end of the words."""
    known = next((column for column in FEATURES if column.name == label), None)
    if known:
        return known.unit or "", label
    words = drawing.one_line(label)
    if words.endswith(")") and "(" in words:
        name, _, unit = words[:-1].rpartition("(")
        return unit.strip(), name.strip()
    return "", words


def _time_unit(span_ms: float) -> tuple[float, str]:
    """The unit to tell this much time in: its length in ms, and its sign."""
    return next(
        (
            (ms, sign)
            for ms, sign in ((86_400_000.0, "days"), (3_600_000.0, "h"), (60_000.0, "min"))
            if span_ms > 3 * ms
        ),
        (1000.0, "s"),
    )


# Numbers


def _scaled(unit: str, largest: float) -> tuple[float, str]:
    """A thousandth of the unit where values are small, so that ticks are short."""
    smaller = {"g": "mg", "mm/s": "µm/s"}.get(unit)
    return (1000.0, smaller) if smaller and 0 < largest < 0.01 else (1.0, unit)


def _short(value: float) -> str:
    """Three digits, and no exponent where it can be avoided."""
    if value == 0 or not isfinite(value):
        return f"{value:g}"
    decimals = max(0, 2 - floor(log10(abs(value))))
    return f"{value:.{decimals}f}" if decimals <= 6 else f"{value:.2e}"
