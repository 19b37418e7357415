"""Publishes captures as a gateway does: MQTT 5 over mutual TLS, QoS 1, nothing counted before its PUBACK.

One `Connection` speaks for one gateway: its client id is the gateway's thing name, and the certificate
must be that thing's. The same code talks to AWS IoT Core (port 8883) and to the local listener.
"""

import argparse
import queue
import ssl
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode
from telltale.adapters import wire
from telltale.core.capture import Capture
from telltale.core.validate import PAYLOAD_BYTES

from cli import gateways
from cli.deployment import current
from cli.problem import Problem

HEADER_ROOM = (
    512  # of the largest message for the fixed header, the topic (at most 256 bytes on AWS IoT) and MQTT 5 properties
)
PORT = 8883
WINDOW = 50  # messages sent and not yet acknowledged; AWS IoT Core allows 100 a connection
PATIENCE_S = 120.0  # how long to go on without any PUBACK while there are messages to be acknowledged
CONNECT_S = 20.0
KEEP_ALIVE_S = 30
RECONNECT_S = (1, 20)  # first and longest pause between attempts
ENCODE: Mapping[str, Callable[[Capture], bytes]] = {"json": wire.encode_json, "cbor": wire.encode_cbor}
KIND = {"json": "capture", "cbor": "wave"}

NOT_AUTHORISED = 135  # MQTT 5, section 3.4.2.1
TAKEN_OVER = 142
MEANING = {  # the codes of MQTT 5 that a gateway meets, in words that help
    128: "unspecified error",
    131: "implementation specific error",
    133: "client identifier not valid",
    134: "bad user name or password",
    NOT_AUTHORISED: "not authorised",
    136: "server unavailable",
    137: "server busy",
    138: "banned",
    TAKEN_OVER: "session taken over",
    144: "topic name invalid",
    149: "packet too large",
    151: "quota exceeded",
    153: "payload format invalid",
}


@dataclass(frozen=True)
class Endpoint:
    """Where to connect and with which files; without `ca` the system's trust store decides."""

    host: str
    port: int
    certificate: Path
    key: Path
    ca: Path | None = None


@dataclass(frozen=True)
class Message:
    """One MQTT publish."""

    topic: str
    payload: bytes


@dataclass(frozen=True)
class Quota:
    """What a broker takes on one connection."""

    messages_per_s: float
    bytes_per_s: float

    def seconds(self, message: Message) -> float:
        """How long the connection is busy with this message."""
        return max(1 / self.messages_per_s, len(message.payload) / self.bytes_per_s)


AWS_QUOTA = Quota(messages_per_s=100, bytes_per_s=512 * 1024)  # AWS IoT Core, per connection; cannot be raised


class Unreachable(Problem):
    """No connection, or none any more."""


class Refused(Problem):
    """The broker answered with an MQTT reason code that says no."""

    def __init__(self, code: int, what: str, then: str | None = None) -> None:
        super().__init__(f"{what}: reason code {code} ({MEANING.get(code, 'see MQTT 5, section 2.4')})", then)
        self.code = code


def messages(capture: Capture, *, gateway: str, form: str) -> tuple[Message, ...]:
    """The capture as one message or, where that is over the limit, one for each axis under the same id.

    ValueError when one axis alone is over the limit.
    """
    topic = f"dt/telltale/{gateway}/{capture.sensor}/{KIND[form]}"
    whole = ENCODE[form](capture)
    if _fits(whole):
        return (Message(topic, whole),)
    payloads = [ENCODE[form](part) for part in by_axis(capture)]
    for part, payload in zip(by_axis(capture), payloads, strict=True):
        if not _fits(payload):
            raise ValueError(
                f"{capture.capture_id} part {part.part} is {len(payload)} bytes as {form}, "
                f"wanted at most {PAYLOAD_BYTES - HEADER_ROOM}: send a shorter window"
            )
    return tuple(Message(topic, payload) for payload in payloads)


def by_axis(capture: Capture) -> list[Capture]:
    """The capture in parts of one axis each; its scalars ride with the first."""
    if not capture.waveforms:
        return [capture]
    first, *others = capture.waveforms
    scalars = "s" if capture.part.endswith("s") else ""
    bare = Capture(capture_id=capture.capture_id, part="", sensor=capture.sensor, t_ms=capture.t_ms)
    return [
        replace(capture, waveforms=(first,), part=first.axis + scalars),
        *(replace(bare, waveforms=(wave,), part=wave.axis) for wave in others),
    ]


