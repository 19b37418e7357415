"""A drawing as SVG text: one file, no script, no font, no address to load anything from."""

import re
from collections.abc import Sequence
from html import escape
from itertools import pairwise

from telltale.core.drawing import Drawing, Point, Polyline, Rect, Shape, Text

# Fonts that every phone and office computer has one of. None is embedded: one alone would be larger than the picture.
FONTS = "'Fira Sans','Helvetica Neue',Helvetica,Arial,'Segoe UI',Roboto,'Liberation Sans','Noto Sans',sans-serif"
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, production 2


def render(drawing: Drawing) -> str:
    """The drawing as a standalone SVG document. The same drawing gives the same bytes."""
    width, height = drawing.width, drawing.height
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
        f' role="img" aria-labelledby="t d" font-family="{FONTS}">',
        f'<title id="t">{_safe(drawing.title)}</title>',
        f'<desc id="d">{_safe(drawing.description)}</desc>',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        *map(_shape, drawing.shapes),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _shape(shape: Shape) -> str:
    match shape:
        case Polyline():
            return _polyline(shape)
        case Rect():
            line = f' stroke="{_safe(shape.color)}"' if shape.color else ""
            return (
                f'<rect x="{_number(shape.x)}" y="{_number(shape.y)}" width="{_number(shape.width)}"'
                f' height="{_number(shape.height)}" fill="{_safe(shape.fill)}"{line}/>'
            )
        case Text():
            anchor = "" if shape.anchor == "start" else f' text-anchor="{shape.anchor}"'
            bold = ' font-weight="bold"' if shape.bold else ""
            return (
                f'<text x="{_number(shape.x)}" y="{_number(shape.y)}" font-size="{_number(shape.size)}"'
                f' fill="{_safe(shape.color)}"{anchor}{bold}>{_safe(shape.text)}</text>'
            )


def _polyline(shape: Polyline) -> str:
    fill, close = (_safe(shape.fill), "z") if shape.fill else ("none", "")
    dash = f' stroke-dasharray="{_number(shape.dash[0])} {_number(shape.dash[1])}"' if shape.dash else ""
    line = f' stroke="{_safe(shape.color)}" stroke-width="{_number(shape.width)}" stroke-linejoin="round"{dash}'
    return f'<path d="{_path(shape.points)}{close}" fill="{fill}"{line}/>'


def _path(points: Sequence[Point]) -> str:
    """The points, each told from the one before: half the bytes. In tenths, so that no rounding adds up."""
    tenths = [(round(10 * x), round(10 * y)) for x, y in points]
    steps = [(x - x0, y - y0) for (x0, y0), (x, y) in pairwise(tenths)]
    numbers = "".join(f" {_number(value / 10)}" for step in steps for value in step).replace(" -", "-")
    return "M" + " ".join(_number(value / 10) for value in tenths[0]) + "l" + numbers.lstrip() if tenths else ""


def _number(value: float) -> str:
    """To a tenth: finer than anybody sees."""
    tenths = round(10 * value)
    whole, rest = divmod(abs(tenths), 10)
    return ("-" if tenths < 0 else "") + (f"{whole}.{rest}" if rest else str(whole))


def _safe(text: str) -> str:
    return escape(_NOT_XML.sub(" ", text))
