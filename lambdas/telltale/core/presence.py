"""Who has fallen silent, and who is back: pure judgement over when each sensor was last heard.

A gateway that goes silent takes its sensors with it. So that one dead gateway is one piece of news, not twenty, a
sensor is called stale only once its gateway was heard after the sensor should have been; and when all sensors of
a gateway are silent, it is the gateway that is disconnected. All times are times of receipt: a gateway that
delivers what it kept while offline is back, however old its samples are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

MISSED = 3  # intervals without a capture before a sensor counts as silent; one may be lost, two may be bad luck
LEAST_MS = 15 * 60_000  # silence shorter than this is nobody's business, however short the interval
HEARD_SINCE = 2  # a gateway proves that it lives by delivering something this many intervals after the sensor's last

KINDS = ("Sensor Stale", "Sensor Back", "Gateway Disconnected", "Gateway Connected")


def is_silent(heard_ms: int, interval_s: float, *, now_ms: int) -> bool:
    """What was last heard then, and should be every `interval_s`, is silent by now."""
    return now_ms - heard_ms > max(MISSED * round(interval_s * 1000), LEAST_MS)


@dataclass(frozen=True)
class Ear:
    """A sensor as it is heard: where, through which gateway, when last (receipt), how often it should be."""

    sensor: str
    position: str
    gateway: str | None
    heard_ms: int
    interval_s: float

    @property
    def interval_ms(self) -> int:
        return round(self.interval_s * 1000)

    def silent(self, now_ms: int, since_ms: int) -> bool:
        """Counted from `since_ms` where that is later than the last capture."""
        return is_silent(max(self.heard_ms, since_ms), self.interval_s, now_ms=now_ms)


@dataclass(frozen=True)
class Presence:
    """What was last told. `stale` : sensors told stale, and the last capture they had then.

    `disconnected` : gateways told disconnected, and their last capture then.   `back` : gateways that came
    back, and when; their sensors' silence counts from there.
    """

    stale: Mapping[str, int] = field(default_factory=dict)
    disconnected: Mapping[str, int] = field(default_factory=dict)
    back: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class News:
    """One thing to tell: the event's kind (one of KINDS), of whom, and the capture it is about (time of receipt)."""

    kind: str
    id: str
    heard_ms: int


def sweep(ears: Sequence[Ear], told: Presence, *, now_ms: int) -> tuple[Presence, list[News]]:
    """What there is to tell, and what has been told then. Swept again with the same ears, there is nothing new."""
    gateways: dict[str, list[Ear]] = {}
    for ear in ears:
        if ear.gateway is not None:
            gateways.setdefault(ear.gateway, []).append(ear)
    after, news = told, list[News]()
    for gateway, its in sorted(gateways.items()):
        after, more = _gateway(gateway, its, after, now_ms)
        news += more
    for ear in sorted(ears, key=lambda ear: ear.sensor):
        siblings = gateways.get(ear.gateway, []) if ear.gateway is not None else []
        after, more = _sensor(ear, siblings, after, now_ms)
        news += more
    return after, news


def _gateway(gateway: str, its: Sequence[Ear], told: Presence, now_ms: int) -> tuple[Presence, list[News]]:
    since_ms = told.back.get(gateway, 0)
    heard_ms = max(ear.heard_ms for ear in its)
    if gateway in told.disconnected:
        if heard_ms <= told.disconnected[gateway]:
            return told, []
        connected = Presence(told.stale, _without(told.disconnected, gateway), {**told.back, gateway: heard_ms})
        return connected, [News("Gateway Connected", gateway, heard_ms)]
    if not all(ear.silent(now_ms, since_ms) for ear in its):
        return told, []
    disconnected = Presence(told.stale, {**told.disconnected, gateway: heard_ms}, told.back)
    return disconnected, [News("Gateway Disconnected", gateway, heard_ms)]


def _sensor(ear: Ear, siblings: Sequence[Ear], told: Presence, now_ms: int) -> tuple[Presence, list[News]]:
    if ear.sensor in told.stale:
        if ear.heard_ms <= told.stale[ear.sensor]:
            return told, []
        back = Presence(_without(told.stale, ear.sensor), told.disconnected, told.back)
        return back, [News("Sensor Back", ear.sensor, ear.heard_ms)]
    if ear.gateway in told.disconnected:
        return told, []
    since_ms = told.back.get(ear.gateway, 0) if ear.gateway is not None else 0
    if not ear.silent(now_ms, since_ms) or not _gateway_lives(ear, siblings, since_ms):
        return told, []
    stale = Presence({**told.stale, ear.sensor: ear.heard_ms}, told.disconnected, told.back)
    return stale, [News("Sensor Stale", ear.sensor, ear.heard_ms)]


def _gateway_lives(ear: Ear, siblings: Sequence[Ear], since_ms: int) -> bool:
    """Whether the gateway delivered something after this sensor should have been heard; True without a gateway."""
    if ear.gateway is None:
        return True
    heard_ms = max(sibling.heard_ms for sibling in siblings)
    return heard_ms > max(ear.heard_ms, since_ms) + HEARD_SINCE * ear.interval_ms


def _without(told: Mapping[str, int], id_: str) -> dict[str, int]:
    return {known: heard_ms for known, heard_ms in told.items() if known != id_}
