"""Messages that maintenance systems never sent, or sent once: tried on the function, for each adapter that takes any.

A stranger may have seen every message and knows no secret. Where a system cannot sign, and sends a password instead,
whoever has seen a message knows that password (docs say so); there he has seen none, but may send one again as it was.
"""

import base64
import hashlib
import hmac
import json
import math
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from telltale.adapters.cmms import maintainx, servicenow, webhook
from telltale.adapters.cmms.oauth import basic
from telltale.adapters.cmms.pushed import USER
from telltale.core.plant import Site

from cli import progress
from cli.orders_function import Clock, Faults
from cli.orders_place import Place, logbook

SECRET = "only-the-two-know-it"
WINDOW_S = 300  # as long as a signed message is believed
NO_ONE = "http://127.0.0.1:9"  # nobody needs to be asked for what is refused
Headers = dict[str, str]


@dataclass(frozen=True)
class Sender:
    """A system as it tells of an order. tell : headers and body at a time (s since 1970), with a secret and a number.

    signs : the body cannot be changed by whoever has seen it.
    """

    settings: Mapping[str, Any]
    secrets: Mapping[str, str]
    tell: Callable[[float, str, int], tuple[Headers, bytes]]
    signs: bool = True


def _webhook(at_s: float, secret: str, number: int) -> tuple[Headers, bytes]:
    body, stamp = json.dumps({"version": "1", "ref": f"WO-{number}"}).encode(), str(int(at_s))
    signed = webhook.signature(secret.encode(), stamp, body)
    return {webhook.TIMESTAMP.lower(): stamp, webhook.SIGNATURE.lower(): signed}, body


def _maintainx(at_s: float, secret: str, number: int) -> tuple[Headers, bytes]:
    body, stamp = json.dumps({"workOrderId": number, "newStatus": "DONE"}).encode(), str(int(at_s))
    mac = hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return {maintainx.SIGNATURE: f"t={stamp},v1={mac}"}, body


def _servicenow(at_s: float, secret: str, number: int) -> tuple[Headers, bytes]:
    body, stamp = json.dumps({"ref": f"{number:032x}"}).encode(), str(int(at_s))
    mac = base64.b64encode(hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).digest())
    return {servicenow.TIMESTAMP: stamp, servicenow.SIGNATURE: f"v1={mac.decode()}"}, body


def _odoo(at_s: float, secret: str, number: int) -> tuple[Headers, bytes]:
    written = datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
    body = {"_action": "Tell Telltale(#7)", "_id": number, "_model": "maintenance.request", "write_date": written}
    return {"authorization": basic(USER, secret)["Authorization"]}, json.dumps(body).encode()


def _sap(at_s: float, secret: str, number: int) -> tuple[Headers, bytes]:
    body = {"type": "sap.s4.beh.maintenancenotification.v1", "data": {"MaintenanceNotification": f"{number:012d}"}}
    return {"authorization": basic(USER, secret)["Authorization"]}, json.dumps(body).encode()


def _maximo(at_s: float, secret: str, number: int) -> tuple[Headers, bytes]:
    body = {"wonum": str(number), "siteid": "A", "status": "COMP"}
    return {"authorization": basic(USER, secret)["Authorization"]}, json.dumps(body).encode()


SENDERS: Mapping[str, Sender] = {
    "odoo": Sender({"url": NO_ONE, "database": "plant"}, {"api_key": "k", "hint_password": SECRET}, _odoo, signs=False),
    "logbook": Sender({}, {}, _webhook),  # takes none at all
    "webhook": Sender({"url": NO_ONE}, {"secret": SECRET}, _webhook),
    "request_tracker": Sender({"url": NO_ONE, "queue": "General"}, {"token": "k", "hints": SECRET}, _webhook),
    "maintainx": Sender({}, {"api_key": "k", "webhook_secrets": SECRET}, _maintainx),
    "servicenow": Sender({"url": NO_ONE}, {"user": "u", "password": "k", "hints_secret": SECRET}, _servicenow),
    "sap": Sender({"url": NO_ONE, "user": "u"}, {"password": "k", "hint_password": SECRET}, _sap, signs=False),
    "maximo": Sender({"url": NO_ONE, "siteid": "A"}, {"apikey": "k", "hint_password": SECRET}, _maximo, signs=False),
}


MEASURED = ("odoo", "logbook")


