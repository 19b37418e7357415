"""Limits that hold from the first capture: ISO zones of vibration velocity, and what a person set.

A value on a boundary belongs to the worse zone. Severity is judged axis by axis, never on a vector sum.
A limit that a person set overrides the machine class; the zone that ISO would give is reported all the same.
Once it is known what is usual on an axis, its warning follows ISO's rule for it: the usual value and a quarter of B/C.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, isfinite
from typing import Any, NamedTuple

from telltale.core.plant import Position

SLOW_RPM = 600.0  # below it the shaft's own vibration lies under 10 Hz, outside the usual band (ISO 20816-3)
# ISO 20816-1, ISO 10816-3: a change of a quarter of B/C is significant, up or down, whatever the zone. The warning is
# to lie that far above the baseline, and not above 1.25 times B/C.
SIGNIFICANT = 0.25
HIGHEST_WARNING = 1.25  # of B/C
USER = "user"
BASELINE_RULE = "baseline + 25 % of B/C"
HIGHEST_RULE = "1.25 × B/C, for a baseline above B/C"
UNSTEADY_RULE = "its own spread above the baseline, B/C at most"
BOUNDARIES = ("A/B", "B/C", "C/D")
VELOCITY, SLOW_VELOCITY = "velocity_rms_mm_s", "velocity_2_rms_mm_s"

_CLASSES = "reprinted in the MMF VM25 and Monarch Examiner manuals"
_GROUPS = "reprinted in the Fluke 805 FC manual and in Beckhoff TF3600's documentation"
_PUMPS = "chart 'Vibration grades to ISO', and an open implementation after Europump's guideline of 2013"


@dataclass(frozen=True)
class Profile:
    """Zone boundaries of velocity RMS in mm/s, 10 to 1000 Hz, for one kind of machine.

    `slow_band` : the standard also judges shafts below 600 r/min, from 2 Hz.
    `verified` : somebody compared the figures with the purchased standard. `source` : where they were read.
    """

    id: str
    standard: str
    machines: str
    a_b: float
    b_c: float
    c_d: float
    source: str
    slow_band: bool
    verified: bool = False

    def zone(self, value_mm_s: float) -> str:
        """A newly commissioned, B unrestricted, C for a limited time, D damaging; the worse one on a boundary."""
        return "ABCD"[sum(value_mm_s >= boundary for boundary in self.boundaries)]

    @property
    def boundaries(self) -> tuple[float, float, float]:
        return self.a_b, self.b_c, self.c_d

    def next_boundary(self, value_mm_s: float) -> tuple[str, float] | None:
        """The first boundary above the value, by name; None in zone D."""
        ahead = [(name, one) for name, one in zip(BOUNDARIES, self.boundaries, strict=True) if value_mm_s < one]
        return ahead[0] if ahead else None

    def warning(self, usual: "Usual") -> float:
        """ISO's warning limit, in mm/s; where the machine goes further by itself, that, but not beyond B/C for it.

        ISO presumes a machine that runs steadily. Without the second half, load that wanders by a quarter opened a
        case on most simulated healthy machines within half a year.
        """
        rule = min(usual.value + SIGNIFICANT * self.b_c, HIGHEST_WARNING * self.b_c)
        return max(rule, min(usual.reach, self.b_c))


_TABLE = (
    # id, standard and edition, machines, A/B, B/C, C/D, source, judges below 600 r/min
    ("iso10816-1/I", "ISO 10816-1:1995 class I", "up to 15 kW", 0.71, 1.8, 4.5, _CLASSES, False),
    (
        "iso10816-1/II",
        "ISO 10816-1:1995 class II",
        "15 to 75 kW; up to 300 kW on special foundations",
        1.12,
        2.8,
        7.1,
        _CLASSES,
        False,
    ),
    ("iso10816-1/III", "ISO 10816-1:1995 class III", "large, on rigid foundations", 1.8, 4.5, 11.2, _CLASSES, False),
    ("iso10816-1/IV", "ISO 10816-1:1995 class IV", "large, on soft foundations", 2.8, 7.1, 18.0, _CLASSES, False),
    (
        "iso20816-3/1-rigid",
        "ISO 20816-3:2022 group 1, rigid",
        "300 kW to 50 MW, or shaft height from 315 mm; rigid support",
        2.3,
        4.5,
        7.1,
        _GROUPS,
        True,
    ),
    (
        "iso20816-3/1-flexible",
        "ISO 20816-3:2022 group 1, flexible",
        "300 kW to 50 MW, or shaft height from 315 mm; flexible support",
        3.5,
        7.1,
        11.0,
        _GROUPS,
        True,
    ),
    (
        "iso20816-3/2-rigid",
        "ISO 20816-3:2022 group 2, rigid",
        "15 to 300 kW, or shaft height 160 to 315 mm; rigid support",
        1.4,
        2.8,
        4.5,
        _GROUPS,
        True,
    ),
    (
        "iso20816-3/2-flexible",
        "ISO 20816-3:2022 group 2, flexible",
        "15 to 300 kW, or shaft height 160 to 315 mm; flexible support",
        2.3,
        4.5,
        7.1,
        _GROUPS,
        True,
    ),
    (
        "iso10816-7/I-le200kW",
        "ISO 10816-7:2009 category I, up to 200 kW",
        "pumps, critical or hazardous service",
        2.5,
        4.0,
        6.6,  # one reprint has 6.5
        _PUMPS,
        True,
    ),
    (
        "iso10816-7/I-gt200kW",
        "ISO 10816-7:2009 category I, above 200 kW",
        "pumps, critical or hazardous service",
        3.5,
        5.0,
        7.6,
        _PUMPS,
        True,
    ),
    (
        "iso10816-7/II-le200kW",
        "ISO 10816-7:2009 category II, up to 200 kW",
        "pumps, general service",
        3.2,
        5.1,
        8.5,
        _PUMPS,
        True,
    ),
    (
        "iso10816-7/II-gt200kW",
        "ISO 10816-7:2009 category II, above 200 kW",
        "pumps, general service",
        4.2,
        6.1,
        9.5,
        _PUMPS,
        True,
    ),
)

# Pumps were groups 3 and 4 of ISO 10816-3:1998; part 7 took them over in 2009, so those are not offered.
PROFILES: Mapping[str, Profile] = {row[0]: Profile(*row) for row in _TABLE}


class Usual(NamedTuple):
    """What is usual of the velocity here, and how far it goes by itself while nothing is wrong; mm/s."""

    value: float
    reach: float


class UnknownProfile(ValueError):
    """A machine class that is not on the list; the message names the list."""


def profile(machine_class: str) -> Profile:
    """The profile of that id. Raises UnknownProfile."""
    if machine_class not in PROFILES:
        raise UnknownProfile(f"machine class {machine_class!r} is not one of {', '.join(PROFILES)}")
    return PROFILES[machine_class]


@dataclass(frozen=True)
class NotAssessable:
    """Why no judgement is possible."""

    reason: str


@dataclass(frozen=True)
class Judgement:
    """A value against a warning and an alarm limit, all in `unit`. `alarm` is infinite where only a warning is set.

    iso : the profile of the machine class, where one is set and judges this value.   usual : what is usual here.
    """

    feature: str
    value: float
    unit: str
    warning: float
    alarm: float
    warning_source: str
    alarm_source: str
    iso: Profile | None = None
    usual: float | None = None

    @property
    def verdict(self) -> str:
        if self.value >= self.alarm:
            return "ALARM"
        return "WARNING" if self.value >= self.warning else "HEALTHY"

    @property
    def limit(self) -> float:
        """The limit that is reached, or else the first one ahead."""
        return self.alarm if self.verdict == "ALARM" else self.warning

    @property
    def source(self) -> str:
        return self.alarm_source if self.verdict == "ALARM" else self.warning_source

    @property
    def score(self) -> float:
        """Share of the warning limit; 1 is on it."""
        return self.value / self.warning

    @property
    def alarm_score(self) -> float:
        """The score at which it is an alarm; infinite if never."""
        return self.alarm / self.warning

    @property
    def zone(self) -> str | None:
        return self.iso.zone(self.value) if self.iso else None

    @property
    def iso_zone_would_be(self) -> str | None:
        """The zone that the machine class would give, where a person's limit decides instead."""
        return self.zone if self.source == USER else None

    @property
    def change(self) -> float | None:
        """How far the value is from what is usual here, if that is significant; negative: less."""
        if self.iso is None or self.usual is None:
            return None
        change = self.value - self.usual
        return change if abs(change) > SIGNIFICANT * self.iso.b_c else None

    @property
    def reason(self) -> str:
        verdict = self.verdict
        relation = "below" if verdict == "HEALTHY" else "at or above"
        alarm = verdict == "ALARM"
        kind, level = ("alarm", self.alarm) if alarm else ("warning", self.warning)
        source = self.alarm_source if alarm else self.warning_source
        if self.usual is not None:
            source = source.replace("baseline", f"baseline {self.usual:.3g}", 1)
        limit = f"{self.value:.3g} {self.unit}, {relation} the {kind} limit {level:.3g} ({source})"
        return limit + self._zone_in_words() + self._change_in_words()

    def detail(self) -> dict[str, Any]:
        """What else a case keeps of it."""
        ahead = self.iso.next_boundary(self.value) if self.iso else None
        known = {
            "iso_zone_would_be": self.iso_zone_would_be,
            "next_boundary": ahead and ahead[0],
            "margin_to_next_boundary": ahead and ahead[1] - self.value,
            "usual": self.usual,
            "significant_change": self.change,
            "standard": self.iso and self.iso.standard,
            "verified": self.iso and self.iso.verified,
        }
        return {name: value for name, value in known.items() if value is not None}

    def _zone_in_words(self) -> str:
        if self.iso is None:
            return ""
        would_be = f"{self.iso.standard} would give " if self.iso_zone_would_be else ""
        ahead = self.iso.next_boundary(self.value)
        margin = f", {ahead[1] - self.value:.2g} below {ahead[0]}" if ahead else ""
        return f", {would_be}zone {self.zone}{margin}"

    def _change_in_words(self) -> str:
        change = self.change
        if change is None or self.iso is None:
            return ""
        way = "more" if change > 0 else "less"
        return f"; {abs(change):.2g} {way} than the usual {self.usual:.3g}, a significant change: over 25 % of B/C"


