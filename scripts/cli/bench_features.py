"""Measure the signal core and the extract function, as ratios to numpy's FFT in the same run on one core.

rfft_ratio           the routine set of 100 captures x 3 axes x 4096 samples / numpy's float32 rfft of the same array
rfft_ratio_26700     likewise, of 26,700 samples an axis
best_fft_ratio       rfft_ratio with the fastest FFT here in numpy's place
handler_rfft_ratio   a Kinesis event of those captures to features and Parquet / that rfft
diagnostic_ms        the diagnosis of one capture of 3 x 4096 samples, without a picture
scipy_speedup        one waveform's routine set written plainly with SciPy / ours
tsfel_speedup        all of TSFEL's features of one waveform / ours; null where TSFEL cannot be installed
import_ms            importing the extract function in a fresh interpreter, best of several
layer_mb             the layers of the extract function, unpacked; null where they cannot be built
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cli.deployment import ROOT

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
IMPORTS = 7
TSFEL_WAVEFORMS = 5
IMPORT = "import time; started = time.process_time(); import extract_features; print(time.process_time() - started)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--rounds", type=int, default=31, help="how often each pair is measured (31)")
    parser.add_argument("--without-tsfel", action="store_true", help="do not install and time TSFEL")


def figures(arguments: argparse.Namespace) -> dict[str, Any]:
    """What was measured, by name."""
    found = json.loads(_run("-m", "cli.feature_timing", str(arguments.rounds)))
    tsfel = None if arguments.without_tsfel else _tsfel_ms()
    found["tsfel_speedup"] = None if tsfel is None else tsfel / found["waveform_ms"]
    found["import_ms"] = min(1e3 * float(_run("-c", IMPORT)) for _ in range(IMPORTS))
    found["layer_mb"] = _layer_mb()
    return {name: round(value, 3) if isinstance(value, float) else value for name, value in found.items()}


def failed(found: Mapping[str, Any]) -> bool:
    """The figures are figures; none is a failure."""
    return False


def _run(*arguments: str, python: str | Path = sys.executable) -> str:
    """What a fresh interpreter prints, with one thread for each library; its errors are shown."""
    search = os.pathsep.join(str(ROOT / folder) for folder in ("lambdas", "scripts", "."))
    environment = {**os.environ, **dict.fromkeys(THREADS, "1"), "PYTHONPATH": search}
    return subprocess.run([python, *arguments], stdout=subprocess.PIPE, text=True, check=True, env=environment).stdout


def _tsfel_ms() -> float | None:
    """ms a waveform, in an environment that is removed afterwards; None, with the reason, where there is none."""
    uv = ROOT / ".venv" / "bin" / "uv"
    with tempfile.TemporaryDirectory(prefix="telltale-tsfel-") as home:
        python = Path(home, "bin", "python")
        lock = ROOT / "requirements" / "tsfel.txt"
        try:
            _quietly(uv, "venv", "--quiet", "--python", sys.executable, home)
            _quietly(uv, "pip", "install", "--quiet", "--require-hashes", "--python", python, "--requirement", lock)
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"tsfel_speedup is null: TSFEL could not be installed: {getattr(error, 'stderr', '') or error}")
            return None
        script = ROOT / "scripts" / "cli" / "tsfel_timing.py"
        return float(_run(str(script), "4096", "25600", str(TSFEL_WAVEFORMS), python=python))


def _layer_mb() -> float | None:
    """The base layer and the one with Arrow, as `python -m infra.layers` reports them; it builds what is not there."""
    done = subprocess.run([sys.executable, "-m", "infra.layers"], cwd=ROOT, capture_output=True, text=True, check=False)
    size = re.search(r"^arrow .* a function with it +([\d.]+) of", done.stdout, re.MULTILINE)
    if size is None:
        print(f"layer_mb is null: the layers could not be built: {done.stderr.strip()[-300:]}")
    return None if size is None else float(size[1])


def _quietly(*command: str | Path) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)
