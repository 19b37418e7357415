"""A drawing as SVG: well-formed, alone, harmless and always the same."""

from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st
from telltale.core import svg
from telltale.core.drawing import Drawing, Polyline, Rect, Text

SVG = "{http://www.w3.org/2000/svg}"


def drawn(*shapes: Polyline | Rect | Text, title: str = "", description: str = "") -> ElementTree.Element:
    return ElementTree.fromstring(svg.render(Drawing(720, 400, shapes, title, description)))


def test_the_sheet_has_its_size_a_title_and_a_description_for_those_who_hear_it() -> None:
    root = drawn(title="pump 1", description="Imbalance")

    assert (root.get("viewBox"), root.get("role")) == ("0 0 720 400", "img")
    assert root.findtext(f"{SVG}title") == "pump 1"
    assert root.findtext(f"{SVG}desc") == "Imbalance"


def test_a_line_goes_through_its_points_to_a_tenth_of_a_pixel() -> None:
    root = drawn(Polyline(((1.04, 2), (3.06, -0.04), (10, 7.25)), "#d55e00", 1.5, (4, 4)))

    path = root.find(f"{SVG}path")
    assert path is not None
    assert path.get("d") == "M1 2l2.1-2 6.9 7.2"
    assert (path.get("fill"), path.get("stroke"), path.get("stroke-dasharray")) == ("none", "#d55e00", "4 4")


def test_a_filled_line_is_closed() -> None:
    root = drawn(Polyline(((0, 0), (8, 0), (4, 6)), fill="#d55e00"))

    path = root.find(f"{SVG}path")
    assert path is not None
    assert (path.get("d"), path.get("fill")) == ("M0 0l8 0-4 6z", "#d55e00")


def test_text_stands_where_its_anchor_says() -> None:
    root = drawn(Text(5, 6, "BPFO", 18, anchor="end", bold=True))

    text = root.find(f"{SVG}text")
    assert text is not None
    assert (text.text, text.get("x"), text.get("text-anchor"), text.get("font-weight")) == ("BPFO", "5", "end", "bold")


def test_a_hostile_text_is_only_text() -> None:
    hostile = "</text><script>alert('\"&')</script>\x00\ufffe\ud800"

    root = drawn(Text(0, 0, hostile, 18), title=hostile, description=hostile)

    shown = "</text><script>alert('\"&')</script>   "
    assert root.findtext(f"{SVG}text") == root.findtext(f"{SVG}title") == root.findtext(f"{SVG}desc") == shown
    assert root.findall(f".//{SVG}script") == []


@given(st.text(), st.text(), st.lists(st.tuples(st.floats(-1e4, 1e4), st.floats(-1e4, 1e4)), min_size=2))
def test_any_drawing_is_well_formed(title: str, text: str, points: list[tuple[float, float]]) -> None:
    root = drawn(Polyline(tuple(points)), Rect(1, 2, 3, 4, color="#000000"), Text(1, 1, text, 18), title=title)

    assert len(root) == 6


def test_nothing_is_loaded_from_anywhere() -> None:
    text = svg.render(Drawing(10, 10, (Text(0, 0, "x", 18),)))

    assert text.count("http") == 1  # the name of the format
    assert "url(" not in text
    assert "href" not in text


def test_the_same_drawing_gives_the_same_bytes() -> None:
    shapes = (Polyline(((0, 0), (1, 1))), Text(0, 0, "×", 18))

    assert svg.render(Drawing(10, 10, shapes)) == svg.render(Drawing(10, 10, shapes))
