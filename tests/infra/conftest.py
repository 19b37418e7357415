"""The synthesised templates of each stage, made once a session."""

import json
import os
from collections.abc import Callable
from functools import cache

import pytest

from tests.infra.assembly import NODE, Assembly, run_app

os.environ["PATH"] = f"{NODE}{os.pathsep}{os.environ['PATH']}"  # for the tests that make constructs themselves

Synth = Callable[[str], Assembly]


@pytest.fixture(scope="session")
def synth(tmp_path_factory: pytest.TempPathFactory) -> Synth:
    """Synthesise a stage with app.py, as the CDK CLI does."""

    @cache
    def assembly(stage: str) -> Assembly:
        folder = tmp_path_factory.mktemp(stage)
        done = run_app(folder, stage=stage)
        assert done.returncode == 0, done.stderr
        templates = {p.name.split(".")[0]: json.loads(p.read_text()) for p in sorted(folder.glob("*.template.json"))}
        return Assembly(folder, templates)

    return assembly


@pytest.fixture(scope="session")
def demo(synth: Synth) -> Assembly:
    return synth("demo")


@pytest.fixture(scope="session")
def production(synth: Synth) -> Assembly:
    return synth("production")


@pytest.fixture(scope="session", params=["demo", "production"])
def stage(request: pytest.FixtureRequest, synth: Synth) -> Assembly:
    """Each stage in turn."""
    return synth(request.param)
