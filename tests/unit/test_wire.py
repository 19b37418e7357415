"""What arrives is a capture or is rejected with its reason, whatever the bytes; what is sent arrives as it was."""

import base64
import dataclasses
import json
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import cbor2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from telltale.adapters import wire
from telltale.core import validate
from telltale.core.capture import AXES, UNITS, Capture, Waveform
from telltale.core.errors import Reason, Rejected
from telltale.core.plant import Assignment, Gateway, Position, Sensor

NOW = 1_790_000_000_000
SAMPLES = base64.b64encode(np.array([1, -2, 32767, -32768], "<i2").tobytes()).decode()
WAVE = {"fs_hz": 26_667, "unit": "g", "scale": 0.000488, "samples": SAMPLES}
SCALARS: dict[str, Any] = {"v": 1, "sensor": "s-1", "t": NOW, "temperature_c": 41.5}


def payload(**fields: Any) -> bytes:
    return json.dumps(SCALARS | fields).encode()


def wave(**fields: Any) -> bytes:
    return payload(waveforms={"x": WAVE | fields})


def reason_of(data: bytes) -> Reason:
    with pytest.raises(Rejected) as caught:
        wire.decode_json(data, received_ms=NOW)
    return caught.value.reason


def cbor_reason_of(data: bytes) -> Reason:
    with pytest.raises(Rejected) as caught:
        wire.decode_cbor(data, received_ms=NOW)
    return caught.value.reason


def plain(capture: Capture) -> dict[str, Any]:
    """A capture as values that compare with ==."""
    fields = {field.name: getattr(capture, field.name) for field in dataclasses.fields(capture)}
    waves = [(w.axis, w.samples.tolist(), w.fs_hz, w.scale, w.unit) for w in capture.waveforms]
    return fields | {"waveforms": waves}


numbers = st.floats(allow_nan=False, allow_infinity=False, width=32)
ids = st.from_regex(validate.ID, fullmatch=True)
waveforms = st.builds(
    Waveform,
    axis=st.just("x"),
    samples=st.lists(st.integers(-32768, 32767), min_size=1, max_size=50).map(lambda s: np.array(s, np.int16)),
    fs_hz=st.floats(0.1, 1e6),
    scale=st.floats(1e-9, 1e3),
    unit=st.sampled_from(UNITS),
)


@st.composite
def captures(draw: st.DrawFn) -> Capture:
    """Any capture that the contract allows."""
    axes = draw(st.lists(st.sampled_from(AXES), unique=True).map(sorted))
    sensor, t_ms = draw(ids), NOW - draw(st.integers(0, 10**9))
    temperature_c = draw(st.floats(-60, 300) if not axes else st.none() | st.floats(-60, 300))
    velocity = draw(st.dictionaries(st.sampled_from(AXES), st.floats(0, 1000)))
    tags = draw(st.dictionaries(ids, numbers, max_size=5))
    has_scalars = temperature_c is not None or bool(velocity) or bool(tags)
    return Capture(
        capture_id=draw(st.just(f"{sensor}@{t_ms}") | ids),
        part="".join(axes) + "s" * has_scalars,
        sensor=sensor,
        t_ms=t_ms,
        waveforms=tuple(dataclasses.replace(draw(waveforms), axis=axis) for axis in axes),
        velocity_rms_mm_s={axis: velocity[axis] for axis in AXES if axis in velocity},
        temperature_c=temperature_c,
        battery_pct=draw(st.none() | st.floats(0, 100)),
        rssi_dbm=draw(st.none() | st.floats(-150, 0)),
        tags=tags,
    )


@given(captures())
def test_what_is_sent_as_json_arrives_as_it_was(capture: Capture) -> None:
    arrived = wire.decode_json(wire.encode_json(capture), received_ms=NOW)

    assert plain(arrived) == plain(capture)


@given(captures())
def test_what_is_sent_as_cbor_arrives_as_it_was(capture: Capture) -> None:
    arrived = wire.decode_cbor(wire.encode_cbor(capture), received_ms=NOW)

    assert plain(arrived) == plain(capture)


def test_a_capture_without_an_id_is_named_by_sensor_and_sample_time() -> None:
    capture = wire.decode_json(payload(t="2026-09-21T13:33:20Z"), received_ms=NOW)

    assert capture.capture_id == "s-1@1789997600000"