def judge_velocity(
    axis: Mapping[str, float | None],
    *,
    position: Position,
    speed_rpm: float | None,
    usual: Usual | None = None,
) -> Judgement | NotAssessable:
    """Velocity RMS of one axis against the person's limits, or else its machine class.

    axis : that axis's indicators.   speed_rpm : measured or nominal, None where not known.
    usual : of the velocity from 10 Hz; with it the class's warning is ISO's "baseline and 25 % of B/C".
    Raises UnknownProfile for a machine class that is not on the list.
    """
    own = position.limits.velocity_warning_mm_s, position.limits.velocity_alarm_mm_s
    iso = profile(position.machine_class) if position.machine_class is not None else None
    if iso is None and own == (None, None):
        return NotAssessable("no machine class and no velocity limit is set for this position")
    feature = VELOCITY
    if speed_rpm is not None and speed_rpm < SLOW_RPM:
        if axis.get(SLOW_VELOCITY) is not None and (iso is None or iso.slow_band):
            feature = SLOW_VELOCITY
        elif own == (None, None):
            return NotAssessable(_why_not_slow(speed_rpm, iso))
        else:
            iso = None  # the person's limit is for what is measured; a zone would need the wider band
    value = axis.get(feature)
    if value is None or not isfinite(value):
        return NotAssessable(_why_no_velocity(axis))
    usual = usual if feature == VELOCITY else None
    found = _judge(feature, value, "mm/s", own, iso, usual)
    if isinstance(found, Judgement) and iso is not None and speed_rpm is None and own == (None, None):
        return _if_it_is_not_slow(found, iso, axis.get(SLOW_VELOCITY))
    return found


