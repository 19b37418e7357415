"""Bring in what Lookout for Equipment worked with and said, before it is gone.

telltale import lookout FOLDER --asset riverside/pump-hall/pump-1 --dry-run
telltale import lookout s3://bucket/lookout/pump-1/ --asset riverside/pump-hall/pump-1 --plant plant-pump-1.yaml
telltale import lookout labels.csv results/ --asset riverside/pump-hall/pump-1 --zone Europe/Berlin

Data (CSV with a time and sensors, or one file for each sensor) becomes readings, label files become labels, inference
results (JSON Lines, also pointwise diagnostics) scores, and what `aws lookoutequipment describe-model`, `list-labels`
and `list-inference-events` print becomes findings, labels and a plant file: docs/import-lookout.md.
"""

import argparse
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from telltale.adapters.parquet import ARROW
from telltale.core import schema
from telltale.core.errors import Reason
from telltale.core.schema import Table

from cli import historian_mapping, importing, lookout_plant, lookout_results, text_blocks, time_columns
from cli.historian_mapping import HistorianMapping
from cli.history_rows import ItemKeys
from cli.import_files import File, Input, damage, find, grouped, unpacked
from cli.import_historian import TOGETHER, Historian
from cli.import_seen import Keys
from cli.importing import Bad, Chunk, Known, Part, Stored
from cli.lookout_files import Kind, Places, component_of, document, kind_of, mapping_of
from cli.lookout_results import Described, Label, NotSo, Row
from cli.problem import Problem
from cli.text_blocks import cells_of

SUFFIXES = (".csv", ".txt", ".json", ".jsonl", ".out")
ASSET = re.compile(r"[A-Za-z0-9_.:-]{1,64}(/[A-Za-z0-9_.:-]{1,64}){2}")
MODEL = "lookout"  # the version that scores are of, where nobody names it
RESULTS_AT_ONCE = 20_000  # lines of inference results that become one chunk
UTC = pa.timestamp("us", tz="UTC")
# What tells rows of a table from each other beside their time: the first is where, the others what.
IDENTITY: Mapping[str, tuple[str, ...]] = {
    schema.SCORES.name: ("asset", "model"),
    schema.LABELS.name: ("position", "case_id"),
    schema.LOOKOUT_FINDINGS.name: ("asset", "kind", "model", "name"),
}
TABLES = (schema.SCORES, schema.LABELS, schema.LOOKOUT_FINDINGS)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("place", nargs="+", metavar="FILE|FOLDER|s3://…", help="what to import")
    parser.add_argument("--asset", required=True, type=_asset, metavar="PATH", help="site/area/asset it all belongs to")
    parser.add_argument(
        "--component",
        action="append",
        default=[],
        type=_component,
        metavar="NAME=PATH",
        help="the position (site/area/asset/position) of a component (default: one of that name, of the asset)",
    )
    parser.add_argument("--zone", default="UTC", type=_zone, help="of times without an offset (default: %(default)s)")
    parser.add_argument("--time-format", type=_pattern, metavar="PATTERN", help="such as %%d/%%m/%%Y %%H:%%M:%%S")
    parser.add_argument("--model", default=MODEL, metavar="NAME", help="what judged (default: %(default)s)")
    parser.add_argument("--off", metavar="RULE", help=r"the off-time condition, such as pump\Speed<100")
    parser.add_argument("--plant", type=Path, metavar="FILE", help="write a plant file of asset, positions and model")
    importing.add_arguments(parser)


def _asset(text: str) -> str:
    if not ASSET.fullmatch(text):
        raise argparse.ArgumentTypeError(f'found "{text}", wanted site/area/asset')
    return text


def _component(text: str) -> tuple[str, str]:
    name, found, path = text.partition("=")
    if not found or not historian_mapping.PATH.fullmatch(path):
        raise argparse.ArgumentTypeError(f'found "{text}", wanted NAME=site/area/asset/position')
    return name, path


def _zone(text: str) -> str:
    try:
        return time_columns.TimeFormat("iso", text).zone
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _pattern(text: str) -> str:
    try:
        return time_columns.TimeFormat(text).pattern
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def run(args: argparse.Namespace) -> int:
    if args.plant is not None and args.plant.exists():
        raise Problem(f"{args.plant}: is there already, and is not replaced")
    places = Places(args.asset, dict(args.component), args.zone, args.time_format)
    off = None
    if args.off is not None:
        try:
            off = lookout_results.off_rule(args.off, places)
        except NotSo as error:
            raise Problem(f"--off: {error}") from error
    files = find(args.place, SUFFIXES, s3=_s3)
    source = Lookout(files, places, model=args.model, off=off, roots=args.place)
    done = importing.run(source, args)
    if args.plant is not None:
        args.plant.write_text(lookout_plant.fragment(source.positions, places.asset, source.described))
    return done


