"""Take data out: as Amazon Monitron's and Lookout for Equipment's consumers read it, or all of it as plain files.

  telltale export monitron --from 2026-10-01 --out events.jsonl   events of Kinesis export version 2.0, a line each
  telltale export lookout riverside/pump-hall/pump-1 --out DIR    what the asset's model said, as inference results
  telltale export all --out DIR                                   tables, plant, cases, orders, models, audit
  telltale export verify DIR                                      whether such a folder is whole

docs/export.md has every field and what it is made of. Nothing is changed by an export.
"""

import argparse
import gzip
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from rich.console import Console
from rich.table import Column, Table
from telltale.adapters import kinesis
from telltale.adapters.monitron_stream import account_of, record
from telltale.core import schema
from telltale.core.errors import RetryLater

from cli import export_all, export_lookout
from cli.deployment import Deployment, current
from cli.export_monitron import MonitronExport
from cli.history import instant
from cli.lake_models import registry_of
from cli.lake_rows import LakeRows
from cli.problem import Problem

A_CALL = 500  # events put on a stream at a time
PATIENCE = 20  # times that a stream may say later before it is an error; each waits 1.5 s in all


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    monitron = actions.add_parser("monitron", help="events in Monitron's Kinesis format, version 2.0")
    lookout = actions.add_parser("lookout", help="what models of assets said, as Lookout's inference results")
    everything = actions.add_parser("all", help="all that the deployment keeps, with a manifest")
    verify = actions.add_parser("verify", help="whether an export of everything is whole")
    for action, what in ((monitron, "sampled"), (lookout, "judged")):
        action.add_argument("--from", dest="from_ms", type=instant, default=0, metavar="TIME", help=f"{what} from then")
        action.add_argument("--to", dest="to_ms", type=instant, metavar="TIME", help=f"{what} before then")
    monitron.add_argument(
        "--position", action="append", default=[], metavar="PATH", help="a position, or an asset, area or site of them"
    )
    monitron.add_argument("--out", type=Path, metavar="FILE", help="instead of the output; .gz is compressed")
    monitron.add_argument(
        "--stream", nargs="?", const="", metavar="NAME", help="put them on a Kinesis stream (the deployment's own)"
    )
    lookout.add_argument("asset", nargs="*", metavar="ASSET", help="its path (all that have scores)")
    lookout.add_argument("--out", type=Path, required=True, metavar="DIR", help="DIR/<asset>/results.jsonl")
    everything.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new or empty folder")
    everything.add_argument(
        "--without", action="append", default=[], metavar="TABLE", choices=[table.name for table in schema.TABLES],
        help="leave a table out (waveforms is mostly the largest)",
    )  # fmt: skip
    verify.add_argument("folder", type=Path, metavar="DIR")


def run(args: argparse.Namespace) -> int:
    if args.action == "verify":
        return _verify(args.folder)
    deployment = current()
    rows = LakeRows.of(deployment)
    if args.action == "all":
        return _all(deployment, rows, args.out, args.without)
    to_ms = float("inf") if args.to_ms is None else args.to_ms
    if args.from_ms >= to_ms:
        raise Problem("--from is not before --to")
    if args.action == "lookout":
        return _lookout(rows, args.asset, args.out, from_ms=args.from_ms, to_ms=to_ms)
    return _monitron(deployment, rows, args, to_ms=to_ms)


# --- Monitron


def _monitron(deployment: Deployment, rows: LakeRows, args: argparse.Namespace, *, to_ms: float) -> int:
    account = account_of(deployment.outputs["TopicArn"])
    making = MonitronExport(rows, registry_of(deployment).plant(), account, _below(args.position))
    count: Counter[str] = Counter()
    with _taken(deployment, args) as take:
        for event in making.events(from_ms=args.from_ms, to_ms=to_ms):
            take(event)
            count[event["eventType"]] += 1
    said = ", ".join(f"{number} {kind}" for kind, number in sorted(count.items()))
    print(f"{count.total()} events{f': {said}' if said else ''}", file=sys.stderr)
    for what, number in making.left_out.items():
        print(f"left out: {number} {what}", file=sys.stderr)
    return 0


