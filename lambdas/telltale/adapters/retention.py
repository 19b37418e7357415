"""Data that has had its time goes: whole days of it, class by class and site by site, as the plant file says.

What an open case may need stays, however old: all rows of its position, or of its whole asset where a model opened it,
and its pictures. core/retention.py says which rows; clearing.py takes them out. Earlier snapshots still show them until
they are let go, and the files are removed then.
"""

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from telltale.adapters.cases import Case, Cases
from telltale.adapters.clearing import Bounded, Cleared, Doomed, Fate, all_begin, clear, may_begin, plan
from telltale.adapters.lake import Lake
from telltale.adapters.prefixes import EVIDENCE
from telltale.adapters.registry import Registry
from telltale.core.judgement import MODEL
from telltale.core.plant import Plant
from telltale.core.retention import DAY_MS, PICTURES, Cutoffs, Rules, asset_of, cutoffs, day_number, first_days, held
from telltale.core.schema import Table

MEMORY = "retention#"  # in the progress table, with the name of a table: what it was last aged by
WHY = "retention"  # in the summaries of the snapshots that it makes
# Columns by which rows belong to a site or to what a case holds; `asset` where it is a path, as in `scores`.
TELLING = ("site", "position", "asset", "gateway")
PATHS = ("position", "asset", "site")  # those that say the site by how they begin; files are sorted by the first
KEYS_A_CALL = 1000  # S3 DeleteObjects, API reference


@dataclass(frozen=True)
class Facts:
    """What has to be known beside the rows. positions, assets : those that an open case holds."""

    rules: Rules
    gateways: Mapping[str, str]  # gateway → site, for rows that name no site
    positions: frozenset[str]
    assets: frozenset[str]

    @classmethod
    def of(cls, plant: Plant, cases: Iterable[Case]) -> "Facts":
        still_open = [case for case in cases if not case.is_over]
        return cls(
            rules={site.id: site.retention for site in plant.sites.values()},
            gateways={gateway.id: gateway.site for gateway in plant.gateways.values()},
            positions=frozenset(case.position for case in still_open),
            assets=frozenset(case.asset for case in still_open if case.change.channel == MODEL),
        )


class Retention:
    """Ages the tables of one lake; one for each run. `table` is where it remembers what it has done today."""

    def __init__(
        self,
        dynamodb: Any,
        registry: Registry,
        cases: Cases,
        *,
        table: str,
        now_ms: Callable[[], int],
        enough_time: Callable[[], bool] = lambda: True,
    ) -> None:
        self._dynamodb, self._table = dynamodb, table
        self._registry, self._cases = registry, cases
        self._now_ms, self._enough_time = now_ms, enough_time

    def age(self, lake: Lake, table: Table) -> int:
        """Takes out of the table what has had its time, once a day or when the rules or the open cases change; how many
        rows that were.
        """
        ages, iceberg = self.cutoffs(table), lake.find(table)
        if ages.last is None or iceberg is None:
            return 0
        told = _digest(ages, self.facts)
        if self._done(table.name) == told:
            return 0
        cleared = clear(
            lake, table, iceberg, doomed_by(table, ages, self.facts), why=WHY, enough_time=self._enough_time
        )
        if cleared.complete:
            item = {"pk": {"S": f"{MEMORY}{table.name}"}, "told": {"S": told}}
            self._dynamodb.put_item(TableName=self._table, Item=item)
        return cleared.rows

    def age_pictures(self, s3: Any, bucket: str) -> int:
        """Deletes the pictures of cases that have been over for long enough; how many."""
        ages = first_days(PICTURES, self.facts.rules, now_ms=self._now_ms())
        if ages.last is None:
            return 0
        over = {
            case.change.case_id
            for case in self._cases.all()
            if case.is_over and case.site in ages.ageing(case.change.t_ms // DAY_MS)
        }
        return delete_pictures(s3, bucket, over)

    def plan(self, lake: Lake, table: Table) -> Cleared:
        """What `age` would take out."""
        ages, iceberg = self.cutoffs(table), lake.find(table)
        if ages.last is None or iceberg is None:
            return Cleared(table.name)
        return plan(table, iceberg, doomed_by(table, ages, self.facts))

    def cutoffs(self, table: Table) -> Cutoffs:
        return cutoffs(table.name, self.facts.rules, now_ms=self._now_ms())

    @cached_property
    def facts(self) -> Facts:
        return Facts.of(self._registry.plant(), self._cases.all())

    def _done(self, name: str) -> str | None:
        answer = self._dynamodb.get_item(TableName=self._table, Key={"pk": {"S": f"{MEMORY}{name}"}})
        told = answer.get("Item", {}).get("told", {}).get("S")
        return None if told is None else str(told)


def _digest(ages: Cutoffs, facts: Facts) -> str:
    """The same while nothing more can have had its time."""
    said = [sorted(ages.by_site.items()), ages.others, sorted(facts.positions), sorted(facts.assets)]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16]


