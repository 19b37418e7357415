"""The demo plant's machines: how plant.yaml's run, and the one of them that slowly fails.

Counted in captures of ten minutes: the baselines need 100 of a running machine, the defect begins at
the 108th, and a case opens near the 127th; another 50 later the whole machine shakes.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from cli.plant_model import HOUR_S, Fault, FaultKind

SPEED = 2400.0  # 30 captures a second of the whole plant: a case opens half a minute after the start
HISTORY_S = 48 * HOUR_S  # so far back the simulation begins; at SPEED it reaches now in 72 s
SEED = 1

FAULTS: Mapping[str, Sequence[Fault]] = {
    "riverside/pump-hall/pump-1/pump-inboard": (
        Fault(FaultKind.OUTER_RACE, onset_s=18 * HOUR_S, growth_s=12 * HOUR_S),
    ),
}

# Fields of plant_model.Machine, by asset.
DUTY: Mapping[str, Mapping[str, Any]] = {
    "riverside/pump-hall/pump-2": {"run_s": 5 * HOUR_S, "stop_s": 2 * HOUR_S},  # standby, taken when demand is high
    "riverside/blower-room/fan-1": {"run_s": 16 * HOUR_S, "stop_s": 1 * HOUR_S, "speed_swing": 0.1},  # variable speed
    "riverside/blower-room/mixer-1": {"load_swing": 0.4},  # sludge thickens and thins
}
