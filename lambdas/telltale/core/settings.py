"""The constants of detection, each with its origin. `docs/detection.md` explains them together."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any, Self

MOST_SCORES = 8  # rows that persistence can look back on; a layout constant of the packed state
MOST_ROWS = 65_535  # rows a baseline can count; likewise


@dataclass(frozen=True)
class Settings:
    """How rows are judged. `Position.settings` overrides by name.

    warmup : rows learned before the baseline judges. Practice: at least 100 running samples.
    sigmas : robust standard deviations that a single row must leave its normal by. Six sigma, the round number
        that noise does not reach.
    growth : times its normal that an indicator must also reach: doubled (6 dB), whatever the spread was while
        learning. Practice warns at 2 to 3 times normal; the zones of ISO 10816-1 are 2.5 apart.
    alarm_score : distances of a warning at which it is an alarm; 2: doubled again. Practice alarms at 4 to 6 times.
    significant : 25 % is a significant change (ISO 20816-1, of the B/C boundary). So far may normal drift from
        where it was learned, and by so much of the limit must a level grow that was closed without repair.
    memory : rows over which a settled baseline follows. Hourly rows: six weeks. A guess, harmless by `significant`.
    warning_n, warning_m, alarm_n, alarm_m : rows that must exceed, of the last m. 4, so that a spike of three rows
        never alarms; of 6, so that two calm rows between do not hide a fault. Were rows to exceed by chance once
        in a hundred, and independently, 4 of 6 would happen once in some seven million.
    clear : share of the limit to fall below before a verdict clears. Practice: 5 to 10 % below.
    warning_for_s : seconds that rows must have stood beyond the limit, n of m of them, before anything alerts. 0: rows
        alone decide. For positions whose captures come irregularly, such as every ten seconds after an event.
    clear_for_s : seconds that they must have stood below before it clears. 0: rows alone decide.
    sensor_n, sensor_m : captures that must show a fault of the sensor, of the last m, and be free of it again before
        it has recovered. A guess: a sensor does not heal, and one capture may be cut off by a blow.
    sensor_normal : 1 or 0: whether the sensor is also compared with what was usual of it here. 0 for a position
        whose sensor was moved on purpose, and whose machine was not repaired since.
    """

    warmup: int = 100
    sigmas: float = 6.0
    growth: float = 2.0
    alarm_score: float = 2.0
    significant: float = 0.25
    memory: int = 1000
    warning_n: int = 4
    warning_m: int = 6
    alarm_n: int = 4
    alarm_m: int = 6
    clear: float = 0.9
    warning_for_s: float = 0.0
    clear_for_s: float = 0.0
    sensor_n: int = 3
    sensor_m: int = 4
    sensor_normal: int = 1

    def __post_init__(self) -> None:
        pairs = (self.warning_n, self.warning_m), (self.alarm_n, self.alarm_m), (self.sensor_n, self.sensor_m)
        for n, m in pairs:
            if not 1 <= n <= m <= MOST_SCORES:
                raise ValueError(f"{n} of {m} rows, wanted 1 <= n <= m <= {MOST_SCORES}")
        if not 3 <= self.warmup <= MOST_ROWS:
            raise ValueError(f"warmup of {self.warmup} rows, wanted 3 to {MOST_ROWS}")
        if self.memory < 1 or self.sigmas <= 0 or self.growth <= 1 or self.alarm_score < 1 or self.significant < 0:
            raise ValueError(f"wanted memory >= 1, sigmas > 0, growth > 1, alarm_score >= 1, significant >= 0: {self}")
        if self.warning_for_s < 0 or self.clear_for_s < 0:
            raise ValueError(f"warning_for_s {self.warning_for_s}, clear_for_s {self.clear_for_s}: wanted 0 or more")
        if not 0 < self.clear <= 1:
            raise ValueError(f"clear of {self.clear}, wanted above 0 and at most 1")

    @classmethod
    def of(cls, overrides: Mapping[str, float]) -> Self:
        """The defaults with these overrides. ValueError for an unknown name, a fraction of a row, or a bad value."""
        known = {field.name: field.type for field in fields(cls)}
        unknown = sorted(set(overrides) - set(known))
        if unknown:
            raise ValueError(f"settings {', '.join(unknown)} are not among {', '.join(known)}")
        broken = sorted(name for name, value in overrides.items() if known[name] is int and value != int(value))
        if broken:
            raise ValueError(f"settings {', '.join(broken)} count rows: wanted whole numbers")
        values: dict[str, Any] = {
            name: int(value) if known[name] is int else float(value) for name, value in overrides.items()
        }
        return cls(**values)


DEFAULTS = Settings()


def settings_of(overrides: Mapping[str, float]) -> Settings:
    """The settings of a position; the defaults themselves where nothing is overridden."""
    return _settings(tuple(overrides.items())) if overrides else DEFAULTS


@lru_cache(maxsize=1024)
def _settings(overrides: tuple[tuple[str, float], ...]) -> Settings:
    """Checked once, not with each row."""
    return Settings.of(dict(overrides))
