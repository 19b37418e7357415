"""The live stream in Monitron's format: what detection and the watch over silence find, told again as its events.

It is there for whoever has consumers of Amazon Monitron's Kinesis export, and only in stages that ask for it. A stream
that takes nothing must not hold up an alarm, so an event that it does not take is counted and logged, and the line goes
on; `telltale export monitron` makes the same events again, under the same ids, from the lake.
"""

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from telltale.adapters import kinesis
from telltale.adapters.registry import Cached, Registry
from telltale.core import monitron_format
from telltale.core.detect import CaseChange, Row, Verdict
from telltale.core.errors import RetryLater
from telltale.core.monitron_format import Account, Judged, Levels, Place
from telltale.core.plant import Plant, Position
from telltale.core.presence import News
from telltale.core.state import State

PROJECT = "telltale"
# What Monitron's log called the errors of the stream (its letters, the missing R too).
ERRORS = {
    "ResourceNotFoundException": "KINESIS_RESOURCE_NOT_FOUND",
    "ProvisionedThroughputExceededException": "KINESIS_PROVISIONED_THROUGHPUT_EXCEEDED",
    "KMSAccessDeniedException": "KMS_ACCESS_DENIED",
    "KMSNotFoundException": "KMS_NOT_FOUND",
    "KMSDisabledException": "KMS_DISABLED",
    "KMSInvalidStateException": "KMS_INVALID_STATE",
    "KMSThrottlingException": "KMS_THROTTLING",
}
UNNAMED = "INTERNAL_SEVER_ERROR"

Event = Mapping[str, Any]
Undelivered = Callable[[int, str, str], None]  # how many, Monitron's code, and the error in words


def account_of(arn: str) -> Account:
    """What events say of who sends them, from the ARN of anything of the deployment: one in an account and region."""
    _, _, _, region, account_id, *_ = arn.split(":")
    return Account(account_id, PROJECT, f"{PROJECT}-{region}")


def record(event: Event) -> tuple[str, bytes]:
    """Partition key and data. Events of a position stay in order, as on the stream that they were made from."""
    payload = event["eventPayload"]
    key = payload.get("assetPositionId") or payload.get("gateway", {}).get("physicalId") or event["eventId"]
    return str(key), json.dumps(event, separators=(",", ":")).encode()


class MonitronStream:
    """The stream. `undelivered` is told of events that it did not take."""

    def __init__(
        self,
        client: Any,
        stream: str,
        account: Account,
        *,
        undelivered: Undelivered,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.account = account
        self._client, self._stream = client, stream
        self._undelivered, self._sleep = undelivered, sleep

    def put(self, events: Sequence[Event]) -> None:
        """All of them, in order by position; never raises for a stream that does not take them."""
        records = [record(event) for event in events]
        try:
            kinesis.put_all(self._client, self._stream, records, sleep=self._sleep)
        except RetryLater as throttled:
            self._undelivered(len(events), ERRORS["ProvisionedThroughputExceededException"], str(throttled))
        except ClientError as error:
            self._undelivered(len(events), ERRORS.get(error.response["Error"]["Code"], UNNAMED), str(error))
        except BotoCoreError as error:
            self._undelivered(len(events), UNNAMED, str(error))


class Retelling:
    """The events of one stretch of the stream `features`, in its order. cores : the packed states before it."""

    def __init__(
        self,
        account: Account,
        positions: Mapping[str, Position],
        cores: Mapping[str, bytes],
        registry: Registry | Cached,
    ) -> None:
        sites = registry.sites({position.site for position in positions.values()})
        names = {name: site.name for name, site in sites.items()}
        self.events: list[dict[str, Any]] = []
        self._account = account
        self._places = {id_: Place.of(one, names.get(one.site, "")) for id_, one in positions.items()}
        self._standing = {name: _levels(State.unpack(core)) for name, core in cores.items()}

    def row(self, position: str, row: Row, gateway: str | None, verdicts: Sequence[Verdict]) -> None:
        """A row and what was said of it. One of which nothing was said came before, or too late to be judged."""
        if not verdicts or row.model is not None:
            return
        judged = Judged(verdicts, self._standing[position])
        place = self._places[position]
        self.events.append(monitron_format.measurement(self._account, place, row, gateway=gateway, judged=judged))
        self._standing[position] = judged.after

    def changes(
        self, position: str, changes: Iterable[CaseChange], *, previous: str, received_ms: int, sensor: str | None
    ) -> None:
        """Changes of the position's case. previous : its state before them."""
        for change in changes:
            before = "HEALTHY" if change.change == "opened" else previous
            event = monitron_format.transition(
                self._account,
                self._places[position],
                change,
                previous=before,
                received_ms=received_ms,
                sensor=sensor,
            )
            self.events += [] if event is None else [event]
            previous = change.state

    def settled(self, position: str, changes: Iterable[CaseChange]) -> None:
        """What stands at the position, after what was done to its case, or before a row that ends the trial of a repair
        is judged.
        """
        for change in changes:
            self._standing[position] = monitron_format.settled(self._standing[position], change)


def connections(account: Account, news: Iterable[News], plant: Plant, positions: Mapping[str, str]) -> list[Event]:
    """The events of sensors and gateways that fell silent or are back. positions : of the sensors among them."""
    return [_connection(account, one, plant, positions) for one in news]


def _connection(account: Account, news: News, plant: Plant, positions: Mapping[str, str]) -> Event:
    if news.kind.startswith("Gateway"):
        gateway = plant.gateways.get(news.id)
        site = plant.sites.get(gateway.site) if gateway else None
        site_name = (site.name if site else "") or (gateway.site if gateway else "")
        name = gateway.name if gateway else ""
        return monitron_format.gateway_connection(
            account, news.kind, news.id, name=name, site_name=site_name, heard_ms=news.heard_ms
        )
    position = plant.positions[positions[news.id]]
    named = plant.sites.get(position.site)
    place = Place.of(position, named.name if named else "")
    return monitron_format.sensor_connection(account, news.kind, place, news.id, heard_ms=news.heard_ms)


def _levels(state: State) -> Levels:
    return {
        (name, rule): monitor.level
        for name, channel in state.channels.items()
        for rule, monitor in channel.monitors.items()
    }
