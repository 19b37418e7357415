"""What docs/wire.md tells device makers is what the decoder does: its examples, limits, reasons and publisher."""

import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from cli.deployment import ROOT
from telltale.adapters import wire
from telltale.core import validate
from telltale.core.errors import Reason, Rejected

PAGE = (ROOT / "docs" / "wire.md").read_text()
[EXAMPLE] = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
SAMPLED_MS = 1_795_161_600_000  # the example's t
REASONS = dict(
    re.findall(r"^\| `(\w+)` \| .*? \| (.*?) \|$", PAGE.split("| reason |")[1].split("\n\n")[0], re.MULTILINE)
)
FRAGMENTS = {reason: shown for reason, shown in REASONS.items() if shown.startswith("`{")}
PYTHON = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def envelope(payload: bytes, kind: str = "capture") -> wire.Envelope:
    """The payload, received a second after the example's t, on the topic of the example's sensor."""
    data = wire.encode_envelope(
        payload, topic=f"dt/telltale/gw-1/vib-01/{kind}", client="gw-1", received_ms=SAMPLED_MS + 1000
    )
    return wire.decode_envelope(data)


def test_the_example_is_a_capture() -> None:
    capture = wire.decode_capture(envelope(EXAMPLE.encode()))

    assert (capture.capture_id, capture.part) == (f"vib-01@{SAMPLED_MS}", "xs")
    assert capture.waveforms[0].samples.tolist() == [1, -1]
    assert capture.tags == {"discharge_pressure_bar": 4.2}


def test_the_page_names_every_field_of_a_capture() -> None:
    fields = PAGE.split("| field |")[1].split("\n\n")[0]

    named = {
        name for cell in re.findall(r"^\| (`.*?`) \|", fields, re.MULTILINE) for name in re.findall(r"`(\w+)`", cell)
    }

    assert named == set(json.loads(EXAMPLE)) | {"capture_id"}


def test_the_page_gives_every_reason_with_an_example() -> None:
    assert list(REASONS) == list(Reason)


@pytest.mark.parametrize("reason", FRAGMENTS)
def test_the_example_of_a_reason_is_refused_for_that_reason(reason: str) -> None:
    fragment = re.findall(r"`(.*?)`", FRAGMENTS[reason])[0]
    try:
        payload = json.dumps(json.loads(EXAMPLE) | json.loads(fragment))
    except json.JSONDecodeError:
        payload = fragment

    with pytest.raises(Rejected) as caught:
        wire.decode_capture(envelope(payload.encode()))

    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("limit", "shown"),
    [
        (validate.PAYLOAD_BYTES, "128 KiB"),
        (validate.SAMPLES, "65,536 samples"),
        (validate.TAGS, "64 of them"),
        (validate.AHEAD_MS, "at most 5 minutes after"),
        (validate.OLDEST_MS, "400 days before"),
        (validate.TEMPERATURE_C, "−60 to 300"),
        (validate.VELOCITY_MM_S, "0 to 1000"),
        (validate.SPEED_RPM, "0 to 120,000"),
    ],
)
def test_the_page_gives_the_limits_of_the_code(limit: Any, shown: str) -> None:
    numbers = [float(number.replace("−", "-").replace(",", "")) for number in re.findall(r"−?[\d,]+", shown)]
    scale = {"KiB": 1024, "minutes": 60_000, "days": 86_400_000}
    unit = next((scale[word] for word in scale if word in shown), 1)

    assert shown in PAGE
    assert [number * unit for number in numbers] == (list(limit) if isinstance(limit, tuple) else [limit])


def defined(code: str, name: str) -> Callable[..., Any]:
    names: dict[str, Any] = {"__name__": "publisher"}
    exec(code, names)
    return names[name]


@pytest.mark.parametrize(("number", "name", "kind"), [(0, "capture", "capture"), (1, "capture_cbor", "wave")])
def test_the_publisher_of_the_page_sends_what_it_measured(number: int, name: str, kind: str) -> None:
    counts = np.array([3.0, -4.0, 32767.0])
    payload = defined(PYTHON[number], name)("vib-01", SAMPLED_MS, counts, 26667, 0.000488)

    capture = wire.decode_capture(envelope(payload if isinstance(payload, bytes) else payload.encode(), kind))

    [wave] = capture.waveforms
    assert (wave.fs_hz, wave.unit, wave.scale, wave.samples.tolist()) == (26667, "g", 0.000488, [3, -4, 32767])
    assert (capture.t_ms, capture.temperature_c) == (SAMPLED_MS, 41.5)


def test_the_publisher_of_the_page_is_short() -> None:
    lines = [line for line in PYTHON[0].splitlines() if line.strip()]

    assert len(lines) <= 22
