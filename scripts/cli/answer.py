"""What a query gives back, whichever engine ran it."""

from dataclasses import dataclass

import pyarrow as pa


@dataclass(frozen=True)
class Answer:
    """At most the rows asked for, whether there were more, and what it took."""

    table: pa.Table
    more: bool
    engine: str
    seconds: float = 0.0
    scanned_bytes: int | None = None  # what Athena bills; DuckDB bills nothing
