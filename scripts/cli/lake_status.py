"""How each table of the lake stands: what a reader meets, what history costs, and when it was last looked after."""

from collections.abc import Mapping
from dataclasses import dataclass

from pyiceberg.table import Table as IcebergTable
from telltale.adapters.lake import Lake, file_access, glue_catalog
from telltale.adapters.maintenance import Status
from telltale.adapters.unneeded import Unneeded
from telltale.core import schema

from cli.deployment import Deployment


@dataclass(frozen=True)
class Standing:
    """One table. `bytes` is what its rows take now, `stored_bytes` with metadata, snapshots and what is not committed.

    oldest_ms : the oldest snapshot, which `telltale query --at` can go back to.
    """

    table: str
    files: int
    rows: int
    bytes: int
    stored_bytes: int
    snapshots: int
    oldest_ms: int | None
    maintained_ms: int | None
    problem: str


def standings(deployment: Deployment) -> list[Standing]:
    """The tables that there are, as the schema lists them."""
    outputs = deployment.outputs
    bucket = outputs["LakeBucket"]
    catalog = glue_catalog(deployment.client("glue"), file_access(deployment.environment))
    lake = Lake(catalog, database=outputs["GlueDatabase"], location=f"s3://{bucket}/lake")
    files = Unneeded(deployment.client("s3"), bucket=bucket, now_ms=lambda: 0)
    status = Status(deployment.client("dynamodb"), outputs["ProgressTable"])
    found = {table: iceberg for table in schema.TABLES if (iceberg := lake.find(table))}
    return [_standing(table.name, iceberg, files, status) for table, iceberg in found.items()]


def _standing(name: str, iceberg: IcebergTable, files: Unneeded, status: Status) -> Standing:
    now = iceberg.current_snapshot()
    totals: Mapping[str, str] = (now.summary if now else None) or {}
    last = status.of(name)
    return Standing(
        name,
        files=int(totals.get("total-data-files") or 0),
        rows=int(totals.get("total-records") or 0),
        bytes=int(totals.get("total-files-size") or 0),
        stored_bytes=sum(file.bytes for file in files.stored(name)),
        snapshots=len(iceberg.snapshots()),
        oldest_ms=min((snapshot.timestamp_ms for snapshot in iceberg.snapshots()), default=None),
        maintained_ms=last.ended_ms if last else None,
        problem=last.problem if last else "",
    )
