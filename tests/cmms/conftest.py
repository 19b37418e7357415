"""Each maintenance system is started once, by the worker that runs its tests (--dist loadgroup)."""

import importlib
import pkgutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests import cmms
from tests.cmms.peer import Gone, Peer

NAMES = sorted(
    module.name.removeprefix("peer_") for module in pkgutil.iter_modules(cmms.__path__) if module.name[:5] == "peer_"
)


@pytest.fixture(scope="session")
def started() -> Iterator[Callable[[str], Peer]]:
    """The system of that name, running; skips, loudly, where it cannot be had."""
    running: dict[str, Peer | Gone] = {}
    with ExitStack() as until:

        def peer(name: str) -> Peer:
            if name not in running:
                module = importlib.import_module(f"tests.cmms.peer_{name}")
                try:
                    running[name] = until.enter_context(module.serving())
                except Gone as gone:
                    warnings.warn(f"{name} is not tested: {gone}", stacklevel=1)
                    running[name] = gone
            found = running[name]
            if isinstance(found, Gone):
                pytest.skip(f"{name} is not tested: {found}")
            return found

        yield peer


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in NAMES])
def peer(request: pytest.FixtureRequest, started: Callable[[str], Peer]) -> Peer:
    return started(request.param)
