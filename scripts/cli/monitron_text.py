"""The bytes of Monitron's exports, cut into events: lines, or one event right behind the other, or an array.

Two ways lead through a block. `pieces` finds where events begin by their first key, at the speed of a search. `scan`
reads every item as JSON and takes what else is met with: events wrapped by Kinesis or Firehose, base64, JSON within
JSON, the dictionaries that a Lambda printed, and what Monitron's own page shows, a comma missing before `models`. It
goes on behind what it cannot read.
"""

import ast
import base64
import binascii
import gzip
import json
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from cli.import_files import File, damage, unpacked

BLOCK = 4 << 20  # bytes read at once
LONGEST = 4 * BLOCK  # bytes without an event in which one is still looked for
TAIL = 1 << 16  # bytes at the end of a block in which the last event begins, as a rule
FIRST_KEYS = rb"timestamp|eventId|version|accountId|project\w*|siteDisplayName|eventType|eventPayload"
START = re.compile(rb"(?:\}|\A|\n)[\s,\[\x1e\xef\xbb\xbf]*(?=\{\s*\"(?:" + FIRST_KEYS + rb')")')
BETWEEN = re.compile(r"[\s,\[\]\x1e\ufeff]*")
NEXT = re.compile(r"\n(?=\s*\S)|(?<=\})[\s,]*(?=\{\s*\"(?:" + FIRST_KEYS.decode() + r")\")")
NO_COMMA = re.compile(r"([}\]\"\d])(\s*\"models\"\s*:)")  # the block that Monitron's page shows has none there
BASE64 = re.compile(r"[A-Za-z0-9+/_-]{16,}={0,2}(?=\s|\Z)")
DEEPEST = 5  # wrappings within wrappings

_DECODER = json.JSONDecoder(parse_constant=lambda name: _refuse(name))


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


@dataclass(frozen=True)
class Block:
    """A stretch of a file that begins and ends between events. `line` is its first; `end` is where it ends, in bytes
    of the file as it lies there.
    """

    file: str
    line: int
    body: bytes
    end: int


@dataclass(frozen=True)
class Item:
    """What was found: an event, or what is none and why."""

    line: int
    raw: bytes
    event: Mapping[str, Any] | None
    wrong: str = ""


def blocks(file: File, *, size: int = BLOCK) -> Iterator[Block]:
    """The file's blocks. Of a packed file that is damaged what could be unpacked, and then a block that says so."""
    with file.open() as raw:
        stream = unpacked(raw)
        line, rest, ended = 1, b"", False
        while not ended:
            read = stream.read(size)
            ended = len(read) < size  # a packed stream, too, gives as much as was asked for until it ends
            cut = len(read) if ended else _cut(read, len(rest))
            if cut or ended:
                body = b"".join((rest, memoryview(read)[:cut]))  # one copy, of what may be megabytes
                rest = read[cut:]
                if body:
                    yield Block(file.name, line, body, raw.tell())
                    line += body.count(b"\n")
            else:
                rest += read
        if broken := damage(stream):
            yield Block(file.name, line, b"(cut off: " + broken.encode() + b")", raw.tell())


def _cut(read: bytes, waiting: int) -> int:
    """Where the last event in it begins, or the last line; 0 if neither is found yet. `waiting`: bytes before it."""
    for begin in (max(0, len(read) - TAIL), 0):
        starts = [match.end() for match in START.finditer(read, begin)]
        if starts and starts[-1] > 0:
            return starts[-1]
    line = read.rfind(b"\n") + 1
    return line if line else len(read) if len(read) + waiting > LONGEST else 0


def pieces(body: bytes) -> list[tuple[int, int]]:
    """Where each event begins and ends, as far as their first keys tell."""
    starts = [match.end() for match in START.finditer(body)]
    return list(pairwise([*starts, len(body)]))


