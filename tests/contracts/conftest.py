"""AWS for the contract tests: moto in this process, or MiniStack as a process of its own on loopback."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from urllib.error import URLError

import boto3
import pytest
from moto import mock_aws

REGION = "us-east-1"  # as in tests/conftest.py
START_S = 60  # for MiniStack to answer; it takes about 2 s on an idle machine


@pytest.fixture
def moto_aws() -> Iterator[None]:
    with mock_aws():
        yield


@pytest.fixture(scope="session")
def ministack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a MiniStack of our own; it forgets everything at the end."""
    folder = tmp_path_factory.mktemp("ministack")
    url = f"http://127.0.0.1:{(port := _free_port())}"
    plain = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    settings = {"BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port), "S3_PERSIST": "0", "IOT_MTLS_ENABLED": "0"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "ministack"], env=plain | settings, cwd=folder, stdout=log, stderr=log
        )
    try:
        _await(f"{url}/_ministack/health", process, folder / "log")
        yield url
    finally:
        process.terminate()
        process.wait(timeout=30)


@pytest.fixture(params=["moto", "ministack"])
def endpoint(request: pytest.FixtureRequest) -> str | None:
    """Both AWS in turn: the URL to reach it, None for moto."""
    request.getfixturevalue("moto_aws" if request.param == "moto" else "ministack")
    return None if request.param == "moto" else str(request.getfixturevalue("ministack"))


@cache
def client(service: str, endpoint: str | None = None) -> Any:
    """A client of moto, or of the AWS at a URL."""
    return boto3.client(service, region_name=REGION, endpoint_url=endpoint)  # type: ignore[call-overload] # any service


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (URLError, OSError):
            time.sleep(0.1)
    raise RuntimeError(f"MiniStack did not answer at {url}:\n{log.read_text()[-2000:]}")
