"""From judgements of single rows to one that may alert: n of the last m, with hysteresis, and quiet when told."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from struct import Struct

from telltale.core.settings import MOST_SCORES, Settings

LEVELS = ("UNKNOWN", "HEALTHY", "WARNING", "ALARM")  # of a debounced verdict, the worst last
HIGHEST_SCORE = 1e6  # far beyond any alarm, and finite in float32

_FLOAT = Struct("<f")


@dataclass(frozen=True)
class Monitor:
    """One rule on one channel. A score of 1 is on the warning limit; `scores` are the last ones, newest last.

    `quiet_below` : a case was closed without repair at about this score; what stays below does not alert.
    """

    scores: tuple[float, ...] = ()
    level: str = "UNKNOWN"
    quiet_below: float = 0.0

    @property
    def alerts(self) -> bool:
        return self.level in ("WARNING", "ALARM")


def debounced(scores: Sequence[float], *, n: int, m: int) -> float:
    """The score that n of the last m reach; 0 when there are fewer than n."""
    return sorted(scores[-m:])[-n] if len(scores) >= n else 0.0


def watch(monitor: Monitor, score: float, *, alarm_score: float, settings: Settings) -> Monitor:
    """The monitor after one more row. alarm_score : the score at which the rule's alarm begins; infinite if never."""
    scores = (*monitor.scores, stored(min(max(score, -HIGHEST_SCORE), HIGHEST_SCORE)))[-MOST_SCORES:]
    warning = debounced(scores, n=settings.warning_n, m=settings.warning_m)
    same = (settings.alarm_n, settings.alarm_m) == (settings.warning_n, settings.warning_m)
    alarm = warning if same else debounced(scores, n=settings.alarm_n, m=settings.alarm_m)
    quiet = monitor.quiet_below if warning >= settings.clear else 0.0
    on_warning, on_alarm = max(1.0, quiet), max(stored(alarm_score), quiet)
    if alarm >= on_alarm * (settings.clear if monitor.level == "ALARM" else 1.0):
        level = "ALARM"
    elif warning >= on_warning * (settings.clear if monitor.alerts else 1.0):
        level = "WARNING"
    else:
        level = "HEALTHY"
    return Monitor(scores, level, quiet)


def hushed(monitor: Monitor, *, settings: Settings) -> Monitor:
    """Quiet at the level it stands at, until that grows significantly or has first cleared."""
    stands = debounced(monitor.scores, n=settings.warning_n, m=settings.warning_m)
    quiet = stored(stands + settings.significant) if stands >= settings.clear else 0.0
    return replace(monitor, quiet_below=quiet, level="UNKNOWN" if monitor.level == "UNKNOWN" else "HEALTHY")


def stored(score: float) -> float:
    """The score with float32's digits, so that what goes on in memory is what comes back from storage."""
    rounded: float = _FLOAT.unpack(_FLOAT.pack(score))[0]
    return rounded
