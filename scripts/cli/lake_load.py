"""A plant's rows for measurements of the lake: features every hour, scalars every five minutes, seeded.

Numbers as a machine has them: features with all the digits of a double, scalars rounded as sensors send them, times
that jitter, ids as the line makes them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from telltale.core.schema import FEATURES

TICK_MS, HOUR_MS = 300_000, 3_600_000
TICKS_AN_HOUR = HOUR_MS // TICK_MS
JITTER_MS = 2000  # of sensors that keep their own time
NAMES = [column.name for column in FEATURES]

Row = dict[str, Any]


@dataclass(frozen=True)
class Load:
    """`positions` for `hours`, ending with the hour before `end_ms`."""

    positions: int
    hours: int
    end_ms: int
    seed: int = 1

    @cached_property
    def names(self) -> list[str]:
        return [
            f"riverside/hall-{n // 100:02d}/pump-{n // 4:04d}/{('motor-de', 'motor-nde', 'pump-de', 'pump-nde')[n % 4]}"
            for n in range(self.positions)
        ]

    @property
    def start_ms(self) -> int:
        return (self.end_ms // HOUR_MS - self.hours) * HOUR_MS

    @property
    def rows(self) -> int:
        return self.positions * self.hours * (TICKS_AN_HOUR + 1)

    def ticks(self) -> Iterator[tuple[list[Row], list[Row]]]:
        """What comes in every five minutes: captures, and features once an hour."""
        rng = np.random.default_rng(self.seed)
        levels = rng.lognormal(0.0, 1.0, (self.positions, len(NAMES)))
        warmth = rng.normal(50, 8, self.positions)
        for tick in range(self.hours * TICKS_AN_HOUR):
            times = self.start_ms + tick * TICK_MS + rng.integers(0, JITTER_MS, self.positions)
            captures = self._captures(tick, times, warmth, rng)
            full = tick % TICKS_AN_HOUR == 0
            yield captures, self._features(times, levels, rng) if full else []

    def _captures(self, tick: int, times: Any, warmth: Any, rng: np.random.Generator) -> list[Row]:
        count = self.positions
        celsius = np.round(warmth + 5 * np.sin(tick / 288 * 2 * np.pi) + rng.normal(0, 0.3, count), 2).tolist()
        received = (times + 1000 + rng.integers(0, 3000, count)).tolist()
        signal = rng.integers(-80, -60, count).astype(float).tolist()
        charge = float(90 - tick // (288 * 7))
        digests = rng.bytes(8 * count).hex()
        return [
            {
                "capture_id": f"s-{n:05d}-{t}",
                "part": "s",
                "position": self.names[n],
                "site": "riverside",
                "sensor": f"s-{n:05d}",
                "gateway": f"gw-{n // 100:02d}",
                "t": t,
                "received_at": received[n],
                "temperature_c": celsius[n],
                "speed_rpm": None,
                "velocity_rms_x_mm_s": None,
                "velocity_rms_y_mm_s": None,
                "velocity_rms_z_mm_s": None,
                "battery_pct": charge,
                "rssi_dbm": signal[n],
                "record_id": f"shardId-000000000000:4965{tick:020d}{n:028d}",
                "digests": f'{{"scalars":"{digests[16 * n : 16 * n + 16]}"}}',
            }
            for n, t in enumerate(times.tolist())
        ]

    def _features(self, times: Any, levels: Any, rng: np.random.Generator) -> list[Row]:
        values = (levels * rng.lognormal(0, 0.1, levels.shape)).tolist()
        return [
            {
                "capture_id": f"s-{n:05d}-{t}",
                "axis": "x",
                "position": self.names[n],
                "site": "riverside",
                "sensor": f"s-{n:05d}",
                "t": t,
                "fs_hz": 25_600.0,
                "n_samples": 8192,
                "speed_rpm": 1480.0,
                **dict(zip(NAMES, values[n], strict=True)),
            }
            for n, t in enumerate(times.tolist())
        ]