def tried(url: str, folder: Path, times: int) -> dict[str, int]:
    """How many of the messages were accepted, by adapter. Odoo and the logbook are sent so many each, the others share
    as many. Raises AssertionError where a genuine one is not accepted: then nothing was tried.
    """
    share = math.ceil(times / (len(SENDERS) - len(MEASURED)))
    random.seed(11)
    place = Place(url, logbook(), Clock(), folder)
    own = {name: dict(sender.secrets) for name, sender in SENDERS.items()}
    place.secrets.put_secret_value(SecretId=place.environment["CMMS_SECRETS_ARN"], SecretString=json.dumps(own))
    for name, sender in SENDERS.items():
        place.registry.put(Site(name, cmms=name, cmms_settings=sender.settings))
    accepted = dict.fromkeys(SENDERS, 0)
    with (
        place.functions(Faults(folder), number=1) as [function],
        progress.shown("messages", total=3 * times) as advance,
    ):

        def status(path: str, headers: Headers, body: bytes) -> int:
            text, encoded = (body.decode(), False) if body.isascii() else (base64.b64encode(body).decode(), True)
            event = {"requestContext": {"http": {"method": "POST"}}, "rawPath": path, "headers": headers, "body": text}
            reply = function.ask({**event, "isBase64Encoded": encoded})
            if reply is None or not isinstance(reply.result, dict):
                raise AssertionError(f"the function failed over a message to {path}: {reply and reply.result}")
            return int(reply.result["statusCode"])

        for name, sender in SENDERS.items():
            genuine = [sender.tell(time.time(), SECRET, 7000 + number) for number in range(3)]
            for headers, body in genuine:
                if name != "logbook" and status(f"/{name}", headers, body) != 202:
                    raise AssertionError(f"{name}: a genuine message is refused")
            for number in range(times if name in MEASURED else share):
                path, headers, body = _attempt(name, sender, random.choice(genuine), number)
                got = status(path, headers, body)
                accepted[name] += got < 300
                advance(1)
    return accepted


def _attempt(name: str, sender: Sender, genuine: tuple[Headers, bytes], number: int) -> tuple[str, Headers, bytes]:
    """Where it goes, and a message that is no genuine one."""
    headers, body = genuine
    path, now = f"/{name}", time.time()
    own, own_body = sender.tell(now, SECRET, number + 1)  # a genuine one that nobody sent; only parts of it are used
    ways: list[Callable[[], tuple[str, Headers, bytes]]] = [
        lambda: (path, dict(headers), body),  # sent again as it was
        lambda: (path, {}, own_body),
        lambda: (path, *sender.tell(now, _guess(), number)),
        lambda: (path, *sender.tell(now, "", number)),
        lambda: (path, {key: _damaged(value) for key, value in own.items()}, own_body),
        lambda: (path, {key: _another(value) for key, value in own.items()}, own_body),
        lambda: (path, {key: own[key] for key in list(own)[1:]}, own_body),
        lambda: (path, dict(own), bytes(random.randrange(256) for _ in range(random.randrange(64)))) if sender.signs
        else (path, {}, random.randbytes(40)),
        lambda: (f"/{_guess()}", own, own_body),
        lambda: ("/", own, own_body),
    ]  # fmt: skip
    if sender.signs:
        ways += [
            lambda: (path, dict(headers), own_body),  # another one's signature
            lambda: (path, own, _flipped(own_body)),
            lambda: (path, *sender.tell(now - random.uniform(WINDOW_S + 1, 1e7), SECRET, number)),  # kept for later
            lambda: (path, *sender.tell(now + random.uniform(WINDOW_S + 1, 1e7), SECRET, number)),
            lambda: (
                path,
                {key: value.upper() for key, value in headers.items()},
                body,
            ),  # sent again, written otherwise
            lambda: (path, {key: f"{value},{value}" for key, value in headers.items()}, body),
            lambda: (path, {key: f" {value}" for key, value in headers.items()}, body),
            lambda: (path, {**headers, "x-signature": _guess(), "timestamp": str(int(now))}, body),
            lambda: (path, {key: f"{value},v1={_guess()}" for key, value in headers.items()}, body),
        ]
    elif name == "odoo":
        ways.append(lambda: (path, *sender.tell(now - random.uniform(WINDOW_S + 1, 1e7), SECRET, number)))
    return random.choice(ways)()


def _guess() -> str:
    return "".join(random.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=random.randrange(1, 40)))


def _another(value: str) -> str:
    return random.choice(["", "0", "null", "é", value[:-1], value[::-1]])


def _damaged(value: str) -> str:
    at = random.randrange(len(value))
    return value[:at] + chr((ord(value[at]) - 32 + random.randrange(1, 95)) % 95 + 32) + value[at + 1 :]


def _flipped(body: bytes) -> bytes:
    at = random.randrange(len(body))
    return body[:at] + bytes([body[at] ^ 1 << random.randrange(8)]) + body[at + 1 :]
