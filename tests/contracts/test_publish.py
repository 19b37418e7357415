"""Publishing keeps its promises to a real broker: the emulator's MQTT listener, mutual TLS, policies enforced."""

import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
import wave
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import cbor2
import numpy as np
import paho.mqtt.client as mqtt
import pytest
from cli import simulate, simulation
from cli.publish import NOT_AUTHORISED, TAKEN_OVER, Connection, Endpoint, Message, Refused, Unreachable, messages, tls
from cli.simulation import Injection, Plan, Timeline
from paho.mqtt.enums import CallbackAPIVersion
from telltale.core.capture import Capture, Waveform

ROOT = Path(__file__).resolve().parents[2]
READY_WITHIN_S = 60.0
OWN_NAME = "${iot:Connection.Thing.ThingName}"
GATEWAY_POLICY = [  # as a gateway's: connect as itself, publish below its own name
    ("iot:Connect", f"client/{OWN_NAME}"),
    ("iot:Publish", f"topic/dt/telltale/{OWN_NAME}/*"),
]
LISTENER_POLICY = [("iot:Connect", "client/*"), ("iot:Subscribe", "topicfilter/*"), ("iot:Receive", "topic/*")]


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def client(service: str, address: str) -> Any:
    """A client of the emulator at `address`, as its root."""
    session: Any = boto3.Session("test", "test", region_name="us-east-1")
    return session.client(service, endpoint_url=address)


@dataclass
class Broker:
    """A running emulator: its API, its MQTT port and its CA."""

    iot: Any
    port: int
    folder: Path

    def policy(self, name: str, statements: list[tuple[str, str]]) -> None:
        """Makes a policy that allows what `statements` say."""
        arn = "arn:aws:iot:us-east-1:000000000000:"
        document = {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": act, "Resource": arn + what} for act, what in statements],
        }
        self.iot.create_policy(policyName=name, policyDocument=json.dumps(document))

    def certificate(self, thing: str, statements: list[tuple[str, str]]) -> Endpoint:
        """Makes a thing with a certificate that may do what `statements` say."""
        made = self.iot.create_keys_and_certificate(setAsActive=True)
        self.iot.create_thing(thingName=thing)
        self.policy(f"{thing}-policy", statements)
        self.iot.attach_policy(policyName=f"{thing}-policy", target=made["certificateArn"])
        self.iot.attach_thing_principal(thingName=thing, principal=made["certificateArn"])
        certificate, key = self.folder / f"{thing}.pem", self.folder / f"{thing}.key"
        certificate.write_text(made["certificatePem"])
        key.write_text(made["keyPair"]["PrivateKey"])
        return Endpoint("localhost", self.port, certificate, key, self.folder / "ca.pem")


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    folder = tmp_path_factory.mktemp("broker")
    port, mqtt_port = free_port(), free_port()
    environment = {
        **os.environ,
        "BIND_HOST": "127.0.0.1",
        "MINISTACK_HOST": "localhost",
        "GATEWAY_PORT": str(port),
        "IOT_MTLS_PORT": str(mqtt_port),
        "AUTH": "true",
        "SFTP_ENABLED": "0",
        "TMPDIR": str(folder),
    }
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-P", str(ROOT / "scripts/cli/emulator.py")],
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        (folder / "ca.pem").write_bytes(_when_ready(f"http://localhost:{port}/_ministack/iot/ca.pem", process))
        yield Broker(client("iot", f"http://localhost:{port}"), mqtt_port, folder)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=30)


def _when_ready(address: str, process: subprocess.Popen[bytes]) -> bytes:
    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError), urllib.request.urlopen(address, timeout=2) as answer:
            return bytes(answer.read())
        time.sleep(0.2)
    raise RuntimeError(f"the emulator did not start within {READY_WITHIN_S} s (exit {process.poll()})")


@pytest.fixture(scope="module")
def gateway(broker: Broker) -> Endpoint:
    """How the gateway gw-1 connects."""
    return broker.certificate("gw-1", GATEWAY_POLICY)


