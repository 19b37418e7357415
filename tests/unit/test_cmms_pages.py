"""What the pages about maintenance systems say is so: their examples are plant files, and they leave out no setting."""

import re
from pathlib import Path

import pytest
from cli import plant_file
from telltale.adapters.cmms.systems import adapter, adapters

PAGES = sorted((Path(__file__).parents[2] / "docs" / "cmms").glob("*.md"))
EXAMPLES = [
    pytest.param(example, id=f"{page.name}-{number}")
    for page in PAGES
    for number, example in enumerate(re.findall(r"```yaml\n(.*?)```", page.read_text(), re.S))
]


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 5


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_of_a_page_is_a_good_plant_file(example: str) -> None:
    plant = plant_file.parse(example, file="plant.yaml")

    assert [site for site in plant.sites.values() if site.cmms != "logbook"]


@pytest.mark.parametrize("name", [name for name in adapters() if name not in ("logbook", "webhook")])
def test_a_page_names_every_setting_and_every_secret(name: str) -> None:
    found = adapter(name)
    [page] = [page.read_text() for page in PAGES if page.stem == name.replace("_", "-")]

    assert found is not None
    assert [one for one in (*found.settings, *found.secrets) if f"`{one}" not in page and f"{one}:" not in page] == []
