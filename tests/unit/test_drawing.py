"""Text on a sheet: how wide it is, and that it is made to fit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from telltale.core.drawing import Text, fitted, one_line, shortened, text_width, wrapped

SIZE = 20.0
words = st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=40), min_size=1, max_size=30).map(" ".join)


def test_a_wide_letter_is_wider_than_a_narrow_one_and_bold_than_regular() -> None:
    assert text_width("i", size=SIZE) < text_width("m", size=SIZE) < text_width("m", size=SIZE, bold=True)


def test_twice_the_font_size_is_twice_as_wide() -> None:
    assert text_width("BPFO 107.5 Hz", size=36) == pytest.approx(2 * text_width("BPFO 107.5 Hz", size=18))


def test_a_letter_of_east_asia_takes_a_square_and_an_accent_nothing() -> None:
    assert text_width("泵", size=SIZE) == SIZE
    assert text_width("e\u0301", size=SIZE) == text_width("e", size=SIZE)


@pytest.mark.parametrize(("anchor", "left"), [("start", 100.0), ("middle", 90.0), ("end", 80.0)])
def test_a_text_takes_the_space_that_its_anchor_says(anchor: str, left: float) -> None:
    text = Text(100.0, 50.0, "泵", SIZE, anchor=anchor)  # type: ignore[arg-type]  # the parameters are the three

    assert text.box == pytest.approx((left, 34.0, left + 20.0, 54.4))


def test_line_breaks_and_controls_become_spaces() -> None:
    assert one_line(" pump\n1\x00\t drive\u2028end ") == "pump 1 drive end"


def test_what_fits_is_left_alone_and_what_does_not_says_that_it_was_cut() -> None:
    assert shortened("pump", size=SIZE, width=100) == "pump"
    assert shortened("pump drive end", size=SIZE, width=100) == "pump dri…"


def test_text_is_broken_between_words() -> None:
    assert wrapped("the outer race strikes", size=SIZE, width=110, lines=3) == ["the outer", "race strikes"]


def test_a_text_of_parts_is_broken_between_its_parts() -> None:
    assert wrapped("pump 1 · 2026-11-20 02:11", size=SIZE, width=200, lines=2) == ["pump 1", "2026-11-20 02:11"]


@given(words, st.floats(40, 800), st.integers(1, 5))
def test_no_line_is_wider_than_the_sheet_and_none_is_too_many(text: str, width: float, lines: int) -> None:
    rows = wrapped(text, size=SIZE, width=width, lines=lines)

    assert len(rows) <= lines
    assert all(text_width(row, size=SIZE) <= width for row in rows)


@given(words, st.floats(40, 800))
def test_with_lines_enough_nothing_is_lost(text: str, width: float) -> None:
    rows = wrapped(text, size=SIZE, width=width, lines=10_000)

    kept = "".join(rows).replace(" ", "").replace("·", "")
    assert kept == one_line(text).replace(" ", "").replace("·", "")


def test_text_shrinks_before_it_is_cut() -> None:
    text = "velocity has grown to three times what is usual here"
    wide = text_width(text, size=SIZE)

    assert fitted(text, sizes=(20, 18), width=wide, lines=1) == (20, [text])
    assert fitted(text, sizes=(20, 18), width=0.95 * wide, lines=1) == (18, [text])
    size, [row] = fitted(text, sizes=(20, 18), width=0.5 * wide, lines=1)
    assert (size, row[-1]) == (18, "…")
