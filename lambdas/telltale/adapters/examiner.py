"""Has the signal core look at the waveforms behind a row, and tells what it says as plain values for the evidence.

A diagnosis is an extra: whatever stands in its way is its reason for not being made, and never holds up the case.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import floor, isfinite, log10
from typing import Any

import numpy as np

from telltale.adapters.feature_stream import Message
from telltale.adapters.waveforms import Gone, Waveforms
from telltale.core.capture import Waveform
from telltale.core.detect import Row
from telltale.core.diagnosis import diagnose
from telltale.core.findings import Diagnosis
from telltale.core.plant import Position

DIGITS = 5  # that numbers are told with: a line's place to a tenth of a hertz at 10 kHz

log = logging.getLogger(__name__)

Normal = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Examined:
    """What the waveforms of a capture say; `reason` is why they say nothing, where no diagnosis was made."""

    diagnosis: Diagnosis | None
    evidence: Mapping[str, Any]


class Examiner:
    """Diagnoses captures from their waveforms in the lake."""

    def __init__(self, waveforms: Waveforms) -> None:
        self._waveforms = waveforms

    def examine(self, message: Message, row: Row, position: Position, *, normal: Normal | None = None) -> Examined:
        """What the capture of `row` says of the machine. Never raises: what went wrong is in the evidence.

        normal : axis → indicator → what is usual at this position.
        """
        if message.waveforms is None:
            return _none("the capture came without waveforms")
        try:
            waves = self._waveforms.of(
                message.waveforms, position=position.id, sensor=row.sensor, capture_id=row.capture_id
            )
            diagnosis = _diagnose(waves, row, position, normal)
        except Gone as gone:
            return _none(f"the waveforms are gone: {gone}")
        except Exception as error:
            log.exception("no diagnosis of capture %s", row.capture_id, extra={"position": position.id})
            return _none(f"it failed: {type(error).__name__}: {error}")
        of = {"capture_id": row.capture_id, "t_ms": row.t_ms, "axes": "".join(wave.axis for wave in waves)}
        return Examined(diagnosis, {**plain(diagnosis.as_dict()), **of})


def _none(reason: str) -> Examined:
    return Examined(None, {"reason": reason})


def _diagnose(waves: Sequence[Waveform], row: Row, position: Position, normal: Normal | None) -> Diagnosis:
    measured, rpm = row.speed_rpm is not None, position.speed_rpm if row.speed_rpm is None else row.speed_rpm
    known = {wave.axis for wave in waves} <= set(row.axes)  # a sibling axis may have come in a message of its own
    return diagnose(
        waves,
        machine=position.machine,
        speed_hz=None if rpm is None else rpm / 60,
        speed_source="unknown" if rpm is None else "measured" if measured else "nominal",
        rows=row.axes if known else None,
        normal=normal,
    )


def plain(value: Any) -> Any:
    """The value as JSON can hold it: numbers rounded to DIGITS, those that are none left as null."""
    if isinstance(value, Mapping):
        return {str(name): plain(one) for name, one in value.items()}
    if isinstance(value, tuple | list):
        return [plain(one) for one in value]
    if isinstance(value, float | np.floating):
        return _rounded(float(value))
    return int(value) if isinstance(value, np.integer) else value


def _rounded(value: float) -> float | None:
    if not isfinite(value):
        return None
    return value if value == 0 else round(value, DIGITS - 1 - floor(log10(abs(value))))