def _fits(payload: bytes) -> bool:
    return len(payload) <= PAYLOAD_BYTES - HEADER_ROOM


class Connection:
    """A gateway's connection; a context manager. Used by one thread, which also runs the callbacks."""

    def __init__(
        self, endpoint: Endpoint, gateway: str, *, window: int = WINDOW, patience_s: float = PATIENCE_S
    ) -> None:
        self.gateway = gateway
        self.acknowledged = 0
        self._endpoint = endpoint
        self._window = window
        self._patience_s = patience_s
        self._quota = AWS_QUOTA if ".amazonaws.com" in endpoint.host else None
        self._free_at = time.monotonic()
        # paho's thread only ever adds to this queue; everything else happens in the caller's thread.
        self._heard: queue.SimpleQueue[tuple[str, int, int]] = queue.SimpleQueue()
        self._pending: dict[int, tuple[str, Callable[[], None] | None]] = {}
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=gateway, protocol=mqtt.MQTTv5)
        self._client.max_inflight_messages_set(window)
        self._client.reconnect_delay_set(*RECONNECT_S)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_publish = self._on_publish

    def __enter__(self) -> Self:
        where = f"{self._endpoint.host}:{self._endpoint.port}"
        try:
            self._client.tls_set_context(tls(self._endpoint))
            self._client.connect(self._endpoint.host, self._endpoint.port, keepalive=KEEP_ALIVE_S)
        except ssl.SSLError as error:
            raise Unreachable(
                f"{where} and gateway {self.gateway} do not trust each other: {error}",
                "The CA must have signed the endpoint's certificate, and the key must belong to the certificate.",
            ) from error
        except OSError as error:
            raise Unreachable(
                f"cannot connect to {where}: {error}", "Is it the MQTT endpoint, and is it up?"
            ) from error
        self._client.loop_start()
        self._await_connack(where)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def publish(self, message: Message, acknowledged: Callable[[], None] | None = None) -> None:
        """Sends a message, first waiting for room in the window; `acknowledged` is called after its PUBACK.

        Raises Refused for an earlier or this message that the broker said no to, Unreachable when
        no PUBACK came for too long. Over a lost connection it goes on by itself.
        """
        self.poll()
        self._pace(message)
        while len(self._pending) >= self._window:
            self._hear_within_patience()
        info = self._client.publish(message.topic, message.payload, qos=1)
        self._pending[info.mid] = (message.topic, acknowledged)

    def poll(self) -> None:
        """Takes note of the PUBACKs that have come, without waiting."""
        while True:
            try:
                self._note(*self._heard.get_nowait())
            except queue.Empty:
                return

    def settle(self) -> None:
        """Waits until everything published is acknowledged."""
        while self._pending:
            self._hear_within_patience()

    def _pace(self, message: Message) -> None:
        if self._quota is None:
            return
        now = time.monotonic()
        time.sleep(max(0.0, self._free_at - now))
        self._free_at = max(self._free_at, now) + self._quota.seconds(message)

    def _await_connack(self, where: str) -> None:
        try:
            kind, _, code = self._heard.get(timeout=CONNECT_S)
        except queue.Empty:
            self._client.loop_stop()
            raise Unreachable(f"{where} did not answer gateway {self.gateway} within {CONNECT_S:g} s") from None
        if kind == "disconnected" or code >= 128:
            self._client.disconnect()
            self._client.loop_stop()
            raise Refused(
                code,
                f"{where} refused gateway {self.gateway}",
                "Its certificate must be active, attached to a thing of this name, and have the gateway policy.",
            )

    def _hear_within_patience(self) -> None:
        try:
            self._note(*self._heard.get(timeout=self._patience_s))
        except queue.Empty:
            where = f"{self._endpoint.host}:{self._endpoint.port}"
            raise Unreachable(
                f"{where} acknowledged nothing from gateway {self.gateway} for {self._patience_s:g} s; "
                f"{len(self._pending)} messages are not known to have arrived"
            ) from None

    def _note(self, kind: str, mid: int, code: int) -> None:
        if kind == "disconnected" and code == TAKEN_OVER:
            raise Refused(code, f"gateway {self.gateway} connected a second time", "Stop the other one.")
        if kind != "puback":
            return
        topic, acknowledged = self._pending.pop(mid)
        if code >= 128:
            raise Refused(
                code,
                f"publishing on {topic} was refused",
                f"The certificate of {self.gateway} may publish below dt/telltale/{self.gateway}/ only."
                if code == NOT_AUTHORISED
                else None,
            )
        self.acknowledged += 1
        if acknowledged is not None:
            acknowledged()

    def _on_connect(self, _c: mqtt.Client, _u: object, _f: mqtt.ConnectFlags, code: ReasonCode, _p: object) -> None:
        self._heard.put(("connected", 0, code.value))

    def _on_disconnect(
        self, _c: mqtt.Client, _u: object, _f: mqtt.DisconnectFlags, code: ReasonCode, _p: object
    ) -> None:
        self._heard.put(("disconnected", 0, code.value))

    def _on_publish(self, _c: mqtt.Client, _u: object, mid: int, code: ReasonCode, _p: object) -> None:
        self._heard.put(("puback", mid, code.value))


