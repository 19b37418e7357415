"""Everything that a deployment keeps, as files in a folder with a manifest, and whether such a folder is whole.

manifest.json            what is there: every file with its size, SHA-256 and rows; what was not there to take
tables/<table>/…         rows of the lake as Parquet, those of deleted rows and files left out
dynamodb/<table>.jsonl   registry, states, cases, ledger, logbook, models, progress: an item a line, typed as there
plant.json               the registry as plain values
objects/models/…         models of assets with their reports, as they are kept; objects/evidence/…: pictures of cases
objects/receipts/…       the proof of each batch that is still kept; its counts are in the table `batches` for good
"""

import base64
import dataclasses
import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.expressions import AlwaysTrue
from pyiceberg.io.pyarrow import ArrowScan, schema_to_pyarrow
from pyiceberg.table import FileScanTask
from pyiceberg.table import Table as IcebergTable
from telltale import VERSION
from telltale.adapters.receipts import COMMITTED, PENDING
from telltale.adapters.registry import Registry
from telltale.core import schema

from cli.deployment import Deployment
from cli.lake_rows import LakeRows
from cli.problem import Problem
from cli.tables import objects_below

FORMAT = "telltale-export/1"
MANIFEST = "manifest.json"
PREFIXES = ("models/", "evidence/", COMMITTED, PENDING)
STORES = ("RegistryTable", "StatesTable", "CasesTable", "LedgerTable", "LogbookTable", "ModelsTable", "ProgressTable")
FILE_BYTES = 256 * 1024 * 1024  # of rows in memory, from which on a table goes on in another file
AT_ONCE = 16  # calls to S3, each nearly all waiting
READ_BYTES = 32 * 1024 * 1024  # of files, as stored, that are read together; a larger one alone

Entry = dict[str, Any]  # of the manifest
Tell = Callable[[str], None]


