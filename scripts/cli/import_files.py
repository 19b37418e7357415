"""What is imported from: files, folders and s3:// prefixes, packed or not, read as streams and never whole."""

import gzip
import hashlib
import io
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol
from urllib.parse import urlsplit

from cli.problem import Problem

READ_AT_ONCE = 8 << 20  # bytes of an object in one request: large enough for a full line, small enough to lose one
GZIP = b"\x1f\x8b"
HASHED_AT_ONCE = 1 << 20


class File(Protocol):
    """A file to import: its name as the user knows it, its size in bytes, and what it holds."""

    @property
    def name(self) -> str: ...

    @property
    def size(self) -> int: ...

    def digest(self) -> str:
        """Of its bytes: the same for the same content."""

    def open(self) -> IO[bytes]:
        """Its bytes as they are; can seek."""


@dataclass(frozen=True)
class LocalFile:
    """A file of this computer."""

    path: Path

    @property
    def name(self) -> str:
        return str(self.path)

    @property
    def size(self) -> int:
        return self.path.stat().st_size

    def digest(self) -> str:
        with self.path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()

    def open(self) -> IO[bytes]:
        return self.path.open("rb")


@dataclass(frozen=True)
class S3File:
    """An object of a bucket. Its digest is its entity tag, so that it need not be read twice."""

    s3: Any
    bucket: str
    key: str
    size: int
    tag: str

    @property
    def name(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    def digest(self) -> str:
        return _digest([f"{self.tag} {self.size}"])

    def open(self) -> IO[bytes]:
        return io.BufferedReader(_Ranges(self), READ_AT_ONCE)


class _Ranges(io.RawIOBase):
    """An object read in ranges: a connection that breaks costs one of them, and it can seek."""

    def __init__(self, file: S3File) -> None:
        self._file, self._at = file, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._file.size}[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        wanted = min(len(buffer), self._file.size - self._at)
        if wanted <= 0:
            return 0
        span = f"bytes={self._at}-{self._at + wanted - 1}"
        file = self._file
        # If-Match: an object that is replaced while it is read must not be read half of each.
        answer = file.s3.get_object(Bucket=file.bucket, Key=file.key, Range=span, IfMatch=file.tag)
        body = answer["Body"].read()
        buffer[: len(body)] = body
        self._at += len(body)
        return len(body)


@dataclass(frozen=True)
class Input:
    """Files that are read one after the other as one thing. `digest` tells it from every other, options included."""

    files: Sequence[File]
    digest: str

    @property
    def name(self) -> str:
        first = self.files[0].name
        return first if len(self.files) == 1 else f"{first} and {len(self.files) - 1} more"

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)


def find(places: Iterable[str], suffixes: Sequence[str], *, s3: Callable[[], Any]) -> list[File]:
    """The files that are meant, by name. A file that is named is taken as it is; of a folder or a prefix those that
    end in one of `suffixes` (all of them, if there are none), packed by gzip or not.
    """
    found: list[File] = []
    for place in places:
        listed = _objects(place, suffixes, s3()) if place.startswith("s3://") else _files(Path(place), suffixes)
        if not listed:
            kinds = ", ".join(suffixes) or "any"
            raise Problem(f"{place}: nothing to import there", f"wanted files of these kinds: {kinds}")
        found += listed
    return found


def grouped(files: Iterable[File], *, options: str = "", bytes_each: int = 0) -> Iterator[Input]:
    """Inputs of at least so many bytes, where small files allow it; of one file each with 0.

    `options` is what else decides what becomes of the files (a mapping, say): with others they are another input.
    """
    group: list[File] = []
    for file in files:
        group.append(file)
        if sum(one.size for one in group) >= bytes_each:
            yield _input(group, options)
            group = []
    if group:
        yield _input(group, options)


def unpacked(stream: IO[bytes]) -> IO[bytes]:
    """The bytes, unpacked where they are gzip's; whatever the file is called."""
    start = stream.read(2)
    stream.seek(0)
    return io.BufferedReader(_Gunzip(stream)) if start == GZIP else stream


class _Gunzip(io.RawIOBase):
    """Unpacks gzip, several members after each other too, and gives what there is of one that was cut off.

    `damaged` says why it ended early, None if it did not.
    """

    def __init__(self, packed: IO[bytes]) -> None:
        self._stream = gzip.GzipFile(fileobj=packed)
        self.damaged: str | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self.damaged is not None:
            return 0
        try:
            body = self._stream.read1(len(buffer))
        except (EOFError, OSError, zlib.error) as error:
            self.damaged = str(error)
            return 0
        buffer[: len(body)] = body
        return len(body)


def damage(stream: IO[bytes]) -> str | None:
    """Why a stream of `unpacked` ended before its file did, None if it did not."""
    raw = getattr(stream, "raw", None)
    return raw.damaged if isinstance(raw, _Gunzip) else None


def _input(files: Sequence[File], options: str) -> Input:
    return Input(tuple(files), _digest([*(file.digest() for file in files), options]))


def _digest(parts: Iterable[str]) -> str:
    return hashlib.blake2b("\n".join(parts).encode(), digest_size=16).hexdigest()


def _files(place: Path, suffixes: Sequence[str]) -> list[File]:
    if place.is_file():
        return [LocalFile(place)]
    if not place.is_dir():
        raise Problem(f"{place}: no such file or folder")
    return [LocalFile(path) for path in sorted(place.rglob("*")) if path.is_file() and _fits(path.name, suffixes)]


def _objects(place: str, suffixes: Sequence[str], s3: Any) -> list[File]:
    address = urlsplit(place)
    bucket, prefix = address.netloc, address.path.removeprefix("/")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return [
        S3File(s3, bucket, item["Key"], item["Size"], item["ETag"])
        for page in pages
        for item in page.get("Contents", [])
        if item["Key"] == prefix or (item["Size"] and _fits(item["Key"], suffixes))
    ]


def _fits(name: str, suffixes: Sequence[str]) -> bool:
    plain = name.lower().removesuffix(".gz")
    return not suffixes or any(plain.endswith(suffix) for suffix in suffixes) or "." not in plain.rsplit("/", 1)[-1]
