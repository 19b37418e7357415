"""Bearing geometry becomes the frequencies its defects strike at."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from telltale.core.bearings import CATALOGUE, fault_orders
from telltale.core.plant import Bearing


def test_a_6205_at_1800_rpm_strikes_where_the_textbook_says() -> None:
    bearing = CATALOGUE["6205-2RS"]

    hz = [order * 1800 / 60 for order in fault_orders(bearing)]

    assert hz == pytest.approx([107.54, 162.46, 70.70, 11.95], abs=0.01)


@pytest.mark.parametrize(
    ("name", "rpm", "published_hz"),
    [
        ("ZA-2115", 2000, (236.4, 296.9, 139.9, 14.8)),
        ("NICE", 1500, (81.1, 118.9, 63.9)),  # the cage frequency printed there is that of a turning outer ring
        ("6203-2RS", 60, (3.053, 4.947, 3.988 / 2, 0.382)),
    ],
)
def test_the_catalogue_agrees_with_the_frequencies_its_sources_publish(
    name: str, rpm: float, published_hz: tuple[float, ...]
) -> None:
    bearing = CATALOGUE[name]

    hz = [order * rpm / 60 for order in fault_orders(bearing)]

    assert hz[: len(published_hz)] == pytest.approx(published_hz, rel=0.005)


def test_the_catalogue_finds_each_bearing_by_its_own_name() -> None:
    assert all(bearing.name == name for name, bearing in CATALOGUE.items())


@given(
    elements=st.integers(3, 40),
    pitch=st.floats(5, 500),
    share=st.floats(0.02, 0.5),
    angle=st.floats(0, 60),
)
def test_races_share_the_passages_and_the_cage_carries_the_elements(
    elements: int, pitch: float, share: float, angle: float
) -> None:
    orders = fault_orders(Bearing(elements, share * pitch, pitch, angle))

    assert orders.bpfo + orders.bpfi == pytest.approx(elements)
    assert orders.bpfo == pytest.approx(elements * orders.ftf)
    assert 0 < orders.ftf <= 0.5


@pytest.mark.parametrize(
    "wrong",
    [{"elements": 0}, {"element_diameter_mm": 0.0}, {"element_diameter_mm": 40.0}, {"contact_angle_deg": 90.0}],
)
def test_an_impossible_geometry_is_refused(wrong: dict[str, float]) -> None:
    bearing = replace(CATALOGUE["6205-2RS"], **wrong)  # type: ignore[arg-type]  # one field at a time, by name

    with pytest.raises(ValueError):
        fault_orders(bearing)
