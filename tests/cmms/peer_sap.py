"""SAP's own service definition, served by CAP, behind a stand-in for what SAP does and CAP does not (sap_gateway.py).

REAL is False: the contract is SAP's, the logic is not.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

from cli import peers
from cli.peers import sap as services
from telltale.adapters.cmms.oauth import basic
from telltale.adapters.cmms.sap import ADAPTER, Sap
from telltale.core.closure import Closure

from tests.cmms import sap_gateway
from tests.cmms.peer import Gone, Peer, adapted
from tests.cmms.sap_gateway import PASSWORD, USER, Gateway

NAME, REAL = "sap", False
EQUIPMENT, LOCATION, MATERIAL = "210100094", "1010-CWS-WCS-CWCP1", "6205-2RS"
HINT_PASSWORD = "only the event mesh knows"
DAMAGE = {"LUBRICATION": "ROT/0020", "IMBALANCE": "ROT/0010"}
CAUSE = {"WEAR": "CAU/0001", "OPERATION": "CAU/0002"}
ACTIVITY = {"LUBRICATE": "ACT/0001", "REPLACE": "ACT/0007"}
SETTINGS = {
    "client": "100",
    "user": USER,
    "damage_codes": DAMAGE,
    "cause_codes": CAUSE,
    "activity_codes": ACTIVITY,
    "attachments": "BUS2038",
    "stock_plant": "1010",
    "pushes": True,
}
SECRETS = {"password": PASSWORD, "hint_password": HINT_PASSWORD}


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class SapPeer(Peer):
    asset, spare_part = EQUIPMENT, MATERIAL

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.url = gateway.url

    def cmms(
        self,
        url: str | None = None,
        *,
        now_ms: Callable[[], int] = now_ms,
        settings: Mapping[str, Any] | None = None,
        secrets: Mapping[str, str] | None = None,
        **changes: Any,
    ) -> Sap:
        given = {**SETTINGS, "url": url or self.url, **(settings or {})}
        return cast("Sap", adapted(ADAPTER, given, SECRETS if secrets is None else secrets, now_ms))

    def take_up(self, ref: str, by: str) -> None:
        self.gateway.store(ref, NotifProcessingPhase="3")

    def hold(self, ref: str, by: str) -> None:
        self.gateway.store(ref, NotifProcessingPhase="2")

    def close(self, ref: str, by: str, closure: Closure | None = None) -> None:
        if closure is not None:
            self._coded(ref, closure)
        self.gateway.store(ref, NotifProcessingPhase="4")

    def cancel(self, ref: str, by: str) -> None:
        self.gateway.store(ref, NotifProcessingPhase="5")

    def reopen(self, ref: str, by: str) -> None:
        self.gateway.store(ref, NotifProcessingPhase="3")

    def delete(self, ref: str) -> None:
        self.gateway.remove(ref)

    def edit(self, ref: str, *, title: str | None = None, description: str | None = None) -> None:
        if title is not None:
            self.gateway.store(ref, NotificationText=title)
        if description is not None:
            self.gateway.store(ref, MaintNotificationLongText=description)

    def comments(self, ref: str) -> list[str]:
        return str(self.gateway.read(ref)["MaintNotificationLongText"]).split("\n\n")[1:]

    def pictures(self, ref: str) -> int:
        return len(self.gateway.files.get(ref, ()))

    def count(self, key: str) -> int:
        return self.gateway.count(key)

    def hint(self, ref: str) -> tuple[Mapping[str, str], bytes]:
        event = {
            "type": "sap.s4.beh.maintenancenotification.v1.MaintenanceNotification.Changed.v1",
            "specversion": "1.0",
            "source": "/default/sap.s4.beh/my300000",
            "id": "QgEK7wzuHtqdhJwqCS+VOA==",
            "time": "2026-11-21T20:00:00Z",
            "datacontenttype": "application/json",
            "data": {"MaintenanceNotification": ref.zfill(12)},
        }
        headers = {"content-type": "application/cloudevents+json", **basic("telltale", HINT_PASSWORD)}
        return {name.lower(): value for name, value in headers.items()}, json.dumps(event).encode()

    def _coded(self, ref: str, closure: Closure) -> None:
        at = {"MaintenanceNotification": ref, "MaintenanceNotificationItem": "0001"}
        mode, cause, action = (
            table[code].split("/")
            for table, code in (
                (DAMAGE, closure.failure_mode),
                (CAUSE, closure.failure_cause),
                (ACTIVITY, closure.action_taken),
            )
        )
        damage = {"MaintNotifDamageCodeGroup": mode[0], "MaintNotificationDamageCode": mode[1]}
        why = {"MaintNotifCauseCodeGroup": cause[0], "MaintNotificationCauseCode": cause[1]}
        done = {"MaintNotifActivityCodeGroup": action[0], "MaintNotificationActivityCode": action[1]}
        service = "API_MAINTNOTIFICATION"
        self.gateway.add(f"{service}/MaintenanceNotificationItem", {**at, **damage})
        self.gateway.add(f"{service}/MaintNotificationItemCause", {**at, "MaintenanceNotificationCause": "0001", **why})
        self.gateway.add(
            f"{service}/MaintNotificationItemActivity", {**at, "MaintNotificationActivity": "0001", **done}
        )


@contextmanager
def serving(**changes: Any) -> Iterator[SapPeer]:
    """changes : of the Gateway."""
    try:
        services.install()
    except peers.Gone as gone:
        raise Gone(str(gone)) from gone
    with services.serving() as cap, sap_gateway.serving(Gateway(cap, **changes)) as gateway:
        until = {"ValidityEndDate": "/Date(253402214400000)/"}
        gateway.add("API_EQUIPMENT/Equipment", {"Equipment": EQUIPMENT, "EquipmentName": "Cooling pump 7", **until})
        gateway.add(
            "API_FUNCTIONALLOCATION/FunctionalLocation",
            {"FunctionalLocation": LOCATION, "FunctionalLocationName": "Cooling water circulation"},
        )
        for plant, location, batch, kind, quantity in (
            ("1010", "101A", "A", "01", "3"),
            ("1010", "101A", "B", "01", "1.5"),
            ("1010", "101C", "", "01", "0"),
            ("1010", "101A", "A", "03", "7"),  # blocked
            ("1710", "171A", "", "01", "9"),
        ):
            key = dict.fromkeys(("Supplier", "Customer", "WBSElementInternalID", "SDDocument", "SDDocumentItem"), "")
            key |= {"Plant": plant, "StorageLocation": location, "Batch": batch, "InventoryStockType": kind}
            key |= {"Material": MATERIAL, "InventorySpecialStockType": ""}
            gateway.add("API_MATERIAL_STOCK_SRV/A_MatlStkInAcctMod", {**key, "MatlWrhsStkQtyInMatlBaseUnit": quantity})
        yield SapPeer(gateway)