def _s3() -> Any:
    from cli.deployment import current

    return current().client("s3")


class Lookout:
    """All that there is of one asset. `described` is what is known of its model, as keys of the plant file."""

    kind = "lookout"
    noun = "items"

    def __init__(
        self,
        files: Sequence[File],
        places: Places,
        *,
        model: str = MODEL,
        off: str | None = None,
        roots: Sequence[str] = (),
    ) -> None:
        self._places, self._model, self._roots = places, model, roots
        self._by_kind: dict[Kind, list[File]] = {kind: [] for kind in Kind}
        for file in files:
            self._by_kind[kind_of(file)].append(file)
        self._mappings: dict[str, HistorianMapping | Problem] = {}
        self._data = Historian(self._by_kind[Kind.DATA], self._mapping_of)
        self._kinds: dict[str, Kind] = {}
        self.positions: set[str] = set()
        self.described: dict[str, Any] = {} if off is None else {"off": off}
        self._off_given = off is not None
        keys = self._data.keys
        self.known: Sequence[Known] = (*self._data.known, *(_known(table, keys) for table in TABLES))

    def _mapping_of(self, file: File) -> HistorianMapping:
        if file.name not in self._mappings:
            try:
                self._mappings[file.name] = mapping_of(file, self._places, component_of(file, self._roots))
            except Problem as problem:
                self._mappings[file.name] = problem
        found = self._mappings[file.name]
        if isinstance(found, Problem):
            raise found
        self.positions |= {target.position for target in found.tags.values()}
        return found

    def inputs(self) -> Sequence[Input]:
        options = repr((self._places, self._model))
        found = []
        for kind, files in self._by_kind.items():
            if kind is Kind.DATA:
                some = list(self._data.inputs()) if files else []
            else:
                each = TOGETHER if kind is Kind.RESULTS else 0
                some = list(grouped(files, options=f"{kind} {options}", bytes_each=each))
            self._kinds |= dict.fromkeys((one.digest for one in some), kind)
            found += some
        return found

    def chunks(self, given: Input, done: Collection[int]) -> Iterator[Chunk]:
        read: Callable[[Input], Iterator[Chunk]] = {
            Kind.RESULTS: self._results,
            Kind.LABELS: self._labels,
            Kind.DOCUMENT: self._document,
        }.get(self._kinds[given.digest], lambda one: self._data.chunks(one, done))
        yield from read(given)

    def finish(self, lake: Stored) -> Iterator[tuple[str, Chunk]]:
        yield from ()

    def notes(self) -> Iterable[str]:
        if self.described.get("off"):
            yield f"the machine is off while {self.described['off']}: the plant file's model takes it as `off`"

    # --- Inference results

    def _results(self, given: Input) -> Iterator[Chunk]:
        number, read = 0, 0
        said: list[tuple[str, int, bytes]] = []
        for file in given.files:
            with file.open() as packed:
                stream = unpacked(packed)
                for block in text_blocks.blocks(stream):
                    lines = enumerate(block.body.split(b"\n"), start=block.first_line)
                    said += [(file.name, line, body) for line, body in lines if body.strip()]
                    said += [(file.name, line, body) for line, body in block.unreadable.items()]
                    while len(said) >= RESULTS_AT_ONCE:
                        yield self._scored(number, said[:RESULTS_AT_ONCE], read + min(block.read, file.size))
                        number, said = number + 1, said[RESULTS_AT_ONCE:]
                if (reason := damage(stream)) is not None:
                    words = f"the packed file ends early, what is before that was read: {reason}"
                    yield self._chunk(number, {}, [Bad(file.name, None, Reason.BAD_PAYLOAD, words)], Counter(), read)
                    number += 1
            read += file.size
        if said:
            yield self._scored(number, said, read)

    def _scored(self, number: int, lines: Sequence[tuple[str, int, bytes]], read: int) -> Chunk:
        bad: list[Bad] = []
        places: list[tuple[str, int, bytes]] = []
        results: list[Row] = []
        for file, line, body in lines:
            try:
                results.append(lookout_results.result(body))
                places.append((file, line, body))
            except NotSo as error:
                bad.append(Bad(file, line, Reason.BAD_PAYLOAD, str(error), body))
        found, lost = lookout_results.score_rows(results, self._places, model=self._model)
        rows: list[Row] = []
        for (row, wrong), (file, line, body) in zip(found, places, strict=True):
            if row is None:
                bad.append(Bad(file, line, Reason.BAD_FIELD, wrong, body))
            else:
                rows.append(row)
        return self._chunk(number, {schema.SCORES: rows}, bad, lost, read)

    # --- Labels

    def _labels(self, given: Input) -> Iterator[Chunk]:
        [file] = given.files
        with file.open() as packed:
            lines = [
                (block.first_line + place, line.rstrip(b"\r"))
                for block in text_blocks.blocks(unpacked(packed))
                for place, line in enumerate(block.body.split(b"\n"))
                if line.strip()
            ]
        labels, places, bad = [], [], []
        for number, line in lines:
            cells = cells_of(line.decode(errors="replace"))
            if len(cells) == 2:
                labels.append(Label(cells[0].strip(), cells[1].strip()))
                places.append((number, line))
            else:
                words = f"found {len(cells)} columns, wanted start,end"
                bad.append(Bad(file.name, number, Reason.BAD_PAYLOAD, words, line))
        yield self._labelled(file, labels, places, bad, given.size)

    def _labelled(
        self, file: File, labels: Sequence[Label], places: Sequence[tuple[int | None, bytes]], bad: list[Bad], read: int
    ) -> Chunk:
        try:
            found = lookout_results.label_rows(labels, self._places)
        except Problem as problem:
            found = [(None, str(problem))] * len(labels)
        bad += [
            Bad(file.name, line, Reason.BAD_FIELD, wrong, body)
            for (row, wrong), (line, body) in zip(found, places, strict=True)
            if row is None
        ]
        rows = [row for row, _ in found if row is not None]
        return self._chunk(0, {schema.LABELS: rows}, bad, Counter(), read)

    # --- What the service said of models

    def _document(self, given: Input) -> Iterator[Chunk]:
        [file] = given.files
        try:
            found = lookout_results.described(document(file), self._places, model=self._model)
        except (NotSo, Problem) as error:
            with file.open() as packed:
                start = unpacked(packed).read(importing.KEPT_BYTES)
            yield self._chunk(
                0, {}, [Bad(file.name, None, Reason.BAD_PAYLOAD, str(error), start)], Counter(), given.size
            )
            return
        self._take(found)
        if found.labels:
            places = [(None, repr(label).encode()) for label in found.labels]
            yield self._labelled(file, found.labels, places, [], given.size)
            return
        yield self._chunk(0, {schema.LOOKOUT_FINDINGS: found.findings}, [], found.lost, given.size)

    def _take(self, found: Described) -> None:
        known = {name: value for name, value in found.model.items() if name != "off" or not self._off_given}
        self.described |= known

    # --- Chunks

    def _chunk(
        self,
        number: int,
        rows: Mapping[Table, Sequence[Row]],
        bad: Sequence[Bad],
        lost: Counter[tuple[str, str]],
        read: int,
    ) -> Chunk:
        keys, parts, items = [_NO_KEYS], [], 0
        for table, of_table in rows.items():
            if of_table:
                made = table_of(table, of_table)
                keys.append(_keys_of(table, self._data.keys, made))
                parts.append(Part(table, made, np.arange(items, items + len(of_table))))
                items += len(of_table)
        return Chunk(number, np.concatenate(keys), parts, bad, dict(lost), str(number), str(number), read)


