"""Columns of times, whole: from text or numbers in any of the ways that historians write them, to UTC.

A time without an offset is in a zone that somebody has to name. One that cannot be told is named as such, never
guessed: an hour that the clocks repeat in autumn, one that they leave out in spring, an offset that is not the zone's.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Instants = NDArray[np.int64]  # microseconds since 1970

OFFSET = "offset"  # for a zone: each time says its own
REPEATED = ("quarantine", "first", "second")  # what an hour is that the clocks repeat
EPOCHS_US: Mapping[str, float] = {"s": 1e6, "ms": 1e3, "us": 1.0, "ns": 1e-3}  # since 1970
EXCEL = "excel"  # days since 1899-12-30, as spreadsheets count
EXCEL_EPOCH_US = -25_569 * 86_400_000_000  # 1899-12-30
DAY_US = 86_400_000_000
EARLIEST_US = 0  # 1970: what is before it is a clock that was never set
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_ZONE = r"(?P<zone>Z|z|UTC|GMT|[+-]\d\d:?\d\d|[+-]\d\d)"
ISO = (
    r"(?P<year>\d{4})-(?P<month>\d\d?)-(?P<day>\d\d?)"
    r"(?:[ T](?P<hour>\d\d?):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,](?P<fraction>\d+))?)?)?" + rf"\s*{_ZONE}?"
)
DIRECTIVES: Mapping[str, str] = {
    "Y": r"(?P<year>\d{4})",
    "y": r"(?P<short_year>\d\d)",
    "m": r"(?P<month>\d\d?)",
    "b": r"(?P<name>[A-Za-z]{3})",
    "d": r"(?P<day>\d\d?)",
    "H": r"(?P<hour>\d\d?)",
    "I": r"(?P<hour>\d\d?)",
    "M": r"(?P<minute>\d\d)",
    "S": r"(?P<second>\d\d)",
    "f": r"(?P<fraction>\d+)",
    "p": r"(?P<half>[AaPp])[Mm]?",
    "z": _ZONE,
}


class Fault(IntEnum):
    """Why a time could not be told."""

    NONE = 0
    NO_TIME = 1
    NO_OFFSET = 2
    OTHER_OFFSET = 3
    LEFT_OUT = 4
    REPEATED = 5
    OUTSIDE = 6


WORDS: Mapping[Fault, str] = {
    Fault.NO_TIME: "wanted a time like {like}",
    Fault.NO_OFFSET: "wanted an offset from UTC with each time, as others of the file have",
    Fault.OTHER_OFFSET: "its offset is not that of {zone} at that time: the file mixes time zones",
    Fault.LEFT_OUT: "the clocks of {zone} leave that time out",
    Fault.REPEATED: "the clocks of {zone} show that time twice, and which it is cannot be told (`repeated`)",
    Fault.OUTSIDE: "wanted a time between 1970 and now",
}


@lru_cache(maxsize=64)
def _matcher(pattern: str) -> str:
    """The regular expression of a pattern; ValueError for what is none."""
    if pattern in ("iso", EXCEL) or pattern in EPOCHS_US:
        return f"^{ISO}$"
    out, at = "", 0
    while at < len(pattern):
        mark = pattern[at]
        if mark == "%" and pattern[at + 1 : at + 2] in DIRECTIVES:
            out += DIRECTIVES[pattern[at + 1]]
            at += 2
            continue
        out += re.escape(mark)
        at += 1
    has_day = re.search(r"%[Yy]", pattern) and re.search(r"%[mb]", pattern) and "%d" in pattern
    if not has_day or "%%" in pattern or re.search(r"%[^YymbdHIMSfpz]", pattern):
        known = ", ".join(("iso", EXCEL, *EPOCHS_US))
        directives = " ".join(f"%{name}" for name in DIRECTIVES)
        raise ValueError(f'found the time format "{pattern}", wanted {known}, or a day written with {directives}')
    return f"^{out}$"


@dataclass(frozen=True)
class TimeFormat:
    """How a column writes its times. pattern : iso, excel, one of EPOCHS_US, or directives such as %d.%m.%Y %H:%M:%S.

    ValueError for what is neither, and for a zone or a choice that there is not.
    """

    pattern: str = "iso"
    zone: str = "UTC"
    repeated: str = "quarantine"

    def __post_init__(self) -> None:
        _matcher(self.pattern)
        if self.zone != OFFSET and not _zone_exists(self.zone):
            raise ValueError(f'found the zone "{self.zone}", wanted a name such as Europe/Berlin, or {OFFSET}')
        if self.repeated not in REPEATED:
            raise ValueError(f'found repeated "{self.repeated}", wanted {", ".join(REPEATED)}')

    def words(self, fault: Fault) -> str:
        like = "2026-03-01T14:30:00Z" if self.pattern == "iso" else self.pattern
        return WORDS[fault].format(like=like, zone=self.zone)


@lru_cache(maxsize=64)
def _zone_exists(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # OSError: the name of a folder of zones
        return False
    return True


ISO_IN_UTC = TimeFormat()


@dataclass(frozen=True, eq=False)
class Times:
    """t_us : microseconds since 1970, nothing where there is a fault.   faults : a Fault of each.

    cut : how many had digits beyond the microsecond, which the lake does not keep.
    """

    t_us: Instants
    faults: NDArray[np.uint8]
    cut: int = 0


def parsed(column: pa.ChunkedArray | pa.Array, form: TimeFormat, *, latest_us: int) -> Times:
    """The times of a column; `latest_us` is the last one that can be true."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        coded = pc.dictionary_encode(array, null_encoding="encode")
        places = np.asarray(coded.indices)
        of_each = _bounded(_texts(coded.dictionary, form), latest_us)
        cut = (
            0
            if not of_each.cut
            else int(np.bincount(places, minlength=len(of_each.t_us))[_cut(coded.dictionary)].sum())
        )
        return Times(of_each.t_us[places], of_each.faults[places], cut)
    return _bounded(_typed(array, form), latest_us)