def _zones(iso: Profile, usual: Usual | None) -> tuple[float, float, str, str]:
    """Warning and alarm of a class, and where each is from."""
    alarm = f"{iso.standard}, C/D"
    if usual is None:
        return iso.b_c, iso.c_d, f"{iso.standard}, B/C", alarm
    warning = iso.warning(usual)
    if warning == HIGHEST_WARNING * iso.b_c:
        rule = HIGHEST_RULE
    else:
        rule = BASELINE_RULE if warning == usual.value + SIGNIFICANT * iso.b_c else UNSTEADY_RULE
    return warning, iso.c_d, f"{iso.standard}, {rule}", alarm


def _if_it_is_not_slow(found: Judgement, iso: Profile, slow_mm_s: float | None) -> Judgement | NotAssessable:
    """The judgement, unless the speed, which nobody knows, would decide it."""
    if not iso.slow_band or slow_mm_s is None or not found.value < found.warning <= slow_mm_s:
        return found
    return NotAssessable(
        f"speed unknown: {found.value:.3g} mm/s from 10 Hz, zone {iso.zone(found.value)}, but {slow_mm_s:.3g} mm/s "
        f"from 2 Hz, zone {iso.zone(slow_mm_s)}, which counts for shafts below {SLOW_RPM:.0f} r/min"
    )


