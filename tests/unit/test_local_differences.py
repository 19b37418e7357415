"""What is changed for the local run is changed so, and nothing else."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cli import local_differences


def assembly(folder: Path, template: dict[str, Any]) -> Path:
    """A synthesised assembly of one stack whose template asset has the digest `before`."""
    (folder / "Line.template.json").write_text(json.dumps(template))
    files = {"before": {"source": {"path": "Line.template.json"}, "destinations": {"x": {"objectKey": "before.json"}}}}
    (folder / "Line.assets.json").write_text(json.dumps({"files": files}))
    (folder / "manifest.json").write_text(json.dumps({"artifacts": {"Line": {"url": "s3://assets/before.json"}}}))
    return folder


def changed(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "Line.template.json").read_text())


FUNCTION: dict[str, Any] = {
    "Type": "AWS::Lambda::Function",
    "Properties": {"Layers": ["arn:layer"], "Handler": "x.handler"},
}


def test_functions_lose_their_layers_and_nothing_else(tmp_path: Path) -> None:
    folder = assembly(tmp_path, {"Resources": {"F": FUNCTION}})

    local_differences.change_assembly(folder)

    assert changed(folder)["Resources"]["F"]["Properties"] == {"Handler": "x.handler"}


def test_functions_ask_duckdb_instead_of_athena_and_are_told_all_else_as_it_is(tmp_path: Path) -> None:
    variables = {"LAKE_BUCKET": {"Ref": "B"}, "QUERY_ENGINE": "athena"}
    properties = FUNCTION["Properties"] | {"Environment": {"Variables": variables}}
    folder = assembly(tmp_path, {"Resources": {"F": FUNCTION | {"Properties": properties}}})

    local_differences.change_assembly(folder)

    environment = changed(folder)["Resources"]["F"]["Properties"]["Environment"]
    assert environment == {"Variables": {"LAKE_BUCKET": {"Ref": "B"}, "QUERY_ENGINE": "duckdb"}}


def test_resources_that_the_emulator_does_not_know_are_left_out(tmp_path: Path) -> None:
    folder = assembly(
        tmp_path, {"Resources": {"Q": {"Type": "AWS::Athena::NamedQuery"}, "B": {"Type": "AWS::S3::Bucket"}}}
    )

    local_differences.change_assembly(folder)

    assert list(changed(folder)["Resources"]) == ["B"]


def test_a_secret_is_referred_to_by_its_arn_and_everything_else_by_its_name(tmp_path: Path) -> None:
    resources = {
        "S": {"Type": "AWS::SecretsManager::Secret"},
        "B": {"Type": "AWS::S3::Bucket"},
        "P": {"Type": "AWS::IAM::Policy", "Properties": {"Resources": [{"Ref": "S"}, {"Ref": "B"}]}},
    }
    folder = assembly(tmp_path, {"Resources": resources, "Outputs": {"A": {"Value": {"Ref": "S"}}}})

    local_differences.change_assembly(folder)

    arn = {"Fn::GetAtt": ["S", "Id"]}
    assert changed(folder)["Resources"]["P"]["Properties"] == {"Resources": [arn, {"Ref": "B"}]}
    assert changed(folder)["Outputs"] == {"A": {"Value": arn}}


def test_the_address_of_a_function_leads_to_this_computer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(local_differences.PAGES_PORT, "4567")
    made = {"FunctionUrl": "https://abc123.lambda-url.us-east-1.on.aws/", "FunctionArn": "arn:f"}

    address = local_differences._address_here(made)

    assert address == {"FunctionArn": "arn:f", "FunctionUrl": "http://localhost:4567/abc123/"}


def test_the_rule_against_unbuilt_layers_goes_and_other_rules_stay(tmp_path: Path) -> None:
    folder = assembly(tmp_path, {"Resources": {}, "Rules": {"LayersAreBuilt": {}, "Other": {}}})

    local_differences.change_assembly(folder)

    assert list(changed(folder)["Rules"]) == ["Other"]


def test_a_changed_template_has_a_new_asset_name_everywhere(tmp_path: Path) -> None:
    folder = assembly(tmp_path, {"Resources": {"F": FUNCTION}})

    local_differences.change_assembly(folder)

    [digest] = json.loads((folder / "Line.assets.json").read_text())["files"]
    assert digest != "before"
    assert (
        json.loads((folder / "manifest.json").read_text())["artifacts"]["Line"]["url"] == f"s3://assets/{digest}.json"
    )
    assert "before" not in (folder / "Line.assets.json").read_text()


KINESIS = {"Records": [{"eventSource": "aws:kinesis"}]}
FAILED = {"batchItemFailures": [{"itemIdentifier": "17"}]}


@pytest.mark.parametrize(
    ("event", "result", "expected"),
    [
        (KINESIS, {"body": FAILED}, ["17"]),
        (KINESIS, {"body": json.dumps(FAILED)}, ["17"]),
        (KINESIS, {"body": {"batchItemFailures": []}}, []),
        (KINESIS, {"body": None}, []),
        (KINESIS, {"body": FAILED, "error": True}, []),
        ({"Records": [{"eventSource": "aws:sqs"}]}, {"body": FAILED}, []),
    ],
    ids=["object", "text", "all well", "no answer", "failed whole", "another source"],
)
def test_a_partial_failure_of_a_kinesis_batch_is_seen(
    event: dict[str, Any], result: dict[str, Any], expected: list[str]
) -> None:
    assert local_differences._partial_failures(event, result) == expected


def test_a_partition_key_is_the_level_of_the_topic_counted_from_one() -> None:
    event = {"topic": "dt/telltale/gateway-1/sensor-7/wave"}

    assert local_differences._fill("${topic(4)}", event) == "sensor-7"
    assert local_differences._fill("${topic(9)}", event) == ""


def test_two_objects_of_the_error_action_never_share_a_key() -> None:
    key = "rule-errors/${timestamp()}-${newuuid()}"

    assert local_differences._fill(key, {}) != local_differences._fill(key, {})


def test_expired_records_move_the_readers_back_by_as_many(monkeypatch: pytest.MonkeyPatch) -> None:
    records = [{"ApproximateArrivalTimestamp": t} for t in (0.0, 0.0, 4e9, 4e9)]
    stream = {"StreamARN": "arn:s", "RetentionPeriodHours": 24, "shards": {"shard-0": {"records": records}}}
    positions = {"reader": {"shard-0": 3}, "elsewhere": {"shard-0": 3}}
    mappings = [
        ("a", "r", {"UUID": "reader", "EventSourceArn": "arn:s"}),
        ("a", "r", {"UUID": "elsewhere", "EventSourceArn": "arn:t"}),
    ]
    service = SimpleNamespace(_iter_all_esms=lambda: mappings, _kinesis_positions=positions)
    monkeypatch.setitem(sys.modules, "ministack.services", SimpleNamespace(lambda_svc=service))

    local_differences._expire_records(stream)

    assert len(records) == 2
    assert positions == {"reader": {"shard-0": 1}, "elsewhere": {"shard-0": 3}}
