"""Thrift's compact protocol, as far as a Parquet footer goes: bytes to fields by number, and back to the same bytes."""

import struct as binary
from collections.abc import Mapping
from typing import Any

TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = range(1, 13)
WHOLE = {I16, I32, I64}

Struct = dict[int, tuple[int, Any]]  # number of a field → its type and value; of a list the value is (type, values)


def parse(data: bytes) -> Struct:
    """The fields of a struct."""
    return _Reader(data).struct()


def struct(fields: Mapping[int, tuple[int, Any]]) -> bytes:
    """A struct of these fields, in the order of their numbers."""
    out = bytearray()
    last = 0
    for number in sorted(fields):
        kind, value = fields[number]
        if number - last <= 15:
            out.append(number - last << 4 | kind)
        else:
            out += bytes([kind]) + varint(_zigzag(number))
        out += _value(kind, value)
        last = number
    return bytes(out) + b"\x00"


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _zigzag(value: int) -> int:
    return value * 2 if value >= 0 else -value * 2 - 1


def _value(kind: int, value: Any) -> bytes:
    if kind in (TRUE, FALSE):
        return b""
    if kind in WHOLE:
        return varint(_zigzag(value))
    if kind == BYTE:
        return bytes([value])
    if kind == DOUBLE:
        return binary.pack("<d", value)
    if kind == BINARY:
        return varint(len(value)) + value
    if kind == STRUCT:
        return struct(value)
    if kind in (LIST, SET):
        return _list(*value)
    raise ValueError(f"found type {kind}, wanted one that Parquet's footers use")


def _list(kind: int, values: list[Any]) -> bytes:
    head = bytes([len(values) << 4 | kind]) if len(values) < 15 else bytes([0xF0 | kind]) + varint(len(values))
    if kind in (TRUE, FALSE):
        return head + bytes(TRUE if value else FALSE for value in values)
    return head + b"".join(_value(kind, value) for value in values)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def struct(self) -> Struct:
        fields: Struct = {}
        number = 0
        while head := self._byte():
            kind, step = head & 0x0F, head >> 4
            number = number + step if step else self._whole()
            fields[number] = kind, self._of(kind)
        return fields

    def _of(self, kind: int) -> Any:
        if kind in (TRUE, FALSE):
            return kind == TRUE
        if kind in WHOLE:
            return self._whole()
        if kind == BYTE:
            return self._byte()
        if kind == DOUBLE:
            return binary.unpack("<d", self._take(8))[0]
        if kind == BINARY:
            return self._take(self._varint())
        if kind == STRUCT:
            return self.struct()
        if kind in (LIST, SET):
            return self._list()
        raise ValueError(f"found type {kind}, wanted one that Parquet's footers use")

    def _list(self) -> tuple[int, list[Any]]:
        head = self._byte()
        kind, count = head & 0x0F, head >> 4
        if count == 15:
            count = self._varint()
        if kind in (TRUE, FALSE):
            return kind, [self._byte() == TRUE for _ in range(count)]
        return kind, [self._of(kind) for _ in range(count)]

    def _byte(self) -> int:
        self._at += 1
        return self._data[self._at - 1]

    def _take(self, count: int) -> bytes:
        self._at += count
        return self._data[self._at - count : self._at]

    def _varint(self) -> int:
        value = shift = 0
        while (byte := self._byte()) & 0x80:
            value |= (byte & 0x7F) << shift
            shift += 7
        return value | byte << shift

    def _whole(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)
