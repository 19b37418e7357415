"""A drawing as PNG: the right size, sharp enough, in letters of more than one language, and always the same."""

import subprocess
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from telltale.adapters import png
from telltale.core.drawing import Drawing, Polyline, Rect, Text

LAMBDAS = Path(__file__).parents[2] / "lambdas"


def pixels(*shapes: Polyline | Rect | Text) -> NDArray[np.uint8]:
    """Grey levels, shape (60, 100)."""
    return np.asarray(Image.open(BytesIO(png.render(Drawing(100, 60, shapes)))).convert("L"))


def inked(image: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of what is not white."""
    rows, columns = np.nonzero(image < 250)
    return int(columns.min()), int(rows.min()), int(columns.max()), int(rows.max())


def test_it_is_a_png_of_the_drawings_size() -> None:
    image = Image.open(BytesIO(png.render(Drawing(720, 1440, ()))))

    assert (image.format, image.size) == ("PNG", (720, 1440))


def test_an_empty_sheet_is_white() -> None:
    assert (pixels() == 255).all()


def test_a_line_lies_where_it_was_drawn_and_is_as_thick() -> None:
    image = pixels(Polyline(((10, 30), (90, 30)), "#000000", 4.0))

    left, top, right, bottom = inked(image)
    assert (left, right) == pytest.approx((10, 90), abs=1)
    assert (top, bottom) == pytest.approx((28, 31), abs=1)


def test_a_slanted_line_has_soft_edges() -> None:
    assert len(np.unique(pixels(Polyline(((10, 10), (90, 37)), "#000000", 2.0)))) > 3


def test_a_dashed_line_has_gaps() -> None:
    row = pixels(Polyline(((10, 30), (90, 30)), "#000000", 2.0, (8, 8)))[29]

    assert np.count_nonzero(np.diff((row < 200).astype(int)) == 1) == 5


def test_a_filled_shape_is_filled() -> None:
    image = pixels(Polyline(((10, 10), (50, 10), (30, 40)), "#000000", fill="#000000"))

    assert image[20, 30] < 10


def test_a_rectangle_hides_what_is_under_it() -> None:
    image = pixels(Polyline(((0, 30), (100, 30)), "#000000", 4.0), Rect(20, 20, 20, 20))

    assert (image[21:39, 21:39] == 255).all()


@pytest.mark.parametrize(("text", "bold"), [("BPFO 107.5 Hz, 2×", False), ("größer, Ø 8 µm", True), ("насос", False)])
def test_text_stays_in_the_space_it_was_given(text: str, bold: bool) -> None:
    shape = Text(4, 40, text, 10.5, bold=bold)

    left, top, right, bottom = inked(pixels(shape))

    box = shape.box
    assert box[0] - 1 <= left
    assert right <= box[2] + 1
    assert box[1] - 1 <= top
    assert bottom <= box[3] + 1


def test_letters_have_shapes_of_their_own_beyond_english() -> None:
    shown = [pixels(Text(10, 40, letter, 30)).tobytes() for letter in "aöжé×µ²"]

    assert len(set(shown)) == len(shown)


def test_the_same_drawing_gives_the_same_bytes() -> None:
    drawing = Drawing(100, 60, (Text(4, 40, "BPFO", 18), Polyline(((0, 0), (99, 59)))))

    assert png.render(drawing) == png.render(drawing)


def test_fonts_and_pillow_are_imported_only_by_those_who_draw() -> None:
    script = "import sys, telltale.core.picture, telltale.core.svg; print({'PIL', 'pymupdf_fonts'} & set(sys.modules))"

    done = subprocess.run([sys.executable, "-c", script], env={"PYTHONPATH": str(LAMBDAS)}, capture_output=True)

    assert done.stdout.strip() == b"set()", done.stderr.decode()