def export(
    deployment: Deployment, rows: LakeRows, out: Path, *, without: Collection[str] = (), tell: Tell = lambda what: None
) -> Entry:
    """Write all of it; the manifest. `without`: tables that stay where they are.

    Raises Problem if the folder has anything in it.
    """
    if out.exists() and any(out.iterdir()):
        raise Problem(f"{out} is not empty", "give a new folder: an export is whole, or it is not one")
    out.mkdir(parents=True, exist_ok=True)
    begun = datetime.now(UTC)
    waiting = len(objects_below(deployment, PENDING))
    files: list[Entry] = []
    tables: dict[str, Entry] = {}
    for table in schema.TABLES:
        if table.name not in without:
            tell(table.name)
            tables[table.name], written = _table(rows, table.name, out)
            files += written
    tell("items")
    for store in STORES:
        if store in deployment.outputs:
            files.append(_items(deployment, store, out))
    files.append(_plant(deployment, out))
    tell("objects")
    files += _objects(deployment, out)
    manifest = {
        "format": FORMAT,
        "code_version": VERSION,
        "begun": begun.isoformat(timespec="seconds"),
        "ended": datetime.now(UTC).isoformat(timespec="seconds"),
        "database": deployment.outputs["GlueDatabase"],
        "bucket": deployment.outputs["LakeBucket"],
        "without": sorted(without),
        "batches_not_yet_in_the_tables": waiting,
        "tables": tables,
        "files": files,
    }
    (out / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")
    return manifest


def verify(folder: Path) -> list[str]:
    """What is wrong with an export; empty where each file is there as it was written, and nothing else is."""
    manifest = _manifest(folder)
    wrong = [found for entry in manifest["files"] for found in _compared(folder, entry)]
    listed = {entry["path"] for entry in manifest["files"]} | {MANIFEST}
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    wrong += [f"{path}: not in the manifest" for path in sorted(there - listed)]
    for name, table in manifest["tables"].items():
        rows = sum(entry["rows"] for entry in manifest["files"] if entry["path"].startswith(f"tables/{name}/"))
        if rows != table["rows"]:
            wrong.append(f"table {name}: its files have {rows} rows, wanted {table['rows']}")
    return wrong


# --- Tables of the lake


def _table(rows: LakeRows, name: str, out: Path) -> tuple[Entry, list[Entry]]:
    """A table at the snapshot that it has now."""
    iceberg = rows.table(name)
    snapshot = iceberg.current_snapshot() if iceberg is not None else None
    if iceberg is None or snapshot is None:
        return {"rows": 0, "files": 0, "snapshot": None}, []
    written = list(_parts(_batches(iceberg, snapshot.snapshot_id), f"tables/{name}", out))
    count = sum(entry["rows"] for entry in written)
    return {"rows": count, "files": len(written), "snapshot": snapshot.snapshot_id}, written


def _batches(iceberg: IcebergTable, snapshot: int) -> Iterator[pa.RecordBatch]:
    """All rows, some files at a time: PyIceberg's own reader has those in memory at once that it is given."""
    scan = iceberg.scan(snapshot_id=snapshot)
    reading = ArrowScan(iceberg.metadata, iceberg.io, scan.projection(), AlwaysTrue())
    columns = schema_to_pyarrow(scan.projection(), include_field_ids=False)
    for tasks in _together(scan.plan_files()):
        yield from (batch.cast(columns) for batch in reading.to_record_batches(tasks))


def _together(tasks: Iterable[FileScanTask]) -> Iterator[list[FileScanTask]]:
    held: list[FileScanTask] = []
    for task in tasks:
        if held and sum(one.file.file_size_in_bytes for one in [*held, task]) > READ_BYTES:
            yield held
            held = []
        held.append(task)
    yield held


def _parts(reader: Iterable[pa.RecordBatch], folder: str, out: Path) -> Iterator[Entry]:
    """Batches as Parquet files of a bounded size, one batch in memory at a time."""
    writer: pq.ParquetWriter | None = None
    path, held, rows, number = "", 0, 0, 0
    for batch in reader:
        if not batch.num_rows:
            continue
        if writer is None:
            path, held, rows, number = f"{folder}/{number:05d}.parquet", 0, 0, number + 1
            (out / folder).mkdir(parents=True, exist_ok=True)
            writer = pq.ParquetWriter(out / path, batch.schema, compression="zstd")
        writer.write_batch(batch)
        held, rows = held + batch.nbytes, rows + batch.num_rows
        if held >= FILE_BYTES:
            writer.close()
            writer = None
            yield _entry(out, path, rows=rows)
    if writer is not None:
        writer.close()
        yield _entry(out, path, rows=rows)


# --- Items and objects


def _items(deployment: Deployment, store: str, out: Path) -> Entry:
    """A DynamoDB table as its items are typed there, so that they can be put back; binaries as base64."""
    path = f"dynamodb/{store.removesuffix('Table').lower()}.jsonl"
    pages = deployment.client("dynamodb").get_paginator("scan")
    found = pages.paginate(TableName=deployment.outputs[store], ConsistentRead=True)
    lines = (json.dumps(item, default=_as_text, sort_keys=True) for page in found for item in page["Items"])
    return _lines(out, path, lines)


def _plant(deployment: Deployment, out: Path) -> Entry:
    plant = Registry(deployment.client("dynamodb"), deployment.outputs["RegistryTable"]).plant()
    (out / "plant.json").write_text(json.dumps(dataclasses.asdict(plant), indent=1, sort_keys=True) + "\n")
    return _entry(out, "plant.json")


def _objects(deployment: Deployment, out: Path) -> list[Entry]:
    s3, bucket = deployment.client("s3"), deployment.outputs["LakeBucket"]

    def fetch(key: str) -> Entry | None:
        path = f"objects/{key}"
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        try:
            body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        except s3.exceptions.NoSuchKey:  # a receipt that was committed since it was listed
            moved = key.replace(PENDING, COMMITTED, 1)
            return None if moved in keys or moved == key else fetch(moved)
        (out / path).write_bytes(body)
        return _entry(out, path)

    # What waits is listed before what is committed: a receipt moves from the one to the other.
    keys = {key for prefix in reversed(PREFIXES) for key in objects_below(deployment, prefix)}
    with ThreadPoolExecutor(AT_ONCE) as threads:
        return [entry for entry in threads.map(fetch, sorted(keys)) if entry is not None]


def _as_text(value: Any) -> str:
    if isinstance(value, bytes | bytearray):
        return base64.b64encode(value).decode()
    raise TypeError(f"found {type(value)} in an item of DynamoDB")


# --- Files


def _lines(out: Path, path: str, lines: Iterable[str]) -> Entry:
    (out / path).parent.mkdir(parents=True, exist_ok=True)
    count = 0
    with (out / path).open("w") as stream:
        for text in lines:
            stream.write(text + "\n")
            count += 1
    return _entry(out, path, rows=count)


def _entry(out: Path, path: str, *, rows: int | None = None) -> Entry:
    counted = {} if rows is None else {"rows": rows}
    return {"path": path, "bytes": (out / path).stat().st_size, "sha256": _digest(out / path), **counted}


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _manifest(folder: Path) -> Mapping[str, Any]:
    try:
        manifest: Mapping[str, Any] = json.loads((folder / MANIFEST).read_text())
        if manifest["format"] != FORMAT:
            raise Problem(f"{folder / MANIFEST}: found format {manifest['format']}, wanted {FORMAT}")
    except FileNotFoundError as error:
        raise Problem(
            f"{folder} has no {MANIFEST}", "an export writes it last: without it, it did not come to its end"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise Problem(f"{folder / MANIFEST} is no manifest of an export: {error!r}") from error
    return manifest


def _compared(folder: Path, entry: Mapping[str, Any]) -> Iterator[str]:
    path = folder / entry["path"]
    if not path.is_file():
        yield f"{entry['path']}: missing"
    elif path.stat().st_size != entry["bytes"]:
        yield f"{entry['path']}: {path.stat().st_size} bytes, wanted {entry['bytes']}"
    elif _digest(path) != entry["sha256"]:
        yield f"{entry['path']}: its SHA-256 is not that of the manifest"
    elif path.suffix == ".parquet" and (rows := pq.read_metadata(path).num_rows) != entry["rows"]:
        yield f"{entry['path']}: {rows} rows, wanted {entry['rows']}"
