"""Units that historians write, and how one becomes another: value × factor + offset, in the SI unit of its kind."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

# Kinds of quantity, and the SI value of one of each unit. Exact, or of NIST SP 811 (2008): 1 in = 0.0254 m,
# 1 lb = 0.45359237 kg, 1 g = 9.80665 m/s², 1 US gallon = 231 in³, so 1 psi = 1 lb × 1 g / 1 in².
_INCH, _POUND, _GRAVITY = 0.0254, 0.45359237, 9.80665
_GALLON = 231 * _INCH**3
_FOOT_POUND = 12 * _INCH * _POUND * _GRAVITY
_KINDS: Mapping[str, Mapping[str, float]] = {
    "speed of a shaft": {
        **dict.fromkeys(("1/s", "Hz", "rps"), 1.0),
        **dict.fromkeys(("rpm", "r/min", "1/min", "U/min", "min-1"), 1 / 60),
        "rad/s": 1 / (2 * math.pi),
    },
    "velocity": {
        "m/s": 1.0,
        "cm/s": 1e-2,
        "mm/s": 1e-3,
        "in/s": _INCH,
        "ips": _INCH,
        "ft/s": 12 * _INCH,
        "km/h": 1 / 3.6,
    },
    "acceleration": {"m/s2": 1.0, "m/s²": 1.0, "mm/s2": 1e-3, "g": _GRAVITY, "mg": _GRAVITY * 1e-3, "in/s2": _INCH},
    "length": {
        "m": 1.0,
        "cm": 1e-2,
        "mm": 1e-3,
        "um": 1e-6,
        "µm": 1e-6,
        "in": _INCH,
        "mil": _INCH * 1e-3,
        "ft": 12 * _INCH,
    },
    "pressure": {
        **{"Pa": 1.0, "hPa": 1e2, "kPa": 1e3, "MPa": 1e6, "bar": 1e5, "mbar": 1e2, "atm": 101_325.0},
        **dict.fromkeys(("barg", "bar(g)", "bara", "bar(a)"), 1e5),  # of a difference: what is 0 is not converted
        **dict.fromkeys(("psi", "psig", "psia"), _POUND * _GRAVITY / _INCH**2),
    },
    "flow": {
        **dict.fromkeys(("m3/s", "m³/s"), 1.0),
        **dict.fromkeys(("m3/h", "m³/h"), 1 / 3600),
        **{"l/s": 1e-3, "l/min": 1e-3 / 60, "l/h": 1e-3 / 3600, "gpm": _GALLON / 60},
    },
    "mass flow": {"kg/s": 1.0, "kg/h": 1 / 3600, "t/h": 1 / 3.6, "lb/h": _POUND / 3600},
    "power": {"W": 1.0, "kW": 1e3, "MW": 1e6, "hp": 550 * _FOOT_POUND, "PS": 75 * _GRAVITY},
    "current": {"A": 1.0, "mA": 1e-3, "kA": 1e3},
    "voltage": {"V": 1.0, "mV": 1e-3, "kV": 1e3},
    "share": {"1": 1.0, "%": 0.01, "percent": 0.01, "ppm": 1e-6},
    "time": {"s": 1.0, "ms": 1e-3, "min": 60.0, "h": 3600.0},
    "force": {"N": 1.0, "kN": 1e3, "lbf": _POUND * _GRAVITY},
    "torque": {"Nm": 1.0, "kNm": 1e3, "lbf ft": _FOOT_POUND},
}
_CELSIUS, _FAHRENHEIT = (1.0, 273.15), (5 / 9, 459.67 * 5 / 9)  # kelvin = value × factor + offset
_KELVIN: Mapping[str, tuple[float, float]] = {
    "K": (1.0, 0.0),
    **dict.fromkeys(("degC", "°C", "C"), _CELSIUS),
    **dict.fromkeys(("degF", "°F", "F"), _FAHRENHEIT),
}
_ALL: Mapping[str, tuple[str, float, float]] = {
    name: (kind, factor, 0.0) for kind, names in _KINDS.items() for name, factor in names.items()
} | {name: ("temperature", factor, offset) for name, (factor, offset) in _KELVIN.items()}
_CASE_MATTERS = {"mw", "mv", "ma", "mpa"}  # a milliwatt is no megawatt
_LOWER = {name.lower(): name for name in _ALL if name.lower() not in _CASE_MATTERS}


@dataclass(frozen=True)
class Conversion:
    """New value = old value × factor + offset."""

    factor: float = 1.0
    offset: float = 0.0

    @property
    def changes(self) -> bool:
        return (self.factor, self.offset) != (1.0, 0.0)


SAME = Conversion()


def conversion(have: str, want: str) -> Conversion:
    """From one unit to another. ValueError for a unit that is not known, or another kind of quantity."""
    if have.strip() == want.strip():
        return SAME
    kind, factor, offset = _ALL[_name(have)]
    other, into, shift = _ALL[_name(want)]
    if kind != other:
        raise ValueError(f'found "{have}", a unit of {kind}, wanted one that becomes {want}, a unit of {other}')
    return Conversion(factor / into, (offset - shift) / into)


def is_known(unit: str) -> bool:
    return unit.strip() in _ALL or unit.strip().lower() in _LOWER


def _name(unit: str) -> str:
    if not is_known(unit):
        raise ValueError(f'found the unit "{unit}", wanted one of {", ".join(sorted(_ALL, key=str.lower))}')
    return unit.strip() if unit.strip() in _ALL else _LOWER[unit.strip().lower()]