@pytest.mark.parametrize("t", ["2026-09-21T14:13:20+00:00", "2026-09-21T16:13:20.000+02:00", "2026-09-21 14:13:20z"])
def test_a_sample_time_may_be_written_in_any_zone(t: str) -> None:
    assert wire.decode_json(payload(t=t), received_ms=NOW).t_ms == NOW


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ({}, "s"),
        ({"waveforms": {"y": WAVE, "x": WAVE}}, "xys"),
        ({"temperature_c": None, "waveforms": {"z": WAVE}}, "z"),
        ({"temperature_c": None, "waveforms": {"z": WAVE}, "battery_pct": 90}, "z"),
        ({"temperature_c": None, "battery_pct": 90}, "s"),
        ({"temperature_c": None, "tags": {"flow": 0.0}}, "s"),
        ({"temperature_c": 0}, "s"),
    ],
)
def test_a_part_names_the_axes_and_whether_there_are_scalars(fields: dict[str, Any], part: str) -> None:
    assert wire.decode_json(payload(**fields), received_ms=NOW).part == part


@pytest.mark.parametrize("samples", [cbor2.CBORTag(77, b"\1\0\2\0"), cbor2.CBORTag(73, b"\0\1\0\2"), b"\1\0\2\0"])
def test_cbor_samples_may_be_little_endian_big_endian_or_plain_bytes(samples: object) -> None:
    document = SCALARS | {"waveforms": {"x": WAVE | {"samples": samples}}}

    capture = wire.decode_cbor(cbor2.dumps(document), received_ms=NOW)

    assert capture.waveforms[0].samples.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", Reason.BAD_PAYLOAD),
        (b"\xff\xfe", Reason.BAD_PAYLOAD),
        (payload()[:-1], Reason.BAD_PAYLOAD),
        (payload() + b"x", Reason.BAD_PAYLOAD),
        (b"[" * 100_000, Reason.BAD_PAYLOAD),
        (b"9" * 5_000, Reason.BAD_PAYLOAD),
        (b'{"v": 1, "v": 1}', Reason.BAD_PAYLOAD),
        (b"[]", Reason.BAD_FIELD),
        (payload(v=2), Reason.BAD_FIELD),
        (payload(v=True), Reason.BAD_FIELD),
        (payload(sensor="a/b"), Reason.BAD_FIELD),
        (payload(sensor=None), Reason.BAD_FIELD),
        (payload(sensor="s" * 65), Reason.BAD_FIELD),
        (payload(capture_id="mine@1"), Reason.BAD_FIELD),
        (payload(t="yesterday"), Reason.BAD_FIELD),
        (payload(t="2026-02-30T00:00:00Z"), Reason.BAD_FIELD),
        (payload(t="2026-09-21T14:13:20"), Reason.BAD_FIELD),
        (payload(t=NOW + 0.5), Reason.BAD_FIELD),
        (payload(t=NOW + 300_001), Reason.CLOCK_AHEAD),
        (payload(t=10**4000), Reason.CLOCK_AHEAD),
        (payload(t=NOW - 400 * 86_400_000 - 1), Reason.TOO_OLD),
        (payload(temperature_c=math.nan), Reason.BAD_FIELD),
        (payload(temperature_c=math.inf), Reason.BAD_FIELD),
        (payload(temperature_c="41"), Reason.BAD_FIELD),
        (payload(temperature_c=True), Reason.BAD_FIELD),
        (payload(temperature_c=301), Reason.BAD_RANGE),
        (payload(temperature_c=-60.1), Reason.BAD_RANGE),
        (payload(temperature_c=10**400), Reason.BAD_RANGE),
        (payload(temperatur_c=40), Reason.BAD_FIELD),
        (payload(temperature_c=None), Reason.BAD_FIELD),
        (payload(speed_rpm=-1), Reason.BAD_RANGE),
        (payload(battery_pct=101), Reason.BAD_RANGE),
        (payload(rssi_dbm=1), Reason.BAD_RANGE),
        (payload(velocity_rms_mm_s={"x": -0.1}), Reason.BAD_RANGE),
        (payload(velocity_rms_mm_s={"w": 1.0}), Reason.BAD_FIELD),
        (payload(velocity_rms_mm_s=1.0), Reason.BAD_FIELD),
        (payload(tags={"a b": 1}), Reason.BAD_FIELD),
        (payload(tags={"a": None}), Reason.BAD_FIELD),
        (payload(tags={f"t{n}": n for n in range(65)}), Reason.TOO_LARGE),
        (payload(waveforms={"w": WAVE}), Reason.BAD_FIELD),
        (payload(waveforms={"x": 1}), Reason.BAD_FIELD),
        (payload(waveforms={"x": {"unit": "g"}}), Reason.BAD_FIELD),
        (wave(unit="mm/s"), Reason.BAD_UNIT),
        (wave(unit=None), Reason.BAD_UNIT),
        (wave(unit=["g"]), Reason.BAD_UNIT),
        (wave(fs_hz=0), Reason.BAD_RATE),
        (wave(fs_hz=-1), Reason.BAD_RATE),
        (wave(fs_hz=1e6 + 1), Reason.BAD_RATE),
        (wave(fs_hz="fast"), Reason.BAD_FIELD),
        (wave(fs_hz=math.nan), Reason.BAD_FIELD),
        (wave(scale=0), Reason.BAD_RANGE),
        (wave(scale=-1), Reason.BAD_RANGE),
        (wave(samples=""), Reason.BAD_FIELD),
        (wave(samples="AQ=="), Reason.BAD_FIELD),
        (wave(samples="!!!!"), Reason.BAD_FIELD),
        (wave(samples="é"), Reason.BAD_FIELD),
        (wave(samples=[1, 2]), Reason.BAD_FIELD),
        (wave(samples=base64.b64encode(bytes(2 * 65_537)).decode()), Reason.TOO_LARGE),
    ],
)
def test_a_bad_json_payload_is_rejected_with_its_reason(data: bytes, reason: Reason) -> None:
    assert reason_of(data) == reason


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", Reason.BAD_PAYLOAD),
        (b"\x81" * 100_000, Reason.BAD_PAYLOAD),
        (bytes.fromhex("bbffffffffffffffff"), Reason.BAD_PAYLOAD),  # a map of 2^64 entries
        (bytes.fromhex("5bffffffffffffffff"), Reason.BAD_PAYLOAD),  # 2^64 bytes
        (bytes.fromhex("d81c81d81d00"), Reason.BAD_PAYLOAD),  # a list that contains itself
        (cbor2.dumps(SCALARS) + b"\0", Reason.BAD_PAYLOAD),
        (bytes.fromhex("a2617601617601"), Reason.BAD_PAYLOAD),  # one key twice
        (b"\xc2\x5a\x00\x01\x86\xa0" + b"\xff" * 100_000, Reason.BAD_PAYLOAD),  # a number of 100,000 bytes
        (cbor2.dumps({b"v": 1}), Reason.BAD_FIELD),
        (cbor2.dumps(SCALARS | {"t": "now"}), Reason.BAD_FIELD),
        (cbor2.dumps(SCALARS | {"v": cbor2.CBORTag(77, b"\0\0\0\0")}), Reason.BAD_FIELD),
        (cbor2.dumps(SCALARS | {"temperature_c": math.nan}), Reason.BAD_FIELD),
        (cbor2.dumps(SCALARS | {"temperature_c": cbor2.undefined}), Reason.BAD_FIELD),
        (cbor2.dumps(SCALARS | {"waveforms": {"x": WAVE}}), Reason.BAD_FIELD),  # samples as text
        (cbor2.dumps(SCALARS | {"waveforms": {"x": WAVE | {"samples": cbor2.CBORTag(77, "ab")}}}), Reason.BAD_FIELD),
        (cbor2.dumps(SCALARS | {"waveforms": {"x": WAVE | {"samples": b"\0"}}}), Reason.BAD_FIELD),
    ],
)
def test_a_bad_cbor_payload_is_rejected_with_its_reason(data: bytes, reason: Reason) -> None:
    assert cbor_reason_of(data) == reason