def judge_temperature(value_c: float | None, *, position: Position) -> Judgement | NotAssessable:
    """Surface temperature against the limits that a person set."""
    own = position.limits.temperature_warning_c, position.limits.temperature_alarm_c
    if own == (None, None):
        return NotAssessable("no temperature limit is set for this position")
    if value_c is None or not isfinite(value_c):
        return NotAssessable("no temperature in this capture")
    return _judge("temperature_c", value_c, "°C", own)


def _why_not_slow(speed_rpm: float, iso: Profile | None) -> str:
    if iso is not None and not iso.slow_band:
        return f"{speed_rpm:.0f} r/min: {iso.standard} judges shafts from {SLOW_RPM:.0f} r/min"
    return f"{speed_rpm:.0f} r/min: below {SLOW_RPM:.0f} r/min velocity from 2 Hz is needed, and not in this capture"


def _why_no_velocity(axis: Mapping[str, float | None]) -> str:
    """A record that has a level and no velocity was too short or too slowly sampled: its bands tell which."""
    if axis.get("rms_g") is None:
        return "no velocity RMS in this capture"
    short, narrow = axis.get("band_10_50_g") is None, axis.get("band_500_1000_g") is None
    if narrow:
        return "band too narrow: velocity from 10 to 1000 Hz needs a sampling rate of 2000 Hz or more"
    if short:
        return "band too narrow: velocity from 10 Hz needs a record of 0.1 s or more"
    return "no velocity RMS in this capture"


def table() -> list[tuple[str, ...]]:
    """Every profile as docs/limits.md lists it: id, standard, machines, A/B, B/C, C/D, from 2 Hz, verified, source."""
    return [
        (
            one.id,
            one.standard,
            one.machines,
            *(f"{boundary:g}" for boundary in one.boundaries),
            "yes" if one.slow_band else "no",
            "yes" if one.verified else "no",
            one.source,
        )
        for one in PROFILES.values()
    ]


def _judge(
    feature: str,
    value: float,
    unit: str,
    own: tuple[float | None, float | None],
    iso: Profile | None = None,
    usual: Usual | None = None,
) -> Judgement | NotAssessable:
    warning, alarm, warning_source, alarm_source = _zones(iso, usual) if iso else (inf, inf, USER, USER)
    if own[0] is not None:
        warning, warning_source = own[0], USER
    if own[1] is not None:
        alarm, alarm_source = own[1], USER
    if own[1] is not None:  # an alarm set alone, or below the class's warning, has nothing before it
        warning, warning_source = min((warning, warning_source), (alarm, alarm_source))
    if warning <= 0:
        return NotAssessable(f"a limit of {warning:g} {unit}: wanted above 0, for a score is a share of it")
    alarm = max(alarm, warning)  # a warning set above the class's alarm: what reaches it is past both
    sources = warning_source, alarm_source
    return Judgement(feature, value, unit, warning, alarm, *sources, iso=iso, usual=usual.value if usual else None)