class _ClosedOnFailure(ssl.SSLSocket):
    """paho forgets its socket when the handshake fails; this one does not stay open."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except OSError:
            self.close()
            raise


def tls(endpoint: Endpoint) -> ssl.SSLContext:
    """A context that shows the gateway's certificate and checks the endpoint's; Unreachable names a missing file."""
    for path in filter(None, (endpoint.certificate, endpoint.key, endpoint.ca)):
        if not path.exists():
            raise Unreachable(f"there is no file {path}", "Give --ca, --cert and --key, or run `telltale up`.")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.sslsocket_class = _ClosedOnFailure
    if endpoint.ca is None:
        context.load_default_certs()
    else:
        context.load_verify_locations(cafile=endpoint.ca)
    context.load_cert_chain(endpoint.certificate, endpoint.key)
    return context


def add_endpoint_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments that say where to publish; without them it is the deployment of this folder."""
    group = parser.add_argument_group("where to publish (default: what `up` or `deploy` made)")
    group.add_argument(
        "--endpoint", metavar="HOST", help="MQTT endpoint, such as xxxx-ats.iot.eu-central-1.amazonaws.com"
    )
    group.add_argument("--port", type=int, default=PORT, help="its port (default: %(default)s)")
    group.add_argument("--ca", type=Path, metavar="FILE", help="CA that signed the endpoint's certificate (PEM)")
    group.add_argument("--cert", type=Path, metavar="FILE", help="the gateway's certificate (PEM)")
    group.add_argument("--key", type=Path, metavar="FILE", help="the gateway's private key (PEM)")
    group.add_argument("--gateway", metavar="THING", help="the gateway to speak as: its thing name and client id")
    group.add_argument(
        "--new-certificate", action="store_true", help="make one for a gateway that has none on this computer"
    )


def connect(
    args: argparse.Namespace,
    names: Iterable[str],
    stack: ExitStack,
    *,
    own: Collection[str] = (),
    window: int = WINDOW,
) -> dict[str, Connection]:
    """An open connection for each gateway in `names`, closed with `stack`. Problem if one cannot be had.

    `own` are gateways that only the calling command speaks as; they may be given a certificate unasked.
    """
    found = {name: endpoint_of(args, name, may_make=name in own) for name in names}
    return {name: stack.enter_context(Connection(where, name, window=window)) for name, where in found.items()}


def endpoint_of(args: argparse.Namespace, gateway: str, *, may_make: bool) -> Endpoint:
    """Where `gateway` connects: as the arguments say, else with the certificate that the deployment gives it."""
    if args.endpoint is None:
        deployment = current()
        if not (may_make or args.new_certificate or gateways.folder(gateway).exists()):
            raise Problem(
                f"this computer has no certificate of gateway {gateway}, which may be a real one",
                "Give --new-certificate if nobody else speaks as it, or its own files with --endpoint.",
            )
        host, port = gateways.endpoint(deployment)
        credentials = gateways.provision(deployment, gateway)
        return Endpoint(host, port, credentials.certificate, credentials.key, credentials.ca)
    if args.cert is None or args.key is None or args.gateway is None:
        raise Problem("--endpoint needs --cert, --key and --gateway (and --ca unless the system trusts the endpoint)")
    if gateway != args.gateway:
        raise Problem(
            f"the sensors to publish for are heard through gateway {gateway}, "
            f"and the certificate given is that of {args.gateway}",
            "Give the files of that gateway, or leave --endpoint out to use the deployment of this folder.",
        )
    return Endpoint(args.endpoint, args.port, args.cert, args.key, args.ca)
