"""Units become each other by factors that are known."""

import pytest
from cli.units import conversion


@pytest.mark.parametrize(
    ("value", "have", "want", "wanted"),
    [
        (212.0, "degF", "degC", 100.0),
        (0.0, "°C", "K", 273.15),
        (1.0, "in/s", "mm/s", 25.4),
        (25.0, "Hz", "rpm", 1500.0),
        (14.503773773, "psi", "bar", 1.0),
        (1.0, "gpm", "l/min", 3.785411784),
        (1.0, "hp", "W", 745.69987158227),
        (1.0, "MW", "kW", 1000.0),
        (3.6, "M3/H", "l/s", 1.0),
        (1.0, "g", "m/s2", 9.80665),
    ],
)
def test_a_value_in_another_unit(value: float, have: str, want: str, wanted: float) -> None:
    found = conversion(have, want)

    assert value * found.factor + found.offset == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize(
    ("have", "want", "says"), [("bar", "l/s", "a unit of flow"), ("furlong", "m", "wanted one of"), ("mW", "kW", "mW")]
)
def test_what_cannot_be_converted_is_said(have: str, want: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        conversion(have, want)