_NO_KEYS: Keys = np.empty(0, np.uint64)


def table_of(table: Table, rows: Sequence[Row]) -> pa.Table:
    """Rows whose times are microseconds, in the table's columns."""
    columns = {}
    for column in table.columns:
        values = [row.get(column.name) for row in rows]
        kind = ARROW[column.type]
        columns[column.name] = (
            pa.array(values, pa.int64()).cast(UTC) if column.type == "timestamp" else pa.array(values, kind)
        )
    return pa.table(columns)


def _known(table: Table, keys: ItemKeys) -> Known:
    return Known(table, (*IDENTITY[table.name], "t"), lambda rows: _keys_of(table, keys, rows))


def _keys_of(table: Table, keys: ItemKeys, rows: pa.Table) -> Keys:
    """Keys of rows: what they are of, and when."""
    names = IDENTITY[table.name]
    listed = list(zip(*(rows[name].to_pylist() for name in names), strict=True))
    order: dict[tuple[Any, ...], int] = {}
    which = np.array([order.setdefault(one, len(order)) for one in listed], np.int64)
    places = [(one[0], "\n".join((table.name, *one[1:]))) for one in order]
    t_us = np.asarray(rows["t"].cast(UTC).cast(pa.int64()).combine_chunks(), np.int64)
    return keys.of(places, which, t_us)
