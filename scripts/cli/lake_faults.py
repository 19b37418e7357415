"""Kill what writes the lake at every step, and count what is lost and what is there twice.

Three kinds of work are killed before and after each call that changes something: a function that stores a batch, the
committer, and maintenance. After each death the next one comes, as the stream or the clock brings it in AWS.
"""

import re
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from telltale.adapters import parquet
from telltale.adapters.commit import LEASE_MS
from telltale.adapters.kinesis import Record
from telltale.adapters.lake import Lake
from telltale.adapters.maintenance import LEASE_MS as MAINTENANCE_MS
from telltale.adapters.receipts import BatchLog, Decision, Receipt
from telltale.core import schema

from cli.bench_place import LONG_MS, SPARE_MS, Place

CHANGES = re.compile("put_|delete_|update_|copy_")
MOST = 200  # moments at which one kind of work is killed; it has done after fewer
WORKS = ("store", "commit", "maintain")
T_MS = 1_790_000_000_000

Chance = Callable[[], None]


class Killed(BaseException):
    """The process died here; no `except Exception` may notice."""


class Mortal:
    """A client that may die before and after each call that changes something."""

    def __init__(self, client: Any, chance: Chance) -> None:
        self._client, self._chance = client, chance

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._client, name)
        if not CHANGES.match(name):
            return real

        def call(**arguments: Any) -> Any:
            self._chance()
            answer = real(**arguments)
            self._chance()
            return answer

        return call


class MortalLake(Lake):
    """Its additions and each look at a table, of which a replacement makes several, may be the last thing done."""

    def __init__(self, place: Place, chance: Chance) -> None:
        super().__init__(place.catalog, database=place.database, location=f"s3://{place.bucket}/lake")
        self._chance = chance

    def add(self, *args: Any, **named: Any) -> bool:
        self._chance()
        added = super().add(*args, **named)
        self._chance()
        return added

    def ensure(self, table: schema.Table) -> Any:
        self._chance()
        return super().ensure(table)


@dataclass(frozen=True)
class Survived:
    """`lost` and `doubled` in rows of the lake and of its books, `kills` in deaths."""

    lost: int
    doubled: int
    kills: int


def survive(url: str, wanted: Collection[str] = WORKS) -> Survived:
    """A lake that lives through a death at every step of the works that are wanted."""
    ahead = [0]
    place = Place(url, now_ms=lambda: time.time_ns() // 1_000_000 + ahead[0])
    numbers: Iterator[int] = iter(range(1, 10**6))
    works: dict[str, tuple[Callable[[Chance, int], None], int]] = {
        "store": (partial(_store, place), 0),
        "commit": (partial(_commit, place), LEASE_MS + 1),
        "maintain": (partial(_maintain, place), MAINTENANCE_MS + 1),
    }
    kills = last = 0
    for name in wanted:
        work, lease_ms = works[name]
        for moment in range(MOST):
            last = next(numbers)
            if name != "store":
                _store(place, _never, last)
            if name == "maintain":
                place.commit()
            try:
                work(_at(moment), last)
            except Killed:
                kills += 1
                ahead[0] += lease_ms
                work(_never, last)
            else:
                break
        else:
            raise AssertionError(f"{name} was not through after {MOST} deaths")
        place.commit()
    return _compared(place, last, kills)


def _store(place: Place, chance: Chance, number: int) -> None:
    """One record through the books of a function, into a file with one reading."""
    batches = BatchLog(
        Mortal(place.s3, chance),
        Mortal(place.dynamodb, chance),
        bucket=place.bucket,
        table=place.database,
        stream="captures",
        function="bench",
        now_ms=place.now_ms,
    )
    batches.run("shard-0", [Record("shard-0", str(number), "k", b"", T_MS)], _decide, _carry_out)


def _decide(batch_id: str, records: Sequence[Record]) -> Decision:
    rows = [_reading(int(record.seq)) for record in records]
    return Decision(stored=len(rows), files=parquet.files(schema.READINGS, rows))


def _carry_out(receipt: Receipt) -> None:
    """Nothing but the lake."""


def _reading(number: int) -> Mapping[str, Any]:
    ids = {"capture_id": f"c-{number}", "position": "a/b/c/d", "site": "a", "sensor": "s", "tag": "flow"}
    return ids | {"t": T_MS + number, "value": float(number)}


def _commit(place: Place, chance: Chance, number: int) -> None:
    committer = place.committer(
        s3=Mortal(place.s3, chance), dynamodb=Mortal(place.dynamodb, chance), lake=MortalLake(place, chance)
    )
    committer.run(until_ms=place.now_ms() + LONG_MS, spare_ms=SPARE_MS)


def _maintain(place: Place, chance: Chance, number: int) -> None:
    maintenance = place.maintenance(
        s3=Mortal(place.s3, chance), dynamodb=Mortal(place.dynamodb, chance), lake=MortalLake(place, chance)
    )
    tables = (schema.READINGS, schema.BATCHES)
    maintenance.run(tables, until_ms=place.now_ms() + LONG_MS, spare_ms=SPARE_MS)


def _compared(place: Place, last: int, kills: int) -> Survived:
    values = Counter(_column(place, schema.READINGS, "value"))
    batches = Counter(_column(place, schema.BATCHES, "first"))
    wanted = range(1, last + 1)
    lost = sum(float(n) not in values for n in wanted) + sum(str(n) not in batches for n in wanted)
    doubled = sum(count - 1 for found in (values, batches) for count in found.values())
    return Survived(lost, doubled, kills)


def _column(place: Place, table: schema.Table, name: str) -> list[Any]:
    found: list[Any] = place.lake.ensure(table).scan(selected_fields=(name,)).to_arrow()[name].to_pylist()
    return found


def _at(moment: int) -> Chance:
    """Dies at the moment-th chance, and at every one after it: nothing comes through."""
    chances: Iterator[int] = iter(range(10**6))

    def chance() -> None:
        if next(chances) >= moment:
            raise Killed

    return chance


def _never() -> None:
    """Lives."""
