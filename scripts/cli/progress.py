"""Progress: a bar on a terminal, a plain line now and then elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

LINE_EVERY_S = 5.0

Advance = Callable[[int], None]  # told how many more are done


@contextmanager
def shown(noun: str, *, total: int | None, done: int = 0) -> Iterator[Advance]:
    """Yields the function to call with how many more are done; `total` None means there is no end."""
    console = Console()
    if console.is_terminal:
        columns = (TextColumn(noun), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console) as bar:
            task = bar.add_task(noun, total=total, completed=done)
            yield lambda count: bar.advance(task, count)
        return
    yield _lines(noun, total, done)


def _lines(noun: str, total: int | None, done: int) -> Advance:
    last_line = time.monotonic()

    def advance(count: int) -> None:
        nonlocal done, last_line
        done += count
        if time.monotonic() - last_line >= LINE_EVERY_S:
            last_line = time.monotonic()
            print(f"{done}{'' if total is None else f' of {total}'} {noun}", flush=True)

    return advance
