"""What an adapter says of itself: its settings in the plant file, its secrets, and how it is made.

A module of this package that has an ADAPTER is one: `cmms: {odoo: {…}}` in the plant file names `odoo.py`. Nothing else
has to know of it (systems.py finds it).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from telltale.adapters.cmms.port import Cmms
from telltale.core.errors import CmmsRefused

if TYPE_CHECKING:
    from telltale.adapters.cmms.logbook import Logbook


@dataclass(frozen=True)
class Setting:
    """A setting in the plant file. `kind`: str, int, bool, float, "url" (https, or http on this computer), or dict (of
    texts). `says` : what it is, in a few words, for the plant file's errors and for `telltale cmms`.
    `choices` : the only values there are, where it has some.
    """

    says: str
    kind: type | str = str
    required: bool = False
    default: Any = None
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Given:
    """What an adapter is made of: the site's settings (checked, defaults filled in) and secrets, and the clock.

    budget : called before each request; raises CmmsBusy when the site's calls of this minute are used up.
    """

    site: str
    settings: Mapping[str, Any]
    secrets: Mapping[str, str]
    now_ms: Callable[[], int]
    logbook: "Logbook"
    budget: Callable[[], None] = lambda: None

    def secret(self, name: str) -> str:
        """Raises CmmsRefused where it was never set."""
        if not self.secrets.get(name):
            raise CmmsRefused(f"site {self.site}: the secret {name!r} is not set; `telltale cmms secret {self.site}`")
        return self.secrets[name]


@dataclass(frozen=True)
class Adapter:
    """One maintenance system that Telltale can speak to.

    settings, secrets : by name; of a secret, what it is.   calls_per_minute : what the vendor allows; None: no limit is
    known. The plant file may set another.
    """

    title: str
    make: Callable[[Given], Cmms]
    settings: Mapping[str, Setting] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    calls_per_minute: int | None = None
