"""Clients of AWS, made by botocore. boto3 around it would bring transfer managers and resource classes, which nothing
here uses, at a quarter of what a function's imports take.
"""

from functools import cache
from typing import Any

import botocore.session
from botocore.config import Config


def client(service: str, config: Config | None = None) -> Any:
    """A client of that service, with the function's own region and credentials."""
    return _session().create_client(service, config=config)


@cache
def _session() -> botocore.session.Session:
    return botocore.session.get_session()
