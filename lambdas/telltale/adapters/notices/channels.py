"""Which channel reaches a recipient, ready to send."""

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from telltale.adapters.cmms.http import Http
from telltale.adapters.notices.hook import opened
from telltale.adapters.notices.port import Channel
from telltale.adapters.notices.slack import Slack
from telltale.adapters.notices.sns import CHANNELS, People
from telltale.adapters.notices.teams import Teams
from telltale.core.errors import RetryLater
from telltale.core.plant import Site
from telltale.core.recipients import Recipient

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

PREFIX = "notice:"  # of the names of webhooks' addresses, among the secrets of a site
HOOKS: Mapping[str, tuple[str, Callable[[Http, str], Channel]]] = {"slack": ("Slack", Slack), "teams": ("Teams", Teams)}


class Channels:
    """Makes the channel of a recipient. secrets_arn : one secret for all sites, a JSON object: site → name → value."""

    def __init__(
        self, people: People, secrets: "SecretsManagerClient", *, secrets_arn: str, now_ms: Callable[[], int]
    ) -> None:
        self._people, self._secrets, self._secrets_arn, self._now_ms = people, secrets, secrets_arn, now_ms

    def of(self, site: Site, recipient: Recipient) -> Channel:
        """Raises RetryLater where a secret is missing, which somebody can put right."""
        if recipient.channel in CHANNELS:
            return self._people
        title, channel = HOOKS[recipient.channel]
        name = f"{title}'s webhook {recipient.address!r} of {site.id}"
        # Read each time: a new address holds at once.
        found = json.loads(self._secrets.get_secret_value(SecretId=self._secrets_arn)["SecretString"] or "{}")
        url = found.get(site.id, {}).get(f"{PREFIX}{recipient.address}")
        if not url:
            set_it = f"`telltale notices secret {site.id} {recipient.address}`"
            raise RetryLater(f"{name} has no address yet: {set_it}")
        return channel(opened(url, name, lambda url: Http(url, now_ms=self._now_ms)), name)
