"""Takes what belongs to a site, a position or a sensor out of the lake for good: `telltale lake erase`.

  telltale lake erase --position riverside/pump-hall/pump-1/pump-inboard             shows what would go
  telltale lake erase --sensor s-101 --before 2026-01-01 --why "asked to" --yes      erases it

All rows before the time given, or until now, leave every table; time travel of these tables ends, for earlier snapshots
show them; the files are deleted, and so are the evidence pictures of the cases of a site or position. What an open case
may need is refused. What was erased, by whom and why is kept in the table `acts`.
"""

import argparse
import getpass
import json
import time
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import Any
from uuid import uuid4

from rich.console import Console
from telltale.adapters.cases import Case, Cases
from telltale.adapters.changed_days import ChangedDays
from telltale.adapters.erase import POSITION, SENSOR, SITE, Erased, Eraser, Subject, as_dict, record
from telltale.adapters.lease import Busy, Lease
from telltale.adapters.maintenance import LEASE
from telltale.adapters.receipts import PENDING
from telltale.adapters.registry import Registry
from telltale.adapters.retention import delete_pictures, pictures_of
from telltale.core.plant import Plant

from cli.deployment import Deployment, current
from cli.history import instant
from cli.lake_retention import lake_of, planned
from cli.listing import moment
from cli.plant_file import did_you_mean
from cli.problem import Problem

