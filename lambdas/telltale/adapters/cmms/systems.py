"""Which maintenance system a site uses, ready to be asked."""

import importlib
import json
import pkgutil
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from telltale.adapters import cmms
from telltale.adapters.cmms.adapter import Adapter, Given
from telltale.adapters.cmms.logbook import Logbook
from telltale.adapters.cmms.port import Cmms
from telltale.core.errors import CmmsRefused
from telltale.core.plant import Site

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

CALLS = "calls_per_minute"  # a setting that every system has
EVERY = (CALLS, "title", "description", "fields")  # settings of every system: what core.order_text makes of a case


def adapter(name: str) -> Adapter | None:
    """The adapter of that name; None when there is none."""
    if name not in (module.name for module in pkgutil.iter_modules(cmms.__path__)):
        return None
    found = getattr(importlib.import_module(f"{cmms.__name__}.{name}"), "ADAPTER", None)
    return found if isinstance(found, Adapter) else None


def adapters() -> dict[str, Adapter]:
    """Every adapter by name; imports them all."""
    found = {module.name: adapter(module.name) for module in pkgutil.iter_modules(cmms.__path__)}
    return {name: one for name, one in found.items() if one is not None}


class Systems:
    """Makes the adapter that `Site.cmms` names, out of `Site.cmms_settings` and the site's secrets.

    secrets_arn : one secret for all sites, a JSON object: site → name → value (`telltale cmms secret`).
    webhook_arn : the secret that a webhook uses whose site has none of its own.
    budget : of a site and its calls a minute, what is called before each request.
    """

    def __init__(
        self,
        logbook: Logbook,
        secrets: "SecretsManagerClient",
        *,
        secrets_arn: str,
        webhook_arn: str,
        now_ms: Callable[[], int],
        budget: Callable[[str, int], None] | None = None,
    ) -> None:
        self._logbook = logbook
        self._secrets = secrets
        self._secrets_arn, self._webhook_arn = secrets_arn, webhook_arn
        self._now_ms = now_ms
        self._budget = budget

    def of(self, site: Site) -> Cmms:
        """Raises CmmsRefused when the site's settings name none, or miss something."""
        found = adapter(site.cmms)
        if found is None:
            raise CmmsRefused(f"site {site.id}: cmms {site.cmms!r} is not one of {', '.join(adapters())}")
        given = site.cmms_settings
        missing = [name for name, one in found.settings.items() if one.required and not given.get(name)]
        if missing:
            raise CmmsRefused(f"site {site.id}: {site.cmms} needs {', '.join(missing)}")
        calls, ask = given.get(CALLS, found.calls_per_minute), self._budget
        return found.make(
            Given(
                site=site.id,
                settings={name: given.get(name, one.default) for name, one in found.settings.items()},
                secrets=self._secret_of(site) if found.secrets else {},
                now_ms=self._now_ms,
                logbook=self._logbook,
                budget=(lambda: ask(site.id, calls)) if ask is not None and calls else lambda: None,
            )
        )

    def _secret_of(self, site: Site) -> Mapping[str, str]:
        # Read each time: orders are few, and a rotated secret holds at once.
        own: Mapping[str, str] = json.loads(self._read(self._secrets_arn) or "{}").get(site.id, {})
        if site.cmms == "webhook" and "secret" not in own:
            return {**own, "secret": self._read(self._webhook_arn)}
        return own

    def _read(self, arn: str) -> str:
        return self._secrets.get_secret_value(SecretId=arn)["SecretString"]
