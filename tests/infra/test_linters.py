"""What AWS's own linters say of the templates."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from infra import reasons
from tests.infra.assembly import ROOT, Assembly, run_app, stages_context

pytestmark = pytest.mark.synth


def test_cfn_lint_finds_nothing(demo: Assembly, production: Assembly) -> None:
    templates = [str(p) for stage in (demo, production) for p in stage.folder.glob("*.template.json")]

    lint = Path(sys.executable).with_name("cfn-lint")
    done = subprocess.run([lint, *templates], cwd=ROOT, capture_output=True, text=True, check=False)

    assert len(templates) == 4
    assert done.returncode == 0, done.stdout


def test_cdk_nag_finds_nothing_without_a_reason(stage: Assembly) -> None:
    report = json.loads((stage.folder / "validation-report.json").read_text())

    assert report["pluginReports"] == []


def test_cdk_nag_finds_nothing_either_where_all_that_can_be_asked_for_is(tmp_path: Path) -> None:
    stages = stages_context()["stages"]
    asked = stages["production"] | {"hints_url": True, "monitron_stream": True}

    done = run_app(tmp_path, stage="production", stages=stages | {"production": asked})

    assert done.returncode == 0, done.stdout
    assert '"AWS::Lambda::Url"' in (tmp_path / "TelltaleLine.template.json").read_text()
    assert '"MonitronStream"' in (tmp_path / "TelltaleData.template.json").read_text()


@pytest.mark.parametrize("reason", [*reasons.DATA.values(), *reasons.LINE.values()])
def test_a_reason_is_a_reason(reason: str) -> None:
    assert len(reason.split()) >= 8


def test_cdk_nag_does_look(tmp_path_factory: pytest.TempPathFactory) -> None:
    """An app without the reasons does not synthesise."""
    folder = tmp_path_factory.mktemp("unreasoned")
    script = "from infra import reasons; reasons.give = lambda stack, reasons: None; import app"

    done = run_app(folder, "-c", script, stage="demo")

    assert done.returncode != 0
    assert "AwsSolutions-S1" in done.stderr + done.stdout
