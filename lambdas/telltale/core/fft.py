"""The Fourier transforms of the signal core, along the last axis; single precision stays single.

They are pocketfft's (M. Reinecke), which numpy has too. SciPy compiles it so that it transforms several rows at once in
one vector register: four times faster on a stack of records. The rest of SciPy costs 100 MB and the time of its import,
so the one extension module is loaded by itself, from wherever SciPy's files lie; a Lambda layer holds that file of
SciPy and its licence. Without it the functions are numpy's: the same numbers but for rounding, only slower.
"""

from functools import lru_cache
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

FAST_PRIMES = (2, 3, 5, 7, 11)  # pocketfft has a pass of its own for each

_FORWARD, _BACKWARD = True, False
_PLAIN, _OVER_N = 0, 2  # pocketfft's codes: no factor, and 1 / n


def _load() -> Any:
    """SciPy's compiled pocketfft, without SciPy; None where it is not installed."""
    scipy = find_spec("scipy")  # finds it, and does not import it
    folders = scipy.submodule_search_locations if scipy is not None else None
    spec = PathFinder.find_spec("pypocketfft", [f"{folder}/fft/_pocketfft" for folder in folders or ()])
    if spec is None or spec.loader is None:
        return None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_pocketfft = _load()


def rfft(x: Array, *, out: Array | None = None) -> Array:
    """The spectrum of real records of shape (..., n), of shape (..., n // 2 + 1), into `out` if given.

    float32 gives complex64, float64 and integers give complex128. ValueError if n is 0.
    """
    x = _inexact(x)
    _check(x.shape[-1])
    if _pocketfft is None:
        return np.fft.rfft(x, axis=-1, out=out)
    return _pocketfft.r2c(x, (x.ndim - 1,), _FORWARD, _PLAIN, out)


def irfft(spectrum: Array, n: int) -> Array:
    """The real records of shape (..., n) that have these spectra, of shape (..., n // 2 + 1). ValueError otherwise."""
    spectrum = _complex(spectrum)
    _check(n)
    if spectrum.shape[-1] != n // 2 + 1:
        raise ValueError(f"a spectrum of {spectrum.shape[-1]} bins, wanted {n // 2 + 1} for {n} samples")
    if _pocketfft is None:
        return np.fft.irfft(spectrum, n, axis=-1)
    return _pocketfft.c2r(spectrum, (spectrum.ndim - 1,), n, _BACKWARD, _OVER_N)


def fft(x: Array, n: int | None = None, *, out: Array | None = None) -> Array:
    """The complex spectrum of records, cut or filled up with zeros to `n`; complex64 for single precision.

    It goes into `out` if given, which may be `x` where that is complex and has the length.
    """
    return _c2c(_complex(x), n, out, forward=_FORWARD)


def ifft(spectrum: Array, n: int | None = None, *, out: Array | None = None) -> Array:
    """The inverse of `fft`, with its factor 1 / n; the spectrum is cut or filled up with zeros to `n`."""
    return _c2c(_complex(spectrum), n, out, forward=_BACKWARD)


def squared(z: Array) -> Array:
    """The squared magnitude of complex values, of their shape and precision; without the root that `abs` takes."""
    return z.real**2 + z.imag**2


def band_bins(bin_hz: float, fs_hz: float, low_hz: float, high_hz: float) -> slice | None:
    """The bins in [low_hz, high_hz) of a spectrum whose bins are `bin_hz` apart; None if the band is not assessable.

    It is where the record holds one period of `low_hz`, and `high_hz` does not exceed half the rate.
    """
    rounding = 1e-9  # so that an edge that is a bin's frequency, but for rounding, is that bin
    if not low_hz < high_hz or bin_hz > low_hz * (1 + rounding) or high_hz > fs_hz / 2 * (1 + rounding):
        return None
    return slice(*(int(np.ceil(edge / bin_hz * (1 - rounding))) for edge in (low_hz, high_hz)))


@lru_cache(maxsize=256)
def fast_length(n: int) -> int:
    """The smallest length from `n` on whose prime factors are all among FAST_PRIMES; 1 for less than that."""
    length = max(1, n)
    while not is_fast(length):
        length += 1
    return length


def is_fast(n: int) -> bool:
    """Whether an FFT likes this length: it has no other prime factors than FAST_PRIMES."""
    for prime in FAST_PRIMES:
        while n % prime == 0:
            n //= prime
    return n == 1


def _c2c(x: Array, n: int | None, out: Array | None, *, forward: bool) -> Array:
    n = x.shape[-1] if n is None else n
    _check(n)
    if _pocketfft is None:
        found = np.fft.fft(x, n, axis=-1) if forward else np.fft.ifft(x, n, axis=-1)
        if out is not None:
            out[...] = found
        return found if out is None else out
    if n > x.shape[-1]:
        filled = np.zeros((*x.shape[:-1], n), x.dtype)
        filled[..., : x.shape[-1]] = x
        x, out = filled, filled if out is None else out
    return _pocketfft.c2c(x[..., :n], (x.ndim - 1,), forward, _PLAIN if forward else _OVER_N, out)


def _inexact(x: Array) -> Array:
    """float32 and float64 as they are, everything else as float64; in this machine's byte order."""
    return x.astype(np.float32 if x.dtype == np.float32 else np.float64, copy=False)


def _complex(x: Array) -> Array:
    single = x.dtype in (np.float32, np.complex64)
    return x.astype(np.complex64 if single else np.complex128, copy=False)


def _check(n: int) -> None:
    if n < 1:
        raise ValueError(f"{n} points to transform, wanted at least 1")
