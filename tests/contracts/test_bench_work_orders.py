"""The scenarios of `bench work-orders` in small, on the logbook; the real Odoo is the bench's and tests/cmms'."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from cli import bench_place, bench_work_orders, orders_forgery, orders_outage
from cli.orders_function import Clock, Faults
from cli.orders_place import Line, Place, logbook
from cli.orders_storm import until_quiet

CASES, REPEATS = 6, 4


@pytest.fixture(scope="module")
def aws() -> Iterator[str]:
    with bench_place.aws() as url:
        yield url


def test_functions_that_die_and_race_make_one_order_a_case(aws: str, tmp_path: Path) -> None:
    place = Place(aws, logbook(), Clock(speed=60), tmp_path)
    faults = Faults(tmp_path, steps=25, errors=0.05)
    with place.functions(faults) as functions:
        line = Line(place, functions)
        case_ids = place.open(range(CASES), of=CASES)
        line.send(case_ids * (1 + REPEATS))
        until_quiet(place, line)

    assert place.count(case_ids) == {"cases": CASES, "orders": CASES, "doubled": 0, "lost": 0}
    assert len(faults.killed()) == sum(one.deaths for one in functions) > 0


def test_an_order_that_is_missing_or_made_twice_is_counted(aws: str, tmp_path: Path) -> None:
    place = Place(aws, logbook(), Clock(), tmp_path)
    [case_id] = place.open([0], of=1)

    assert place.count([case_id]) == {"cases": 1, "orders": 0, "doubled": 0, "lost": 1}


def test_forged_and_replayed_messages_are_refused_by_every_adapter(aws: str, tmp_path: Path) -> None:
    assert set(orders_forgery.tried(aws, tmp_path, 25).values()) == {0}


def test_the_most_calls_in_any_minute_are_found() -> None:
    assert orders_outage.most_in_a_minute([0.0, 1.0, 59.0, 61.0, 62.0, 119.0]) == 3


@pytest.mark.parametrize(
    ("name", "value"), [("odoo_lost", 1), ("logbook_doubled", 1), ("odoo_alarm_to_order_p95_s", 3.1)]
)
def test_a_broken_promise_fails_the_bench(name: str, value: float) -> None:
    assert bench_work_orders.failed({name: value})
    assert not bench_work_orders.failed({name: 0})
