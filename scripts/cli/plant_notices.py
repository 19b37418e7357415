"""Reads `notices:` of a site in the plant file: who is told of its cases, of what, and when."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol

import yaml
from telltale.core.notices import is_quiet
from telltale.core.recipients import CHANNELS, DAY_MIN, DAYS, KINDS, Digest, Hours, Recipient

KEYS = (
    *CHANNELS,
    "severity",
    "places",
    "tell",
    "hours",
    "quiet",
    "alarm_breaks_quiet",
    "after",
    "remind",
    "digest",
    "system",
)
SEVERITIES = ("WARNING", "ALARM")
FULL = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
NOTHING = "nothing"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
NAME_WANTED = "1 to 64 letters, digits or _ . -, the first a letter or digit"
MAIL = re.compile(r"[^@\s\"<>,;]+@[^@\s\"<>,;.]+(\.[^@\s\"<>,;.]+)+")
NUMBER = re.compile(r"\+[1-9][0-9]{6,14}")  # E.164
SPAN = re.compile(r"(?:(?P<days>[A-Za-z, -]+?)\s+)?(?P<first>[0-9:]+)\s*-\s*(?P<last>[0-9:]+)")
TIME = re.compile(r"([01]?[0-9]|2[0-4]):([0-5][0-9])")
HOURS_WANTED = "hours such as 22:00-06:00, Mon-Fri 06:00-22:00 or Sat,Sun 08:00-12:00"
DIGEST_WANTED = "daily 07:00, or weekly Mon 07:00"
ADDRESS_WANTED = {
    "email": "an address such as mia@example.com",
    "sms": "a number with its country, such as +4915112345678",
    "slack": "the name of the secret that has the webhook's address",
    "teams": "the name of the secret that has the workflow's address",
}


class Reader(Protocol):
    """What the plant file's reader offers."""

    @property
    def problems(self) -> Sequence[object]: ...

    def problem(self, node: yaml.Node, message: str) -> None: ...

    def ids(
        self, node: yaml.Node | None, what: str, pattern: re.Pattern[str] = ..., wanted: str = ...
    ) -> list[tuple[yaml.Node, str, yaml.Node]]: ...

    def keys(self, node: yaml.Node | None, known: Iterable[str], what: str) -> dict[str, yaml.Node]: ...

    def text(self, node: yaml.Node | None) -> str | None: ...

    def choice(self, node: yaml.Node, known: Iterable[str], what: str) -> str | None: ...

    def duration(self, node: yaml.Node) -> float | None: ...


def recipients(file: Reader, site: str, node: yaml.Node | None, places: Collection[str]) -> tuple[Recipient, ...]:
    """The recipients of a site. places : all that can be named, as paths below the site."""
    found = [
        _recipient(file, site, key_node, name, value, places)
        for key_node, name, value in file.ids(node, "a recipient", NAME, NAME_WANTED)
    ]
    return tuple(one for one in found if one is not None)


def places_of(site: str, positions: Iterable[str]) -> list[str]:
    """Every area, asset and position of a site, as a path below it."""
    parts = [one.split("/")[1:] for one in positions if one.split("/")[0] == site]
    return list(dict.fromkeys("/".join(path[:length]) for path in parts for length in range(1, len(path) + 1)))


def _recipient(
    file: Reader, site: str, key_node: yaml.Node, name: str, node: yaml.Node, places: Collection[str]
) -> Recipient | None:
    before = len(file.problems)
    given = file.keys(node, KEYS, "a recipient's keys")
    channels = [channel for channel in CHANNELS if channel in given]
    if len(channels) != 1 and len(file.problems) > before:
        return None
    if len(channels) != 1:
        said = f"found {' and '.join(channels)}" if channels else "found no channel"
        file.problem(key_node, f'recipient "{name}": {said}, wanted one of {", ".join(CHANNELS)}')
        return None
    address = _address(file, site, channels[0], given[channels[0]])
    values: dict[str, Any] = {}
    if "severity" in given:
        values["severity"] = file.choice(given["severity"], SEVERITIES, "a severity")
    if "places" in given:
        values["places"] = _places(file, given["places"], places)
    if "tell" in given:
        values["tell"] = _tell(file, given["tell"])
    for key in ("hours", "quiet"):
        if key in given:
            values[key] = tuple(filter(None, (_hours(file, one) for one in _listed(given[key]))))
    for key in ("alarm_breaks_quiet", "system"):
        if key in given:
            values[key] = file.choice(given[key], ("true", "false"), "true or false") == "true"
    for key, field in (("after", "after_min"), ("remind", "remind_min")):
        if key in given and (seconds := file.duration(given[key])) is not None:
            values[field] = seconds / 60
    if "digest" in given:
        values["digest"] = _digest(file, given["digest"])
    made = Recipient(name, channels[0], address or "", **{key: one for key, one in values.items() if one is not None})
    if len(file.problems) == before:
        _check(file, key_node, given, made)
    return made if address else None