@pytest.fixture(scope="module")
def listener_endpoint(broker: Broker) -> Endpoint:
    return broker.certificate("listener", LISTENER_POLICY)


@pytest.fixture
def heard(listener_endpoint: Endpoint) -> Iterator["queue.Queue[Message]"]:
    """Everything that is published below dt/telltale while the test runs."""
    messages_heard: queue.Queue[Message] = queue.Queue()
    subscribed = threading.Event()
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="listener", protocol=mqtt.MQTTv5)
    client.tls_set_context(tls(listener_endpoint))
    client.on_message = lambda _c, _u, message: messages_heard.put(Message(message.topic, bytes(message.payload)))
    client.on_subscribe = lambda *_: subscribed.set()
    client.connect(listener_endpoint.host, listener_endpoint.port)
    client.loop_start()
    client.subscribe("dt/telltale/#", qos=1)
    assert subscribed.wait(10)
    yield messages_heard
    client.disconnect()
    client.loop_stop()


def received(heard: "queue.Queue[Message]", count: int, before: Sequence[Message] = ()) -> list[Message]:
    """`before` and what comes until it is `count`, repeated ones counted once; fewer when no more come."""
    got = list(before)
    with suppress(queue.Empty):
        while len(set(got)) < count:
            got.append(heard.get(timeout=5))
    return got


def capture(t_ms: int = 1_790_000_000_000, *, samples: int = 2048, axes: str = "x") -> Capture:
    counts = np.random.default_rng(7).integers(-32768, 32767, samples, endpoint=True).astype(np.int16)
    waves = tuple(Waveform(axis, counts, 26_667.0, 0.000488, "g") for axis in axes)
    return Capture(f"s-1@{t_ms}", f"{axes}s", "s-1", t_ms, waves, temperature_c=41.5)


def test_a_capture_arrives_byte_for_byte_and_is_acknowledged(gateway: Endpoint, heard: "queue.Queue[Message]") -> None:
    [message] = messages(capture(), gateway="gw-1", form="cbor")
    acknowledged = []

    with Connection(gateway, "gw-1") as connection:
        connection.publish(message, lambda: acknowledged.append(1))
        connection.settle()

    assert received(heard, 1) == [message]
    assert (connection.acknowledged, acknowledged) == (1, [1])


def test_a_second_of_three_axes_at_27_khz_arrives_in_three_messages_of_one_capture(
    gateway: Endpoint, heard: "queue.Queue[Message]"
) -> None:
    with Connection(gateway, "gw-1") as connection:
        for message in messages(capture(samples=26_667, axes="xyz"), gateway="gw-1", form="cbor"):
            connection.publish(message)
        connection.settle()

    documents = [cbor2.loads(message.payload) for message in received(heard, 3)]
    assert [list(document["waveforms"]) for document in documents] == [["x"], ["y"], ["z"]]
    assert [("temperature_c" in document) for document in documents] == [True, False, False]
    assert len({(document["sensor"], document["t"], document.get("capture_id")) for document in documents}) == 1


def test_publishing_for_another_gateway_is_refused_by_name(gateway: Endpoint) -> None:
    [foreign] = messages(capture(), gateway="gw-2", form="json")

    with Connection(gateway, "gw-1") as connection:
        connection.publish(foreign)
        with pytest.raises(Refused) as caught:
            connection.settle()

    assert caught.value.code == NOT_AUTHORISED
    assert "dt/telltale/gw-2/s-1/capture" in str(caught.value)
    assert "not authorised" in str(caught.value)
    assert connection.acknowledged == 0


def test_connecting_as_another_gateway_is_refused(gateway: Endpoint) -> None:
    with pytest.raises(Refused) as caught, Connection(gateway, "gw-2"):
        pass

    assert "refused gateway gw-2" in str(caught.value)


def test_a_second_connection_of_one_gateway_is_noticed_by_the_first(gateway: Endpoint) -> None:
    [message] = messages(capture(), gateway="gw-1", form="json")

    with Connection(gateway, "gw-1") as first, Connection(gateway, "gw-1"):
        time.sleep(0.5)  # for the broker to tell the first
        with pytest.raises(Refused) as caught:
            first.publish(message)

    assert caught.value.code == TAKEN_OVER


