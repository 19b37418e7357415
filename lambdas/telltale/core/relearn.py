"""When what is normal is learned anew, or not learned for a while: another sensor, a restart, a person who asks.

A new sensor sits otherwise: how stiffly decides what is heard above some 2 kHz (ISO 5348), hardly what velocity from 10
to 1000 Hz is. So its first captures are compared with the old normal. If they are alike, that stays, and no day is
lost. If they are not while the velocity is, the mounting has changed, and what depends on it is learned anew, without a
case. If the velocity has changed too, it is the machine, and judged as ever.
"""

from dataclasses import replace

from telltale.core import baseline, modes
from telltale.core.baseline import INDICATORS, NO_REFERENCES, Baseline, Deviation
from telltale.core.judgement import AXES, Control
from telltale.core.limits import VELOCITY
from telltale.core.modes import checksum, rows
from telltale.core.persistence import Monitor, hushed
from telltale.core.sensor import SOUND
from telltale.core.settings import Settings
from telltale.core.state import Channel, Operation, State

OF_THE_MOUNTING = tuple(name for name in INDICATORS if name != VELOCITY)
KIND = "relearn"  # of the control that asks for it


def heard_by(channel: Channel, sensor: str, *, case_open: bool, settings: Settings) -> Channel:
    """The channel, heard by this sensor. If it is another one, its captures are to be compared with the old normal.

    Not while a case is open: its rows are expected to be unlike. What is not judged, and the sensor's own health, start
    anew at once; so does a normal that is not settled, for nothing can be compared with it.
    """
    operation, now = channel.operation, checksum(sensor) if sensor else 0
    if now in (operation.sensor, 0):
        return channel
    if operation.sensor == 0:
        return replace(channel, operation=operation._replace(sensor=now))
    others = tuple(
        one._replace(baseline=_settled(one.baseline, settings), references=NO_REFERENCES) for one in operation.others
    )
    compared = 0 if case_open else settings.warning_m
    operation = operation._replace(others=others, sensor=now, compared=compared, unlike=0)
    known = _settled(channel.baseline, settings)
    return replace(channel, baseline=known, references=NO_REFERENCES, sensor=SOUND, operation=operation)


def compared(channel: Channel, found: Deviation, *, settings: Settings) -> tuple[Channel, bool]:
    """The channel after one more capture of a new sensor was compared, and whether that was unlike the old one.

    When `warning_n` are unlike, what belongs to the mounting is learned anew in every mode.
    """
    operation = channel.operation
    unlike = _is_unlike(found)
    left, count = operation.compared - 1, operation.unlike + unlike
    if count < settings.warning_n:
        count = count if left else 0
        return replace(channel, operation=operation._replace(compared=left, unlike=count)), unlike
    channel = modes.anew(channel, OF_THE_MOUNTING)
    others = tuple(one._replace(monitor=Monitor()) for one in channel.operation.others)
    operation = channel.operation._replace(compared=0, unlike=0, others=others)
    return replace(channel, monitors={**channel.monitors, "baseline": Monitor()}, operation=operation), unlike


def stopped(channel: Channel, *, settings: Settings) -> Channel:
    """The machine is off: when it starts, fewer captures than can alarm are not learned from."""
    settling = settings.warning_n - 1
    if channel.operation.settling == settling:
        return channel
    return replace(channel, operation=channel.operation._replace(settling=settling))


def running(operation: Operation) -> Operation:
    """One more capture since the machine was off."""
    return operation._replace(settling=operation.settling - 1) if operation.settling else operation


def may_learn(channel: Channel, *, settings: Settings) -> bool:
    """Whether this is a time to learn: a normal that is settled waits after a restart, and while sensors are compared.

    One that is not learns from all: machines that run for a few captures at a time would else never come to judge.
    """
    operation = channel.operation
    return not (operation.settling or operation.compared) or rows(channel.baseline) < settings.warmup


def asked(state: State, control: Control) -> State:
    """The state after a person asked: what is normal is learned anew, modes too. An open case stays, and so does all
    that limits judge by. Asked twice is asked once.
    """
    if state.relearned_ms is not None and control.t_ms <= state.relearned_ms:
        return state
    channels = {name: _forgotten(channel) if name in AXES else channel for name, channel in state.channels.items()}
    return replace(state, channels=channels, relearned_ms=control.t_ms)


def hushed_elsewhere(channel: Channel, *, settings: Settings) -> Channel:
    """A case was closed without repair: the modes that the machine is not in are quiet where they stand, too."""
    others = tuple(one._replace(monitor=hushed(one.monitor, settings=settings)) for one in channel.operation.others)
    return replace(channel, operation=channel.operation._replace(others=others))


def _is_unlike(found: Deviation) -> bool:
    """Something of the mounting is as far from its old normal as a warning, above or below, and the velocity is not."""
    of_the_machine = abs(found.scores.get(VELOCITY, 0.0)) >= 1
    return not of_the_machine and any(abs(found.scores.get(name, 0.0)) >= 1 for name in OF_THE_MOUNTING)


def _settled(known: Baseline, settings: Settings) -> Baseline:
    """What of it is settled."""
    return tuple(normal if normal.rows >= settings.warmup else baseline.Normal() for normal in known)


def _forgotten(channel: Channel) -> Channel:
    operation = Operation(sensor=channel.operation.sensor, settling=channel.operation.settling)
    return replace(
        channel,
        monitors={**channel.monitors, "baseline": Monitor()},
        baseline=baseline.EMPTY,
        references=NO_REFERENCES,
        operation=operation,
    )