LASTS_MS = 10 * 60_000  # of the lease that keeps maintenance away; longer than a step takes
RERUN = "run it again in a few minutes"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--site", metavar="SITE", help="all of a site")
    what.add_argument("--position", metavar="PATH", help="all of a position: site/area/asset/position, in full")
    what.add_argument("--sensor", metavar="SENSOR", help="all that a sensor measured, wherever it sat")
    parser.add_argument("--before", type=instant, metavar="TIME", help="only what is older (default: until now)")
    parser.add_argument("--yes", action="store_true", help="erase it; without, it is only shown")
    parser.add_argument("--why", metavar="TEXT", help="in your words; needed with --yes, and kept")
    parser.add_argument("--by", default=getpass.getuser(), help="who (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="the result as JSON")


def run(args: argparse.Namespace) -> None:
    if args.yes and not (args.why or "").strip():
        raise Problem("--yes needs --why", "say why it is erased; it is kept with who and when")
    deployment = current()
    now_ms = _now_ms()
    kind, name = next((kind, getattr(args, kind)) for kind in (SITE, POSITION, SENSOR) if getattr(args, kind))
    dynamodb, outputs = deployment.client("dynamodb"), deployment.outputs
    plant = Registry(dynamodb, outputs["RegistryTable"]).plant()
    subject = Subject.of(kind, name, plant, before_ms=min(args.before or now_ms, now_ms))
    cases = [case for case in Cases(dynamodb, outputs["CasesTable"]).all() if _is_of(case, subject, plant)]
    _refuse_open(cases)
    lease = Lease(
        dynamodb,
        table=outputs["ProgressTable"],
        name=LEASE,
        owner=f"erase-{uuid4()}",
        lasts_ms=LASTS_MS,
        now_ms=_now_ms,
    )
    eraser = Eraser(
        deployment.client("s3"),
        outputs["LakeBucket"],
        lake_of(deployment),
        subject,
        now_ms=_now_ms,
        alive=lease.hold if args.yes else lambda: None,
    )
    over = set() if kind == SENSOR else {case.change.case_id for case in cases if case.change.t_ms < subject.before_ms}
    if args.yes:
        try:
            with lease:
                _erase(deployment, eraser, over, args, now_ms)
        except Busy as busy:
            raise Problem(f"maintenance of the lake is at work: {busy}", RERUN) from busy
    else:
        _plan(deployment, eraser, over, plant, args)


def _plan(deployment: Deployment, eraser: Eraser, over: set[str], plant: Plant, args: argparse.Namespace) -> None:
    found = list(eraser.plan())
    pictures = sum(1 for _ in pictures_of(eraser.s3, eraser.bucket, over)) if over else 0
    if args.json:
        print(json.dumps(_document(eraser.subject, found, pictures, done=False)))
        return
    if not found and not pictures:
        _nothing(eraser.subject, plant)
        return
    Console().print(planned([one.rows for one in found], **{"snapshots": [one.snapshots for one in found]}))
    if over:
        print(f"{pictures} pictures of {len(over)} cases")
    print(f"this is what --yes would erase of {eraser.subject} before {moment(eraser.subject.before_ms)} UTC")
    _caveats(deployment, eraser.subject)


def _erase(deployment: Deployment, eraser: Eraser, over: set[str], args: argparse.Namespace, now_ms: int) -> None:
    subject = eraser.subject
    plan = list(eraser.plan())
    if plan or over:
        record(eraser.s3, eraser.bucket, eraser.lake, subject, plan, t_ms=now_ms, by=args.by, why=args.why.strip())
    done = []
    for one in eraser.erase():
        done.append(one)
        if not args.json:
            print(f"{one.rows.table}: {one.rows.rows:,} rows, {one.snapshots} snapshots, {one.files} files deleted")
    pictures = delete_pictures(eraser.s3, eraser.bucket, over) if over else 0
    if subject.kind == SENSOR:  # what others measured at its positions on these days is summed up anew
        days = ChangedDays(deployment.client("dynamodb"), deployment.outputs["ProgressTable"], now_ms=_now_ms)
        days.mark(_days(done), now_ms)
    if args.json:
        print(json.dumps(_document(subject, done, pictures, done=True)))
        return
    print(f"{subject}: {sum(one.rows.rows for one in done):,} rows and {pictures} pictures erased")
    _caveats(deployment, subject)


def _days(done: Iterable[Erased]) -> list[str]:
    """Each day between the first and the last of which rows went."""
    ends = [date.fromisoformat(day) for one in done for day in (one.rows.first_day, one.rows.last_day) if day]
    if not ends:
        return []
    return [(min(ends) + timedelta(days)).isoformat() for days in range((max(ends) - min(ends)).days + 1)]


def _is_of(case: Case, subject: Subject, plant: Plant) -> bool:
    if subject.kind == SITE:
        return case.site == subject.name
    if subject.kind == POSITION:
        return case.position == subject.name
    sensor = plant.sensors.get(subject.name)
    return sensor is not None and any(seat.position == case.position for seat in sensor.assignments)


def _refuse_open(cases: Iterable[Case]) -> None:
    still_open = sorted(case.change.case_id for case in cases if not case.is_over)
    if still_open:
        raise Problem(
            f"it has open cases, and this may be their evidence: {', '.join(still_open)}",
            "close their work orders first: `telltale orders close`",
        )


def _nothing(subject: Subject, plant: Plant) -> None:
    known: Mapping[str, Any] = {SITE: plant.sites, POSITION: plant.positions, SENSOR: plant.sensors}[subject.kind]
    hint = "" if subject.name in known else did_you_mean(subject.name, known)
    print(f"the lake has nothing of {subject} before {moment(subject.before_ms)} UTC{hint}")


def _caveats(deployment: Deployment, subject: Subject) -> None:
    """What is not in the tables, or not only there."""
    s3, bucket = deployment.client("s3"), deployment.outputs["LakeBucket"]
    waiting = s3.list_objects_v2(Bucket=bucket, Prefix=PENDING, MaxKeys=1000).get("KeyCount", 0)
    print("not touched: the registry, states and cases in DynamoDB, models, and the maintenance system's orders")
    if subject.kind != SITE:
        print("the sums of its site in site_daily stay; they name no position and no sensor")
    if waiting:
        print(f"{waiting} receipts wait to be committed; if any is of it, {RERUN}")
    if s3.get_bucket_versioning(Bucket=bucket).get("Status") == "Enabled":
        print("S3 keeps deleted objects as versions for 30 days; delete those by hand if even that is too long")


def _document(subject: Subject, found: Iterable[Erased], pictures: int, *, done: bool) -> Mapping[str, Any]:
    tables = [as_dict(one) for one in found]
    what = {"kind": subject.kind, "name": subject.name, "before_ms": subject.before_ms}
    return {**what, "erased": done, "tables": tables, "pictures": pictures}


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
