"""What the tests ask of a maintenance system, beside the adapter: to be there, and to be used by its own people.

`peer_<name>.py` has NAME, REAL (whether it is the system itself, or a stand-in written from its documentation) and
`serving()`, a context manager that yields a Peer or raises Gone.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, cast

from telltale.adapters.cmms.adapter import Adapter, Given
from telltale.adapters.cmms.port import Cmms
from telltale.core.closure import Closure


class Gone(Exception):
    """What the system is made of cannot be had here; the tests skip, saying so."""


class CannotDo(Exception):
    """This system has nothing of the kind; the test skips, saying so."""


def adapted(
    adapter: Adapter, settings: Mapping[str, Any], secrets: Mapping[str, str], now_ms: Callable[[], int]
) -> Any:
    """What the adapter makes of a site's settings and secrets, defaults filled in; for one that needs no logbook."""
    every = {name: settings.get(name, one.default) for name, one in adapter.settings.items()}
    return adapter.make(Given("plant", every, secrets, now_ms, logbook=cast("Any", None)))


class Peer(ABC):
    """A maintenance system that runs, and the people who work with it, by its own means and not through the adapter."""

    url = ""  # of the server; "" for one that is not reached by HTTP
    asset = ""  # the key of an asset that it knows
    spare_part = ""  # a part whose stock it knows

    @abstractmethod
    def cmms(self, url: str | None = None, **changes: Any) -> Cmms:
        """The adapter, asking `url` (the server's own if None). changes : `now_ms`, `settings`, `secrets`."""

    def take_up(self, ref: str, by: str) -> None:
        self._cannot("take up")

    def hold(self, ref: str, by: str) -> None:
        self._cannot("hold")

    def close(self, ref: str, by: str, closure: Closure | None = None) -> None:
        """Done; with codes where it has fields for them."""
        self._cannot("close")

    def cancel(self, ref: str, by: str) -> None:
        self._cannot("cancel")

    def reopen(self, ref: str, by: str) -> None:
        self._cannot("reopen")

    def delete(self, ref: str) -> None:
        self._cannot("delete")

    def merge(self, ref: str, into: str) -> None:
        self._cannot("merge")

    def edit(self, ref: str, *, title: str | None = None, description: str | None = None) -> None:
        self._cannot("edit")

    def comments(self, ref: str) -> list[str]:
        self._cannot("show comments of")

    def pictures(self, ref: str) -> int:
        self._cannot("show pictures of")

    def hint(self, ref: str) -> tuple[Mapping[str, str], bytes]:
        """Headers and body of a genuine message that says something happened to the order."""
        self._cannot("tell of")

    @abstractmethod
    def count(self, key: str) -> int:
        """Orders that were ever made under the key and are still there, be they open or not."""

    def _cannot(self, what: str) -> NoReturn:
        raise CannotDo(f"{type(self).__name__} cannot {what} an order")
