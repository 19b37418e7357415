"""Quantiles of Student's t, for limits that were learned from few rows."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

HALVINGS = 80  # of the interval for ln t: to the last digit
FRACTIONS = 300  # terms of the continued fraction; it converges in O(sqrt(dof)), and dof above MOST_DOF is normal
MOST_DOF = 1e4  # beyond it the quantile differs from the normal one by less than a thousandth down to tails of 1e-8
LARGEST_LN_T = 690.0  # exp of more overflows when squared terms are formed in logarithms
TINY = 1e-300


def upper_quantile(dof: Array, *, tail: float) -> Array:
    """The t that a Student variable of `dof` degrees of freedom exceeds with probability `tail`.

    dof : any shape, above 0; above MOST_DOF it counts as MOST_DOF.   tail : 0 < tail < 0.5.   Returns the shape of dof.
    """
    if not 0 < tail < 0.5:
        raise ValueError(f"found a tail of {tail}, wanted one between 0 and 0.5")
    nu = np.minimum(np.asarray(dof, np.float64), MOST_DOF)
    low, high = np.full(nu.shape, -5.0), np.full(nu.shape, LARGEST_LN_T / 2)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        above = _tail(np.exp(middle), nu) > tail
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return np.exp((low + high) / 2)


def _tail(t: Array, nu: Array) -> Array:
    """P(T > t) = I(x; nu/2, 1/2) / 2 with x = nu / (nu + t²) (Abramowitz & Stegun 26.7.1)."""
    return _incomplete_beta(nu / (nu + t**2), t**2 / (nu + t**2), nu / 2) / 2


def _incomplete_beta(x: Array, rest: Array, a: Array) -> Array:
    """Regularised I(x; a, 1/2); `rest` is 1 - x without its rounding. Continued fraction 26.5.8 of the same book."""
    half = np.full(x.shape, 0.5)
    swap = x > (a + 1) / (a + 2.5)
    p, q = np.where(swap, half, a), np.where(swap, a, half)
    y, z = np.where(swap, rest, x), np.where(swap, x, rest)
    front = np.exp(p * np.log(np.maximum(y, TINY)) + q * np.log(np.maximum(z, TINY)) - _ln_beta(a)) / p
    value = front * _fraction(y, p, q)
    return np.where(swap, 1 - value, value)


def _fraction(x: Array, a: Array, b: Array) -> Array:
    """By Lentz's method: the numerators are those of 26.5.8."""
    c, d = np.ones(x.shape), 1 / _away(1 - (a + b) * x / (a + 1))
    value = d.copy()
    for m in range(1, FRACTIONS):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / _away(1 + term * d)
            c = _away(1 + term / c)
            step = c * d
            value = value * step
        if np.all(np.abs(step - 1) < 1e-14):
            break
    return value


def _away(x: Array) -> Array:
    return np.where(np.abs(x) < TINY, TINY, x)


def _ln_beta(a: Array) -> Array:
    """ln B(a, 1/2)."""
    return _ln_gamma(a) + np.log(np.pi) / 2 - _ln_gamma(a + 0.5)


def _ln_gamma(a: Array) -> Array:
    """Stirling's series (26: 6.1.41) after eight steps of the recurrence; a above 0."""
    shift = np.zeros(np.shape(a))
    for k in range(8):
        shift = shift + np.log(a + k)
    n = a + 8
    series = 1 / (12 * n) - 1 / (360 * n**3) + 1 / (1260 * n**5) - 1 / (1680 * n**7)
    return (n - 0.5) * np.log(n) - n + np.log(2 * np.pi) / 2 + series - shift
