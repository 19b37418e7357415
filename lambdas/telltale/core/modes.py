"""Operating modes: what is normal at full speed says little of half speed, so each mode has a normal of its own.

A mode says how the machine is driven: its speed as measured, its load as a tag of the capture, and nothing else. Never
its vibration: a fault would make itself a mode, and be normal in it. Positions without a measured speed or a load have
one mode, without a name.

Modes are those of the plant file where it names any. Else they are learned by leaders (J. A. Hartigan, Clustering
Algorithms, Wiley 1975, chapter 3): a row belongs to the nearest mode that has it in reach of its first row, and a row
out of reach of all begins one, until as many as there is room for are learned; all else is then one more. The reach has
no constant of its own: within a mode vibration may differ by what is significant, 25 % (ISO 20816-1). It grows with the
square of the speed, as the force of an imbalance does, so the reach is half of ln 1.25 in ln of the speed, 12 %; and at
most in proportion to the load: 25 % of the highest load known here.
"""

import zlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from math import log
from typing import NamedTuple

from telltale.core import baseline
from telltale.core.baseline import EMPTY, NO_REFERENCES, Baseline
from telltale.core.judgement import Row
from telltale.core.persistence import Monitor, stored
from telltale.core.plant import OperatingMode, Position
from telltale.core.settings import Settings
from telltale.core.state import UNKNOWN_MODE, Channel, Known, Mode, Operation

MOST_MODES = 6  # of a position, all else included: by reach they cover speeds of 1 to 2 or 3. A choice of size
MOST_STRANGERS = 255  # rows that a packed state can count
ALL_ELSE = Mode(name=0xFFFF)  # what is in reach of no mode when there is no room for more: judged as if without modes
SLOWEST_RPM = 1.0  # a shaft below it stands, whatever the figure: logarithms have no zero
LARGEST = 1e30  # of a load: far beyond any, and finite in float32
SMALLEST_REACH = 1e-9  # where the settings leave none, equal is equal


class Drive(NamedTuple):
    """How the machine was driven while one row was measured, with float32's digits; None: not known."""

    speed_rpm: float | None = None
    load: float | None = None


def drive_of(row: Row, position: Position) -> Drive:
    """The measured speed and the load of a row. A nominal speed says nothing of how the machine is driven."""
    load = None if position.load_tag is None else row.tags.get(position.load_tag)
    return Drive(_number(row.speed_rpm), _number(load))


def entered(channel: Channel, drive: Drive, *, position: Position, settings: Settings) -> tuple[Channel, str | None]:
    """The channel in the mode of this drive; or as it is, and why the row is of no mode."""
    operation = channel.operation
    if not position.modes and (drive == operation.mode[:2] if any_known(drive) else not operation.others):
        return channel, None
    known = [_here(channel), *operation.others]
    found = _named(known, drive, position) if position.modes else _learned(known, drive, position, settings)
    if isinstance(found, str):
        return channel, found
    place, mode = found
    given_up, strangers = None, operation.strangers
    if place is None:
        given_up, strangers = _room(known, strangers, position, settings)
        if strangers > operation.strangers:
            place, mode = next((n for n, one in enumerate(known) if one.mode == ALL_ELSE), None), ALL_ELSE
    if place == 0:
        operation = operation._replace(mode=mode, strangers=strangers)
        return channel if operation == channel.operation else _with(channel, known[0], operation), None
    there = Known(mode, Monitor(), EMPTY, NO_REFERENCES) if place is None else known[place]._replace(mode=mode)
    others = [one for number, one in enumerate(known[1:], 1) if number != place]
    others += [known[0]] if _is_worth(known[0]) else []
    left = tuple(one for one in others if one is not given_up)
    return _with(channel, there, operation._replace(mode=mode, others=left, strangers=strangers if left else 0)), None


def any_known(drive: Drive) -> bool:
    """Speed or load is."""
    return drive.speed_rpm is not None or drive.load is not None


def label(mode: Mode | Drive, position: Position) -> str:
    """How people call it: by the plant file, or else by its speed and load."""
    names = {checksum(one.name): one.name for one in position.modes}
    if mode == ALL_ELSE:
        return "all else"
    if isinstance(mode, Mode) and mode.name in names:
        return names[mode.name]
    speed = None if mode.speed_rpm is None else f"{mode.speed_rpm:.0f} r/min"
    load = None if mode.load is None else f"{position.load_tag or 'load'} {mode.load:.3g}"
    return ", ".join(filter(None, (speed, load))) or "unknown"


def words(channel: Channel, position: Position) -> str | None:
    """The mode that the channel is in, where a position has several or its plant file names them."""
    if not channel.operation.others and not position.modes:
        return None
    return label(channel.operation.mode, position)


def each(channel: Channel) -> list[Known]:
    """What the channel knows of each mode, the one that it is in first."""
    return [_here(channel), *channel.operation.others]


def rows(normals: Baseline) -> int:
    """How many captures it was learned from, by its best known indicator."""
    return max(normal.rows for normal in normals)


def anew(channel: Channel, names: Collection[str]) -> Channel:
    """The channel with these indicators to be learned from the start, in every mode."""
    others = tuple(one._replace(baseline=baseline.anew(one.baseline, names)) for one in channel.operation.others)
    fresh = baseline.anew(channel.baseline, names)
    return replace(channel, baseline=fresh, operation=channel.operation._replace(others=others))


@lru_cache(maxsize=1024)
def checksum(name: str) -> int:
    """16 bits of a name: what a packed state has room for. Neither 0 nor that of ALL_ELSE."""
    return zlib.crc32(name.encode()) % 0xFFFE + 1


