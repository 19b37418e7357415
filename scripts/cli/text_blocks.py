"""Text files of any size as blocks of whole lines in UTF-8, whatever they are written in."""

import codecs
import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO

from cli.problem import Problem

READ_BYTES = 8 << 20  # of a block, and so what a chunk of lines takes in memory; the same on every machine
LONGEST_LINE = 64 << 20
SNIFFED = 1 << 16
UTF_8, FALLBACK = "utf-8", "cp1252"  # what spreadsheets of the West write, with its ° and µ
MARKS = ((codecs.BOM_UTF8, UTF_8), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


@dataclass(frozen=True)
class Block:
    """Lines `first_line` and following (from 1), each ending in a newline. unreadable : lines that are no text, and
    stand empty in `body`.
    """

    first_line: int
    body: bytes
    read: int  # bytes of the stream until the block's end
    unreadable: dict[int, bytes] = field(default_factory=dict)

    def line(self, number: int) -> bytes:
        """One line, without its end."""
        return self.body.split(b"\n")[number - self.first_line].rstrip(b"\r")


def cells_of(line: str, delimiter: str = ",") -> list[str]:
    """The cells of one line of a table; of one that no reader of CSV takes, whatever is between the delimiters."""
    try:
        return next(csv.reader([line.rstrip("\r\n")], delimiter=delimiter), [])
    except csv.Error:
        return line.split(delimiter)


def encoding_of(start: bytes) -> tuple[str, int]:
    """The encoding that the first bytes of a file show, and how many of them are its mark."""
    for mark, name in MARKS:
        if start.startswith(mark):
            return name, len(mark)
    if start[1::2].count(0) * 2 > len(start[1::2]) > 0:
        return "utf-16-le", 0
    try:
        codecs.getincrementaldecoder(UTF_8)().decode(start)
    except UnicodeDecodeError:
        return FALLBACK, 0
    return UTF_8, 0


def blocks(stream: IO[bytes], *, encoding: str | None = None, size: int = READ_BYTES) -> Iterator[Block]:
    """The file in blocks of about `size` bytes. Bytes that are no text in its encoding cost only their line."""
    start = stream.read(SNIFFED)
    found, mark = encoding_of(start)
    name = found if encoding is None else encoding
    mark = mark if encoding is None or found == codecs.lookup(encoding).name else 0
    decoder = None if name == UTF_8 else codecs.getincrementaldecoder(name)(errors="replace")
    rest, line, read = b"", 1, len(start)
    raw = start[mark:]
    lone_returns = b"\r" in raw and b"\n" not in raw and len(start) > 1
    while True:
        more = stream.read(max(size - len(raw), 0)) if len(raw) < size else b""
        read += len(more)
        raw += more
        last = not raw
        text = raw if decoder is None else decoder.decode(raw, final=last).encode()
        body = rest + (text.replace(b"\r", b"\n") if lone_returns else text)
        raw = b""
        end = len(body) if last else body.rfind(b"\n") + 1
        rest = body[end:]
        if len(rest) > LONGEST_LINE:
            raise Problem(f"found no end of line {line} in {LONGEST_LINE >> 20} MB, wanted lines of a table")
        if end:
            whole = body[:end] if body[end - 1 : end] == b"\n" else body[:end] + b"\n"
            yield _readable(Block(line, whole, read))
            line += whole.count(b"\n")
        if last:
            return


def _readable(block: Block) -> Block:
    """The block with the lines emptied that are no UTF-8."""
    try:
        block.body.decode()
    except UnicodeDecodeError:
        lines = block.body.split(b"\n")
        unreadable = {}
        for place, line in enumerate(lines):
            try:
                line.decode()
            except UnicodeDecodeError:
                unreadable[block.first_line + place] = line
                lines[place] = b""
        return Block(block.first_line, b"\n".join(lines), block.read, unreadable)
    return block
