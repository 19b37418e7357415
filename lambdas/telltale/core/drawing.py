"""A drawing as values: shapes on a white sheet, in logical pixels from the top left corner.

`core.svg` writes it as text and `adapters.png` as pixels; both must look alike, so a shape has only what both can do.
"""

import unicodedata
from dataclasses import dataclass
from typing import Literal

Point = tuple[float, float]
Box = tuple[float, float, float, float]  # left, top, right, bottom
Anchor = Literal["start", "middle", "end"]

# Advance widths of Noto Sans, space to ~, in thousandths of the font size. It runs wider than the fonts of the stack in
# core.svg and than FiraGO, which the PNG is set in, so what fits by this table fits on the screen.
_WIDTHS = (
    260, 269, 408, 646, 572, 831, 732, 225, 300, 300, 551, 572, 268, 322, 268, 372, 572, 572, 572, 572, 572, 572, 572,
    572, 572, 572, 268, 268, 572, 572, 572, 434, 899, 639, 650, 632, 730, 556, 519, 728, 741, 339, 273, 619, 524, 907,
    760, 781, 605, 781, 622, 549, 556, 731, 600, 930, 586, 566, 572, 329, 372, 329, 572, 444, 281, 561, 615, 480, 615,
    564, 344, 615, 618, 258, 258, 534, 258, 935, 618, 605, 615, 615, 413, 479, 361, 618, 508, 786, 529, 510, 470, 380,
    551, 380, 572,
)  # fmt: skip
_OTHER = 650  # letters beyond ASCII: the width of a capital
_WIDE = 1000  # of East Asia
_BOLD = 1.08  # how much wider bold runs: 5 % on average in Noto Sans, 8 % for capitals
ASCENT, DESCENT = 0.8, 0.22  # of a line of text above and below its base line, in font sizes


@dataclass(frozen=True)
class Polyline:
    """A line through points; `fill` closes and fills it. `dash` : lengths of dash and gap."""

    points: tuple[Point, ...]
    color: str = "#000000"
    width: float = 1.0
    dash: tuple[float, float] | None = None
    fill: str | None = None


@dataclass(frozen=True)
class Rect:
    """A filled rectangle, with an outline where `color` is given."""

    x: float
    y: float
    width: float
    height: float
    fill: str = "#ffffff"
    color: str | None = None


@dataclass(frozen=True)
class Text:
    """One line of text; (x, y) is on its base line, at its start, middle or end."""

    x: float
    y: float
    text: str
    size: float
    color: str = "#000000"
    anchor: Anchor = "start"
    bold: bool = False

    @property
    def box(self) -> Box:
        """The space it takes, by estimate, in any font it may be shown in."""
        wide = text_width(self.text, size=self.size, bold=self.bold)
        left = self.x - {"start": 0.0, "middle": wide / 2, "end": wide}[self.anchor]
        return left, self.y - ASCENT * self.size, left + wide, self.y + DESCENT * self.size


Shape = Polyline | Rect | Text


@dataclass(frozen=True)
class Drawing:
    """A sheet of `width` × `height`. `title` and `description` are for those who hear it instead of seeing it."""

    width: int
    height: int
    shapes: tuple[Shape, ...]
    title: str = ""
    description: str = ""


def text_width(text: str, *, size: float, bold: bool = False) -> float:
    """About how wide the text will be at font size `size`, in the same unit; rather too wide than too narrow."""
    return sum(map(_advance, text)) / 1000 * size * (_BOLD if bold else 1)


def _advance(character: str) -> int:
    code = ord(character)
    if 32 <= code < 127:
        return _WIDTHS[code - 32]
    if unicodedata.combining(character):
        return 0
    return _WIDE if unicodedata.east_asian_width(character) in "WF" else _OTHER


def one_line(text: str) -> str:
    """The text without what cannot be shown: line breaks and other controls become spaces."""
    shown = "".join(" " if unicodedata.category(character)[0] in "CZ" else character for character in text)
    return " ".join(shown.split())


def shortened(text: str, *, size: float, width: float, bold: bool = False) -> str:
    """The text if it fits, else its beginning and an ellipsis."""
    if text_width(text, size=size, bold=bold) <= width:
        return text
    while text and text_width(text + "…", size=size, bold=bold) > width:
        text = text[:-1].rstrip()
    return text + "…"


def wrapped(text: str, *, size: float, width: float, lines: int, bold: bool = False) -> list[str]:
    """The text in at most `lines` lines no wider than `width`; what is left over is cut off.

    It is broken between words, and where it has parts (" · ") that fit into a line, only between these.
    """
    rows: list[str] = []
    words = one_line(text)
    parts = words.replace(" · ", " ·\n").split("\n")
    whole = all(text_width(part, size=size, bold=bold) <= width for part in parts)
    rest = parts if whole else words.split(" ")
    while rest and rest != [""]:
        if len(rows) == lines - 1:
            return [*rows, shortened(" ".join(rest), size=size, width=width, bold=bold)]
        count = 1
        while count < len(rest) and text_width(" ".join(rest[: count + 1]), size=size, bold=bold) <= width:
            count += 1
        line = " ".join(rest[:count])
        if text_width(line, size=size, bold=bold) <= width:
            rest, line = rest[count:], line.removesuffix(" ·") if count < len(rest) else line
        else:  # one word that is wider than the sheet
            fitting = len(shortened(line, size=size, width=width, bold=bold)) - 1
            line, rest = line[: max(1, fitting)], [line[max(1, fitting) :], *rest[1:]]
        rows.append(line)
    return rows


def fitted(
    text: str, *, sizes: tuple[float, ...], width: float, lines: int, bold: bool = False
) -> tuple[float, list[str]]:
    """The largest of `sizes` (falling) at which the whole text fits into `lines` lines, and those lines."""
    for size in sizes:
        rows = wrapped(text, size=size, width=width, lines=lines + 1, bold=bold)
        if len(rows) <= lines:
            return size, rows
    return sizes[-1], wrapped(text, size=sizes[-1], width=width, lines=lines, bold=bold)
