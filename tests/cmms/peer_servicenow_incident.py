"""The same stand-in for ServiceNow with orders in incident, asked with user and password."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.cmms.peer import Peer
from tests.cmms.peer_servicenow import ServiceNowPeer
from tests.cmms.servicenow_server import Instance
from tests.cmms.servicenow_server import serving as serving_instance

NAME, REAL = "servicenow_incident", False


@contextmanager
def serving() -> Iterator[Peer]:
    with serving_instance(Instance()) as server:
        peer = ServiceNowPeer(server, "incident")
        peer.secrets = {"user": server.user, "password": server.word}
        yield peer
