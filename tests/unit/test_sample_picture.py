"""The picture in the docs is one that the code draws."""

import re

from cli import sample_picture
from telltale.core.drawing import Text

HEADINGS = ("Waveform", "Velocity spectrum", "Envelope spectrum", "Trend")


def test_the_picture_in_the_docs_shows_what_the_simulated_pump_shows() -> None:
    stored = sample_picture.FILE.read_text()

    drawing = sample_picture.drawing()

    assert drawing.description.startswith("Bearing, outer race")
    assert f'viewBox="0 0 {drawing.width} ' in stored
    drawn = [shape.text for shape in drawing.shapes if isinstance(shape, Text)]
    shown = re.findall(r"<text[^>]*>([^<]*)</text>", stored)
    for texts in (drawn, shown):
        assert "Bearing, outer race" in texts
        assert "2×BPFO" in texts
        assert [text.split(",")[0] for text in texts if text.startswith(HEADINGS)] == [
            *HEADINGS[:3],
            "Trend of env_rms_g",
        ]