def doomed_by(table: Table, ages: Cutoffs, facts: Facts) -> Doomed:
    """The rows of a table that have had their time."""
    columns = tuple(name for name in TELLING if name in table.names and (name != "asset" or name in table.sort))
    return Doomed(
        columns,
        of_file=lambda file: _fate(file, table, ages, facts),
        of_rows=lambda day, rows: _of_rows(rows.select(columns), day_number(day), ages, facts),
    )


def _fate(file: Bounded, table: Table, ages: Cutoffs, facts: Facts) -> Fate:
    """What the range of the paths in the file says: each begins with its site, and neighbours begin alike."""
    day = day_number(file.day)
    sites = ages.ageing(day)
    if not sites and not ages.others_age(day):
        return Fate.STAYS
    path = next((name for name in PATHS if name in table.sort and name in file.bounds), None)
    if path is None:
        return Fate.PERHAPS
    ends = file.bounds[path]
    if not any(may_begin(ends, site) for site in sites):
        return Fate.STAYS
    of_one = any(ends == (site, site) or all_begin(ends, f"{site}/") for site in sites)
    holding = facts.assets | {position if path == "position" else asset_of(position) for position in facts.positions}
    is_held = path != "site" and any(may_begin(ends, one) for one in holding)
    return Fate.GOES if of_one and not is_held else Fate.PERHAPS


def _of_rows(rows: pa.Table, day: int, ages: Cutoffs, facts: Facts) -> pa.Array:
    """Decided once for each combination of the columns, of which there are few."""
    names = rows.column_names
    texts = [pc.fill_null(column.cast(pa.string()), "").combine_chunks() for column in rows.columns]
    encoded = pc.binary_join_element_wise(*texts, "\n").dictionary_encode()
    each = (dict(zip(names, key.split("\n"), strict=True)) for key in encoded.dictionary.to_pylist())
    decided = [_goes(row, day, ages, facts) for row in each]
    return pc.take(pa.array(decided, pa.bool_()), encoded.indices)


def _goes(row: Mapping[str, str], day: int, ages: Cutoffs, facts: Facts) -> bool:
    site = row.get("site") or facts.gateways.get(row.get("gateway", ""), "")
    if site not in ages.ageing(day) and (site in facts.rules or not ages.others_age(day)):
        return False
    if row.get("asset", "") in facts.assets:
        return False
    return not held(facts.positions, facts.assets, row.get("position", ""))


# --- Pictures


def delete_pictures(s3: Any, bucket: str, case_ids: Collection[str]) -> int:
    """Deletes the pictures of these cases; how many there were."""
    keys, count = pictures_of(s3, bucket, case_ids), 0
    while call := list(islice(keys, KEYS_A_CALL)):
        s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in call], "Quiet": True})
        count += len(call)
    return count


def pictures_of(s3: Any, bucket: str, case_ids: Collection[str]) -> Iterator[str]:
    """Keys of the pictures of these cases."""
    pages = s3.get_paginator("list_objects_v2")
    for page in pages.paginate(Bucket=bucket, Prefix=EVIDENCE, Delimiter="/"):
        for folder in (item["Prefix"] for item in page.get("CommonPrefixes", [])):
            if folder.removeprefix(EVIDENCE).rstrip("/") in case_ids:
                for listed in pages.paginate(Bucket=bucket, Prefix=folder):
                    yield from (item["Key"] for item in listed.get("Contents", []))
