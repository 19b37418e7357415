"""AWS for the contract tests: moto in this process, or MiniStack as a process of its own on loopback."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import boto3
import pytest
from moto import mock_aws

from tests.ministack import running

REGION = "us-east-1"  # as in tests/conftest.py


@pytest.fixture
def moto_aws() -> Iterator[None]:
    with mock_aws():
        yield


@pytest.fixture(scope="session")
def ministack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a MiniStack of our own."""
    with running(tmp_path_factory.mktemp("ministack")) as url:
        yield url


@pytest.fixture(params=["moto", "ministack"])
def endpoint(request: pytest.FixtureRequest) -> str | None:
    """Both AWS in turn: the URL to reach it, None for moto."""
    request.getfixturevalue("moto_aws" if request.param == "moto" else "ministack")
    return None if request.param == "moto" else str(request.getfixturevalue("ministack"))


@cache
def client(service: str, endpoint: str | None = None) -> Any:
    """A client of moto, or of the AWS at a URL."""
    return boto3.client(service, region_name=REGION, endpoint_url=endpoint)  # type: ignore[call-overload] # any service