def _bounded(times: Times, latest_us: int) -> Times:
    outside = (times.faults == Fault.NONE) & ((times.t_us < EARLIEST_US) | (times.t_us > latest_us))
    return Times(times.t_us, np.where(outside, np.uint8(Fault.OUTSIDE), times.faults), times.cut)


# ---- columns that are no text --------------------------------------------------------------------


def _typed(array: pa.Array, form: TimeFormat) -> Times:
    """Timestamps and dates of Parquet, and numbers."""
    known = np.asarray(array.is_valid())
    missing = np.where(known, np.uint8(Fault.NONE), np.uint8(Fault.NO_TIME))
    if pa.types.is_date(array.type) or pa.types.is_timestamp(array.type):
        zoned = pa.types.is_timestamp(array.type) and array.type.tz is not None
        fine = pa.types.is_timestamp(array.type) and array.type.unit == "ns"
        whole = pc.cast(array, pa.timestamp("us", array.type.tz if zoned else None), safe=False)
        t_us = _filled(pc.cast(whole, pa.int64()))
        cut = int(np.sum(_filled(pc.cast(array, pa.int64())) % 1000 != 0)) if fine else 0
        if zoned:
            return Times(t_us, missing, cut)
        utc, faults = _placed(t_us, form)
        return Times(utc, np.where(known, faults, missing), cut)
    numbers = pc.cast(array, pa.int64()) if pa.types.is_integer(array.type) else pc.cast(array, pa.float64())
    return _numbers(numbers, form)


def _filled(array: pa.Array) -> NDArray[Any]:
    return np.asarray(pc.fill_null(array, 0))


