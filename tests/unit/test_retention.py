"""How long data is kept: which rows have had their time, by class and site."""

from datetime import UTC, datetime

import pytest
from cli.plant import Change
from cli.plant_file import PlantFileError, parse
from telltale.adapters import registry
from telltale.core import schema
from telltale.core.plant import Site
from telltale.core.retention import BOOKS, CLASSES, DAY_MS, class_of, cutoffs, held

NOW_MS = round(datetime(2026, 11, 21, 13, tzinfo=UTC).timestamp() * 1000)
TODAY = NOW_MS // DAY_MS


def day(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000) // DAY_MS


def kept(retention: str, *, site: str = "") -> dict[str, dict[str, int]]:
    """What a plant file with these lines says of its sites `a` and `b`; `site` is more of `a`."""
    plant = parse(f"{retention}\nsites:\n  a: {{{site}}}\n  b: {{}}\n", file="plant.yaml")
    return {name: dict(one.retention) for name, one in plant.sites.items()}


def test_every_table_has_one_class_or_is_of_the_books_that_never_age() -> None:
    listed = [name for tables in CLASSES.values() for name in tables] + list(BOOKS)

    assert sorted(listed) == sorted(table.name for table in schema.TABLES)
    assert [class_of(name) for name in ("features", "work_orders", "batches")] == ["measurements", "cases", None]


def test_a_row_is_kept_for_so_many_whole_days_after_its_own() -> None:
    ages = cutoffs("waveforms", {"a": {"waveforms": 90}, "b": {"waveforms": 365}, "c": {}}, now_ms=NOW_MS)

    assert ages.ageing(day("2026-08-23")) == frozenset()
    assert ages.ageing(day("2026-08-22")) == {"a"}
    assert ages.ageing(day("2025-11-20")) == {"a", "b"}
    assert ages.last == day("2026-08-23")


@pytest.mark.parametrize("table", ["batches", "acts", "features"])
def test_what_nobody_named_never_ages(table: str) -> None:
    assert cutoffs(table, {"a": {"waveforms": 7}}, now_ms=NOW_MS).last is None


def test_rows_of_no_known_site_age_by_the_longest_rule_if_every_site_has_one() -> None:
    every = cutoffs("quarantine", {"a": {"quarantine": 30}, "b": {"quarantine": 60}}, now_ms=NOW_MS)
    some = cutoffs("quarantine", {"a": {"quarantine": 30}, "b": {}}, now_ms=NOW_MS)

    assert [every.others_age(TODAY - days) for days in (60, 61)] == [False, True]
    assert not some.others_age(0)


def test_an_open_case_holds_its_position_and_one_of_a_model_the_whole_asset() -> None:
    assert held({"s/a/m/p"}, {"s/a/n"}, "s/a/m/p")
    assert not held({"s/a/m/p"}, {"s/a/n"}, "s/a/m/q")
    assert held({"s/a/m/p"}, {"s/a/n"}, "s/a/n/q")


def test_the_plant_file_says_it_for_all_sites_and_a_site_may_say_otherwise() -> None:
    said = kept(
        "retention: {waveforms: 90d, quarantine: 4w, judgements: 2y}",
        site="retention: {waveforms: 1y, judgements: forever}",
    )

    assert said == {
        "a": {"waveforms": 365, "quarantine": 28},
        "b": {"waveforms": 90, "quarantine": 28, "judgements": 730},
    }


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("{waveform: 90d}", 'did you mean "waveforms"?'),
        ("{waveforms: 90}", 'found "90", wanted forever or whole days, 7 at least'),
        ("{waveforms: 6d}", 'found "6d", wanted forever or whole days, 7 at least'),
        ("{waveforms: 10.5d}", 'found "10.5d"'),
        ("{waveforms: 90min}", 'found "90min"'),
        ("90d", 'found "90d", wanted classes of data'),
    ],
)
def test_a_slip_is_named_and_nothing_is_taken_for_a_shorter_time(written: str, said: str) -> None:
    with pytest.raises(PlantFileError) as caught:
        kept(f"retention: {written}")

    [problem] = caught.value.problems
    assert (problem.line, said in str(problem)) == (1, True)


def test_the_registry_keeps_it_and_a_site_registered_before_keeps_all() -> None:
    site = Site("a", retention={"waveforms": 90})
    before = '{"id":"a","name":"","time_zone":"UTC","cmms":"logbook","cmms_settings":{}}'

    assert registry.decode("site", registry.encode(site)) == site
    assert registry.decode("site", before) == Site("a")


def test_a_shorter_time_shows_as_a_change_of_the_site_before_it_is_applied() -> None:
    before, after = Site("a", retention={"waveforms": 365}), Site("a", retention={"waveforms": 90})

    assert list(Change("site", "a", before, after).fields()) == [("retention.waveforms", "365", "90")]
