"""From judgements of single rows to one that may alert: n of the last m, for a time if wanted, with hysteresis, and
quiet when told.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from struct import Struct

from telltale.core.settings import MOST_SCORES, Settings

LEVELS = ("UNKNOWN", "HEALTHY", "WARNING", "ALARM")  # of a debounced verdict, the worst last
HIGHEST_SCORE = 1e6  # far beyond any alarm, and finite in float32
LAST_S = 2**32 - 1  # the last second that a packed state can hold

_FLOAT = Struct("<f")


@dataclass(frozen=True)
class Monitor:
    """One rule on one channel. A score of 1 is on the warning limit; `scores` are the last ones, newest last.

    `quiet_below` : a case was closed without repair at about this score; what stays below does not alert.
    `since_s` : since when (seconds since 1970) rows have stood beyond the limit, or below it while it alerts. 0: they
    do not, or nobody asks: it is kept only where the settings want a time.
    """

    scores: tuple[float, ...] = ()
    level: str = "UNKNOWN"
    quiet_below: float = 0.0
    since_s: int = 0

    @property
    def alerts(self) -> bool:
        return self.level in ("WARNING", "ALARM")


def debounced(scores: Sequence[float], *, n: int, m: int) -> float:
    """The score that n of the last m reach; 0 when there are fewer than n."""
    return sorted(scores[-m:])[-n] if len(scores) >= n else 0.0


def watch(monitor: Monitor, score: float, *, alarm_score: float, t_ms: int, settings: Settings) -> Monitor:
    """The monitor after one more row, sampled at t_ms.

    alarm_score : the score at which the rule's alarm begins; infinite if never.
    """
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
    if settings.warning_for_s or settings.clear_for_s:
        return _for_a_time(monitor, Monitor(scores, level, quiet), on_warning, t_ms, settings)
    return Monitor(scores, level, quiet)


def _for_a_time(before: Monitor, now: Monitor, on_warning: float, t_ms: int, settings: Settings) -> Monitor:
    """`now`, unless its rows have not stood for as long as the settings want: then what it said before stays.

    A stretch beyond the limit begins with a row that reaches it, and has ended when so many rows running do not that
    n of m cannot go on. A stretch below is the same, turned round.
    """
    limit = on_warning * (settings.clear if before.alerts else 1.0)
    moves = [(score < limit) == before.alerts for score in now.scores]  # away from what it said before
    enough = settings.warning_n if before.alerts else settings.warning_m - settings.warning_n + 1
    ended = len(moves) >= enough and not any(moves[-enough:])
    wanted_s = settings.clear_for_s if before.alerts else settings.warning_for_s
    t_s = min(max(t_ms // 1000, 1), LAST_S)
    since_s = before.since_s or (t_s if moves[-1] or now.alerts != before.alerts else 0)
    if now.alerts == before.alerts:
        return replace(now, since_s=0 if ended else since_s)
    if t_s - since_s < wanted_s:
        return replace(now, level=before.level if before.alerts else "HEALTHY", since_s=since_s)
    return now


def hushed(monitor: Monitor, *, settings: Settings) -> Monitor:
    """Quiet at the level it stands at, until that grows significantly or has first cleared."""
    stands = debounced(monitor.scores, n=settings.warning_n, m=settings.warning_m)
    quiet = stored(stands + settings.significant) if stands >= settings.clear else 0.0
    level = "UNKNOWN" if monitor.level == "UNKNOWN" else "HEALTHY"
    return replace(monitor, quiet_below=quiet, level=level, since_s=0)


def stored(score: float) -> float:
    """The score with float32's digits, so that what goes on in memory is what comes back from storage."""
    rounded: float = _FLOAT.unpack(_FLOAT.pack(score))[0]
    return rounded