@contextmanager
def _taken(deployment: Deployment, args: argparse.Namespace) -> Iterator[Callable[[export_all.Entry], None]]:
    """What takes an event: a stream, a file, or the output."""
    if args.stream is not None and args.out is not None:
        raise Problem("--out and --stream are two places", "give one of them")
    if args.stream is not None:
        with _on_stream(deployment, args.stream) as take:
            yield take
        return
    with _opened(args.out) as stream:
        yield lambda event: print(json.dumps(event, separators=(",", ":")), file=stream)


@contextmanager
def _on_stream(deployment: Deployment, name: str) -> Iterator[Callable[[export_all.Entry], None]]:
    stream = name or deployment.outputs.get("MonitronStream")
    if not stream:
        raise Problem(
            "this deployment has no stream in Monitron's format",
            'set "monitron_stream": true in its stage and deploy, or name a stream',
        )
    client, held = deployment.client("kinesis"), list[tuple[str, bytes]]()

    def take(event: export_all.Entry) -> None:
        held.append(record(event))
        if len(held) == A_CALL:
            put()

    def put() -> None:
        _put_patiently(client, stream, held)
        held.clear()

    yield take
    put()


def _put_patiently(client: Any, stream: str, records: Sequence[tuple[str, bytes]]) -> None:
    """History comes faster than a shard takes it. What was taken before it said no is sent again: ids tell."""
    for _ in range(PATIENCE):
        with suppress(RetryLater):
            return kinesis.put_all(client, stream, records)
    kinesis.put_all(client, stream, records)
    return None


@contextmanager
def _opened(out: Path | None) -> Iterator[IO[str]]:
    if out is None:
        yield sys.stdout
    elif out.suffix == ".gz":
        with gzip.open(out, "wt") as stream:
            yield stream
    else:
        with out.open("w") as stream:
            yield stream


def _below(paths: Sequence[str]) -> Callable[[str], bool]:
    """Whether a path is one of these or below one; any, where none is given."""
    wanted = [path.strip("/") for path in paths]
    return lambda path: not wanted or any(path == one or path.startswith(f"{one}/") for one in wanted)


# --- Lookout


def _lookout(rows: LakeRows, assets: Sequence[str], out: Path, *, from_ms: float, to_ms: float) -> int:
    count: Counter[str] = Counter()
    files: dict[str, IO[str]] = {}
    try:
        for asset, line in export_lookout.results(rows, _below(assets), from_ms=from_ms, to_ms=to_ms):
            if asset not in files:
                (out / asset).mkdir(parents=True, exist_ok=True)
                files[asset] = (out / asset / "results.jsonl").open("w")
            print(json.dumps(line, separators=(",", ":")), file=files[asset])
            count[asset] += 1
    finally:
        for stream in files.values():
            stream.close()
    for asset, number in sorted(count.items()):
        print(f"{out / asset / 'results.jsonl'}: {number} lines", file=sys.stderr)
    if not count:
        print("no model of these assets has judged anything in that time", file=sys.stderr)
    return 0


# --- Everything


def _all(deployment: Deployment, rows: LakeRows, out: Path, without: Sequence[str]) -> int:
    began, console = time.monotonic(), Console(stderr=True)
    with console.status("reading") as status:
        manifest = export_all.export(
            deployment, rows, out, without=without, tell=lambda what: status.update(f"reading {what}")
        )
    shown = Table("table", Column("rows", justify="right"), Column("files", justify="right"))
    for name, table in manifest["tables"].items():
        if table["rows"]:
            shown.add_row(name, str(table["rows"]), str(table["files"]))
    Console().print(shown)
    size = sum(entry["bytes"] for entry in manifest["files"])
    print(f"{len(manifest['files'])} files, {size} bytes in {time.monotonic() - began:.1f} s; {out}/manifest.json")
    waiting = manifest["batches_not_yet_in_the_tables"]
    if waiting:
        print(f"not in the tables yet: {waiting} batches, which the committer's next run adds", file=sys.stderr)
    return 0


def _verify(folder: Path) -> int:
    wrong = export_all.verify(folder)
    for what in wrong:
        print(what)
    print(f"{folder}: {f'{len(wrong)} things are wrong' if wrong else 'whole'}")
    return 1 if wrong else 0
