"""A capture as messages: whole where it fits, one axis each where it does not, never over the limit."""

import numpy as np
import pytest
from cli.publish import AWS_QUOTA, Message, messages
from hypothesis import given, settings
from hypothesis import strategies as st
from telltale.adapters import wire
from telltale.core.capture import Capture, Waveform
from telltale.core.validate import PAYLOAD_BYTES

NOW_MS = 1_790_000_000_000
DECODE = {"json": wire.decode_json, "cbor": wire.decode_cbor}


def capture(samples: int, axes: str = "xyz", *, scalars: bool = True) -> Capture:
    counts = np.arange(samples, dtype=np.int16)
    waves = tuple(Waveform(axis, counts, 26_667.0, 0.000488, "g") for axis in axes)
    part = axes + ("s" if scalars else "")
    return Capture("c-1", part, "s-1", NOW_MS, waves, temperature_c=40.0 if scalars else None)


def read(sent: tuple[Message, ...], form: str) -> list[Capture]:
    return [DECODE[form](message.payload, received_ms=NOW_MS) for message in sent]


@pytest.mark.parametrize(("form", "kind"), [("json", "capture"), ("cbor", "wave")])
def test_a_capture_that_fits_is_one_message_on_its_topic(form: str, kind: str) -> None:
    [message] = messages(capture(4096), gateway="gw-1", form=form)

    assert message.topic == f"dt/telltale/gw-1/s-1/{kind}"


@pytest.mark.parametrize("form", ["json", "cbor"])
def test_a_second_of_three_axes_at_27_khz_is_three_messages_of_one_capture(form: str) -> None:
    parts = read(messages(capture(26_667), gateway="gw-1", form=form), form)

    assert [part.part for part in parts] == ["xs", "y", "z"]
    assert {part.capture_id for part in parts} == {"c-1"}


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40_000), st.sampled_from(["x", "xy", "xyz", "z"]), st.booleans(), st.sampled_from(sorted(DECODE)))
def test_nothing_is_lost_and_no_message_is_over_the_limit(samples: int, axes: str, scalars: bool, form: str) -> None:
    whole = capture(samples, axes, scalars=scalars)

    sent = messages(whole, gateway="gw-1", form=form)

    parts = read(sent, form)
    assert all(len(message.topic) + len(message.payload) < PAYLOAD_BYTES for message in sent)
    assert "".join(sorted("".join(part.part for part in parts))) == "".join(sorted(whole.part))
    for wave in whole.waveforms:
        [same] = [one for part in parts for one in part.waveforms if one.axis == wave.axis]
        np.testing.assert_array_equal(same.samples, wave.samples)


def test_a_payload_at_the_limit_leaves_no_room_for_its_topic_and_is_split() -> None:
    empty = len(wire.encode_cbor(capture(0)))
    full = capture((PAYLOAD_BYTES - empty - 100) // 6)  # three axes of two bytes a sample
    size = len(wire.encode_cbor(full))

    sent = messages(full, gateway="gw-1", form="cbor")

    assert PAYLOAD_BYTES - 300 < size <= PAYLOAD_BYTES
    assert len(sent) == 3


def test_one_axis_that_is_too_long_is_refused_with_its_size() -> None:
    with pytest.raises(ValueError, match="part xs is 13"):
        messages(capture(65_536, "x"), gateway="gw-1", form="cbor")


def test_the_aws_quota_is_a_hundred_messages_or_half_a_megabyte_a_second() -> None:
    assert AWS_QUOTA.seconds(Message("t", b"x" * 100)) == pytest.approx(0.01)
    assert AWS_QUOTA.seconds(Message("t", b"x" * 24 * 1024)) == pytest.approx(24 / 512)
