"""The wire format: the envelope of the IoT rule, and captures as JSON (RFC 8259) and CBOR (RFC 8949, RFC 8746).

Decoding ends in a value or in Rejected, whatever the bytes. The encoders are for simulators and gateways.
"""

import base64
import binascii
import contextlib
import io
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import cbor2
import numpy as np
import pybase64
from numpy.typing import NDArray

from telltale.core import validate
from telltale.core.capture import Capture, Waveform
from telltale.core.errors import Reason, Rejected

SINT16_BIG_ENDIAN = 73  # RFC 8746, section 2.1
SINT16_LITTLE_ENDIAN = 77
SELF_DESCRIBED = 55799  # RFC 8949, section 3.4.6: a prefix that says "this is CBOR"
DEPTH = 8  # containers within containers; a capture has three
LAST_MS = 4_102_444_800_000  # the year 2100: a reception time beyond it is no time

KINDS = ("capture", "wave")
_PREFIX = ["dt", "telltale"]


@dataclass(frozen=True)
class Envelope:
    """What the IoT rule says of one message: its bytes, its topic, whose certificate it came with, and when.

    `gateway`, `sensor` and `kind` are what the topic names.
    """

    payload: bytes
    topic: str
    client: str
    received_ms: int
    replay_of: str | None = None

    @property
    def gateway(self) -> str:
        return self.topic.split("/")[2]

    @property
    def sensor(self) -> str:
        return self.topic.split("/")[3]

    @property
    def kind(self) -> str:
        return self.topic.split("/")[4]


def decode_envelope(data: bytes) -> Envelope:
    """The envelope in a record of the stream `captures`; raises Rejected."""
    fields, payload = _taken_apart(data)
    _check_topic(fields["topic"])
    decoded = _base64(payload, Reason.BAD_ENVELOPE, "payload")
    return Envelope(decoded, fields["topic"], fields["client"], fields["received_ms"], fields.get("replay_of"))


def encode_envelope(
    payload: bytes, *, topic: str, client: str, received_ms: int, replay_of: str | None = None
) -> bytes:
    """What the IoT rule puts on the stream for one message."""
    fields: dict[str, Any] = {"payload": base64.b64encode(payload).decode(), "topic": topic, "client": client}
    fields["received_ms"] = received_ms
    if replay_of is not None:
        fields["replay_of"] = replay_of
    return json.dumps(fields).encode()


def decode_capture(envelope: Envelope) -> Capture:
    """The capture in an envelope; raises Rejected."""
    if envelope.client != envelope.gateway:
        client = validate.shown(envelope.client)
        raise Rejected(Reason.FOREIGN_GATEWAY, f"topic names gateway {envelope.gateway}, the certificate is {client}'s")
    size = len(envelope.payload)
    if size > validate.PAYLOAD_BYTES:
        raise Rejected(Reason.TOO_LARGE, f"payload has {size} bytes, wanted at most {validate.PAYLOAD_BYTES}")
    decode = decode_json if envelope.kind == "capture" else decode_cbor
    capture = decode(envelope.payload, received_ms=envelope.received_ms)
    if capture.sensor != envelope.sensor:
        raise Rejected(
            Reason.FOREIGN_GATEWAY, f"payload names sensor {capture.sensor}, the topic names {envelope.sensor}"
        )
    return capture


def decode_json(payload: bytes, *, received_ms: int) -> Capture:
    """The capture in a JSON payload; raises Rejected."""
    return validate.capture(_json(payload), received_ms=received_ms, samples=_samples_from_base64)


def decode_cbor(payload: bytes, *, received_ms: int) -> Capture:
    """The capture in a CBOR payload; raises Rejected."""
    return validate.capture(_cbor(payload), received_ms=received_ms, samples=_samples_from_array)


def encode_json(capture: Capture) -> bytes:
    """The capture as a JSON payload."""
    document = _document(capture, lambda samples: base64.b64encode(samples.astype("<i2").tobytes()).decode())
    return json.dumps(document, separators=(",", ":"), allow_nan=False).encode()


def encode_cbor(capture: Capture) -> bytes:
    """The capture as a CBOR payload with typed arrays."""
    return cbor2.dumps(
        _document(capture, lambda samples: cbor2.CBORTag(SINT16_LITTLE_ENDIAN, samples.astype("<i2").tobytes()))
    )


def _taken_apart(data: bytes) -> tuple[Mapping[str, Any], bytes | str]:
    """The envelope's fields, and its payload in base64. The IoT rule puts it first: JSON need not read through it."""
    opening = _OPENING.match(data)
    end = data.find(b'"', opening.end()) if opening else -1
    payload = data[opening.end() : end] if opening else b""
    if opening and end > 0 and b"\\" not in payload:
        with contextlib.suppress(Rejected):  # is raised again below, with the record's own size
            fields = _envelope_fields(opening[0] + _TAKEN_OUT + data[end:])
            if fields["payload"] == _TAKEN_OUT.decode():
                return fields, payload
    fields = _envelope_fields(data)
    return fields, fields["payload"]


_OPENING = re.compile(rb'{\s*"payload"\s*:\s*"')
_TAKEN_OUT = b"="  # no base64


