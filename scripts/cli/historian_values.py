"""Values of a historian's table, a block at a time: when, of which tag, how much; and what cannot be read, by line.

CSV of any size is read in blocks of lines, Parquet in batches of rows. Arrow reads what is clean, with numbers as they
should be; a block in which something is not is read once more as text, to name the lines.
"""

import io
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from numpy.typing import NDArray
from telltale.core.errors import Reason

from cli import historian_mapping, text_blocks, time_columns
from cli.historian_mapping import SCALARS, HistorianMapping, Target, named
from cli.import_files import damage
from cli.importing import Bad
from cli.problem import Problem
from cli.text_blocks import Block, cells_of
from cli.time_columns import Fault, Times

Array = NDArray[Any]
Lost = Counter[tuple[str, str]]

BATCH_ROWS = 200_000  # of Parquet at a time
HEADER_LINES = 200  # among which the header stands
NUMBER = r"^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$"
SHOWN = 80  # characters of what was found
OK, MISSING, NO_NUMBER = 0, 1, 2
UNMAPPED, IGNORED = -1, -2


class Series:
    """The tags that values are of, each with a number."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, str], int] = {}
        self.places: list[tuple[str, str]] = []  # position and tag by number
        self.sensors: list[str] = []

    def number(self, position: str, tag: str, sensor: str) -> int:
        key = position, tag
        if key not in self._numbers:
            self._numbers[key] = len(self.places)
            self.places.append(key)
            self.sensors.append(sensor)
        return self._numbers[key]


@dataclass(frozen=True, eq=False)
class Values:
    """t_us : (n,) microseconds since 1970.   series : (n,) numbers of Series.   value : (n,) floats.

    read : bytes of the file until here.
    """

    t_us: NDArray[np.int64]
    series: NDArray[np.int32]
    value: NDArray[np.float64]
    bad: Sequence[Bad] = ()
    lost: Lost = field(default_factory=Counter)
    read: int = 0


def values(
    stream: IO[bytes], name: str, mapping: HistorianMapping, series: Series, *, latest_us: int
) -> Iterator[Values]:
    """The values of a file, CSV or Parquet, in its order. What is no table at all is one bad item."""
    if is_parquet(stream):
        yield from _Parquet(name, mapping, series, latest_us).read(stream)
    else:
        yield from _Text(name, mapping, series, latest_us).read(stream)


def is_parquet(stream: IO[bytes]) -> bool:
    """As its first bytes show; takes nothing out of the stream."""
    return isinstance(stream, io.BufferedReader) and stream.peek(4)[:4] == b"PAR1"


def refused(bad: Bad, *, read: int = 0) -> Values:
    """Nothing but an item that cannot be stored."""
    return Values(*_none(), [bad], read=read)


class _Table:
    """What text and Parquet have in common: from columns to values."""

    def __init__(self, name: str, mapping: HistorianMapping, series: Series, latest_us: int) -> None:
        self.name, self.mapping, self.series, self.latest_us = name, mapping, series, latest_us
        self.lost: Lost = Counter()
        self._codes: dict[str, int] = {}
        targets = mapping.tags
        numbers = {one: series.number(t.position, t.tag, mapping.sensor) for one, t in targets.items()}
        self._numbers = numbers
        self._targets: Mapping[str, Target] = targets

    def bad(self, line: int | None, reason: Reason, detail: str, payload: bytes) -> Bad:
        return Bad(self.name, line, reason, detail, payload)

    def columns(self, names: Sequence[str]) -> list[str]:
        """The columns to read. Problem where the table has not those that it must have."""
        wanted = self.mapping
        needed = [wanted.time, *((wanted.tag, wanted.value) if wanted.layout == "long" else ())]
        needed += [wanted.quality] if wanted.layout == "long" and wanted.quality else []
        absent = [name for name in needed if name not in names]
        if absent:
            raise Problem(f"found the columns {', '.join(names)[:300]}, wanted {', '.join(absent)}")
        if wanted.layout == "long":
            return needed
        here = [name for name in names if name in wanted.tags]
        for name in wanted.tags.keys() - set(names):
            self.lost[f"column {name}", "in the mapping, not in the file"] += 1
        if not here:
            raise Problem(f"found the columns {', '.join(names)[:300]}, wanted one that the mapping names")
        return [wanted.time, *here]

    def left_out(self, names: Sequence[str], rows: int) -> None:
        """Count the columns of a wide table that are not in the mapping."""
        if self.mapping.layout == "long":
            return
        for name in names:
            if name in self.mapping.tags or name == self.mapping.time or name in self.mapping.ignore:
                continue
            base, twice, _ = name.partition("#")
            again = bool(twice) and base in names
            why = f'a further column of that name: it is "{name}" in the mapping' if again else "not in the mapping"
            self.lost[f"column {name}", why] += rows

    def found(
        self,
        times: Times,
        columns: Mapping[str, tuple[Array, NDArray[np.uint8]]],
        tags: tuple[NDArray[np.int32], Sequence[str]] | None,
        good: NDArray[np.bool_] | None,
        line: Callable[[int], tuple[int, bytes]],
        cell: Callable[[str, int], str],
        skip: NDArray[np.bool_],
    ) -> Values:
        """The values of a block.

        columns : numbers with their states, by column.   tags : of a long table, codes and texts.   good : quality.
        line(row) : its number and bytes.   cell(column, row) : its text.   skip : rows that are blank.
        """
        timed = (times.faults == Fault.NONE) & ~skip
        bad = self._bad_times(times, skip, line, cell)
        if times.cut:
            self.lost["time", "digits beyond the microsecond are cut off"] += times.cut
        if tags is None:
            return self._wide(times, timed, columns, bad, line, cell)
        return self._long(times, timed, columns[self.mapping.value], tags, good, bad, line, cell)

    def _bad_times(self, times: Times, skip: Array, line: Any, cell: Any) -> list[Bad]:
        bad = []
        for row in np.flatnonzero((times.faults != Fault.NONE) & ~skip).tolist():
            number, payload = line(row)
            found = cell(self.mapping.time, row)
            if found == self.mapping.time:
                self.lost["line", "the header once more"] += 1
                continue
            fault = Fault(int(times.faults[row]))
            reason = Reason.CLOCK_AHEAD if fault is Fault.OUTSIDE and times.t_us[row] > 0 else Reason.BAD_FIELD
            words = f'found the time "{found[:SHOWN]}": {self.mapping.times.words(fault)}'
            bad.append(self.bad(number, reason, words, payload))
        return bad

    def _wide(self, times: Times, timed: Array, columns: Any, bad: list[Bad], line: Any, cell: Any) -> Values:
        t_us, series, found = [], [], []
        for name, (numbers, states) in columns.items():
            target = self._targets[name]
            value, far = self._converted(numbers, target)
            fits = timed & (states == OK)
            keep = fits & ~far
            for row in np.flatnonzero(timed & (states == NO_NUMBER)).tolist():
                text = cell(name, row)
                bad.append(self._no_number(line(row)[0], text, text.encode(), f"in column {name}, "))
            bad += [
                self._too_far(line(row)[0], value[row], target, cell(name, row).encode())
                for row in np.flatnonzero(fits & far).tolist()
            ]
            missing = int(np.sum(timed & (states == MISSING)))
            if missing:
                self.lost["empty cell", "no value there"] += missing
            t_us.append(times.t_us[keep])
            found.append(value[keep])
            series.append(np.full(len(found[-1]), self._numbers[name], np.int32))
        return Values(np.concatenate(t_us), np.concatenate(series), np.concatenate(found), bad)

    def _long(
        self, times: Times, timed: Array, column: Any, tags: Any, good: Any, bad: list[Bad], line: Any, cell: Any
    ) -> Values:
        numbers, states = column
        codes, texts = tags
        of_text = np.array([self._code(text) for text in texts] or [UNMAPPED], np.int32)
        series = of_text[codes]
        for place in np.flatnonzero(of_text == UNMAPPED).tolist() if len(texts) else ():
            count = int(np.sum(timed & (codes == place)))
            if count:
                self.lost[f"tag {texts[place]}", "not in the mapping"] += count
        mine = timed & (series >= 0)
        far = np.zeros(len(numbers), bool)
        value = np.array(numbers, np.float64)
        for text, number in self._numbers.items():
            target = self._targets[text]
            if not (target.conversion.changes or target.scalar):
                continue
            rows = np.flatnonzero(mine & (series == number))
            value[rows], far[rows] = self._converted(numbers[rows], target)
        if good is not None:
            refused = mine & ~good
            for row in np.flatnonzero(refused).tolist():
                number, payload = line(row)
                quality = cell(str(self.mapping.quality), row)
                words = f'found the quality "{quality[:SHOWN]}", wanted {" or ".join(self.mapping.good)}'
                bad.append(self.bad(number, Reason.BAD_FIELD, words, payload))
            mine &= good
        missing = int(np.sum(mine & (states == MISSING)))
        if missing:
            self.lost["line", "no value in it"] += missing
        for row in np.flatnonzero(mine & (states == NO_NUMBER)).tolist():
            number, payload = line(row)
            bad.append(self._no_number(number, cell(self.mapping.value, row), payload))
        for row in np.flatnonzero(mine & far & (states == OK)).tolist():
            number, payload = line(row)
            bad.append(self._too_far(number, value[row], self._target_of(int(series[row])), payload))
        keep = mine & (states == OK) & ~far
        return Values(times.t_us[keep], series[keep], value[keep], bad)

    def _code(self, text: str) -> int:
        if text in self._numbers:
            return self._numbers[text]
        return IGNORED if text in self.mapping.ignore else UNMAPPED

    def _target_of(self, number: int) -> Target:
        return next(self._targets[text] for text, one in self._numbers.items() if one == number)

    def _converted(self, numbers: Array, target: Target) -> tuple[Array, NDArray[np.bool_]]:
        conversion = target.conversion
        value = numbers * conversion.factor + conversion.offset if conversion.changes else numbers
        if not target.scalar:
            return value, np.zeros(len(value), bool)
        low, high = SCALARS[target.tag][1]
        return value, (value < low) | (value > high)

    def _no_number(self, line: int, text: str, payload: bytes, where: str = "") -> Bad:
        return self.bad(line, Reason.BAD_FIELD, f'{where}found "{text[:SHOWN]}", wanted a number', payload)

    def _too_far(self, line: int, value: float, target: Target, payload: bytes) -> Bad:
        unit, (low, high) = SCALARS[target.tag]
        words = f"found {value:g} as {target.tag}, wanted {low:g} to {high:g} {unit}"
        return self.bad(line, Reason.BAD_RANGE, words, payload)


# ---- text ----------------------------------------------------------------------------------------


class _Text(_Table):
    """CSV, in whatever it is written."""

    delimiter = ","
    decimal = "."
    names: Sequence[str] = ()
    wanted: Sequence[str] = ()

    def read(self, stream: IO[bytes]) -> Iterator[Values]:
        first = True
        for block in text_blocks.blocks(stream, encoding=self.mapping.encoding):
            skipped = 0
            if first:
                try:
                    skipped = self._begin(block)
                except Problem as problem:
                    detail, payload = str(problem), block.body[: 1 << 12]
                    yield refused(self.bad(1, Reason.BAD_PAYLOAD, detail, payload), read=block.read)
                    return
                first = False
            yield self._block(block, skipped)
        if first:
            yield refused(self.bad(None, Reason.BAD_PAYLOAD, "the file is empty, wanted a table", b""), read=0)
        reason = damage(stream)
        if reason is not None:
            detail = f"the packed file ends early, what is before that was read: {reason}"
            yield refused(self.bad(None, Reason.BAD_PAYLOAD, detail, b""), read=0)

    def _begin(self, block: Block) -> int:
        """Reads the layout; how many lines stand before the values."""
        mapping = self.mapping
        head = block.body[: 1 << 20].split(b"\n")[:HEADER_LINES]
        lines = [line.decode(errors="replace").rstrip("\r") for line in head]
        filled = [line for line in lines if line.strip()]
        if not filled:
            raise Problem("found no table, wanted one")
        self.delimiter = mapping.delimiter or historian_mapping.delimiter_of(filled)
        skipped = 0
        if mapping.header:
            rows = [cells_of(line, self.delimiter) for line in lines]
            plain = [[cell.strip().strip("\ufeff") for cell in row] for row in rows]
            place = next((place for place, row in enumerate(plain) if mapping.time in row), None)
            if place is None:
                raise Problem(f'found "{filled[0][:200]}" and no column {mapping.time}, wanted a header with it')
            names, skipped = plain[place], place + 1
        else:
            names = [""] * len(cells_of(filled[0], self.delimiter))
        self.names = named(names)
        self.wanted = self.columns(self.names)
        cells = [cell for line in lines[skipped:] for cell in cells_of(line, self.delimiter)]
        commas = sum(bool(re.fullmatch(r"\s*[+-]?[\d.]*\d,\d+\s*", cell)) for cell in cells)
        points = sum(bool(re.fullmatch(r"\s*[+-]?\d+\.\d+\s*", cell)) for cell in cells)
        self.decimal = mapping.decimal or ("," if commas > points and self.delimiter != "," else ".")
        return skipped

    def _block(self, block: Block, skipped: int) -> Values:
        lines = _Lines(block)
        body = block.body if not skipped else block.body.split(b"\n", skipped)[-1]
        lines.first = block.first_line + skipped
        bad = [
            self.bad(number, Reason.BAD_PAYLOAD, "found bytes that are no text in the file's encoding", line)
            for number, line in block.unreadable.items()
        ]
        body, open_quotes = _line_by_line(body)
        bad += [
            self.bad(lines.first + place, Reason.BAD_PAYLOAD, "found a quotation mark without its other", line)
            for place, line in open_quotes.items()
        ]
        lines.told = {lines.first + place for place in open_quotes}
        if not body:
            return Values(*_none(), bad, Counter(), block.read)
        table, numeric = self._table(body, lines)
        bad += [
            self.bad(lines.first + place, Reason.BAD_PAYLOAD, words, line)
            for place, (words, line) in lines.odd.items()
            if line.strip()
        ]
        found = self._values(table, numeric, lines)
        self.left_out(self.names, table.num_rows)
        lost, self.lost = self.lost, Counter()
        return Values(found.t_us, found.series, found.value, [*bad, *found.bad], lost, block.read)

    def _table(self, body: bytes, lines: "_Lines") -> tuple[pa.Table, bool]:
        """The wanted columns, and whether the values are numbers already."""
        mapping = self.mapping
        place = {name: str(number) for number, name in enumerate(self.names)}
        kinds: dict[str, pa.DataType] = {place[name]: pa.string() for name in self.wanted}
        values = [mapping.value] if mapping.layout == "long" else [n for n in self.wanted if n != mapping.time]
        clean = not mapping.thousands and not mapping.states
        if mapping.layout == "long":
            kinds[place[mapping.tag]] = pa.dictionary(pa.int32(), pa.string())
        numbers = {place[name]: pa.float64() for name in values}
        for kinds_now, numeric in (((kinds | numbers), True), (kinds, False)) if clean else ((kinds, False),):
            lines.odd = {}
            try:
                table = pa_csv.read_csv(
                    pa.BufferReader(body),
                    pa_csv.ReadOptions(
                        column_names=[str(number) for number in range(len(self.names))],
                        use_threads=False,
                        block_size=len(body) + 1,
                    ),
                    pa_csv.ParseOptions(
                        delimiter=self.delimiter, ignore_empty_lines=False, invalid_row_handler=lines.odd_row
                    ),
                    pa_csv.ConvertOptions(
                        column_types=kinds_now,
                        include_columns=[place[name] for name in self.wanted],
                        null_values=list(mapping.missing),
                        strings_can_be_null=False,
                        decimal_point=self.decimal,
                        check_utf8=False,
                    ),
                )
                return table.rename_columns(list(self.wanted)), numeric
            except pa.ArrowInvalid:
                if not numeric:
                    raise
        raise AssertionError("one of both returns or raises")

    def _values(self, table: pa.Table, numeric: bool, lines: "_Lines") -> Values:
        mapping = self.mapping
        rows = table.num_rows
        skip = np.zeros(rows, bool)
        times = time_columns.parsed(table[mapping.time], mapping.times, latest_us=self.latest_us)
        for row in np.flatnonzero(times.faults).tolist():
            skip[row] = not lines.of_row(row)[1].strip() or lines.of_row(row)[0] in lines.told
        columns = {}
        for name in [mapping.value] if mapping.layout == "long" else self.wanted[1:]:
            columns[name] = _known(table[name]) if numeric else self._numbers_of(table[name])
        tags = good = None
        if mapping.layout == "long":
            coded = table[mapping.tag].combine_chunks()
            tags = np.asarray(coded.indices, np.int32), [text.strip() for text in coded.dictionary.to_pylist()]
            if mapping.quality:
                good = self._good(table[mapping.quality])

        def cell(name: str, row: int) -> str:
            line = lines.of_row(row)[1].decode(errors="replace")
            cells = cells_of(line, self.delimiter)
            return cells[self.names.index(name)].strip() if name in self.names[: len(cells)] else ""

        return self.found(times, columns, tags, good, lines.of_row, cell, skip)

    def _good(self, column: pa.ChunkedArray) -> NDArray[np.bool_]:
        return _is_good(column, self.mapping.good)

    def _numbers_of(self, column: pa.ChunkedArray) -> tuple[Array, NDArray[np.uint8]]:
        return numbers_of(column.combine_chunks(), self.mapping, self.decimal)


def _line_by_line(body: bytes) -> tuple[bytes, dict[int, bytes]]:
    """The same, so that each line is a row for Arrow as well, and the lines that were emptied for it, by place.

    It would take what follows an open quotation mark into one cell, and a carriage return for the end of a line.
    """
    if b"\r" in body:
        body = body.replace(b"\r\n", b"\n").replace(b"\r", b" ")
    if b'"' not in body:
        return body, {}
    characters = np.frombuffer(body, np.uint8)
    ends = np.flatnonzero(characters == ord("\n"))
    marks = np.bincount(np.searchsorted(ends, np.flatnonzero(characters == ord('"'))))
    places = np.flatnonzero(marks % 2).tolist()
    if not places:
        return body, {}
    lines = body.split(b"\n")
    emptied = {place: lines[place] for place in places}
    for place in places:
        lines[place] = b""
    return b"\n".join(lines), emptied


class _Lines:
    """Which line of the file a row is: rows that do not fit the table are left out of it."""

    def __init__(self, block: Block) -> None:
        self._block, self.first = block, block.first_line
        self.told: set[int] = set()  # numbers of lines that are refused already
        self.odd: dict[int, tuple[str, bytes]] = {}  # place → what is wrong, and the line
        self._lines: list[bytes] | None = None
        self._places: NDArray[np.int64] | None = None

    def odd_row(self, row: pa_csv.InvalidRow) -> str:
        words = f"found {row.actual_columns} columns, wanted {row.expected_columns}"
        self.odd[row.number - 1] = words, row.text.encode()
        self._places = None
        return "skip"

    def of_row(self, row: int) -> tuple[int, bytes]:
        """Its number and bytes."""
        if self._lines is None:
            self._lines = self._block.body.split(b"\n")[self.first - self._block.first_line :]
        if self._places is None:
            inside = np.ones(len(self._lines) + 1, bool)
            inside[[place for place in self.odd if place < len(inside)]] = False
            self._places = np.flatnonzero(inside)
        place = int(self._places[row])
        return self.first + place, self._lines[place].rstrip(b"\r") if place < len(self._lines) else b""


def _none() -> tuple[Array, Array, Array]:
    return np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0)


def _known(column: pa.ChunkedArray) -> tuple[Array, NDArray[np.uint8]]:
    """Numbers that Arrow read, and their states."""
    array = column.combine_chunks()
    value = np.asarray(pc.fill_null(array, float("nan")), np.float64)
    states = np.where(np.isnan(value), MISSING, np.where(np.isinf(value), NO_NUMBER, OK)).astype(np.uint8)
    return value, states


def numbers_of(texts: pa.Array, mapping: HistorianMapping, decimal: str) -> tuple[Array, NDArray[np.uint8]]:
    """Texts as numbers, and what each is: OK, MISSING or NO_NUMBER."""
    plain = pc.utf8_trim_whitespace(pc.fill_null(texts, ""))
    missing = pc.is_in(plain, pa.array(mapping.missing))
    number = plain
    if mapping.thousands:
        number = pc.replace_substring(number, mapping.thousands, "")
    if decimal != ".":
        # A point is no decimal here: it stays one only for what is refused below.
        number = pc.replace_substring(pc.replace_substring(number, ".", "_"), decimal, ".")
    is_number = pc.match_substring_regex(number, NUMBER)
    value = np.array(pc.fill_null(pc.cast(pc.if_else(is_number, number, None), pa.float64()), float("nan")))
    states = np.where(np.asarray(missing), MISSING, np.where(np.asarray(is_number), OK, NO_NUMBER)).astype(np.uint8)
    states[~np.isfinite(value) & (states == OK)] = NO_NUMBER
    for text, stands_for in mapping.states.items():
        rows = np.asarray(pc.equal(plain, text))
        value[rows], states[rows] = stands_for, OK
    return value, states


def _is_good(column: pa.ChunkedArray, good: Sequence[str]) -> NDArray[np.bool_]:
    texts = column.combine_chunks().cast(pa.string())
    lower = pc.utf8_lower(pc.utf8_trim_whitespace(texts))
    wanted = pa.array([one.strip().lower() for one in good], pa.string())
    return np.asarray(pc.fill_null(pc.is_in(lower, wanted), False))


# ---- Parquet -------------------------------------------------------------------------------------


class _Parquet(_Table):
    """Parquet. Its lines are its rows, from 1; what is damaged costs a row group."""

    def read(self, stream: IO[bytes]) -> Iterator[Values]:
        try:
            file = pq.ParquetFile(stream, page_checksum_verification=True)
            names = named(file.schema_arrow.names)
            wanted = self.columns(names)
        except (pa.ArrowException, OSError, Problem) as error:
            detail = f"damaged, or not the table that the mapping says: {' '.join(str(error).split())[:300]}"
            yield refused(self.bad(None, Reason.BAD_PAYLOAD, detail, b""))
            return
        plain = sorted({name if name in file.schema_arrow.names else name.rpartition("#")[0] for name in wanted})
        first, done = 1, 0
        for group in range(file.num_row_groups):
            meta = file.metadata.row_group(group)
            row = first
            try:
                for batch in file.iter_batches(BATCH_ROWS, row_groups=[group], columns=plain, use_threads=False):
                    yield self._batch(batch.rename_columns(named(batch.schema.names)), row, names, done)
                    row += batch.num_rows
            except (pa.ArrowException, OSError) as error:
                detail = (
                    f"row group {group + 1} of {file.num_row_groups} is damaged, its rows from {row} to "
                    f"{first + meta.num_rows - 1} cannot be read: {' '.join(str(error).split())[:200]}"
                )
                yield refused(self.bad(row, Reason.BAD_PAYLOAD, detail, b""), read=done)
            first += meta.num_rows
            done += meta.total_byte_size

    def _batch(self, batch: pa.RecordBatch, first: int, names: Sequence[str], done: int) -> Values:
        mapping = self.mapping
        times = time_columns.parsed(batch[mapping.time], mapping.times, latest_us=self.latest_us)
        wanted = [mapping.value] if mapping.layout == "long" else [name for name in names if name in mapping.tags]
        columns = {name: self._typed(batch[name]) for name in wanted}
        tags = good = None
        if mapping.layout == "long":
            coded = pc.dictionary_encode(batch[mapping.tag].cast(pa.string()), null_encoding="encode")
            texts = [(text or "").strip() for text in coded.dictionary.to_pylist()]
            tags = np.asarray(coded.indices, np.int32), texts
            if mapping.quality:
                good = _is_good(pa.chunked_array([batch[mapping.quality]]), mapping.good)

        def cell(name: str, row: int) -> str:
            value = batch[name][row].as_py()
            return "" if value is None else str(value)

        def line(row: int) -> tuple[int, bytes]:
            text = ",".join(f"{name}={cell(name, row)}" for name in batch.schema.names[:20])
            return first + row, text.encode()

        found = self.found(times, columns, tags, good, line, cell, np.zeros(batch.num_rows, bool))
        self.left_out(names, batch.num_rows)
        lost, self.lost = self.lost, Counter()
        return Values(found.t_us, found.series, found.value, found.bad, lost, done)

    def _typed(self, array: pa.Array) -> tuple[Array, NDArray[np.uint8]]:
        kind = array.type
        if pa.types.is_dictionary(kind):
            array = array.cast(kind.value_type)
        if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
            return numbers_of(array.cast(pa.string()), self.mapping, self.mapping.decimal or ".")
        try:
            return _known(pa.chunked_array([pc.cast(array, pa.float64())]))
        except pa.ArrowInvalid:  # whole numbers beyond 2^53, and what is none
            return _known(pa.chunked_array([pc.cast(array, pa.float64(), safe=False)]))
        except pa.ArrowNotImplementedError:
            return np.full(len(array), np.nan), np.full(len(array), NO_NUMBER, np.uint8)