def test_an_endpoint_that_is_not_there_says_so(gateway: Endpoint) -> None:
    nobody = Endpoint("127.0.0.1", free_port(), gateway.certificate, gateway.key, gateway.ca)

    with pytest.raises(Unreachable) as caught, Connection(nobody, "gw-1"):
        pass

    assert "cannot connect" in str(caught.value)


def test_a_missing_key_says_which_file(gateway: Endpoint, tmp_path: Path) -> None:
    keyless = Endpoint(gateway.host, gateway.port, gateway.certificate, tmp_path / "lost.key", gateway.ca)

    with pytest.raises(Unreachable) as caught, Connection(keyless, "gw-1"):
        pass

    assert "lost.key" in str(caught.value)


def test_an_endpoint_of_another_authority_is_not_trusted(gateway: Endpoint) -> None:
    stranger = Endpoint(gateway.host, gateway.port, gateway.certificate, gateway.key, ca=None)

    with pytest.raises(Unreachable) as caught, Connection(stranger, "gw-1"):
        pass

    assert "do not trust each other" in str(caught.value)


# ---- a link that breaks --------------------------------------------------------------------------


class Link:
    """A TCP relay to the broker that can be cut; it takes new connections at once."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._server.accept()
                far = socket.create_connection(("127.0.0.1", self._to))
                self._open += [near, far]
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self._relay, args=(one, other), daemon=True).start()

    @staticmethod
    def _relay(one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(65536):
                other.sendall(data)
        with suppress(OSError):
            other.shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        while self._open:
            end = self._open.pop()
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def close(self) -> None:
        self._server.close()
        self.cut()


def test_a_link_that_breaks_loses_nothing(gateway: Endpoint, heard: "queue.Queue[Message]") -> None:
    link = Link(gateway.port)
    through = Endpoint("localhost", link.port, gateway.certificate, gateway.key, gateway.ca)
    sent = [messages(capture(1_790_000_000_000 + i), gateway="gw-1", form="cbor")[0] for i in range(200)]

    with Connection(through, "gw-1", window=20) as connection:
        for count, message in enumerate(sent):
            if count in (50, 120):
                link.cut()
            connection.publish(message)
        connection.settle()
    link.close()

    assert connection.acknowledged == len(sent)
    assert {message.payload for message in received(heard, len(sent))} == {message.payload for message in sent}


# ---- a simulated plant that has a bad day --------------------------------------------------------


def test_what_a_simulation_counts_is_what_the_broker_passes_on(
    gateway: Endpoint, heard: "queue.Queue[Message]"
) -> None:
    plant = simulate.generated(20, gateway="gw-1", interval_s=600)
    stations = simulation.stations(plant, faults={}, duty={}, now_ms=0)
    now_ms = time.time_ns() // 1_000_000
    plan = Plan(
        timeline=Timeline(now_ms - 86_400_000, now_ms, 1e9),
        origin_ms=now_ms - 86_400_000,
        measure=simulation.measure_from_bank(1, fs_hz=12_800.0, n_samples=512),
        fs_hz=12_800.0,
        captures=300,
        injection=Injection(duplicates=0.05, reorder=0.1, corrupt=0.05, dropouts=0.05),
    )

    with Connection(gateway, "gw-1") as connection:
        counts = simulation.run(stations, {"gw-1": connection}, plan)

    got = [heard.get(timeout=5) for _ in range(counts.messages)]
    assert counts.acknowledged == counts.messages == 300 + counts.duplicates - counts.dropouts
    assert len(set(got)) == counts.stored + counts.corrupted
    assert min(counts.duplicates, counts.reordered, counts.corrupted, counts.dropouts) > 0


# ---- into the deployment of a folder -------------------------------------------------------------


@pytest.fixture
def home(broker: Broker, tmp_path: Path) -> Path:
    """A folder with a deployment: a registry, the gateway policy and the thing type, as the stacks make them."""
    address = broker.iot.meta.endpoint_url
    dynamodb = client("dynamodb", address)
    with suppress(dynamodb.exceptions.ResourceInUseException):
        dynamodb.create_table(
            TableName="registry",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
    with suppress(broker.iot.exceptions.ResourceAlreadyExistsException):
        broker.policy("gateways", GATEWAY_POLICY)
        broker.iot.create_thing_type(thingTypeName="gateway")
    environment = {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "TELLTALE_MQTT_HOST": "localhost",
        "TELLTALE_MQTT_PORT": str(broker.port),
        "TELLTALE_MQTT_CA": str(broker.folder / "ca.pem"),
    }
    outputs = {"RegistryTable": "registry", "GatewayPolicy": "gateways", "GatewayThingType": "gateway"}
    (tmp_path / "deployment.json").write_text(json.dumps({"outputs": outputs, "environment": environment}))
    return tmp_path


def telltale(home: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'scripts'}:{ROOT / 'lambdas'}", "TELLTALE_HOME": str(home)}
    command = [sys.executable, "-m", "cli", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_a_replay_registers_what_is_missing_and_speaks_through_a_gateway_of_its_own(
    home: Path, heard: "queue.Queue[Message]", tmp_path: Path
) -> None:
    recording = tmp_path / "pump.wav"
    with wave.open(str(recording), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(2 * 8000 * 3))

    done = telltale(home, "replay", str(recording), "--scale", "8", "--rate", "1000")

    assert done.returncode == 0, done.stderr
    assert "registering position replay/wav/pump/housing" in done.stdout
    assert {message.topic for message in received(heard, 3)} == {"dt/telltale/replay/wav-pump/wave"}
    assert "replay/wav/pump/housing" in telltale(home, "plant", "show").stdout.replace("\n", "")


def test_a_simulation_does_not_speak_as_a_gateway_that_may_be_real_unless_told_so(
    home: Path, heard: "queue.Queue[Message]"
) -> None:
    brief = ("simulate", "--captures", "8", "--rate", "1000", "--samples", "64", "--quiet")

    unasked = telltale(home, *brief)
    told = telltale(home, *brief, "--new-certificate")

    assert unasked.returncode == 1
    assert "no certificate of gateway gw-hall-1" in unasked.stderr
    assert told.returncode == 0, told.stderr
    assert {message.topic.split("/")[2] for message in received(heard, 8)} == {"gw-hall-1", "gw-hall-2"}


# ---- a replay that is killed ---------------------------------------------------------------------


def test_a_killed_replay_goes_on_and_repeats_at_most_one_message(
    gateway: Endpoint, heard: "queue.Queue[Message]", tmp_path: Path
) -> None:
    recording = tmp_path / "pump.wav"
    with wave.open(str(recording), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(np.random.default_rng(3).integers(-3000, 3000, 8000 * 40).astype("<i2").tobytes())
    whole = 40  # seconds, one capture each

    first = replay(recording, gateway, tmp_path, "--rate", "40")
    with first:
        before = received(heard, 10)
        first.kill()
    second = replay(recording, gateway, tmp_path, "--rate", "1000", "--resume")
    said, _ = second.communicate(timeout=60)
    everything = received(heard, whole, before)

    times = [cbor2.loads(message.payload)["t"] for message in everything]
    assert second.returncode == 0, said
    assert b"going on from there" in said
    assert len(set(times)) == whole
    assert len(times) - whole <= 1
    assert np.diff(sorted(set(times))).tolist() == [1000] * (whole - 1)


def replay(recording: Path, endpoint: Endpoint, home: Path, *more: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "cli", "replay", str(recording), "--scale", "8", "--gateway", "gw-1"]
    command += ["--endpoint", endpoint.host, "--port", str(endpoint.port), "--ca", str(endpoint.ca)]
    command += ["--cert", str(endpoint.certificate), "--key", str(endpoint.key), *more]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'scripts'}:{ROOT / 'lambdas'}", "TELLTALE_HOME": str(home)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