def _envelope_fields(data: bytes) -> Mapping[str, Any]:
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Rejected(Reason.BAD_ENVELOPE, f"record of {len(data)} bytes is not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise Rejected(Reason.BAD_ENVELOPE, f"record is {validate.shown(fields)}, wanted a JSON object")
    for name in ("payload", "topic", "client"):
        if not isinstance(fields.get(name), str):
            raise Rejected(Reason.BAD_ENVELOPE, f"{name} is {validate.shown(fields.get(name))}, wanted a text")
    received_ms = fields.get("received_ms")
    if type(received_ms) is not int or not 0 <= received_ms <= LAST_MS:
        raise Rejected(Reason.BAD_ENVELOPE, f"received_ms is {validate.shown(received_ms)}, wanted 0 to {LAST_MS}")
    if not isinstance(fields.get("replay_of"), str | None):
        raise Rejected(Reason.BAD_ENVELOPE, f"replay_of is {validate.shown(fields['replay_of'])}, wanted a text")
    return fields


def _check_topic(topic: str) -> None:
    levels = topic.split("/")
    if len(levels) != 5 or levels[:2] != _PREFIX or levels[4] not in KINDS:
        wanted = f"dt/telltale/<gateway>/<sensor>/{'|'.join(KINDS)}"
        raise Rejected(Reason.BAD_ENVELOPE, f"topic is {validate.shown(topic)}, wanted {wanted}")
    validate.identifier(levels[2], "gateway in the topic", Reason.BAD_ENVELOPE)
    validate.identifier(levels[3], "sensor in the topic", Reason.BAD_ENVELOPE)


def _json(payload: bytes) -> object:
    try:
        return json.loads(payload.decode(), object_pairs_hook=_once_each)
    except (ValueError, RecursionError) as error:
        raise Rejected(Reason.BAD_PAYLOAD, f"payload of {len(payload)} bytes is not JSON: {error}") from error


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object's fields; one that is there twice says two things, and nobody knows which is meant."""
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("an object has a key twice")
    return fields


def _cbor(payload: bytes) -> object:
    stream = io.BytesIO(payload)
    try:
        document = cbor2.CBORDecoder(
            stream,
            semantic_decoders=_TAGS,
            max_depth=DEPTH,
            allow_duplicate_keys=False,
            strict_hashable_types=True,
        ).decode()
    except Exception as error:  # whatever it raises on garbage, the bytes are at fault
        raise Rejected(Reason.BAD_PAYLOAD, f"payload of {len(payload)} bytes is not CBOR: {error}") from error
    left = len(payload) - stream.tell()
    if left:
        raise Rejected(Reason.BAD_PAYLOAD, f"payload goes on for {left} bytes after its CBOR item, wanted one item")
    return document


class _OnlyTags(dict[int, Callable[[Any, bool], Any]]):
    """The tags a capture may use; any other is refused, so that no decoder of dates, patterns … sees foreign bytes."""

    def __missing__(self, tag: int) -> Callable[[Any, bool], Any]:
        def refuse(value: Any, immutable: bool) -> Any:
            raise ValueError(f"tag {tag} has no meaning in a capture")

        return refuse


_TAGS = _OnlyTags(
    {
        SINT16_BIG_ENDIAN: lambda value, immutable: cbor2.CBORTag(SINT16_BIG_ENDIAN, value),
        SINT16_LITTLE_ENDIAN: lambda value, immutable: cbor2.CBORTag(SINT16_LITTLE_ENDIAN, value),
        SELF_DESCRIBED: lambda value, immutable: value,
    }
)


def _samples_from_array(value: object) -> NDArray[np.int16]:
    """Counts of a typed array, or of plain bytes taken as little-endian."""
    if isinstance(value, cbor2.CBORTag):
        return _counts(value.value, ">i2" if value.tag == SINT16_BIG_ENDIAN else "<i2")
    return _counts(value, "<i2")


def _samples_from_base64(value: object) -> NDArray[np.int16]:
    if not isinstance(value, str):
        raise Rejected(Reason.BAD_FIELD, f"samples is {validate.shown(value)}, wanted base64 of int16")
    return _counts(_base64(value, Reason.BAD_FIELD, "samples"), "<i2")


def _counts(value: object, dtype: str) -> NDArray[np.int16]:
    if not isinstance(value, bytes):
        raise Rejected(Reason.BAD_FIELD, f"samples is {validate.shown(value)}, wanted a typed array of int16")
    if len(value) % 2:
        raise Rejected(Reason.BAD_FIELD, f"samples has {len(value)} bytes, wanted an even number: int16")
    return np.frombuffer(value, dtype).astype(np.int16)


def _base64(text: str | bytes, reason: Reason, what: str) -> bytes:
    with contextlib.suppress(ValueError):
        return pybase64.b64decode(text, validate=True)  # twenty times as fast, and as strict
    try:
        return base64.b64decode(text, validate=True)  # says what is wrong
    except (binascii.Error, ValueError) as error:  # ValueError: letters beyond ASCII
        raise Rejected(reason, f"{what} is not base64: {error}") from error


def _document(capture: Capture, samples: Callable[[NDArray[np.int16]], object]) -> dict[str, Any]:
    """The payload's fields; what is not known is left out."""
    fields = {
        "v": validate.VERSION,
        "sensor": capture.sensor,
        "t": capture.t_ms,
        "capture_id": None if capture.capture_id == f"{capture.sensor}@{capture.t_ms}" else capture.capture_id,
        "temperature_c": capture.temperature_c,
        "velocity_rms_mm_s": dict(capture.velocity_rms_mm_s) or None,
        "speed_rpm": capture.speed_rpm,
        "battery_pct": capture.battery_pct,
        "rssi_dbm": capture.rssi_dbm,
        "tags": dict(capture.tags) or None,
        "waveforms": {wave.axis: _waveform(wave, samples) for wave in capture.waveforms} or None,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _waveform(wave: Waveform, samples: Callable[[NDArray[np.int16]], object]) -> dict[str, Any]:
    return {"fs_hz": wave.fs_hz, "unit": wave.unit, "scale": wave.scale, "samples": samples(wave.samples)}
