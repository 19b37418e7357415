"""The deployment that a command talks to: its stack outputs, and clients that reach it.

`up` and `deploy` write `.telltale/deployment.json`; whether it is local or an AWS account shows
nowhere but in that file's environment.
"""

import contextlib
import json
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

import boto3
from botocore.config import Config

from cli.problem import Problem

ROOT = Path(__file__).resolve().parents[2]
HOME = Path(os.environ.get("TELLTALE_HOME", ROOT / ".telltale"))  # another home is another local Telltale
ANSWERS_WITHIN_S = 2.0  # whether somebody listens on the loopback interface; no answer would cost a client's retries


class NotDeployed(Problem):
    """There is no deployment to talk to, or the local one does not run."""


@dataclass(frozen=True)
class Deployment:
    """Stack outputs by name, and the environment (endpoint, region, credentials) that reaches them."""

    outputs: Mapping[str, str]
    environment: Mapping[str, str]

    def client(self, service: str, *, patience_s: float = 60) -> Any:
        """patience_s : how long an answer may take before it is asked for again."""
        config = Config(
            retries={"mode": "standard", "max_attempts": 5}, max_pool_connections=32, read_timeout=patience_s
        )
        return _session(tuple(sorted(self.environment.items()))).client(service, config=config)


@cache
def _session(environment: tuple[tuple[str, str], ...]) -> Any:  # clients by name: boto3 types them one by one
    adopted = adopt(os.environ, dict(environment))
    for name in set(os.environ) - set(adopted):
        del os.environ[name]
    os.environ.update(adopted)
    return boto3.Session()


def adopt(base: Mapping[str, str], wanted: Mapping[str, str]) -> dict[str, str]:
    """`base` with the variables of a deployment. One that brings its own keys is reached with those alone: a profile
    or a session token of the person's, meant for an account, would spoil them."""
    own_keys = "AWS_ACCESS_KEY_ID" in wanted
    kept = {name: value for name, value in base.items() if not (own_keys and name.startswith("AWS_"))}
    return {**kept, **wanted}


def current(path: Path = HOME / "deployment.json") -> Deployment:
    """The deployment of this checkout; raises NotDeployed, saying how to get or start one."""
    if not path.exists():
        raise NotDeployed("nothing is deployed from this folder: run `scripts/telltale up` (local) or `deploy` (AWS)")
    document = json.loads(path.read_text())
    deployment = Deployment(outputs=document["outputs"], environment=document["environment"])
    endpoint = deployment.environment.get("AWS_ENDPOINT_URL")
    if endpoint is not None and not _listens(urlsplit(endpoint)):
        raise NotDeployed("the local Telltale is not running", "start it with `scripts/telltale up`")
    return deployment


def _listens(endpoint: SplitResult) -> bool:
    try:
        with socket.create_connection((endpoint.hostname, endpoint.port), timeout=ANSWERS_WITHIN_S):
            return True
    except OSError:
        return False


def trust() -> None:
    """Lets Arrow's S3 client trust what the deployment's endpoint shows: it asks once, when it is imported."""
    with contextlib.suppress(NotDeployed):
        certificate = current().environment.get("SSL_CERT_FILE")
        if certificate:
            os.environ["SSL_CERT_FILE"] = certificate


def save(deployment: Deployment, path: Path = HOME / "deployment.json") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"outputs": dict(deployment.outputs), "environment": dict(deployment.environment)}))
    path.chmod(0o600)