def _number(value: float | None) -> float | None:
    """With float32's digits; None for NaN, and where float32 ends all is one."""
    if value is None or value != value:
        return None
    return stored(min(max(value, -LARGEST), LARGEST))


Choice = tuple[int | None, Mode] | str  # the place among those known, None: a new one; or why there is none


def _learned(known: Sequence[Known], drive: Drive, position: Position, settings: Settings) -> Choice:
    modes = [one.mode for one in known]
    at = [place for place, mode in enumerate(modes) if mode != ALL_ELSE]
    if not any_known(drive):
        return f"neither speed nor load in this capture, and {len(known)} modes are known: it is not known which it is"
    reach = _reach(modes, drive, settings)
    near = sorted((far, place) for place in at if (far := _distance(modes[place], drive, reach)) <= 1)
    if not near:
        return None, Mode(*drive)
    for which, name in enumerate(("speed", position.load_tag or "load")):
        differs = len({modes[place][which] for _, place in near} - {None}) > 1
        if drive[which] is None and differs:
            among = " and ".join(label(modes[place], position) for _, place in near[:2])
            return f"no {name} in this capture: it may be in mode {among}"
    [(_, place), *_] = near
    return place, _filled(modes[place], drive, modes[place].name)


def _named(known: Sequence[Known], drive: Drive, position: Position) -> Choice:
    for mode in position.modes:
        holds = mode.holds(*drive)
        if holds is None:
            missing = "speed" if drive.speed_rpm is None and mode.speed_rpm is not None else position.load_tag or "load"
            return f"no {missing} in this capture: it is not known whether it is in mode {mode.name}"
        if holds:
            return _by_name(known, drive, mode, position)
    names = ", ".join(mode.name for mode in position.modes)
    return f"{label(drive, position)} is in none of the modes {names}"


def _by_name(known: Sequence[Known], drive: Drive, mode: OperatingMode, position: Position) -> Choice:
    """The mode of that name; or what was learned within its edges before somebody gave it a name."""
    name, taken = checksum(mode.name), {checksum(one.name) for one in position.modes}
    place = next((place for place, one in enumerate(known) if one.mode.name == name), None)
    if place is None:
        within = [
            (rows(one.baseline), place)
            for place, one in enumerate(known)
            if one.mode.name not in taken and one.mode != ALL_ELSE and mode.holds(*one.mode[:2]) is not False
        ]
        place = max(within)[1] if within else None
    return place, _filled(known[place].mode if place is not None else UNKNOWN_MODE, drive, name)


def _reach(modes: Iterable[Mode], drive: Drive, settings: Settings) -> tuple[float, float]:
    """How far a row of a mode may be from its first one: in ln of the speed, and in the load's unit."""
    loads = [*(mode.load for mode in modes), drive.load]
    highest = max((abs(load) for load in loads if load is not None), default=0.0)
    return max(log(1 + settings.significant) / 2, SMALLEST_REACH), max(settings.significant * highest, SMALLEST_REACH)


def _distance(mode: Mode, drive: Drive, reach: tuple[float, float]) -> float:
    """In reaches: 1 is as far as a mode goes. What is not known of either does not count."""
    speed = load = 0.0
    if mode.speed_rpm is not None and drive.speed_rpm is not None:
        speed = abs(log(max(drive.speed_rpm, SLOWEST_RPM) / max(mode.speed_rpm, SLOWEST_RPM))) / reach[0]
    if mode.load is not None and drive.load is not None:
        load = abs(drive.load - mode.load) / reach[1]
    return max(speed, load)


def _filled(mode: Mode, drive: Drive, name: int) -> Mode:
    """With what was not known of it before."""
    speed_rpm = drive.speed_rpm if mode.speed_rpm is None else mode.speed_rpm
    return Mode(speed_rpm, drive.load if mode.load is None else mode.load, name)


def _here(channel: Channel) -> Known:
    return Known(channel.operation.mode, channel.monitors["baseline"], channel.baseline, channel.references)


def _with(channel: Channel, there: Known, operation: Operation) -> Channel:
    """By hand, for `replace` takes three times as long."""
    monitors = {**channel.monitors, "baseline": there.monitor}
    return Channel(
        channel.last_ms, monitors, there.baseline, there.references, channel.envelope_hz, channel.sensor, operation
    )


def _is_worth(one: Known) -> bool:
    """Something is known of it."""
    return rows(one.baseline) > 0 or any(usual.rows for usual in one.references)


def _room(known: Sequence[Known], strangers: int, position: Position, settings: Settings) -> tuple[Known | None, int]:
    """Room for a further mode: the one to give up for it, if need be. One more stranger means that there is none.

    A machine that passes through speeds leaves modes behind that are never learned; they must not keep out others for
    ever, nor chase each other away. So one is given up for as many strangers as it takes to learn a mode.
    """
    names = {checksum(mode.name) for mode in position.modes}
    leaders = [one for one in known if one.mode != ALL_ELSE and _is_worth(one)]
    if names:
        nameless = [one for one in known if one.mode.name not in names and _is_worth(one)]
        return (_least(nameless) if len(leaders) >= MOST_MODES else None), strangers
    if len(leaders) < MOST_MODES - 1:
        return None, strangers
    spare = [one for one in leaders if rows(one.baseline) < settings.warmup]
    if spare and strangers + 1 >= min(settings.warmup, MOST_STRANGERS):
        return _least(spare), 0
    return None, strangers + 1


def _least(known: Sequence[Known]) -> Known | None:
    return min(known, key=lambda one: rows(one.baseline), default=None)
