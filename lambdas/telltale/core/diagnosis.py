"""Name the fault of a machine from the waveforms of one capture, with what speaks for it and against it.

Measured first (`core.symptoms`), judged by a table of rules (`core.rules`), and said with a confidence that was
measured on simulated machines: docs/diagnosis.md. Nothing here was learned from recordings.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from telltale.core import rolling, spectrum
from telltale.core.bearings import fault_orders
from telltale.core.capture import Waveform
from telltale.core.features import axes_features
from telltale.core.findings import CANNOT_TELL, NO_FAULT_FOUND, Diagnosis, Finding, Line
from telltale.core.plant import Machine
from telltale.core.rules import RULES, Judged, Rule, judge
from telltale.core.symptoms import HALF_ORDERS, HARMONICS, SPEED_TOLERANCE, Axis, Symptoms, velocity_raised

Array = NDArray[np.float64]
Rows = Mapping[str, Mapping[str, float | None]]

# Score of a rule → how often the fault it named was the right one, on simulated machines: docs/diagnosis.md.
CALIBRATION = ((0.0, 0.3), (0.25, 0.5), (0.5, 0.8), (0.8, 0.95))
NAMED_FROM = 0.5  # confidence from which a fault is named: it is likelier than not


def diagnose(
    waveforms: Sequence[Waveform],
    *,
    machine: Machine,
    speed_hz: float | None,
    speed_source: str = "unknown",
    rows: Rows | None = None,
    normal: Mapping[str, Mapping[str, float]] | None = None,
    reference: Mapping[str, rolling.Reference] | None = None,
) -> Diagnosis:
    """What the waveforms of one capture say of the machine. Never modified.

    speed_hz, speed_source : of the shaft, and where it is from (measured or nominal); None: estimated, where it can be.
    rows : routine indicators by axis; None: computed here.   normal : axis → indicator → what is usual here.
    reference : axis → a healthy record of this machine.

    Without `normal` and `reference` absolute rules decide, which are cautious, and some faults stay untested.
    ValueError as `axes_features`.
    """
    if not waveforms:
        return Diagnosis(CANNOT_TELL, 0.0, "there is no waveform")
    moving = {waveform.axis: _g(waveform) for waveform in waveforms}
    if rows is None:
        measured = axes_features([(waveform, speed_hz, machine) for waveform in waveforms])
        rows = {waveform.axis: row for waveform, row in zip(waveforms, measured, strict=True)}
    speed = speed_hz if speed_hz else None
    axes = tuple(
        _axis(
            waveform,
            moving[waveform.axis],
            machine,
            speed,
            rows.get(waveform.axis, {}),
            (normal or {}).get(waveform.axis, {}),
            (reference or {}).get(waveform.axis),
        )
        for waveform in waveforms
        if len(waveform.samples) > 1 and np.isfinite(moving[waveform.axis]).all()
    )
    if not any(np.ptp(moving[axis.axis]) for axis in axes):
        return Diagnosis(CANNOT_TELL, 0.0, "nothing moves in any axis", speed_hz=speed, speed_source=speed_source)
    return _concluded(Symptoms(machine, speed, axes), speed_source if speed else "unknown")


def _g(waveform: Waveform) -> Array:
    per_count = waveform.scale / (spectrum.STANDARD_GRAVITY_M_S2 if waveform.unit == "m/s2" else 1.0)
    return np.asarray(waveform.samples, np.float64) * per_count


def _axis(
    waveform: Waveform,
    x: Array,
    machine: Machine,
    speed_hz: float | None,
    row: Mapping[str, float | None],
    normal: Mapping[str, float],
    reference: rolling.Reference | None,
) -> Axis:
    lines = spectrum.velocity_lines(x, fs_hz=waveform.fs_hz, axis=waveform.axis)
    seconds = len(x) / waveform.fs_hz
    return Axis(
        axis=waveform.axis,
        direction=machine.directions.get(waveform.axis, ""),
        seconds=seconds,
        velocity=lines,
        orders={} if speed_hz is None else _orders(lines, speed_hz),
        row=row,
        normal=normal,
        rolling=rolling.evidence(
            x,
            fs_hz=waveform.fs_hz,
            speed_hz=speed_hz,
            orders=None if machine.bearing is None else fault_orders(machine.bearing),
            reference=reference,
            axis=waveform.axis,
        ),
    )


def _orders(lines: spectrum.Lines, speed_hz: float) -> dict[float, Line]:
    """The lines of the shaft; none where it turns less than the record can show, no half ones where they blur."""
    resolved = 0.5 * speed_hz >= 3 * lines.bin_hz
    wanted = (*HARMONICS, *(HALF_ORDERS if resolved else ()))
    found = {
        order: lines.at(order * speed_hz, tolerance=SPEED_TOLERANCE, name=f"{order:g}×") for order in sorted(wanted)
    }
    if any(found[order] is None for order in (1, 2, 3)):
        return {}
    return {order: line for order, line in found.items() if line is not None}


# Conclusions


def _concluded(symptoms: Symptoms, speed_source: str) -> Diagnosis:
    findings, untested = [], {}
    for rule in RULES:
        judged = judge(rule, symptoms)
        if isinstance(judged, str):
            untested[rule.fault] = judged
        elif judged.score is not None and judged.score > 0:
            findings.append(_finding(rule, judged))
    findings.sort(key=lambda finding: -finding.confidence)
    verdict, confidence, reason = _verdict(symptoms, findings, untested)
    return Diagnosis(
        verdict,
        confidence,
        reason,
        findings=tuple(findings),
        untested=untested,
        speed_hz=symptoms.speed_hz,
        speed_source=speed_source,
        notes=symptoms.notes,
    )


def _finding(rule: Rule, judged: Judged) -> Finding:
    score = 0.0 if judged.score is None else judged.score
    scores, rights = zip(*CALIBRATION, strict=True)
    confidence = round(float(np.interp(score, scores, rights)), 2)
    against = (*judged.contradicts, *((rule.caution,) if rule.caution else ()))
    return Finding(rule.fault, judged.axis, confidence, judged.supports, against, judged.lines)


def _verdict(symptoms: Symptoms, findings: Sequence[Finding], untested: Mapping[str, str]) -> tuple[str, float, str]:
    best = findings[0] if findings else None
    if best is not None and best.confidence >= NAMED_FROM:
        return best.fault, best.confidence, "; ".join(best.supports)
    abnormal = _abnormal(symptoms)
    if best is None and not abnormal:
        tested = 1 - len(untested) / len(RULES)
        return (
            NO_FAULT_FOUND,
            round(tested, 2),
            f"{len(RULES) - len(untested)} of {len(RULES)} faults looked for, none found",
        )
    if best is None:
        return CANNOT_TELL, 0.0, f"{'; '.join(abnormal)}; no fault that could be looked for explains it"
    return CANNOT_TELL, best.confidence, f"{best.fault} is likeliest and not likely enough: {'; '.join(best.supports)}"


def _abnormal(symptoms: Symptoms) -> tuple[str, ...]:
    """What is out of the ordinary, whatever the cause."""
    found = []
    for axis in symptoms.axes:
        velocity = velocity_raised(symptoms, axis)
        if not isinstance(velocity, str) and velocity.value >= 1:
            found.append(velocity.text)
        if axis.rolling is not None and axis.rolling.call not in (None, "N"):
            found.append(f"{axis.axis}: {axis.rolling.reason}")
    return tuple(found)
