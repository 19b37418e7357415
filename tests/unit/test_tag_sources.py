"""Tags of an asset: names that say where they come from."""

import pytest
from telltale.core.tag_sources import Source, chosen, of_positions, source

from infra.lake import ASSET_TABLES

PUMP = "plant/hall/pump-1"
FOUND = [
    Source(f"{PUMP}/process", "flow"),
    Source(f"{PUMP}/process", "pressure"),
    Source(f"{PUMP}/de", "temperature_c"),
    Source(f"{PUMP}/de", "speed_rpm"),
    Source(f"{PUMP}/de", "velocity_rms_mm_s", "x"),
    Source(f"{PUMP}/de", "kurtosis", "x"),
]


@pytest.mark.parametrize("one", FOUND)
def test_a_tag_says_where_it_comes_from(one: Source) -> None:
    assert source(PUMP, one.tag) == one


def test_the_functions_of_models_may_read_the_tables_that_tags_come_from() -> None:
    assert {one.table for one in FOUND} == set(ASSET_TABLES)


def test_each_kind_of_tag_has_its_table() -> None:
    assert [one.table for one in FOUND] == ["readings", "readings", "captures", "captures", "features", "features"]


def test_without_a_choice_readings_and_what_practice_trends_are_used() -> None:
    assert chosen(FOUND, ()) == ("de/temperature_c", "de/x/velocity_rms_mm_s", "process/flow", "process/pressure")


def test_patterns_choose() -> None:
    assert chosen(FOUND, ("process/*", "de/?/kurtosis")) == ("de/x/kurtosis", "process/flow", "process/pressure")
    assert chosen(FOUND, ("nothing",)) == ()


@pytest.mark.parametrize("tag", ["flow", "/flow", "de/", "de/q/kurtosis", "de/x/flow", "a/b/c/d", ""])
def test_what_is_no_tag_is_refused_by_name(tag: str) -> None:
    with pytest.raises(ValueError, match=f'"{tag}"'):
        source(PUMP, tag)


def test_the_positions_of_tags_are_known_by_their_paths() -> None:
    assert of_positions(["de/temperature_c", "de/x/kurtosis", "process/flow"], PUMP) == {
        f"{PUMP}/de",
        f"{PUMP}/process",
    }
