"""Digests of what was received: any changed byte is found, and its column named."""

from dataclasses import replace
from struct import pack, unpack
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from telltale.core import evidence, schema
from telltale.core.evidence import Changed, changed, digest

IDS: dict[str, Any] = {"capture_id": "s-1@7", "position": "hall/pump/de", "site": "hall", "sensor": "s-1", "t": 7_000}
CAPTURE = {**IDS, "part": "xs", "gateway": "g-1", "received_at": 7_500, "temperature_c": 41.5, "record_id": "shard:1"}
COUNTS = np.arange(-50, 50, dtype=np.int16)
WAVEFORM = {**IDS, "axis": "x", "fs_hz": 26_667.0, "unit": "g", "scale": 0.001, "samples": COUNTS}
FEATURES = {**IDS, "axis": "x", "n_samples": 100, "rms_g": 0.1, "kurtosis": 3.0, "speed_rpm": None}
ROWS = {"captures": CAPTURE, "waveforms": WAVEFORM, "features": FEATURES}
READINGS = {"flow": 3.5}


def flipped(value: Any, place: int, bit: int) -> Any:
    """The value with one bit of it changed; None where that makes no value."""
    if isinstance(value, str):
        own = bytearray(value.encode())
        own[place % len(own)] ^= 1 << bit
        try:
            return own.decode()
        except UnicodeDecodeError:
            return None
    if isinstance(value, np.ndarray):
        counts = value.copy()
        counts.view(np.uint8)[place % counts.nbytes] ^= 1 << bit
        return counts
    own = bytearray(pack("<d", value))
    own[place % 8] ^= 1 << bit
    return unpack("<d", own)[0]


@pytest.mark.parametrize(
    ("table", "column"),
    [(table, column) for table, row in ROWS.items() for column, value in row.items() if value is not None],
)
@settings(max_examples=3)
@given(place=st.integers(0, 500), bit=st.integers(0, 7))
def test_one_changed_bit_is_found_and_its_column_named(table: str, column: str, place: int, bit: int) -> None:
    row = ROWS[table]
    recorded, now = digest(table, row), flipped(row[column], place, bit)

    found = None if now is None else changed(table, {**row, column: now}, recorded)

    if now is not None:
        assert found is not None
        assert (found.column, found.recorded) == (column, recorded)
        if column != "samples":
            assert found.was == row[column]


def test_what_is_as_it_was_received_is_unchanged() -> None:
    for table, row in ROWS.items():
        assert changed(table, row, digest(table, row)) is None
    recorded = digest("captures", CAPTURE, READINGS)
    assert changed("captures", CAPTURE, recorded, READINGS) is None


def test_a_changed_reading_is_named() -> None:
    recorded = digest("captures", CAPTURE, READINGS)

    found = changed("captures", CAPTURE, recorded, {"flow": 7.0})

    assert found == Changed("captures", recorded, digest("captures", CAPTURE, {"flow": 7.0}), "reading of flow", 7, 3.5)
    assert changed("captures", CAPTURE, recorded) is not None


def test_a_value_that_was_replaced_is_found_though_not_named() -> None:
    recorded = digest("captures", CAPTURE)

    found = changed("captures", {**CAPTURE, "temperature_c": 66.123, "part": "ys"}, recorded)

    assert found is not None
    assert found.column is None
    assert "in more than one byte" in str(found)


def test_a_digest_that_was_changed_itself_is_named_as_what_changed() -> None:
    recorded = digest("features", FEATURES)

    for wrong in (recorded[:5] + "z" + recorded[6:], recorded[:-1], ""):
        found = changed("features", FEATURES, wrong)
        assert found is not None
        assert found.column == "digests"


def test_the_digest_holds_when_columns_are_added_or_come_in_another_order() -> None:
    reordered = dict(reversed(FEATURES.items()))

    assert digest("features", {**reordered, "crest": None}) == digest("features", FEATURES)


def test_null_is_not_zero_and_a_value_cannot_move_to_the_next_column() -> None:
    assert digest("features", {**FEATURES, "speed_rpm": 0.0}) != digest("features", FEATURES)
    moved = {**FEATURES, "rms_g": None, "crest": 0.1}
    assert digest("features", moved) != digest("features", FEATURES)
    assert digest("captures", {**CAPTURE, "site": "", "sensor": "halls-1"}) != digest("captures", CAPTURE)


def test_samples_are_the_same_as_list_and_as_array_and_too_large_ones_do_not_wrap() -> None:
    recorded = digest("waveforms", WAVEFORM)
    wide = COUNTS.astype(np.int32)
    wide[3] += 65_536

    assert digest("waveforms", {**WAVEFORM, "samples": COUNTS.tolist()}) == recorded
    assert digest("waveforms", {**WAVEFORM, "samples": wide}) != recorded


def test_what_is_written_is_read_and_what_is_not_is_none() -> None:
    digests = {"captures": digest("captures", CAPTURE), "features x": digest("features", FEATURES)}

    assert evidence.read(evidence.written(digests)) == digests
    assert evidence.read(None) is None
    assert evidence.read("{") is None
    assert evidence.read('["a"]') is None
    assert evidence.read('{"captures":1}') is None


def test_every_column_of_the_sealed_tables_counts() -> None:
    kinds = {"string": "a", "double": 1.5, "int": 3, "timestamp": 1000}
    for table in (schema.CAPTURES, schema.WAVEFORMS, schema.FEATURES_TABLE):
        row = {column.name: kinds.get(column.type, COUNTS) for column in table.columns}
        counted = [name for name in row if digest(table.name, {**row, name: None}) != digest(table.name, row)]
        assert counted == [name for name in table.names if name != evidence.DIGESTS]


def test_a_change_tells_its_part_and_both_digests() -> None:
    found = changed("features", {**FEATURES, "kurtosis": 6.0}, digest("features", FEATURES))

    assert found is not None
    told = str(found)
    assert told.startswith("features x, column kurtosis is 6.0, and was received as 3.0 (digest recorded ")
    assert str(replace(found, was=None)).startswith("features x, column kurtosis (")


def test_a_value_that_was_replaced_is_named_where_another_row_has_what_it_was() -> None:
    for table, column, value in (("features", "kurtosis", 5.4321), ("waveforms", "scale", 0.12345)):
        row = ROWS[table]

        found = changed(table, {**row, column: value}, digest(table, row), like=[{column: 7.7}, {column: row[column]}])

        assert found is not None
        assert (found.column, found.was, found.now) == (column, row[column], value)


def test_samples_and_the_rest_are_told_apart() -> None:
    recorded = digest("waveforms", WAVEFORM)
    both = changed("waveforms", {**WAVEFORM, "samples": COUNTS + 1, "scale": 0.002}, recorded)
    samples = changed("waveforms", {**WAVEFORM, "samples": COUNTS + 1}, recorded)

    assert both is not None
    assert samples is not None
    assert (both.column, samples.column) == (None, "samples")
