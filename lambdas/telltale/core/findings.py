"""What a diagnosis says, as values: lines that were looked at, findings with evidence for and against, and the whole.

The fault names are those of ISO 13373-3 and of vibration practice; each maps to Monitron's failure mode, which a
technician may close the case with.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

# The fault, in words → Monitron's failure mode
FAULTS: Mapping[str, tuple[str, str]] = {
    "IMBALANCE": ("imbalance", "IMBALANCE"),
    "MISALIGNMENT": ("misalignment", "MISALIGNMENT"),
    "STRUCTURAL_LOOSENESS": ("structural looseness", "STRUCTURAL_LOOSENESS"),
    "ROTATING_LOOSENESS": ("rotating looseness", "ROTATING_LOOSENESS"),
    "BEARING_OUTER_RACE": ("bearing, outer race", "OTHER"),
    "BEARING_INNER_RACE": ("bearing, inner race", "OTHER"),
    "BEARING_ROLLING_ELEMENT": ("bearing, rolling element", "OTHER"),
    "BEARING_CAGE": ("bearing, cage", "OTHER"),
    "BEARING_NOT_LOCALISED": ("bearing, rolling element or not localised", "OTHER"),
    "GEAR_WEAR": ("gear wear", "OTHER"),
    "BLADE_PASS": ("blade or vane pass", "OTHER"),
    "CAVITATION": ("cavitation", "CAVITATION"),
    "RESONANCE": ("resonance", "RESONANCE"),
    "ELECTRICAL": ("electrical, 2× line frequency", "OTHER"),
    "LUBRICATION": ("lubrication", "LUBRICATION"),
}

CANNOT_TELL = "CANNOT_TELL"  # something is wrong, or may be, and the lines do not say what
NO_FAULT_FOUND = "NO_FAULT_FOUND"
SENSOR_FAULT = "SENSOR_FAULT"  # the sensor, not the machine
VERDICTS = (*FAULTS, CANNOT_TELL, NO_FAULT_FOUND, SENSOR_FAULT)

CLEAR_OF_NOISE = 4.0  # a line this far above the floor is one: 12 dB; noise alone reaches 3 (guess)


@dataclass(frozen=True)
class Line:
    """One line that was looked for. `amplitude` and `floor` (of the noise around it) in `unit`, RMS.

    spectrum : "velocity", "acceleration" or "envelope".   normal : what is usual for it here, None if not known.
    """

    name: str
    spectrum: str
    axis: str
    hz: float
    amplitude: float
    floor: float
    unit: str
    normal: float | None = None

    @property
    def ratio(self) -> float:
        """How far it stands above the noise; infinite over none."""
        return self.amplitude / self.floor if self.floor > 0 else float("inf")

    @property
    def clear(self) -> bool:
        """Whether it stands clear of the noise."""
        return self.ratio >= CLEAR_OF_NOISE


@dataclass(frozen=True)
class Finding:
    """One fault, how sure, and why: each text is a short sentence with its numbers, of `axis` unless it names another.

    lines : those that are as high as the fault makes them; none that supports it by being low, or contradicts it.
    confidence : 0 to 1. What it means is said, and measured, in docs/diagnosis.md.
    """

    fault: str
    axis: str
    confidence: float
    supports: tuple[str, ...]
    contradicts: tuple[str, ...] = ()
    lines: tuple[Line, ...] = ()


@dataclass(frozen=True)
class Diagnosis:
    """What the waveforms of one capture say.

    verdict : a fault of FAULTS, CANNOT_TELL, NO_FAULT_FOUND or SENSOR_FAULT; `reason` is the sentence for it.
    findings : every fault with any support, the most likely first.
    untested : fault → why it could not be looked for ("no bearing geometry is known").
    speed_source : measured, nominal, refined, estimated or unknown.
    speed_confidence : 0 to 1, where it was estimated.
    bands_hz : axis → the band whose envelope was taken.   kurtosis : axis → excess kurtosis of that band's envelope.
    The band is the most impulsive one; of the axis a bearing's verdict is from, the band where its lines were found.
    """

    verdict: str
    confidence: float
    reason: str
    findings: tuple[Finding, ...] = ()
    untested: Mapping[str, str] = field(default_factory=dict)
    speed_hz: float | None = None
    speed_source: str = "unknown"
    bands_hz: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    speed_confidence: float | None = None
    kurtosis: Mapping[str, float] = field(default_factory=dict)

    @property
    def fault(self) -> str | None:
        """The fault that is named; None where none is."""
        return self.verdict if self.verdict in FAULTS else None

    @property
    def failure_mode(self) -> str:
        """Monitron's failure mode for it, for those who close the case."""
        return FAULTS[self.verdict][1] if self.verdict in FAULTS else "UNDETERMINED"

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The diagnosis that `as_dict` told, also after JSON; other keys are left out."""
        known = {name: values[name] for name in (field.name for field in fields(cls)) if name in values}
        known["findings"] = tuple(_finding(finding) for finding in known.get("findings", ()))
        known["notes"] = tuple(known.get("notes", ()))
        known["bands_hz"] = {axis: (low, high) for axis, (low, high) in known.get("bands_hz", {}).items()}
        return cls(**known)


def _finding(values: Mapping[str, Any]) -> Finding:
    texts = {name: tuple(values[name]) for name in ("supports", "contradicts")}
    return Finding(**{**values, **texts, "lines": tuple(Line(**line) for line in values["lines"])})