def test_a_rejection_says_what_was_found_and_what_was_wanted() -> None:
    with pytest.raises(Rejected) as caught:
        wire.decode_json(wave(unit="mm/s"), received_ms=NOW)

    assert caught.value.detail == "waveforms.x.unit is 'mm/s', wanted one of g, m/s2"


def test_a_rejection_stays_short_however_long_the_value() -> None:
    with pytest.raises(Rejected) as caught:
        wire.decode_json(payload(sensor="s" * 100_000), received_ms=NOW)

    assert len(caught.value.detail) < 200


# --- Garbage: every one of these ends as a capture or as Rejected; anything else raised fails the test.

GOOD = Capture(
    capture_id="c-1",
    part="xs",
    sensor="s-1",
    t_ms=NOW,
    waveforms=(Waveform("x", np.arange(-20, 20, dtype=np.int16), 26_667.0, 0.000488, "g"),),
    velocity_rms_mm_s={"x": 1.25},
    temperature_c=41.5,
    tags={"flow": 3.0},
)
JSON, CBOR = wire.encode_json(GOOD), wire.encode_cbor(GOOD)


def rejection(decode: Callable[[bytes], object], data: bytes) -> Rejected | None:
    """How it was rejected, None if it was not; whatever else is raised is raised."""
    try:
        decode(data)
    except Rejected as rejected:
        return rejected
    return None


