"""Things with a state and a sentence, readable at eighty columns: a line of facts, and the sentence below it."""

from collections.abc import Iterable
from datetime import UTC, datetime

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.text import Text

COLOURS = {
    "HEALTHY": "green",
    "WARNING": "yellow",
    "ALARM": "red",
    "NEEDS_MAINTENANCE": "magenta",
    "UNKNOWN": "dim",
    "stale": "yellow",
}


def state(word: str) -> Text:
    """A state in its colour."""
    return Text(word, style=COLOURS.get(word, ""))


def entry(severity: str, title: str, facts: Iterable[str], sentence: str | None) -> RenderableType:
    """One thing of a list."""
    head = Text.assemble(state(f"{severity:8}"), (title, "bold"))
    parts: list[RenderableType] = [head, Padding(Text(" · ".join(facts), style="dim"), (0, 0, 0, 8))]
    if sentence:
        parts.append(Padding(Text(sentence), (0, 0, 0, 8)))
    return Group(*parts)


def show(entries: Iterable[RenderableType]) -> None:
    Console().print(Group(*entries))


def moment(t_ms: float) -> str:
    """UTC, to the minute."""
    return f"{datetime.fromtimestamp(t_ms / 1000, UTC):%Y-%m-%d %H:%M}"
