"""Clients whose calls can be interrupted: to kill a function at any step, or to let something happen in between."""

import re
from collections.abc import Callable, Iterator
from typing import Any

Interrupt = Callable[[str, str], None]  # when (before or after), name of the call
CHANGES = re.compile("put_|delete_|update_|copy_")
CALLS = re.compile("put_|delete_|update_|copy_|get_object|get_item|batch_get")


class Killed(BaseException):
    """The function was killed here; no `except Exception` of it may notice."""


class Interrupted:
    """A client that asks `interrupt` before and after each call that matches."""

    def __init__(self, client: Any, interrupt: Interrupt, calls: re.Pattern[str] = CHANGES) -> None:
        self._client, self._interrupt, self._calls = client, interrupt, calls

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._client, name)
        if not self._calls.match(name):
            return real

        def call(**arguments: Any) -> Any:
            self._interrupt("before", name)
            answer = real(**arguments)
            self._interrupt("after", name)
            return answer

        return call


def killed_at(moment: int) -> Interrupt:
    """Kills at the moment-th chance and lets nothing through after it; each call has two, before and after."""
    chances: Iterator[int] = iter(range(10**6))

    def kill(when: str, call: str) -> None:
        if next(chances) >= moment:
            raise Killed

    return kill


def once_at(moment: int, action: Callable[[], None]) -> Interrupt:
    """Lets `action` happen at the moment-th chance."""
    chances: Iterator[int] = iter(range(10**6))

    def act(when: str, call: str) -> None:
        if next(chances) == moment:
            action()

    return act
