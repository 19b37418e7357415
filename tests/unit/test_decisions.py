"""The decisions in docs/adr are listed, and each says its context, its decision and what it costs on one page."""

import re
from pathlib import Path

import pytest
from cli.deployment import ROOT

FOLDER = ROOT / "docs" / "adr"
PAGES = sorted(FOLDER.glob("[0-9]*.md"))
PAGE_WORDS = 600  # what fits on a printed page


def test_the_list_has_every_decision_by_its_title() -> None:
    listed = re.findall(r"^(\d+)\. \[(.*)\]\((.*)\)$", (FOLDER / "README.md").read_text(), re.MULTILINE)

    titles = [(page.read_text().splitlines()[0], page.name) for page in PAGES]

    assert titles == [(f"# {number}. {title}", name) for number, title, name in listed]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_decision_has_its_three_parts_on_one_page(page: Path) -> None:
    text = page.read_text()

    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == ["Context", "Decision", "What it costs"]
    assert len(text.split()) <= PAGE_WORDS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_files_that_a_decision_names_exist(page: Path) -> None:
    named = re.findall(r"`([\w/]+/[\w/]+\.py)`", page.read_text())

    assert [
        path for path in named if not any((root / path).exists() for root in (ROOT, ROOT / "lambdas" / "telltale"))
    ] == []
