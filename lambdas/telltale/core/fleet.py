"""What machines alike have in common, so that a position that has learned nothing yet is judged from its first row.

Machines alike (of one type and machine class) have each learned their own normal. A new one is taken for another draw
from where those lie: its level is expected around their mean, and warned of beyond the limit that one in
ONE_MACHINE_IN such machines exceeds by chance (the prediction limit for one further observation: G. J. Hahn,
W. Q. Meeker, Statistical Intervals, Wiley 1991, chapter 4; in logarithms, by Student's t). The fewer machines there are
and the less alike they are, the wider it is: from five it catches what is gross, from thirty what is clearly too much.
When a position has learned its own normal, that is all that counts.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from math import inf, log, sqrt
from statistics import fmean, stdev

import numpy as np

from telltale.core.baseline import INDICATORS, Deviation, Normal
from telltale.core.judgement import AXES
from telltale.core.plant import Alike
from telltale.core.settings import Settings
from telltale.core.student import upper_quantile

FEWEST = 5  # machines; a guess: below it a limit of Student's t lies beyond a hundredfold
ONE_MACHINE_IN = 100  # new machines without a fault that is warned of by chance, on any axis. A choice

Normals = Mapping[str, Mapping[str, float]]  # axis → indicator → what is normal there, in its unit

_TAIL = 1 / (ONE_MACHINE_IN * len(INDICATORS) * len(AXES))  # Bonferroni


class Stranger(Deviation):
    """How far a row is from what is usual on machines alike; `normal.rows` counts those machines."""

    @property
    def reason(self) -> str:
        return (
            f"{self.feature} {self.value:.3g} {self.unit} is {self.value / self.usual:.2g} times the "
            f"{self.usual:.3g} {self.unit} that is usual on {self.normal.rows} machines alike, "
            f"warning from {self.limit(1.0):.3g} {self.unit}"
        )


def alike(machines: Iterable[Normals]) -> dict[str, Alike]:
    """Indicator → what is usual on these machines and how far the next one may lie; only what FEWEST have learned.

    All axes of a machine are taken together, but count as one machine: they are not independent.
    """
    found: dict[str, list[float]] = {}
    count = dict.fromkeys(INDICATORS, 0)
    for axes in machines:
        for name in INDICATORS:
            levels = [log(axis[name]) for axis in axes.values() if 0 < axis.get(name, 0.0) < inf]
            found.setdefault(name, []).extend(levels)
            count[name] += bool(levels)
    return {name: _alike(found[name], count[name]) for name in INDICATORS if count[name] >= FEWEST}


def _alike(levels: list[float], machines: int) -> Alike:
    return Alike(fmean(levels), _quantile(machines - 1) * stdev(levels) * sqrt(1 + 1 / machines), machines)


@cache
def _quantile(dof: int) -> float:
    return float(upper_quantile(np.array([float(dof)]), tail=_TAIL)[0])


def judge(fleet: Mapping[str, Alike], axis: Mapping[str, float | None], *, settings: Settings) -> Stranger | None:
    """One axis of a row against machines alike; None where none of its indicators is known of them.

    The indicator with the highest score decides. Nothing is warned of that is not `growth` times what is usual.
    """
    scores: dict[str, float] = {}
    best, growth = "", log(settings.growth)
    for name, usual in fleet.items():
        value = axis.get(name)
        if value is None or not 0.0 < value < inf:
            continue
        scores[name] = (log(value) - usual.location) / max(usual.reach, growth)
        best = name if not best or scores[name] > scores[best] else best
    if not best:
        return None
    usual, value = fleet[best], axis[best]
    normal = Normal(usual.location, 0.0, usual.location, usual.machines)
    return Stranger(scores, best, value or 0.0, normal, max(usual.reach, growth))
