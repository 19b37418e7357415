"""Evidence pictures in the lake's bucket: what was seen when a case opened or worsened, as SVG and as PNG.

What is to be drawn is decided and written down first (`order`), and drawn once the case is known (`draw`): nobody waits
for a picture. The same order gives the same bytes, so drawing twice does nothing more.
"""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from telltale.adapters import registry
from telltale.adapters.feature_stream import Message
from telltale.adapters.prefixes import picture_of
from telltale.adapters.waveforms import Waveforms
from telltale.core import picture, svg
from telltale.core.detect import CaseChange, Row
from telltale.core.findings import Diagnosis
from telltale.core.plant import Position

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

KINDS: Mapping[str, str] = {"svg": "image/svg+xml", "png": "image/png"}

log = logging.getLogger(__name__)


def picture_key(change: CaseChange) -> str:
    """Where the picture of this change is; the PNG is beside it."""
    return picture_of(change.case_id, change.revision)


def order(change: CaseChange, message: Message, row: Row, position: Position) -> dict[str, Any]:
    """All that is needed to draw the picture of a change, as plain values."""
    scores = change.evidence.get("last_scores", {}).get(f"{change.channel} {change.rule}", [])
    step_ms = round(position.interval_s * 1000)
    oldest_ms = row.t_ms - step_ms * (len(scores) - 1)
    when = datetime.fromtimestamp(row.t_ms / 1000, UTC)
    return {
        "key": picture_key(change),
        "waveforms": message.waveforms,
        "sensor": row.sensor,
        "capture_id": row.capture_id,
        "position": registry.encode(position),
        "diagnosis": dict(change.evidence["diagnosis"]),
        "title": f"{position.id} · {when:%Y-%m-%d %H:%M} UTC",
        "trend": [[oldest_ms + step_ms * n, score] for n, score in enumerate(scores)],
        "trend_label": f"{change.channel} {change.rule} (times the limit)",
    }


class Pictures:
    """Draws what was ordered."""

    def __init__(self, s3: "S3Client", bucket: str, waveforms: Waveforms) -> None:
        self._s3, self._bucket, self._waveforms = s3, bucket, waveforms

    def draw(self, ordered: Mapping[str, Any]) -> None:
        """Puts the picture into the bucket. What cannot be drawn is logged and left out; S3 may be asked again."""
        try:
            drawn = self._drawn(ordered)
        except Exception:
            log.exception("no picture %s", ordered["key"])
            return
        for kind, body in drawn.items():
            key = ordered["key"].removesuffix("svg") + kind
            self._s3.put_object(Bucket=self._bucket, Key=key, Body=body, ContentType=KINDS[kind])

    def _drawn(self, ordered: Mapping[str, Any]) -> dict[str, bytes]:
        from telltale.adapters import png  # fonts and Pillow, which only this needs: not in every cold start

        position = registry.decode("position", ordered["position"])
        if not isinstance(position, Position):
            raise TypeError(f"found {position}, wanted a position")
        named = {name: ordered[name] for name in ("sensor", "capture_id")}
        waves = self._waveforms.of(ordered["waveforms"], position=position.id, **named)
        diagnosis = Diagnosis.from_dict(ordered["diagnosis"])
        drawing = picture.evidence(
            picture.deciding(waves, diagnosis),
            diagnosis=diagnosis,
            machine=position.machine,
            title=ordered["title"],
            trend=[(t_ms, score) for t_ms, score in ordered["trend"]],
            limit=1.0,
            trend_label=ordered["trend_label"],
        )
        return {"svg": svg.render(drawing).encode(), "png": png.render(drawing)}