def scan(body: bytes, line: int, depth: int = 0) -> Iterator[Item]:
    """Every item, in order."""
    text = body.decode("utf-8", errors="surrogateescape")
    at = counted = 0
    while True:
        at = _past(BETWEEN, text, at)
        if at >= len(text):
            return
        line += text.count("\n", counted, at)
        counted = at
        end, found = _item(text, at)
        raw = text[at:end].rstrip().encode("utf-8", errors="surrogateescape")
        yield from _told(found, raw, line, depth)
        at = end


def _past(pattern: re.Pattern[str], text: str, at: int) -> int:
    match = pattern.match(text, at)
    return match.end() if match else at


def _item(text: str, at: int) -> tuple[int, Any]:
    """Where the item ends, and what it is; a ValueError if it cannot be read."""
    if text[at] in '{"':
        try:
            found, end = _DECODER.raw_decode(text, at)
            return end, found
        except (ValueError, RecursionError) as error:
            wrong = error
    elif match := BASE64.match(text, at):
        return match.end(), match.group()
    else:
        wrong = ValueError("found no JSON object")
    end = _next(text, at)
    return end, _mended(text[at:end].strip(), wrong)


def _next(text: str, at: int) -> int:
    """Where the next item may begin."""
    match = NEXT.search(text, at + 1)
    return match.end() if match else len(text)


def _mended(text: str, wrong: Exception) -> Any:
    """What was meant by one of the malformed forms that are known, or what is wrong."""
    try:
        return _DECODER.decode(NO_COMMA.sub(r"\1,\2", text))
    except (ValueError, RecursionError):
        pass
    try:
        found = ast.literal_eval(text)  # what Python prints of an event
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return wrong if isinstance(wrong, ValueError) else ValueError(str(wrong))
    return found if isinstance(found, dict | str | bytes) else wrong


def _told(found: Any, raw: bytes, line: int, depth: int) -> Iterator[Item]:
    if isinstance(found, Exception):
        yield Item(line, raw, None, str(found))
    elif depth >= DEEPEST:
        yield Item(line, raw, None, "wrapped too often")
    elif isinstance(found, str | bytes):
        body = _unwrapped(found)
        if body is None:
            yield Item(line, raw, None, "found text, wanted an event")
        else:
            yield from _at(line, scan(body, 1, depth + 1))
    elif isinstance(found, dict):
        records = _records(found)
        if records is None:
            yield Item(line, raw, found)
        for record in records or ():
            yield from _told(record, raw if record is None else str(record).encode(), line, depth + 1)
    else:
        yield Item(line, raw, None, f"found {type(found).__name__}, wanted an event")


def _at(line: int, items: Iterator[Item]) -> Iterator[Item]:
    """Of what was wrapped: the line of the wrapping."""
    for item in items:
        yield Item(line, item.raw, item.event, item.wrong)


def _records(found: Mapping[str, Any]) -> list[Any] | None:
    """What a batch of Kinesis or Firehose holds, or one record of it; None for what is neither."""
    if "eventPayload" in found or ("eventId" in found and "timestamp" in found):
        return None
    for name in ("Records", "records"):
        if isinstance(found.get(name), list):
            return [_data(record) for record in found[name]]
    return [_data(found)] if _data(found) is not None else None


def _data(record: Any) -> Any:
    if not isinstance(record, dict):
        return record
    inner = record["kinesis"] if isinstance(record.get("kinesis"), dict) else record
    return next((inner[name] for name in ("data", "Data") if name in inner), None)


def _unwrapped(text: str | bytes) -> bytes | None:
    """The bytes of events in text: JSON, or base64 of it, packed or not."""
    body = text if isinstance(text, bytes) else text.encode("utf-8", errors="surrogateescape")
    if body.lstrip()[:1] in (b"{", b"[", b'"'):
        return body
    try:
        body = base64.b64decode(body.replace(b"-", b"+").replace(b"_", b"/"), validate=True)
        body = gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body
    except (binascii.Error, ValueError, OSError, EOFError, zlib.error):
        return None
    return body if body.lstrip()[:1] in (b"{", b"[", b'"') else None
