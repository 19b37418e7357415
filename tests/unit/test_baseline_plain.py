"""What the baseline computes is what its plain version computes: slow, obvious, one indicator at a time."""

from collections.abc import Mapping
from math import exp, isfinite, log
from statistics import median
from struct import pack, unpack

from hypothesis import given
from hypothesis import strategies as st
from telltale.core import baseline
from telltale.core.baseline import INDICATORS, Baseline, Deviation, Learning, Normal
from telltale.core.limits import NotAssessable
from telltale.core.settings import MOST_ROWS, Settings

Axis = Mapping[str, float | None]

values = st.none() | st.sampled_from([0.0, float("nan"), float("inf"), -1.0, 2]) | st.floats(1e-3, 1e3)
axes = st.dictionaries(st.sampled_from([*INDICATORS, "crest"]), values)
chosen = st.builds(
    Settings,
    warmup=st.integers(3, 8),
    sigmas=st.sampled_from([1.0, 6.0]),
    growth=st.sampled_from([1.2, 2.5]),
    significant=st.sampled_from([0.0, 0.25]),
    memory=st.sampled_from([1, 1000]),
)


def plain_logarithm(value: float | None) -> float | None:
    return log(value) if value is not None and value > 0 and isfinite(value) else None


def plain_learn(normals: Baseline, axis: Axis, settings: Settings) -> Baseline:
    logs = [plain_logarithm(axis.get(name)) for name in INDICATORS]
    return tuple(one if x is None else plain_normal(one, x, settings) for one, x in zip(normals, logs, strict=True))


def plain_normal(normal: Normal, x: float, settings: Settings) -> Normal:
    location, spread, anchor, rows = normal
    if rows < 2:
        location, spread, anchor = (x, 0.0, 0.0) if rows == 0 else (location, x, 0.0)
    elif rows == 2:
        first = location, spread, x
        location = anchor = median(first)
        spread = 1.4826 * median(abs(one - location) for one in first)
    else:
        unit, off = max(spread, 0.05), x - location
        pull = min(max(off, -1.5 * unit), 1.5 * unit)
        if rows < settings.warmup:
            location = anchor = location + pull / (rows + 1)
            spread += (1.2533 * min(abs(off), 3.0 * unit) - spread) / (rows + 1)
        else:
            drift = log(1 + settings.significant)
            location = min(max(location + pull / settings.memory, anchor - drift), anchor + drift)
    stored = [unpack("<f", pack("<f", one))[0] for one in (location, spread, anchor)]
    return Normal(stored[0], stored[1], stored[2], min(rows + 1, MOST_ROWS))


def plain_judge(normals: Baseline, axis: Axis, settings: Settings) -> Deviation | Learning | NotAssessable:
    logs = {name: plain_logarithm(axis.get(name)) for name in INDICATORS}
    known = {name: normal for name, normal in zip(INDICATORS, normals, strict=True) if logs[name] is not None}
    if not known:
        return NotAssessable("no indicator of the baseline in this capture")
    ready = {name: normal for name, normal in known.items() if normal.rows >= settings.warmup}
    if not ready:
        return Learning(max(normal.rows for normal in known.values()), settings.warmup)
    far = {name: max(settings.sigmas * max(one.spread, 0.05), log(settings.growth)) for name, one in ready.items()}
    scores = {name: ((logs[name] or 0.0) - normal.location) / far[name] for name, normal in ready.items()}
    worst = max(scores, key=lambda name: scores[name])
    return Deviation(scores, worst, exp(logs[worst] or 0.0), ready[worst], far[worst])


@given(st.lists(axes, max_size=14), chosen)
def test_learning_and_judging_are_what_the_plain_version_does_to_the_last_digit(
    rows: list[dict[str, float | None]], settings: Settings
) -> None:
    fast = plain = baseline.EMPTY

    for row in rows:
        assert baseline.judge(fast, row, settings=settings) == plain_judge(plain, row, settings)
        fast = baseline.learn(fast, row, settings=settings)
        plain = plain_learn(plain, row, settings)
        assert fast == plain
