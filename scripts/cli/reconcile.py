"""Compares what came in with what is in the lake: in = stored + duplicate + quarantined, and each of them is there.

  telltale reconcile [--json]

Ends with 1 when something does not add up. Receipts that are not committed yet are named, not counted as lost; nor are
rows that retention or an erase has taken out, which each table counts.
"""

import argparse
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Column, Table
from telltale.adapters.commit import PLAN
from telltale.adapters.rewrite import rows_cleared
from telltale.core import schema

from cli.deployment import Deployment, current
from cli.importing import PREFIX
from cli.lake_retention import lake_of
from cli.set_aside import FAILED_BATCHES, RULE_ERRORS
from cli.tables import committed, objects_below, pending, read_all

CLEARED = {table.name: table for table in (schema.CAPTURES, schema.QUARANTINE)}
NONE_CLEARED = dict.fromkeys(CLEARED, 0)
EXTRACT = "extract_features"
COUNTS = ("records", "stored", "duplicate", "quarantined")
NOT_IMPORTED = f"record_id not like '{PREFIX}%'"  # no record of a stream: an import accounts for its own
BATCH_COLUMNS = ("batch_id", "function", *COUNTS)


@dataclass(frozen=True)
class Reconciliation:
    """Records that the committed receipts speak of, and the rows that are really there.

    `lost` and `doubled` count captures and quarantined records. `problems` says in words what does not add up.
    """

    records: int
    stored: int
    duplicate: int
    quarantined: int
    capture_rows: int
    quarantine_rows: int
    lost: int
    doubled: int
    pending_receipts: int
    pending_records: int
    undelivered: int
    cleared: int
    problems: tuple[str, ...]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="for programs")


def run(args: argparse.Namespace) -> int:
    deployment = current()
    if _committing(deployment):
        print("a commit is under way: the tables and the receipts may disagree until it is done")
    found = reconcile(deployment)
    if args.json:
        print(json.dumps(asdict(found)))
    else:
        _show(found)
    return 1 if found.problems else 0


def reconcile(deployment: Deployment) -> Reconciliation:
    """The receipts against the rows."""
    # Pending first: what is committed in between is then counted twice as pending, never missed.
    waiting = [receipt for receipt in pending(deployment) if receipt.function == EXTRACT]
    batches = committed(deployment, "batches", BATCH_COLUMNS)
    captures = committed(deployment, "captures", ("sensor", "capture_id", "part"), NOT_IMPORTED)
    quarantine = committed(deployment, "quarantine", ("quarantine_id",))
    parts = Counter((row["sensor"], row["capture_id"], part) for row in captures for part in row["part"])
    return _compared(
        batches,
        capture_rows=len(captures),
        doubled_parts=_repeats(parts),
        quarantined=Counter(row["quarantine_id"] for row in quarantine),
        waiting={"pending_receipts": len(waiting), "pending_records": sum(receipt.records for receipt in waiting)},
        cleared={name: _cleared(deployment, table) for name, table in CLEARED.items()},
        undelivered=sum(len(objects_below(deployment, prefix)) for prefix in (RULE_ERRORS, FAILED_BATCHES)),
    )


def _compared(
    batches: Iterable[Mapping[str, Any]],
    *,
    capture_rows: int,
    doubled_parts: int,
    quarantined: Counter[str],
    waiting: Mapping[str, int],
    undelivered: int,
    cleared: Mapping[str, int] = NONE_CLEARED,
) -> Reconciliation:
    all_batches = list(batches)
    extracted = [batch for batch in all_batches if batch["function"] == EXTRACT]
    records, stored, duplicate, set_aside = (sum(batch[name] for batch in extracted) for name in COUNTS)
    expected_quarantine = sum(batch["quarantined"] for batch in all_batches)
    quarantine_rows = quarantined.total()
    repeats = {
        "batches": _repeats(Counter(batch["batch_id"] for batch in all_batches)),
        "parts of captures": doubled_parts,
        "quarantined records": _repeats(quarantined),
    }
    checks = [  # what was cleared may be of imports too, which are not counted here: so many rows may be gone, or fewer
        (
            records == stored + duplicate + set_aside,
            f"{records} in, but {stored} + {duplicate} + {set_aside} accounted",
        ),
        (
            capture_rows <= stored <= capture_rows + cleared["captures"],
            f"{stored} stored, but {capture_rows} rows in captures{_taken_out(cleared['captures'])}",
        ),
        (
            quarantine_rows <= expected_quarantine <= quarantine_rows + cleared["quarantine"],
            f"{expected_quarantine} quarantined, but {quarantine_rows} rows in quarantine"
            f"{_taken_out(cleared['quarantine'])}",
        ),
        *((count == 0, f"{count} {what} twice") for what, count in repeats.items()),
    ]
    return Reconciliation(
        records=records,
        stored=stored,
        duplicate=duplicate,
        quarantined=set_aside,
        capture_rows=capture_rows,
        quarantine_rows=quarantine_rows,
        lost=max(0, stored - capture_rows - cleared["captures"])
        + max(0, expected_quarantine - quarantine_rows - cleared["quarantine"]),
        doubled=max(0, capture_rows - stored, doubled_parts) + max(0, quarantine_rows - expected_quarantine),
        undelivered=undelivered,
        cleared=sum(cleared.values()),
        problems=tuple(problem for holds, problem in checks if not holds),
        **waiting,
    )


def _taken_out(count: int) -> str:
    return f" and {count} taken out for good" if count else ""


def _cleared(deployment: Deployment, table: schema.Table) -> int:
    iceberg = lake_of(deployment).find(table)
    return 0 if iceberg is None else rows_cleared(iceberg)


def _repeats(counts: Counter[Any]) -> int:
    return sum(count - 1 for count in counts.values())


def _committing(deployment: Deployment) -> bool:
    return any(not json.loads(body)["done"] for body in read_all(deployment, [PLAN]).values())


def _show(found: Reconciliation) -> None:
    table = Table("records of extract_features", Column("", justify="right"), Column("rows", justify="right"))
    table.add_row("in", str(found.records), "")
    table.add_row("stored", str(found.stored), str(found.capture_rows))
    table.add_row("duplicate", str(found.duplicate), "")
    if found.cleared:
        table.add_row("taken out for good", "", f"{found.cleared} (imported ones too)")
    table.add_row("quarantined", str(found.quarantined), f"{found.quarantine_rows} (of all functions)")
    table.add_section()
    table.add_row("lost", str(found.lost), "")
    table.add_row("doubled", str(found.doubled), "")
    Console().print(table)
    if found.pending_receipts:
        print(f"not committed yet: {found.pending_records} records in {found.pending_receipts} receipts")
    if found.undelivered:
        print(f"never reached a function: {found.undelivered} objects, see `telltale quarantine list`")
    for problem in found.problems:
        print(f"does not add up: {problem}")
    if not found.problems:
        print("adds up")