def survives(data: bytes) -> None:
    for decode in (wire.decode_json, wire.decode_cbor):
        rejected = rejection(partial(decode, received_ms=NOW), data)

        assert rejected is None or len(rejected.detail) < 1000


@given(st.sampled_from([JSON, CBOR]), st.data())
def test_a_truncated_payload_is_never_a_capture(good: bytes, data: st.DataObject) -> None:
    cut = good[: data.draw(st.integers(0, len(good) - 1))]

    survives(cut)
    assert (reason_of if good is JSON else cbor_reason_of)(cut) == Reason.BAD_PAYLOAD


@given(st.sampled_from([JSON, CBOR]), st.data())
def test_flipped_bytes_do_no_harm(good: bytes, data: st.DataObject) -> None:
    flipped = bytearray(good)
    for _ in range(data.draw(st.integers(1, 8))):
        flipped[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))

    survives(bytes(flipped))


@given(st.binary(max_size=200))
def test_random_bytes_do_no_harm(data: bytes) -> None:
    survives(data)


@given(st.integers(1, 60_000), st.sampled_from([b"[", b'{"a":', b"\x81", b"\xa1\x61a", b"\xd8\x4d", b"\x9f", b"\xc2"]))
def test_containers_nested_without_end_do_no_harm(times: int, opening: bytes) -> None:
    survives(opening * times)


@given(st.sampled_from(range(0x40, 0xE0, 0x20)), st.integers(0, 2**64 - 1), st.binary(max_size=20))
def test_a_length_that_promises_more_than_there_is_does_no_harm(major: int, length: int, rest: bytes) -> None:
    survives(bytes([major | 27]) + length.to_bytes(8, "big") + rest)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(sorted(validate._FIELDS)), values)
def test_a_field_of_any_type_does_no_harm(name: str, value: object) -> None:
    document = SCALARS | {name: value}

    survives(json.dumps(document).encode())
    survives(cbor2.dumps(document))


@given(st.sampled_from(sorted(WAVE)), values | st.binary(max_size=9) | st.builds(cbor2.CBORTag, st.just(77), values))
def test_a_waveform_field_of_any_type_does_no_harm(name: str, value: object) -> None:
    survives(cbor2.dumps(SCALARS | {"waveforms": {"x": WAVE | {name: value}}}))


@given(st.integers(0, 70_000), st.binary(max_size=9))
def test_a_tag_of_any_number_does_no_harm(tag: int, content: bytes) -> None:
    survives(cbor2.dumps(SCALARS | {"temperature_c": cbor2.CBORTag(tag, content)}))


# --- The envelope, and who sent it


def envelope(**fields: Any) -> bytes:
    good = {
        "payload": base64.b64encode(payload()).decode(),
        "topic": "dt/telltale/gw-1/s-1/capture",
        "client": "gw-1",
        "received_ms": NOW,
    }
    return json.dumps(good | fields).encode()


def test_an_envelope_keeps_the_bytes_and_says_who_sent_them() -> None:
    opened = wire.decode_envelope(envelope(replay_of="shard:1"))

    assert opened == wire.Envelope(payload(), "dt/telltale/gw-1/s-1/capture", "gw-1", NOW, "shard:1")
    assert (opened.gateway, opened.sensor, opened.kind) == ("gw-1", "s-1", "capture")


@given(st.binary(max_size=50), st.none() | st.text(max_size=9))
def test_an_envelope_is_read_as_it_was_written(data: bytes, replay_of: str | None) -> None:
    topic = "dt/telltale/gw-1/s-1/wave"

    written = wire.encode_envelope(data, topic=topic, client="gw-1", received_ms=NOW, replay_of=replay_of)

    assert wire.decode_envelope(written) == wire.Envelope(data, topic, "gw-1", NOW, replay_of)


_REST = b'"topic":"dt/telltale/gw-1/s-1/wave","client":"gw-1","received_ms":1790000000000'


@pytest.mark.parametrize(
    "data",
    [
        b'{"payload":"QUJD",' + _REST + b"}",
        b' { "payload" : "QUJD" , ' + _REST + b"}",
        b"{" + _REST + b',"payload":"QUJD"}',
        b'{"payload":"Q\\u0055JD",' + _REST + b"}",
        b'{"payload":"AAAA",' + _REST + b',"payload":"QUJD"}',
        b'{"payload":7,' + _REST + b',"payload":"QUJD"}',
        b'{"payload":"","x\\"payload":"AAAA",' + _REST + b',"payload":"QUJD"}',
    ],
)
def test_an_envelope_is_read_as_json_wherever_its_payload_stands(data: bytes) -> None:
    assert wire.decode_envelope(data) == wire.Envelope(b"ABC", "dt/telltale/gw-1/s-1/wave", "gw-1", NOW)


