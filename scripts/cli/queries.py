"""The named queries: files of `queries/` in Athena's dialect."""

from dataclasses import dataclass
from pathlib import Path

from cli.deployment import ROOT

QUERIES = ROOT / "queries"


@dataclass(frozen=True)
class Named:
    """A query kept in `queries/`: its file's name, first comment line, further comment lines, and text."""

    name: str
    title: str
    description: str
    sql: str


def named_queries(folder: Path = QUERIES) -> dict[str, Named]:
    """The named queries by name, in alphabetical order."""
    return {path.stem: _read(path) for path in sorted(folder.glob("*.sql"))}


def _read(path: Path) -> Named:
    sql = path.read_text()
    lines = sql.splitlines()
    end = next(number for number, line in enumerate(lines) if not line.startswith("--"))
    title, *description = [line.removeprefix("--").strip() for line in lines[:end]]
    return Named(path.stem, title, " ".join(description), sql)
