"""What a query gives back, whichever engine ran it, and what it says when it cannot."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Protocol

import pyarrow as pa

from telltale.core.errors import TelltaleError


@dataclass(frozen=True)
class Answer:
    """At most the rows asked for, whether there were more, and what it took."""

    table: pa.Table
    more: bool
    engine: str
    seconds: float = 0.0
    scanned_bytes: int | None = None  # what Athena bills; of DuckDB, what its plan reads


class Unanswered(TelltaleError):
    """A query that cannot run. `then` says what to do."""

    def __init__(self, what: str, then: str | None = None) -> None:
        super().__init__(what if then is None else f"{what}\n  {then}")
        self.what, self.then = what, then


class Engine(Protocol):
    """Runs one statement in Athena's dialect; each `?` in it stands for the next of `parameters`."""

    def run(self, sql: str, parameters: Sequence[Any] = ()) -> pa.Table: ...

    def answer(self, sql: str, parameters: Sequence[Any] = (), *, limit: int | None = None) -> Answer: ...


def literal(value: Any) -> str:
    """A value as SQL of Athena's dialect. A time without a zone is refused: the lake's times are UTC."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError(f"{value} has no time zone")
        return f"TIMESTAMP '{value.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f} UTC'"
    if isinstance(value, date):
        return f"DATE '{value}'"
    if isinstance(value, float):
        return f"DOUBLE '{value!r}'"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    raise TypeError(f"{value!r} has no literal in SQL")