@pytest.mark.parametrize(
    "data",
    [
        b"garbage",
        b"[" * 100_000,
        b"[]",
        envelope(payload=None),
        envelope(payload="not base64"),
        envelope(payload="é"),
        envelope(client=None),
        envelope(received_ms="now"),
        envelope(received_ms=-1),
        envelope(received_ms=10**16),
        envelope(replay_of=7),
        envelope(topic="dt/telltale/gw-1/s-1"),
        envelope(topic="dt/telltale/gw-1/s-1/other"),
        envelope(topic="dt/other/gw-1/s-1/capture"),
        envelope(topic="dt/telltale/gw-1/s 1/capture"),
    ],
)
def test_what_is_no_envelope_is_rejected_as_such(data: bytes) -> None:
    with pytest.raises(Rejected) as caught:
        wire.decode_envelope(data)

    assert caught.value.reason == Reason.BAD_ENVELOPE


@given(st.data())
def test_a_broken_envelope_does_no_harm(data: st.DataObject) -> None:
    broken = bytearray(envelope())
    broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))

    rejected = rejection(wire.decode_envelope, bytes(broken[: data.draw(st.integers(0, len(broken)))]))

    assert rejected is None or rejected.reason == Reason.BAD_ENVELOPE


def opened(data: bytes, kind: str = "capture", sensor: str = "s-1", client: str = "gw-1") -> wire.Envelope:
    return wire.Envelope(data, f"dt/telltale/gw-1/{sensor}/{kind}", client, NOW)


def test_the_topic_says_which_format_the_payload_is_in() -> None:
    json_capture = wire.decode_capture(opened(JSON))
    cbor_capture = wire.decode_capture(opened(CBOR, kind="wave"))

    assert plain(json_capture) == plain(cbor_capture) == plain(GOOD)


@pytest.mark.parametrize(
    ("received", "reason"),
    [
        (opened(bytes(128 * 1024 + 1)), Reason.TOO_LARGE),
        (opened(JSON, client="gw-2"), Reason.FOREIGN_GATEWAY),
        (opened(JSON, sensor="s-2"), Reason.FOREIGN_GATEWAY),
        (opened(JSON, kind="wave"), Reason.BAD_PAYLOAD),
    ],
)
def test_a_payload_that_does_not_fit_its_envelope_is_rejected(received: wire.Envelope, reason: Reason) -> None:
    with pytest.raises(Rejected) as caught:
        wire.decode_capture(received)

    assert caught.value.reason == reason


POSITION = Position("site/area/asset/position")
SENSOR = Sensor("s-1", (Assignment(POSITION.id),))
GATEWAY = Gateway("gw-1", "site")


def test_a_capture_is_placed_where_its_sensor_sits() -> None:
    placed = validate.placed(GOOD, gateway=GATEWAY, sensor=SENSOR, position=POSITION, client="gw-1")

    assert placed == POSITION


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        ({"gateway": None}, Reason.FOREIGN_GATEWAY),
        ({"sensor": None}, Reason.UNKNOWN_SENSOR),
        ({"position": None}, Reason.UNKNOWN_SENSOR),
        ({"gateway": Gateway("gw-1", "elsewhere")}, Reason.FOREIGN_GATEWAY),
        ({"sensor": dataclasses.replace(SENSOR, gateway="gw-2")}, Reason.FOREIGN_GATEWAY),
    ],
)
def test_a_capture_from_who_may_not_send_it_is_rejected(known: dict[str, Any], reason: Reason) -> None:
    everything: dict[str, Any] = {"gateway": GATEWAY, "sensor": SENSOR, "position": POSITION}

    with pytest.raises(Rejected) as caught:
        validate.placed(GOOD, client="gw-1", **(everything | known))

    assert caught.value.reason == reason


def test_a_sensor_bound_to_a_gateway_may_be_heard_at_another_site() -> None:
    sensor = dataclasses.replace(SENSOR, gateway="gw-1")
    gateway = Gateway("gw-1", "elsewhere")

    placed = validate.placed(GOOD, gateway=gateway, sensor=sensor, position=POSITION, client="gw-1")

    assert placed == POSITION
