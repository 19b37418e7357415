"""One local Telltale for all of these tests, brought up by the command that the README gives."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cli.deployment import ROOT, Deployment, current
from cli.publish import Connection, Endpoint

WAIT_S = 90.0


@dataclass(frozen=True)
class Telltale:
    """A running local Telltale, spoken to through its command."""

    home: Path

    def run(self, *arguments: str, timeout: float = 300, typed: str = "") -> "subprocess.CompletedProcess[str]":
        environment = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
        return subprocess.run(
            [sys.executable, str(ROOT / "scripts" / "telltale"), *arguments],
            cwd=ROOT,
            env={**environment, "TELLTALE_HOME": str(self.home)},
            input=typed,
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    def say(self, *arguments: str, typed: str = "") -> str:
        """Standard output of a command that must succeed. typed : what it reads from standard input."""
        done = self.run(*arguments, typed=typed)
        assert done.returncode == 0, f"telltale {' '.join(arguments)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    def status(self) -> dict[str, Any]:
        return json.loads(self.say("status", "--json"))

    @property
    def deployment(self) -> Deployment:
        return current(self.home / "deployment.json")

    def connection(self, gateway: str, *, as_client: str | None = None) -> Connection:
        """A connection with that gateway's certificate."""
        environment, folder = self.deployment.environment, self.home / "gateways" / gateway
        endpoint = Endpoint(
            environment["TELLTALE_MQTT_HOST"],
            int(environment["TELLTALE_MQTT_PORT"]),
            folder / "cert.pem",
            folder / "key.pem",
            Path(environment["TELLTALE_MQTT_CA"]),
        )
        return Connection(endpoint, as_client or gateway, patience_s=20)

    def commit(self) -> None:
        """Runs the committer until nothing is pending, as its schedule would within a minute or two."""
        client, outputs = self.deployment.client("lambda"), self.deployment.outputs
        listing = {"Bucket": outputs["LakeBucket"], "Prefix": "receipts/pending/"}

        def nothing_pending() -> bool:
            client.invoke(FunctionName=outputs["CommitFunction"], Payload=b"{}")
            return self.deployment.client("s3").list_objects_v2(**listing)["KeyCount"] == 0

        wait_until(nothing_pending)

    def query(self, text: str) -> list[dict[str, Any]]:
        return json.loads(self.say("query", text, "--format", "json"))


def wait_until(condition: Callable[[], bool], *, seconds: float = WAIT_S) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{condition.__name__} did not come true within {seconds:g} s"
        time.sleep(0.5)


@dataclass(frozen=True)
class FirstRun:
    """What `up --once --json` said and wrote."""

    done: "subprocess.CompletedProcess[str]"
    figures: dict[str, Any]


@pytest.fixture(scope="session")
def telltale(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Telltale]:
    running = Telltale(tmp_path_factory.mktemp("telltale"))
    yield running
    running.run("down", "--purge")


@pytest.fixture(scope="session")
def first_run(telltale: Telltale, tmp_path_factory: pytest.TempPathFactory) -> FirstRun:
    file = tmp_path_factory.mktemp("up") / "up.json"
    done = telltale.run("up", "--once", "--json", str(file))
    assert done.returncode == 0, done.stderr[-3000:]
    return FirstRun(done, json.loads(file.read_text()))


@pytest.fixture
def line(telltale: Telltale, first_run: FirstRun) -> Telltale:
    """The running line, after its first work order."""
    return telltale
