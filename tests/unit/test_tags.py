"""Tables of tags: data quality as Lookout for Equipment graded it, off-time rules, resampling."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from telltale.core import tags

MINUTE_S = 60.0
RNG = np.random.default_rng(5)


def checks(column: list[float] | np.ndarray, *, every_s: float = MINUTE_S) -> set[str]:
    rows = np.asarray(column, np.float64)[:, None]
    [found] = tags.quality(np.arange(len(rows)) * every_s, rows, tags=["tag"])
    return {finding.check for finding in found.findings}


def test_a_lively_tag_with_a_long_history_is_graded_high() -> None:
    [found] = tags.quality(np.arange(5000) * MINUTE_S, RNG.normal(size=(5000, 1)), tags=["flow"])

    assert found == tags.Quality("flow", tags.HIGH, ())


@pytest.mark.parametrize(
    ("column", "check"),
    [
        (np.full(3000, np.nan), "no data"),
        (np.full(3000, 4.0), "constant"),
        (np.where(np.arange(3000) % 5 == 0, np.nan, RNG.normal(size=3000)), "missing"),
        (np.arange(3000) + RNG.normal(size=3000), "monotonic"),
        (RNG.integers(0, 3, 3000).astype(float), "categorical"),
        (RNG.normal(size=3000) + 20 * (np.arange(3000) // 500 % 2), "operating modes"),
        (np.where(np.arange(3000) // 300 == 4, 0.5, RNG.normal(size=3000)), "stuck"),
        (RNG.normal(size=200), "short"),
        (np.where(np.arange(3000) == 7, np.inf, RNG.normal(size=3000)), "not numbers"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_thing_that_is_wrong_is_found_alone(column: np.ndarray, check: str) -> None:
    assert checks(column) == {check}


def test_a_month_without_a_value_is_a_long_gap() -> None:
    column = RNG.normal(size=3000)
    column[1000:1050] = np.nan

    assert checks(column, every_s=tags.DAY_S) == {"long gap"}


def test_two_values_of_one_time_are_told() -> None:
    times_s = np.arange(3000) * MINUTE_S
    times_s[100] = times_s[99]

    [found] = tags.quality(times_s, RNG.normal(size=(3000, 1)), tags=["tag"])

    assert [finding.check for finding in found.findings] == ["duplicate times"]


def test_every_check_says_what_is_done_and_what_to_do() -> None:
    [found] = tags.quality(np.arange(9.0), np.full((9, 1), 4.0), tags=["valve"])

    assert found.grade == tags.LOW
    assert all(finding.found and finding.done and finding.advice for finding in found.findings)


@pytest.mark.parametrize(("text", "below"), [("pump speed<100", True), ("valve > -1e2", False)])
def test_an_off_rule_is_a_tag_a_sign_and_a_number(text: str, below: bool) -> None:
    assert tags.off_rule(text).below is below


@pytest.mark.parametrize("text", ["speed", "speed=3", "<3", "speed<fast"])
def test_anything_else_is_no_off_rule(text: str) -> None:
    with pytest.raises(ValueError):
        tags.off_rule(text)


def test_a_missing_value_leaves_the_machine_as_it_was() -> None:
    rule = tags.OffRule("speed", True, 100.0)

    found = tags.is_off(np.array([np.nan, 50, np.nan, 150, np.nan]), rule=rule)

    assert found.tolist() == [False, True, True, False, False]


@given(
    hnp.arrays(np.float64, (20, 2), elements=st.one_of(st.floats(-1e6, 1e6), st.just(np.nan))),
    st.lists(st.floats(0, 100), min_size=20, max_size=20),
    st.floats(0.5, 40),
)
def test_resampling_is_the_mean_of_each_interval(rows: np.ndarray, times: list[float], every_s: float) -> None:
    times_s = np.sort(times)

    ends, means = tags.resampled(times_s, rows, every_s=every_s)

    slots = np.floor(times_s / every_s)
    for end, mean in zip(ends, means, strict=True):
        inside = rows[slots == round(end / every_s) - 1]
        for tag in range(2):
            known = inside[np.isfinite(inside[:, tag]), tag]
            expected = known.mean() if known.size else np.nan
            np.testing.assert_allclose(mean[tag], expected, rtol=1e-9, atol=1e-6)
    assert len(ends) == len(set(slots))
    assert (ends > times_s[[np.flatnonzero(slots == slot)[-1] for slot in np.unique(slots)]] - 1e-9).all()
