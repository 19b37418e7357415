"""Times of a column are what the standard library says they are, and what cannot be told is named."""

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from cli.time_columns import OFFSET, Fault, TimeFormat, fitting, has_offsets, parsed
from hypothesis import given, settings
from hypothesis import strategies as st

LATEST_US = 4_000_000_000_000_000  # in 2096
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Arrow knows the rules of zones up to 2037; history is not later.
instants = st.datetimes(datetime.fromisoformat("1971-01-01"), datetime.fromisoformat("2037-01-01"))
zones = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"])


def one(text: str | None, form: TimeFormat) -> datetime | Fault:
    times = parsed(pa.array([text], pa.string()), form, latest_us=LATEST_US)
    return Fault(int(times.faults[0])) or EPOCH + timedelta(microseconds=int(times.t_us[0]))


@settings(max_examples=60, deadline=None)
@given(local=instants, zone=zones, repeated=st.sampled_from(["first", "second"]))
def test_a_local_time_is_what_zoneinfo_says(local: datetime, zone: str, repeated: str) -> None:
    aware = local.replace(tzinfo=ZoneInfo(zone), fold=int(repeated == "second"))
    there = aware.astimezone(UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None) == local

    found = one(str(local), TimeFormat("iso", zone, repeated))

    assert found == (aware.astimezone(UTC) if there else Fault.LEFT_OUT)


@settings(max_examples=50, deadline=None)
@given(local=instants, minutes=st.integers(-14 * 60, 14 * 60))
def test_a_time_with_its_offset_is_exact(local: datetime, minutes: int) -> None:
    aware = local.replace(tzinfo=timezone(timedelta(minutes=minutes)))

    assert one(aware.isoformat(), TimeFormat("iso", OFFSET)) == aware


@pytest.mark.parametrize(
    ("text", "pattern", "wanted"),
    [
        ("01.03.2026 14:05:06,250", "%d.%m.%Y %H:%M:%S,%f", "2026-03-01T14:05:06.250000+00:00"),
        ("3/1/2026 2:05:06 PM", "%m/%d/%Y %I:%M:%S %p", "2026-03-01T14:05:06+00:00"),
        ("3/1/2026 12:05:06 AM", "%m/%d/%Y %I:%M:%S %p", "2026-03-01T00:05:06+00:00"),
        ("01-MAR-26 14:05:06", "%d-%b-%y %H:%M:%S", "2026-03-01T14:05:06+00:00"),
        ("20260301140506", "%Y%m%d%H%M%S", "2026-03-01T14:05:06+00:00"),
        ("1772373906.5", "s", "2026-03-01T14:05:06.500000+00:00"),
        ("1772373906500", "ms", "2026-03-01T14:05:06.500000+00:00"),
        ("1772373906500000123", "ns", "2026-03-01T14:05:06.500000+00:00"),
        ("46082.5", "excel", "2026-03-01T12:00:00+00:00"),
    ],
)
def test_the_ways_that_times_are_written(text: str, pattern: str, wanted: str) -> None:
    found = one(text, TimeFormat(pattern))

    assert isinstance(found, datetime)
    assert found.isoformat() == wanted
    assert pattern in [*fitting([text], latest_us=LATEST_US), "ns", "%d.%m.%Y %H:%M:%S,%f"]


@pytest.mark.parametrize(
    ("text", "pattern", "fault"),
    [
        ("30.02.2026 10:00", "%d.%m.%Y %H:%M", Fault.NO_TIME),
        ("2026-03-01 24:00:00", "iso", Fault.NO_TIME),
        ("", "iso", Fault.NO_TIME),
        (None, "iso", Fault.NO_TIME),
        ("1969-12-31", "iso", Fault.OUTSIDE),
        ("1e300", "ms", Fault.NO_TIME),
        ("nan", "s", Fault.NO_TIME),
    ],
)
def test_what_is_no_time_is_said(text: str | None, pattern: str, fault: Fault) -> None:
    assert one(text, TimeFormat(pattern)) is fault


def test_parquets_own_times() -> None:
    naive = pa.array([datetime.fromisoformat("2026-07-01")], pa.timestamp("ns"))

    berlin = parsed(naive, TimeFormat("iso", "Europe/Berlin"), latest_us=LATEST_US)
    zoned = parsed(naive.cast(pa.timestamp("ns", "UTC")), TimeFormat("iso", "Europe/Berlin"), latest_us=LATEST_US)

    assert zoned.t_us[0] - berlin.t_us[0] == 2 * 3600 * 1_000_000


def test_digits_beyond_the_microsecond_are_counted() -> None:
    texts = pa.array(["2026-03-01 10:00:00.1234567", "2026-03-01 10:00:00.1234560", "2026-03-01 10:00:00.1234567"])

    assert parsed(texts, TimeFormat(), latest_us=LATEST_US).cut == 2


def test_day_and_month_are_told_apart_where_they_can_be() -> None:
    assert len(fitting(["03/04/2026 10:00:00"], latest_us=LATEST_US)) == 2
    assert fitting(["03/04/2026 10:00:00", "04/13/2026 10:00:00"], latest_us=LATEST_US) == ["%m/%d/%Y %H:%M:%S"]
    assert has_offsets(["2026-03-01T10:00:00+01:00"])
    assert not has_offsets(["2026-03-01"])