def _numbers(array: pa.Array, form: TimeFormat) -> Times:
    """Seconds, milliseconds and so on since 1970, or days of a spreadsheet."""
    if form.pattern not in EPOCHS_US and form.pattern != EXCEL:
        return Times(np.zeros(len(array), np.int64), np.full(len(array), Fault.NO_TIME, np.uint8))
    values, known = _filled(array), np.asarray(array.is_valid())
    if form.pattern == EXCEL:
        known = known & (np.abs(values) < 1e6)
        local_us = np.rint(np.where(known, values, 0.0) * 86_400_000.0).astype(np.int64) * 1000 + EXCEL_EPOCH_US
        t_us, faults = _placed(local_us, form)
        return Times(t_us, np.where(known, faults, np.uint8(Fault.NO_TIME)))
    factor = EPOCHS_US[form.pattern]
    known = known & np.isfinite(values) & (np.abs(values) * factor < 2.0**62)
    plain = np.where(known, values, 0)
    if plain.dtype == np.int64:
        t_us, cut = (plain // 1000, int(np.sum(plain % 1000 != 0))) if factor < 1 else (plain * int(factor), 0)
    else:
        t_us, cut = np.rint(plain * factor).astype(np.int64), 0
    return Times(t_us, np.where(known, np.uint8(Fault.NONE), np.uint8(Fault.NO_TIME)), cut)


# ---- text ----------------------------------------------------------------------------------------


def _texts(texts: pa.Array, form: TimeFormat) -> Times:
    """Of different texts, each once."""
    if form.pattern in EPOCHS_US or form.pattern == EXCEL:
        return _number_texts(pc.utf8_trim_whitespace(texts), form)
    plain = _plain_iso(texts, form) if form.pattern == "iso" else None
    return _matched(pc.utf8_trim_whitespace(texts), form) if plain is None else plain


def _plain_iso(texts: pa.Array, form: TimeFormat) -> Times | None:
    """What Arrow reads by itself, ten times faster; None where one is not like that."""
    try:
        kind = pa.timestamp("us", "UTC") if form.zone == OFFSET else pa.timestamp("us")
        t_us = np.asarray(pc.cast(pc.cast(texts, kind), pa.int64()))
    except pa.ArrowInvalid:
        return None
    if texts.null_count:
        return None
    return Times(*((t_us, np.zeros(len(t_us), np.uint8)) if form.zone == OFFSET else _placed(t_us, form)))


def _number_texts(texts: pa.Array, form: TimeFormat) -> Times:
    is_number = pc.fill_null(pc.match_substring_regex(texts, r"^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$"), False)
    numbers = pc.if_else(is_number, texts, None)
    try:
        return _numbers(pc.cast(numbers, pa.int64()), form)
    except pa.ArrowInvalid:
        return _numbers(pc.cast(numbers, pa.float64()), form)


def _matched(texts: pa.Array, form: TimeFormat) -> Times:
    found = pc.extract_regex(texts, _matcher(form.pattern))
    known = np.asarray(found.is_valid())
    names = {field.name for field in found.type}
    part = {name: found.field(name) for name in names}

    def number(name: str, default: int) -> Instants:
        if name not in part:
            return np.full(len(texts), default, np.int64)
        given = pc.if_else(pc.fill_null(pc.not_equal(part[name], ""), False), part[name], None)
        return np.asarray(pc.fill_null(pc.cast(given, pa.int64()), default))

    year = number("year", 1970) if "year" in names else number("short_year", 70)
    year = year if "year" in names else np.where(year < 70, 2000, 1900) + year
    month = _named_months(part["name"]) if "name" in names else number("month", 1)
    day, hour, minute, second = number("day", 1), number("hour", 0), number("minute", 0), number("second", 0)
    if "half" in names:
        after_noon = np.asarray(pc.fill_null(pc.equal(pc.utf8_lower(part["half"]), "p"), False))
        known = known & (hour >= 1) & (hour <= 12)
        hour = hour % 12 + 12 * after_noon
    fraction_us, cut = _fractions(part.get("fraction"), len(texts))
    known = (
        known & (month >= 1) & (month <= 12) & (day >= 1) & (hour < 24) & (minute < 60) & (second < 61) & (year >= 1)
    )
    months = np.where(known, (year - 1970) * 12 + month - 1, 0).astype("M8[M]")
    days = months.astype("M8[D]") + (np.where(known, day, 1) - 1)
    known = known & (days.astype("M8[M]") == months)
    local_us = days.astype(np.int64) * DAY_US + ((hour * 60 + minute) * 60 + second) * 1_000_000 + fraction_us
    local_us = np.where(known, local_us, 0)
    t_us, faults = _zoned(local_us, part.get("zone"), form)
    return Times(t_us, np.where(known, faults, np.uint8(Fault.NO_TIME)), cut)


def _named_months(names: pa.Array) -> Instants:
    places = pc.index_in(pc.utf8_lower(names), pa.array(MONTHS))
    return np.asarray(pc.fill_null(places, -1), np.int64) + 1


def _fractions(digits: pa.Array | None, count: int) -> tuple[Instants, int]:
    """Microseconds, and how many had more digits than that which were not 0."""
    if digits is None:
        return np.zeros(count, np.int64), 0
    given = pc.fill_null(digits, "")
    padded = pc.utf8_rpad(pc.utf8_slice_codeunits(given, 0, 6), width=6, padding="0")
    beyond = pc.match_substring_regex(given, r"^\d{6}\d*[1-9]")
    return np.asarray(pc.cast(padded, pa.int64())), int(pc.sum(beyond).as_py() or 0)


def _cut(texts: pa.Array) -> NDArray[np.bool_]:
    return np.asarray(pc.fill_null(pc.match_substring_regex(texts, r"[.,]\d{6}\d*[1-9]"), False))


def _zoned(local_us: Instants, offsets: pa.Array | None, form: TimeFormat) -> tuple[Instants, NDArray[np.uint8]]:
    """Local times as UTC, by their own offset where they have one."""
    if offsets is None:
        return _placed(local_us, form)
    texts = pc.fill_null(offsets, "")
    has = np.asarray(pc.not_equal(texts, ""))
    own_us = local_us - _offset_us(texts)
    if form.zone == OFFSET:
        return own_us, np.where(has, np.uint8(Fault.NONE), np.uint8(Fault.NO_OFFSET))
    placed_us, faults = _placed(local_us, form)
    if not has.any():
        return placed_us, faults
    other = has & (_local(own_us, form.zone) != local_us)
    faults = np.where(has, np.where(other, np.uint8(Fault.OTHER_OFFSET), np.uint8(Fault.NONE)), faults)
    return np.where(has, own_us, placed_us), faults


def _offset_us(texts: pa.Array) -> Instants:
    found = {text: _one_offset_us(text) for text in pc.unique(texts).to_pylist()}
    coded = pc.dictionary_encode(texts)
    return np.array([found[text] for text in coded.dictionary.to_pylist()], np.int64)[np.asarray(coded.indices)]


def _one_offset_us(text: str) -> int:
    digits = text.replace(":", "")
    if digits[:1] not in ("+", "-"):
        return 0
    minutes = int(digits[1:3]) * 60 + int(digits[3:5] or 0)
    return (-minutes if digits[0] == "-" else minutes) * 60_000_000


def _placed(local_us: Instants, form: TimeFormat) -> tuple[Instants, NDArray[np.uint8]]:
    """Local times of the zone as UTC. Where each time says its own offset, these say none."""
    if form.zone == OFFSET:
        return local_us, np.full(len(local_us), Fault.NO_OFFSET, np.uint8)
    faults = np.zeros(len(local_us), np.uint8)
    if form.zone == "UTC":
        return local_us, faults
    naive = pa.array(local_us).cast(pa.timestamp("us"))
    first, second = (
        np.asarray(pc.assume_timezone(naive, form.zone, ambiguous=which, nonexistent=which).cast(pa.int64()))
        for which in ("earliest", "latest")
    )
    left_out = _local(first, form.zone) != local_us
    faults[left_out] = Fault.LEFT_OUT
    if form.repeated == "quarantine":
        faults[(first != second) & ~left_out] = Fault.REPEATED
    return second if form.repeated == "second" else first, faults


def _local(t_us: Instants, zone: str) -> Instants:
    there = pc.local_timestamp(pa.array(t_us).cast(pa.timestamp("us", "UTC")).cast(pa.timestamp("us", zone)))
    return np.asarray(there.cast(pa.int64()))


# ---- finding out ---------------------------------------------------------------------------------

# In the order in which they are tried. What only differs in day and month is told by the values, if they tell.
KNOWN: Sequence[str] = (
    "iso",
    "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%dT%H:%M:%S",
    "%Y/%m/%d %H:%M:%S.%f",
    "%Y/%m/%d %H:%M",
    "%Y-%m-%d-%H-%M-%S",
    "%Y-%m-%d-%H:%M:%S",
    "%Y %m %d %H:%M:%S",
    "%Y %m %dT%H:%M:%S",
    "%Y%m%d%H%M%S",
    "%Y%m%dT%H%M%S",
    "%Y%m%dT%H:%M:%S",
    "%d.%m.%Y %H:%M:%S",
    "%d.%m.%Y %H:%M:%S.%f",
    "%d.%m.%Y %H:%M:%S,%f",
    "%d.%m.%Y %H:%M",
    "%d.%m.%y %H:%M:%S",
    "%d/%m/%Y %H:%M:%S",
    "%m/%d/%Y %H:%M:%S",
    "%d/%m/%Y %H:%M:%S.%f",
    "%m/%d/%Y %H:%M:%S.%f",
    "%d/%m/%Y %H:%M",
    "%m/%d/%Y %H:%M",
    "%d/%m/%Y %I:%M:%S %p",
    "%m/%d/%Y %I:%M:%S %p",
    "%d-%m-%Y %H:%M:%S",
    "%m-%d-%Y %H:%M:%S",
    "%d-%b-%Y %H:%M:%S",
    "%d-%b-%Y %H:%M:%S.%f",
    "%d-%b-%y %H:%M:%S",
)
FITTED = 2000  # texts that are looked at
LATE_S, LATE_MS, LATE_US = 1e11, 1e14, 1e17  # a number beyond it is in the next finer unit


def fitting(texts: Sequence[str], *, latest_us: int) -> list[str]:
    """The patterns that read all of these texts, but for one in ten: several where day and month cannot be told."""
    given = [text.strip() for text in texts if text and text.strip()][:FITTED]
    if not given:
        return []
    try:
        largest = max(abs(float(text)) for text in given)
    except ValueError:
        largest = None
    if largest is not None and not all(len(text) == 14 and text.startswith(("19", "20")) for text in given):
        if largest < 1e5:
            return [EXCEL]
        return ["s" if largest < LATE_S else "ms" if largest < LATE_MS else "us" if largest < LATE_US else "ns"]
    array, found = pa.array(given), []
    for pattern in KNOWN:
        faults = _bounded(_texts(array, TimeFormat(pattern)), latest_us).faults
        known = np.sum((faults == Fault.NONE) | (faults == Fault.NO_OFFSET))
        if known >= 0.9 * len(given):
            found.append((int(known), pattern))
    most = max((known for known, _ in found), default=0)
    return [pattern for known, pattern in found if known == most]


def has_offsets(texts: Sequence[str]) -> bool:
    """Most of these texts say their offset from UTC."""
    given = [text.strip() for text in texts if text and text.strip()]
    return 2 * sum(bool(re.search(rf"\d\s*{_ZONE}$", text)) and ":" in text for text in given) > len(given)