def _check(file: Reader, key_node: yaml.Node, given: Mapping[str, yaml.Node], made: Recipient) -> None:
    """What only shows once values are side by side."""
    if made.alarm_breaks_quiet and not made.quiet and "quiet" not in given:
        file.problem(
            given["alarm_breaks_quiet"], "there is no quiet for alarms to break: give quiet, or leave this out"
        )
    if made.digest is not None:
        days = range(len(DAYS)) if made.digest.weekday is None else (made.digest.weekday,)
        if any(is_quiet(made.quiet, day, made.digest.at_min) for day in days):
            file.problem(given["digest"], f"the digest, {made.digest}, is in the recipient's quiet hours")
    if made.remind_min is not None and not {"opened", "raised", "reopened"} & set(made.tell):
        file.problem(given["remind"], "nobody is reminded of what was not told: tell opened too, or leave remind out")
    if not made.tell and made.digest is None and not made.system:
        file.problem(key_node, f'recipient "{made.name}" is told nothing: no changes of cases, no digest, no system')


def _address(file: Reader, site: str, channel: str, node: yaml.Node) -> str | None:
    found = file.text(node)
    if found is None:
        return None
    if channel == "sms":
        found = re.sub(r"[ ()/-]", "", found)
    pattern = {"email": MAIL, "sms": NUMBER}.get(channel, NAME)
    if pattern.fullmatch(found):
        return found
    if channel in ("slack", "teams") and "://" in found:
        file.problem(
            node,
            f"found an address, wanted {ADDRESS_WANTED[channel]}: whoever has the address can post; choose a name "
            f"and keep the address with `telltale notices secret {site} NAME`",
        )
    else:
        file.problem(node, f'found "{file.text(node)}", wanted {ADDRESS_WANTED[channel]}')
    return None


def _places(file: Reader, node: yaml.Node, known: Collection[str]) -> tuple[str, ...]:
    read = [file.choice(one, known, "an area, area/asset or area/asset/position of this site") for one in _listed(node)]
    return tuple(one for one in read if one is not None)


def _tell(file: Reader, node: yaml.Node) -> tuple[str, ...]:
    read = [file.choice(one, (*KINDS, NOTHING), "a change of a case, or nothing") for one in _listed(node)]
    if NOTHING in read and len(read) > 1:
        file.problem(node, f"found {NOTHING} beside changes, wanted the one or the others")
    return tuple(one for one in KINDS if one in read)


def _hours(file: Reader, node: yaml.Node) -> Hours | None:
    found = file.text(node)
    if found is None:
        return None
    match = SPAN.fullmatch(found.strip())
    if match is not None:
        days, first, last = _days(match["days"]), _minute(match["first"]), _minute(match["last"])
        if days and first is not None and last is not None and first != DAY_MIN and (last or first):
            return Hours(days, first, last)
    file.problem(node, f'found "{found}", wanted {HOURS_WANTED}')
    return None


def _digest(file: Reader, node: yaml.Node) -> Digest | None:
    found = file.text(node)
    if found is None:
        return None
    match found.split():
        case [str(often), str(at)] if often.lower() == "daily" and (minute := _minute(at)) not in (None, DAY_MIN):
            return Digest(minute)
        case [str(often), str(day), str(at)] if (
            often.lower() == "weekly"
            and len(days := _days(day) or ()) == 1
            and (minute := _minute(at)) not in (None, DAY_MIN)
        ):
            return Digest(minute, days[0])
    file.problem(node, f'found "{found}", wanted {DIGEST_WANTED}')
    return None


def _days(text: str | None) -> tuple[int, ...] | None:
    """Days of the week, such as `Mon-Fri` or `Sat,Sun`; every day where none is named, None where one is not known."""
    if text is None:
        return tuple(range(len(DAYS)))
    found: set[int] = set()
    for part in text.split(","):
        ends = [_day(one) for one in part.split("-")]
        if None in ends or len(ends) > 2:
            return None
        first, last = ends[0] or 0, ends[-1] or 0
        found |= {day % len(DAYS) for day in range(first, last + 1 + len(DAYS) * (last < first))}
    return tuple(sorted(found))


def _day(text: str) -> int | None:
    """`Mon`, `monday`."""
    short = text.strip().lower()
    return next((day for day, name in enumerate(DAYS) if len(short) >= 3 and FULL[day].startswith(short)), None)


def _minute(text: str) -> int | None:
    match = TIME.fullmatch(text.strip())
    minute = int(match[1]) * 60 + int(match[2]) if match else None
    return minute if minute is None or minute <= DAY_MIN else None


def _listed(node: yaml.Node) -> list[yaml.Node]:
    return list(node.value) if isinstance(node, yaml.SequenceNode) else [node]
