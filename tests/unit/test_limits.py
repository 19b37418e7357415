"""Zones and limits: the traps that other implementations fell into, each a test."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from telltale.core.features import features
from telltale.core.limits import (
    PROFILES,
    Judgement,
    NotAssessable,
    UnknownProfile,
    Usual,
    judge_temperature,
    judge_velocity,
    profile,
    table,
)
from telltale.core.plant import Limits, Position

PAGE = Path(__file__).parents[2] / "docs" / "limits.md"
PUMP = Position("plant/hall/pump-1/motor-de", machine_class="iso10816-1/II")


def velocity(
    value: float | None, position: Position = PUMP, speed_rpm: float | None = 1480.0, usual: Usual | None = None
) -> Judgement:
    found = judge_velocity({"velocity_rms_mm_s": value}, position=position, speed_rpm=speed_rpm, usual=usual)
    assert isinstance(found, Judgement)
    return found


def why_not(axis: dict[str, float | None], position: Position = PUMP, speed_rpm: float | None = 1480.0) -> str:
    found = judge_velocity(axis, position=position, speed_rpm=speed_rpm)
    assert isinstance(found, NotAssessable)
    return found.reason


@pytest.mark.parametrize("name", PROFILES)
def test_every_profile_rises_from_zone_to_zone_and_says_where_it_is_from(name: str) -> None:
    one = PROFILES[name]

    assert one.id == name
    assert 0 < one.a_b < one.b_c < one.c_d
    assert one.standard.startswith("ISO ")
    assert one.source
    assert not one.verified  # until somebody compared it with the purchased text


def test_every_kind_of_machine_of_the_three_standards_has_its_profile() -> None:
    classes = {f"iso10816-1/{number}" for number in ("I", "II", "III", "IV")}
    groups = {f"iso20816-3/{group}-{support}" for group in (1, 2) for support in ("rigid", "flexible")}
    pumps = {f"iso10816-7/{category}-{power}" for category in ("I", "II") for power in ("le200kW", "gt200kW")}

    assert set(PROFILES) == classes | groups | pumps
    assert all(any(str(year) in one.standard for year in (1995, 2009, 2022)) for one in PROFILES.values())


def test_the_page_of_limits_lists_what_the_code_judges_by() -> None:
    page = PAGE.read_text()

    listed = [line for line in page.splitlines() if line.startswith("| `iso")]
    assert listed == ["| `" + row[0] + "` | " + " | ".join(row[1:-1]) + " |" for row in table()]
    assert all(row[-1] in page for row in table())  # where the figures were read


@pytest.mark.parametrize("name", PROFILES)
def test_a_value_on_a_boundary_is_in_the_worse_zone(name: str) -> None:
    one = PROFILES[name]

    assert [one.zone(limit) for limit in (0, one.a_b, one.b_c, one.c_d)] == ["A", "B", "C", "D"]
    assert [one.zone(limit * 0.999) for limit in (one.a_b, one.b_c, one.c_d)] == ["A", "B", "C"]


@pytest.mark.parametrize(
    ("name", "boundaries"),
    [
        ("iso10816-1/II", (1.12, 2.8, 7.1)),
        ("iso20816-3/2-rigid", (1.4, 2.8, 4.5)),  # printed with C/D 7.1 in some tables
        ("iso20816-3/1-flexible", (3.5, 7.1, 11.0)),  # printed with 11.2 in some tables
        ("iso10816-7/II-le200kW", (3.2, 5.1, 8.5)),  # pumps: not the figures of part 3
    ],
)
def test_the_boundaries_are_those_of_the_standard(name: str, boundaries: tuple[float, float, float]) -> None:
    one = profile(name)

    assert (one.a_b, one.b_c, one.c_d) == boundaries


@pytest.mark.parametrize(
    ("value", "verdict", "zone", "limit"),
    [(1.0, "HEALTHY", "A", 2.8), (2.79, "HEALTHY", "B", 2.8), (2.8, "WARNING", "C", 2.8), (7.1, "ALARM", "D", 7.1)],
)
def test_zones_a_and_b_are_healthy_c_warns_d_alarms(value: float, verdict: str, zone: str, limit: float) -> None:
    found = velocity(value)

    assert (found.verdict, found.zone, found.limit) == (verdict, zone, limit)
    assert "ISO 10816-1:1995 class II" in found.source


@given(st.floats(0.001, 100), st.sampled_from(sorted(PROFILES)))
def test_more_vibration_is_never_judged_better(value: float, name: str) -> None:
    position = Position("p/a/b/c", machine_class=name)
    order = ["HEALTHY", "WARNING", "ALARM"]

    assert order.index(velocity(value, position).verdict) <= order.index(velocity(value * 1.1, position).verdict)


def test_a_persons_limit_overrides_the_class_and_the_zone_it_would_be_is_still_reported() -> None:
    position = Position("p/a/b/c", machine_class="iso10816-1/II", limits=Limits(velocity_warning_mm_s=5.0))

    found = velocity(3.0, position)

    assert (found.verdict, found.source, found.zone) == ("HEALTHY", "user", "C")
    assert velocity(7.1, position).verdict == "ALARM"  # the class still decides what no person set


def test_a_persons_limit_does_not_hide_what_iso_would_say() -> None:
    position = Position("p/a/b/c", machine_class="iso10816-1/II", limits=Limits(velocity_warning_mm_s=5.0))

    found = velocity(3.0, position)

    assert found.iso_zone_would_be == "C"
    assert found.reason == (
        "3 mm/s, below the warning limit 5 (user), ISO 10816-1:1995 class II would give zone C, 4.1 below C/D"
    )
    assert found.detail()["iso_zone_would_be"] == "C"
    assert velocity(3.0).iso_zone_would_be is None  # ISO decided itself


def test_the_margin_to_the_next_boundary_is_told_beside_that_to_the_limit() -> None:
    found = velocity(1.0)

    assert (found.limit, found.zone) == (2.8, "A")
    assert found.detail()["next_boundary"] == "A/B"
    assert found.detail()["margin_to_next_boundary"] == pytest.approx(0.12)
    assert found.reason.endswith("zone A, 0.12 below A/B")
    assert "next_boundary" not in velocity(8.0).detail()  # nothing is worse than D


def test_a_case_says_that_nobody_compared_the_figures_with_the_standard() -> None:
    assert velocity(3.0).detail()["verified"] is False


# Once it is known what is usual


def steady(usual: float) -> Usual:
    return Usual(usual, usual * 1.1)


@pytest.mark.parametrize(
    ("usual", "warning"),
    [
        (0.8, 1.5),  # + 25 % of 2.8
        (2.0, 2.7),
        (2.7, 3.4),  # above B/C: it has always run there
        (3.0, 3.5),  # not above 1.25 times B/C
        (9.0, 3.5),
    ],
)
def test_the_warning_lies_a_quarter_of_b_c_above_what_is_usual(usual: float, warning: float) -> None:
    found = velocity(1.0, usual=steady(usual))

    assert found.warning == pytest.approx(warning)
    assert found.alarm == 7.1
    assert velocity(warning * 0.999, usual=steady(usual)).verdict == "HEALTHY"
    assert velocity(warning * 1.001, usual=steady(usual)).verdict == "WARNING"


def test_the_worked_example_of_the_literature() -> None:
    """Baseline 0.8, B/C 4.5: warning 1.925, trip 7.1."""
    position = Position("p/a/b/c", machine_class="iso20816-3/1-rigid")

    found = velocity(1.0, position, usual=steady(0.8))

    assert (found.warning, found.alarm) == pytest.approx((1.925, 7.1))


def test_the_reason_says_which_baseline_the_limit_is_from() -> None:
    found = velocity(1.6, usual=steady(0.8))

    assert found.source == "ISO 10816-1:1995 class II, baseline + 25 % of B/C"
    assert found.reason == (
        "1.6 mm/s, at or above the warning limit 1.5 (ISO 10816-1:1995 class II, baseline 0.8 + 25 % of B/C), zone B, "
        "1.2 below B/C; 0.8 more than the usual 0.8, a significant change: over 25 % of B/C"
    )


def test_a_machine_that_wanders_further_by_itself_is_not_warned_of_for_that_up_to_b_c() -> None:
    assert velocity(1.0, usual=Usual(0.8, 1.9)).warning == pytest.approx(1.9)
    assert velocity(1.0, usual=Usual(0.8, 30.0)).warning == 2.8
    assert velocity(1.0, usual=Usual(2.7, 30.0)).warning == pytest.approx(3.4)


@given(st.floats(0.001, 50), st.floats(1, 5), st.sampled_from(sorted(PROFILES)))
def test_whatever_is_usual_the_warning_is_isos_or_b_c_and_never_beyond_the_highest(
    usual: float, wander: float, name: str
) -> None:
    one = PROFILES[name]

    warning = one.warning(Usual(usual, usual * wander))

    assert min(usual + 0.25 * one.b_c, 1.25 * one.b_c) <= warning <= 1.25 * one.b_c
    assert warning < one.c_d


def test_what_is_usual_from_10_hz_says_nothing_of_a_slow_shaft() -> None:
    position = Position("p/a/b/c", machine_class="iso20816-3/2-rigid")
    axis = {"velocity_rms_mm_s": 0.1, "velocity_2_rms_mm_s": 2.0}

    found = judge_velocity(axis, position=position, speed_rpm=300, usual=steady(0.1))

    assert isinstance(found, Judgement)
    assert (found.verdict, found.limit) == ("HEALTHY", 2.8)


def test_a_significant_fall_is_told_and_warns_nobody() -> None:
    found = velocity(0.5, usual=steady(1.5))

    assert found.verdict == "HEALTHY"
    assert found.change == pytest.approx(-1.0)
    assert found.reason.endswith("1 less than the usual 1.5, a significant change: over 25 % of B/C")
    assert velocity(0.9, usual=steady(1.5)).change is None


def test_a_persons_limit_wins_over_the_baseline_too() -> None:
    position = Position("p/a/b/c", machine_class="iso10816-1/II", limits=Limits(velocity_warning_mm_s=5.0))

    assert velocity(4.9, position, usual=steady(0.8)).verdict == "HEALTHY"


def test_a_warning_set_above_the_classs_alarm_moves_the_alarm_with_it() -> None:
    position = Position("p/a/b/c", machine_class="iso10816-1/II", limits=Limits(velocity_warning_mm_s=9.0))

    assert [velocity(value, position).verdict for value in (8.9, 9.0)] == ["HEALTHY", "ALARM"]


def test_an_alarm_set_alone_is_the_only_limit() -> None:
    position = Position("p/a/b/c", limits=Limits(velocity_alarm_mm_s=4.0))

    assert [velocity(value, position).verdict for value in (3.9, 4.0)] == ["HEALTHY", "ALARM"]


def test_a_warning_set_alone_never_becomes_an_alarm() -> None:
    position = Position("p/a/b/c", limits=Limits(velocity_warning_mm_s=4.0))

    assert [velocity(value, position).verdict for value in (3.9, 4.0, 400.0)] == ["HEALTHY", "WARNING", "WARNING"]


def test_without_a_class_and_a_limit_there_is_no_guess() -> None:
    assert "no machine class" in why_not({"velocity_rms_mm_s": 9.0}, Position("p/a/b/c"))


@pytest.mark.parametrize("value", [None, float("nan"), float("inf")])
def test_a_missing_velocity_is_not_zero(value: float | None) -> None:
    assert "no velocity" in why_not({"velocity_rms_mm_s": value})


def test_a_slow_shaft_needs_the_band_from_2_hz() -> None:
    position = Position("p/a/b/c", machine_class="iso20816-3/2-rigid")
    axis: dict[str, float | None] = {"velocity_rms_mm_s": 0.1, "velocity_2_rms_mm_s": 3.0}

    found = judge_velocity(axis, position=position, speed_rpm=599)

    assert isinstance(found, Judgement)
    assert (found.feature, found.verdict) == ("velocity_2_rms_mm_s", "WARNING")
    assert "2 Hz" in why_not({"velocity_rms_mm_s": 0.1}, position, speed_rpm=599)
    assert velocity(0.1, position, speed_rpm=600).verdict == "HEALTHY"


def test_an_unknown_speed_matters_only_where_it_would_decide() -> None:
    position = Position("p/a/b/c", machine_class="iso20816-3/2-rigid")

    def judged(fast: float, slow: float, where: Position = position) -> str:
        axis = {"velocity_rms_mm_s": fast, "velocity_2_rms_mm_s": slow}
        found = judge_velocity(axis, position=where, speed_rpm=None)
        return found.verdict if isinstance(found, Judgement) else found.reason

    assert judged(1.0, 1.2) == "HEALTHY"
    assert judged(1.0, 3.0) == (
        "speed unknown: 1 mm/s from 10 Hz, zone A, but 3 mm/s from 2 Hz, zone C, "
        "which counts for shafts below 600 r/min"
    )
    assert judged(3.0, 6.0) == "WARNING"  # it warns either way
    assert judged(1.0, 3.0, PUMP) == "HEALTHY"  # that standard judges no slow shafts


@pytest.mark.parametrize(
    ("fs_hz", "n", "why"),
    [
        (1000.0, 1000, "sampling rate of 2000 Hz"),
        (26_667.0, 2000, "record of 0.1 s"),
    ],
)
def test_a_band_too_narrow_for_the_standard_says_whether_rate_or_length_is_to_blame(
    fs_hz: float, n: int, why: str
) -> None:
    found = features(np.random.default_rng(0).normal(0, 1, n), fs_hz=fs_hz, scale_g=0.01)
    axis = {name: float(value) if np.isfinite(value) else None for name, value in found.items()}

    assert why in why_not(axis)


def test_a_standard_that_ends_at_600_rpm_does_not_judge_below() -> None:
    axis: dict[str, float | None] = {"velocity_rms_mm_s": 9.0, "velocity_2_rms_mm_s": 9.0}

    assert "judges shafts from 600" in why_not(axis, speed_rpm=300)


def test_a_persons_limit_holds_on_a_slow_shaft_too_but_gives_no_zone() -> None:
    position = Position("p/a/b/c", machine_class="iso10816-1/II", limits=Limits(velocity_warning_mm_s=1.0))

    found = velocity(2.0, position, speed_rpm=300)

    assert (found.verdict, found.zone) == ("WARNING", None)


def test_an_unknown_class_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(UnknownProfile) as caught:
        profile("iso10816-3/III")

    assert "iso20816-3/2-rigid" in str(caught.value)


def test_temperature_is_judged_by_what_a_person_set() -> None:
    position = Position("p/a/b/c", limits=Limits(temperature_warning_c=70, temperature_alarm_c=85))

    found = [judge_temperature(value, position=position) for value in (69.9, 70, 85)]

    assert [one.verdict for one in found if isinstance(one, Judgement)] == ["HEALTHY", "WARNING", "ALARM"]
    assert isinstance(judge_temperature(200, position=PUMP), NotAssessable)
    assert isinstance(judge_temperature(None, position=position), NotAssessable)


@pytest.mark.parametrize("limit", [0.0, -5.0])
def test_a_limit_that_is_not_above_zero_gives_no_score(limit: float) -> None:
    position = Position("p/a/b/c", limits=Limits(temperature_warning_c=limit))

    assert isinstance(judge_temperature(10, position=position), NotAssessable)
