"""Which maintenance system a site uses, ready to be asked."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from telltale.adapters.cmms.logbook import Logbook
from telltale.adapters.cmms.port import Cmms
from telltale.adapters.cmms.webhook import Webhook
from telltale.core.errors import CmmsRefused
from telltale.core.plant import Site

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

NAMES = ("logbook", "webhook")


class Systems:
    """Makes the adapter that `Site.cmms` names, out of `Site.cmms_settings`.

    webhook : `url` (required), `pushes` (true when the system sends status hints; it is then asked less often).
    """

    def __init__(
        self, logbook: Logbook, secrets: "SecretsManagerClient", secret_arn: str, now_ms: Callable[[], int]
    ) -> None:
        self._logbook = logbook
        self._secrets = secrets
        self._secret_arn = secret_arn
        self._now_ms = now_ms

    def of(self, site: Site) -> Cmms:
        """Raises CmmsRefused when the site's settings name none."""
        if site.cmms == "logbook":
            return self._logbook
        if site.cmms == "webhook":
            if not site.cmms_settings.get("url"):
                raise CmmsRefused(f"site {site.id}: cmms_settings of a webhook need a url")
            return Webhook(
                str(site.cmms_settings["url"]),
                self._secret(),
                self._now_ms,
                pushes=bool(site.cmms_settings.get("pushes", False)),
            )
        raise CmmsRefused(f"site {site.id}: cmms {site.cmms!r} is not one of {', '.join(NAMES)}")

    def _secret(self) -> bytes:
        # Read each time: orders are few, and a rotated secret holds at once.
        return self._secrets.get_secret_value(SecretId=self._secret_arn)["SecretString"].encode()
