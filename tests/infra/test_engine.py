"""The engine that maintains a large lake: what it runs, on which tables, with which rights, and who hears of it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from telltale.core.schema import TABLES

from infra.engine import machine
from tests.infra.assembly import Assembly, run_app, stages_context

pytestmark = pytest.mark.long  # a synthesis


def synthesised(folder: Path, stage: str) -> Assembly:
    stages = stages_context()["stages"]
    stages[stage]["lake_engine"] = "athena"
    done = run_app(folder, stage=stage, stages=stages)
    assert done.returncode == 0, done.stderr
    found = {path.name.split(".")[0]: json.loads(path.read_text()) for path in folder.glob("*.template.json")}
    return Assembly(folder, found)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    """The stage of production, with a key of its own, and the engine."""
    return synthesised(tmp_path_factory.mktemp("engine"), "production")


def definition(large: Assembly) -> Any:
    [found] = large.of("AWS::StepFunctions::StateMachine")
    return json.loads(found.properties["DefinitionString"])


def statements(large: Assembly) -> Iterator[tuple[str, Any]]:
    """Action and resource of everything that the machine's role may do."""
    for policy in large.of("AWS::IAM::Policy"):
        if policy.id.startswith("EngineMachine"):
            for one in policy.properties["PolicyDocument"]["Statement"]:
                actions, resources = (
                    value if isinstance(value, list) else [value] for value in (one["Action"], one["Resource"])
                )
                yield from ((action, resource) for action in actions for resource in resources)


def test_every_table_is_packed_and_vacuumed_and_time_travel_is_left_its_days(large: Assembly) -> None:
    states = definition(large)["States"]
    steps = states["Each"]["ItemProcessor"]["States"]
    said = [steps[name]["Parameters"]["QueryString.$"] for name in ("Properties", "Optimize", "Vacuum")]

    assert sorted(states["Tables"]["Result"]) == sorted(table.name for table in TABLES)
    assert "vacuum_max_snapshot_age_seconds\\'=\\'7776000\\'" in said[0]
    assert [text.split(".{}")[-1] for text in said[1:]] == [" REWRITE DATA USING BIN_PACK', $.table)", "', $.table)"]
    assert said[2].startswith("States.Format('VACUUM ")


def test_the_template_has_the_whole_machine(large: Assembly) -> None:
    """CDK leaves out what is null; tests/contracts/test_engine_machine.py runs what the code says."""
    found = definition(large)
    steps = found["States"]["Each"]["ItemProcessor"]["States"]
    database, workgroup = steps["Is there"]["Parameters"]["DatabaseName"], steps["Vacuum"]["Parameters"]["WorkGroup"]

    assert found == machine(database=database, workgroup=workgroup)


def test_what_fails_is_run_again_and_a_table_that_fails_for_good_fails_the_execution_at_the_end() -> None:
    states = machine(database="telltale", workgroup="w", tables=["captures"])["States"]
    steps = states["Each"]["ItemProcessor"]["States"]
    tasks = {name: step for name, step in steps.items() if step["Type"] == "Task"}

    assert set(tasks) == {"Is there", "Properties", "Optimize", "Vacuum"}
    assert all(
        step["Retry"][0]["MaxAttempts"] == 10 and step["Catch"][-1]["Next"] == "Failed" for step in tasks.values()
    )
    assert tasks["Is there"]["Catch"][0] == {
        "ErrorEquals": ["Glue.EntityNotFoundException"],
        "ResultPath": "$.error",
        "Next": "Not there",
    }
    assert (states["All done?"]["Choices"][0]["Next"], states["Some failed"]["Type"]) == ("Some failed", "Fail")
    reached = {state.get("Next") for state in steps.values()} | {"Is there", "Failed", "Not there"}
    assert set(steps) <= reached


def test_it_runs_once_a_day_and_a_person_hears_when_it_fails(large: Assembly) -> None:
    [rule] = [rule for rule in large.of("AWS::Events::Rule") if rule.id.startswith("EngineClock")]
    alarm = large.the("AWS::CloudWatch::Alarm", "AlarmsFailedEngine")

    assert rule.properties["ScheduleExpression"] == "rate(1 day)"
    assert rule.properties["Targets"][0]["Arn"].startswith("EngineMachine")
    assert alarm.properties["Threshold"] == 0


def test_its_queries_have_a_workgroup_without_the_peoples_limit(large: Assembly) -> None:
    groups = {
        group.properties["Name"]: group.properties["WorkGroupConfiguration"]
        for group in large.of("AWS::Athena::WorkGroup")
    }

    assert "BytesScannedCutoffPerQuery" in groups["telltale"]
    [mine] = [limits for name, limits in groups.items() if name.endswith("-maintenance")]
    assert "BytesScannedCutoffPerQuery" not in mine


def test_it_may_change_the_tables_and_their_files_and_nothing_else(large: Assembly) -> None:
    rights = list(statements(large))

    written = {str(resource) for action, resource in rights if action.startswith(("s3:Put", "s3:Delete"))}
    assert {resource.split("/", 1)[1] for resource in written} == {"data/*", "lake/*", "athena-results/*"}
    assert {action for action, _ in rights if action.startswith("s3:Delete")} == {"s3:DeleteObject"}
    deleted = {str(resource).split("/", 1)[1] for action, resource in rights if action.startswith("s3:Delete")}
    assert deleted == {"data/*", "lake/*"}
    tables = {
        str(resource).rsplit("/", 1)[1]
        for action, resource in rights
        if action == "glue:UpdateTable" and ":table/" in resource
    }
    assert tables == {table.name for table in TABLES}
    assert not [action for action, _ in rights if action.startswith(("glue:Delete", "glue:Create", "athena:*", "s3:*"))]


def test_without_it_the_function_does_the_work(demo: Assembly) -> None:
    assert not demo.of("AWS::StepFunctions::StateMachine")
    [function] = [one for one in demo.of("AWS::Lambda::Function") if one.id.startswith("CommitLake")]
    assert function.properties["Environment"]["Variables"]["LAKE_ENGINE"] == "function"
