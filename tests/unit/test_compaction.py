"""Which files are written anew: few rewrites, and no small files that stay."""

import pytest
from pyiceberg.manifest import DataFile
from telltale.adapters.compaction import FEW_TODAY, LARGEST, LATE, SMALL, groups
from telltale.adapters.rewrite import LiveFile

MB = 1 << 20
TODAY, BEFORE = "2026-11-21", "2026-11-20"


def files(*sizes: int, day: str = BEFORE) -> list[LiveFile]:
    return [LiveFile(f"s3://b/{day}/{n:04}", day, 10, size, DataFile()) for n, size in enumerate(sizes)]


def sizes(found: list[list[LiveFile]]) -> list[list[int]]:
    return [[file.bytes // MB for file in group] for group in found]


def test_the_small_files_of_a_day_that_is_over_become_one() -> None:
    assert sizes(groups(files(*[MB] * 5), today=TODAY)) == [[1] * 5]


@pytest.mark.parametrize("sizes_mb", [(1,), (64,), (256, 300), (512,), ()])
def test_what_is_one_file_or_large_ones_stays(sizes_mb: tuple[int, ...]) -> None:
    assert groups(files(*[size * MB for size in sizes_mb]), today=TODAY) == []


def test_days_are_not_mixed_and_the_worst_comes_first() -> None:
    found = groups([*files(MB, MB, day="2026-11-19"), *files(MB, MB, MB, day=BEFORE)], today=TODAY)

    assert [{file.day for file in group} for group in found] == [{BEFORE}, {"2026-11-19"}]


def test_a_day_that_goes_on_is_left_until_many_small_files_are_there() -> None:
    assert groups(files(*[MB] * FEW_TODAY, day=TODAY), today=TODAY) == []
    assert sizes(groups(files(*[MB] * (FEW_TODAY + 1), day=TODAY), today=TODAY)) == [[1] * (FEW_TODAY + 1)]


def test_what_was_put_together_today_is_not_written_again_every_hour() -> None:
    found = groups(files(30 * MB, *[MB] * (FEW_TODAY + 1), day=TODAY), today=TODAY)

    assert 30 not in sizes(found)[0]


def test_more_than_a_function_can_sort_at_once_is_cut_into_groups_as_large_as_one_another() -> None:
    found = groups(files(*[50 * MB] * 24), today=TODAY)

    assert [len(group) for group in found] == [8, 8, 8]


def test_a_few_late_files_wait_for_more() -> None:
    assert groups(files(200 * MB, *[MB] * (LATE - 1)), today=TODAY) == []


def test_many_late_files_or_large_ones_join_the_smallest_large_file() -> None:
    many = groups(files(200 * MB, 300 * MB, *[MB] * LATE), today=TODAY)
    heavy = groups(files(200 * MB, 300 * MB, 30 * MB), today=TODAY)

    assert (sizes(many), sizes(heavy)) == ([[1] * LATE + [200]], [[30, 200]])


def test_no_file_grows_beyond_the_largest() -> None:
    found = groups(files(LARGEST - MB, *[MB] * LATE), today=TODAY)

    assert sizes(found) == [[1] * LATE]


def test_late_files_that_are_large_together_become_a_file_of_their_own() -> None:
    found = groups(files(400 * MB, 40 * MB, 40 * MB), today=TODAY)

    assert sizes(found) == [[40, 40]]


def test_again_and_again_it_comes_to_an_end() -> None:
    """Each rewrite makes files of a quarter of a gigabyte, or one smaller: after a few there is nothing left to do."""
    now = files(*[7 * MB] * 300)
    for _ in range(5):
        found = groups(now, today=TODAY)
        gone = {file.uri for group in found for file in group}
        made = [round(sum(file.bytes for file in group) / max(1, round(len(group) * 7 / 256))) for group in found]
        now = [file for file in now if file.uri not in gone] + files(*made)

    assert groups(now, today=TODAY) == []
    assert all(SMALL <= file.bytes <= LARGEST for file in now)
