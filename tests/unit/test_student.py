"""Quantiles of Student's t, against scipy and against tables."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from telltale.core.student import MOST_DOF, upper_quantile


@settings(max_examples=20)
@given(st.lists(st.floats(1, MOST_DOF), min_size=1, max_size=5), st.floats(1e-9, 0.4))
def test_the_quantile_is_scipys(dof: list[float], tail: float) -> None:
    found = upper_quantile(np.array(dof), tail=tail)

    np.testing.assert_allclose(found, stats.t.isf(tail, dof), rtol=1e-8)


def test_the_table_of_a_textbook() -> None:
    found = upper_quantile(np.array([1.0, 10.0, 30.0]), tail=0.025)

    np.testing.assert_allclose(found, [12.706, 2.228, 2.042], rtol=1e-3)


def test_a_tail_must_be_one() -> None:
    with pytest.raises(ValueError):
        upper_quantile(np.array([3.0]), tail=0.5)
