"""The core's FFT: numpy's answers, in the input's precision, with SciPy's compiled pocketfft and without it."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from telltale.core import fft

Array = NDArray[Any]
LAMBDAS = Path(__file__).parents[2] / "lambdas"
EPS = {np.dtype(np.float32): 1e-6, np.dtype(np.float64): 1e-14}  # of the largest bin: rounding grows with log n


@pytest.fixture(params=["compiled by SciPy", "numpy alone"])
def either(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "numpy alone":
        monkeypatch.setattr(fft, "_pocketfft", None)


def noise(*shape: int, dtype: Any = np.float32) -> Array:
    return np.random.default_rng(5).normal(size=shape).astype(dtype)


def close(found: Array, wanted: Array, dtype: Any) -> None:
    assert found.shape == wanted.shape
    assert np.max(np.abs(found - wanted), initial=0) <= EPS[np.dtype(dtype)] * np.max(np.abs(wanted), initial=1)


def test_scipys_pocketfft_is_what_runs_here() -> None:
    assert fft._pocketfft is not None


def test_it_is_loaded_without_scipy() -> None:
    program = "import sys; from telltale.core import fft; print([m for m in sys.modules if m.split('.')[0] == 'scipy'])"

    done = subprocess.run([sys.executable, "-c", program], cwd=LAMBDAS, capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_it_gets_along_with_scipy_whichever_comes_first() -> None:
    first, second = "from telltale.core import fft", "import scipy.fft"
    for imports in (f"{first}; {second}", f"{second}; {first}"):
        program = f"import numpy as np; {imports}; x = np.ones((2, 8)); assert (scipy.fft.rfft(x) == fft.rfft(x)).all()"
        subprocess.run([sys.executable, "-c", program], cwd=LAMBDAS, capture_output=True, text=True, check=True)


@pytest.mark.usefixtures("either")
@pytest.mark.parametrize("n", [1, 2, 3, 16, 89, 1001, 4096])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_transform_is_numpys_in_the_precision_of_its_input(n: int, dtype: Any) -> None:
    x = noise(3, 2, n, dtype=dtype)
    z = (x + 1j * x[::-1]).astype(np.result_type(dtype, np.complex64))
    double = x.astype(float)

    close(fft.rfft(x), np.fft.rfft(double), dtype)
    close(fft.irfft(fft.rfft(x), n), double, dtype)
    close(fft.fft(z), np.fft.fft(z.astype(complex)), dtype)
    close(fft.ifft(z), np.fft.ifft(z.astype(complex)), dtype)
    assert fft.irfft(fft.rfft(x), n).dtype == dtype
    assert {fft.rfft(x).dtype, fft.fft(z).dtype, fft.ifft(z).dtype, fft.fft(x).dtype} == {z.dtype}


@pytest.mark.usefixtures("either")
@pytest.mark.parametrize("points", [5, 8, 12])
def test_a_complex_record_is_cut_or_filled_up_with_zeros(points: int) -> None:
    z = (noise(4, 8) + 1j).astype(np.complex64)

    close(fft.fft(z, points), np.fft.fft(z.astype(complex), points), np.float32)
    close(fft.ifft(z, points), np.fft.ifft(z.astype(complex), points), np.float32)


@pytest.mark.usefixtures("either")
@pytest.mark.parametrize("dtype", [np.int16, np.int64, ">f4", ">f8"])
def test_what_is_no_float_of_this_machine_is_computed_in_double_precision(dtype: Any) -> None:
    x = (100 * noise(2, 16)).astype(dtype)

    found = fft.rfft(x)

    assert found.dtype == np.complex128
    close(found, np.fft.rfft(x.astype(float)), np.float64)


@pytest.mark.usefixtures("either")
def test_inputs_are_left_alone_even_when_they_cannot_be_written() -> None:
    x, z = noise(3, 64), noise(3, 64).astype(np.complex64)
    before = x.copy(), z.copy()
    x.flags.writeable = z.flags.writeable = False

    fft.rfft(x), fft.fft(z), fft.ifft(z), fft.ifft(z, 100), fft.irfft(z, 127)

    np.testing.assert_array_equal(x, before[0])
    np.testing.assert_array_equal(z, before[1])


@pytest.mark.usefixtures("either")
def test_a_spectrum_goes_into_the_array_that_is_given() -> None:
    x, out = noise(6, 64), np.zeros((9, 33), np.complex64)

    fft.rfft(x, out=out[2:8])

    np.testing.assert_array_equal(out[2:8], fft.rfft(x))
    assert not out[:2].any()
    assert not out[8:].any()


@pytest.mark.usefixtures("either")
def test_a_complex_spectrum_may_take_the_place_of_its_record() -> None:
    z = noise(6, 64).astype(np.complex64)
    there, back = fft.fft(z), fft.ifft(z)

    np.testing.assert_array_equal(fft.fft(z.copy(), out=np.empty_like(z)), there)
    for transform, wanted in ((fft.fft, there), (fft.ifft, back)):
        place = z.copy()
        assert transform(place, out=place) is place
        np.testing.assert_array_equal(place, wanted)


@pytest.mark.usefixtures("either")
@pytest.mark.parametrize("rows", [0, 1, 3, 4, 5, 17])
def test_a_row_does_not_depend_on_how_many_are_beside_it(rows: int) -> None:
    x = noise(17, 4096)

    together = fft.rfft(x[:rows])

    for row, spectrum in zip(x, together, strict=False):
        np.testing.assert_array_equal(spectrum, fft.rfft(row))  # to the last bit


@pytest.mark.usefixtures("either")
@pytest.mark.parametrize("every", [1, 2, 3])
def test_rows_may_lie_apart_in_memory(every: int) -> None:
    x = noise(12, 256)[::every, ::every]

    close(fft.rfft(x), np.fft.rfft(x.astype(float)), np.float32)


@pytest.mark.usefixtures("either")
def test_nothing_cannot_be_transformed() -> None:
    empty = np.zeros((3, 0), np.float32)

    for transform in (fft.rfft, fft.fft, fft.ifft, lambda x: fft.irfft(x, 0)):
        with pytest.raises(ValueError):
            transform(empty)


@pytest.mark.usefixtures("either")
def test_a_spectrum_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="wanted 33"):
        fft.irfft(np.zeros((2, 30), np.complex64), 64)


@given(st.integers(-3, 5000))
@settings(max_examples=100, deadline=None)
def test_a_fast_length_is_the_next_product_of_small_primes(n: int) -> None:
    length = fft.fast_length(n)

    assert _fast(length)
    assert not any(_fast(between) for between in range(max(1, n), length))
    assert length >= max(1, n)


def _fast(n: int) -> bool:
    """Whether n divides a product of many small primes."""
    return (2 * 3 * 5 * 7 * 11) ** n.bit_length() % n == 0
