"""Writes docs/pictures/evidence.svg anew: a case of the simulated plant.

Run it as `PYTHONPATH=scripts:lambdas .venv/bin/python -m cli.sample_picture`.
"""

from statistics import median

from telltale.core import diagnosis, picture, rolling, svg
from telltale.core.bearings import CATALOGUE
from telltale.core.capture import Capture
from telltale.core.drawing import Drawing
from telltale.core.features import axes_features
from telltale.core.plant import Machine
from telltale.core.settings import Settings

from cli import plant_model, simulation
from cli.deployment import ROOT
from cli.plant_model import DAY_S, HOUR_S, Fault, FaultKind, Kind

FILE = ROOT / "docs" / "pictures" / "evidence.svg"
FS_HZ, N_SAMPLES, SEED = 26_667.0, 8192, 3
START_MS = 1_792_000_000_000
DAYS, LEARNED_DAYS, STEP_H, TREND = 32, 10, 8, "env_rms_g"
PUMP = plant_model.Machine("riverside/pump-hall/pump-1", Kind.PUMP, 1480.0)
FAULT = Fault(FaultKind.OUTER_RACE, onset_s=22 * DAY_S, growth_s=18 * DAY_S)
KNOWN = Machine(
    "Pump",
    CATALOGUE["6205-2RS"],
    blades=PUMP.blades,
    line_hz=50.0,
    poles=4,
    directions={"x": "horizontal", "y": "vertical", "z": "axial"},
)


def main() -> None:
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(svg.render(drawing()))
    print(FILE.relative_to(ROOT))


def drawing() -> Drawing:
    """A pump whose bearing has been failing for some days, diagnosed with what is usual for it."""
    captures = [_capture(day * DAY_S + hour * HOUR_S) for day in range(DAYS) for hour in range(0, 24, STEP_H)]
    values = [_rows(capture) for capture in captures]
    learned = values[: LEARNED_DAYS * 24 // STEP_H]
    normal = {
        axis: {name: median(row[axis][name] or 0.0 for row in learned) for name in learned[0][axis]} for axis in "xyz"
    }
    last = captures[-1]
    speed_hz = (last.speed_rpm or PUMP.speed_rpm) / 60
    found = diagnosis.diagnose(
        last.waveforms,
        machine=KNOWN,
        speed_hz=speed_hz,
        speed_source="measured",
        rows=values[-1],
        normal=normal,
        reference={
            wave.axis: rolling.reference(
                wave.samples * wave.scale, fs_hz=wave.fs_hz, speed_hz=(captures[0].speed_rpm or PUMP.speed_rpm) / 60
            )
            for wave in captures[0].waveforms
        },
    )
    shown = picture.deciding(last.waveforms, found)
    return picture.evidence(
        shown,
        diagnosis=found,
        machine=KNOWN,
        title="riverside/pump-hall/pump-1/pump-inboard · s-102 · simulated",
        trend=[(capture.t_ms, row[shown.axis][TREND] or 0.0) for capture, row in zip(captures, values, strict=True)],
        limit=Settings().growth * normal[shown.axis][TREND],
        trend_label=TREND,
    )


def _capture(t_s: float) -> Capture:
    sample = plant_model.capture(PUMP, [FAULT], t_s=t_s, sensor="s-102", seed=SEED, fs_hz=FS_HZ, n_samples=N_SAMPLES)
    if sample is None:
        raise ValueError(f"nothing was measured at {t_s} s")
    return simulation.capture_of(sample, sensor="s-102", t_ms=START_MS + round(1000 * t_s), fs_hz=FS_HZ)


def _rows(capture: Capture) -> dict[str, dict[str, float | None]]:
    speed_hz = (capture.speed_rpm or PUMP.speed_rpm) / 60
    rows = axes_features([(wave, speed_hz, KNOWN) for wave in capture.waveforms])
    return {wave.axis: row for wave, row in zip(capture.waveforms, rows, strict=True)}


if __name__ == "__main__":
    main()
