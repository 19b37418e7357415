"""A drawing as PNG, for those who cannot show SVG: mail, most maintenance systems, a phone's gallery.

Drawn at twice the size and halved, for Pillow draws lines with hard edges. FiraGO is set, an open font for small
screens: where a function runs there are no fonts, and the one that Pillow brings has no letters beyond English.
"""

from functools import cache
from io import BytesIO
from itertools import pairwise
from typing import Any

from PIL import Image, ImageDraw, ImageFont
from pymupdf_fonts import FiraGO_Bold, FiraGO_Regular

from telltale.core.drawing import Drawing, Point, Polyline, Rect, Shape, Text

OVERSAMPLING = 2
COLORS = 64  # of the palette: a dozen colours, and their shades at the edges of lines and letters
COMPRESSION = 6  # of zlib, out of 9


def render(drawing: Drawing) -> bytes:
    """The drawing as PNG bytes, of its own width and height in pixels. The same drawing gives the same bytes."""
    size = (drawing.width * OVERSAMPLING, drawing.height * OVERSAMPLING)
    image = Image.new("RGB", size, "#ffffff")
    canvas = ImageDraw.Draw(image)
    for shape in drawing.shapes:
        _draw(canvas, shape)
    halved = image.reduce(OVERSAMPLING)
    small = halved.quantize(COLORS, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    out = BytesIO()
    small.save(out, "PNG", compress_level=COMPRESSION)
    return out.getvalue()


def _draw(canvas: ImageDraw.ImageDraw, shape: Shape) -> None:
    match shape:
        case Polyline():
            _polyline(canvas, shape)
        case Rect():
            corners = [_scaled((shape.x, shape.y)), _scaled((shape.x + shape.width, shape.y + shape.height))]
            canvas.rectangle(corners, fill=shape.fill, outline=shape.color, width=OVERSAMPLING)
        case Text():
            anchor = {"start": "ls", "middle": "ms", "end": "rs"}[shape.anchor]
            font = _font(round(shape.size * OVERSAMPLING), shape.bold)
            canvas.text(_scaled((shape.x, shape.y)), shape.text, fill=shape.color, font=font, anchor=anchor)


def _polyline(canvas: ImageDraw.ImageDraw, shape: Polyline) -> None:
    points = [_scaled(point) for point in shape.points]
    if len(points) < 2:
        return
    if shape.fill:
        canvas.polygon(points, fill=shape.fill)
    width = max(1, round(shape.width * OVERSAMPLING))
    for piece in _dashes(points, shape.dash) if shape.dash else [points]:
        canvas.line(piece, fill=shape.color, width=width, joint="curve" if width > 3 else None)


def _dashes(points: list[Point], dash: tuple[float, float]) -> list[list[Point]]:
    """The pieces of a dashed line; each straight part of it begins with a dash."""
    on, off = (length * OVERSAMPLING for length in dash)
    pieces = []
    for (x0, y0), (x1, y1) in pairwise(points):
        length = ((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5
        at = 0.0
        while at < length:
            a, b = at / length, min(at + on, length) / length
            pieces.append([(x0 + a * (x1 - x0), y0 + a * (y1 - y0)), (x0 + b * (x1 - x0), y0 + b * (y1 - y0))])
            at += on + off
    return pieces


def _scaled(point: Point) -> Point:
    return point[0] * OVERSAMPLING, point[1] * OVERSAMPLING


@cache
def _font(size: int, bold: bool) -> ImageFont.FreeTypeFont:
    data: Any = FiraGO_Bold.fontbuffer if bold else FiraGO_Regular.fontbuffer
    return ImageFont.truetype(BytesIO(data), size, layout_engine=ImageFont.Layout.BASIC)
