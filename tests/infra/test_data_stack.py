"""Promises of the stack that keeps data."""

import pytest
from telltale.adapters.prefixes import EVIDENCE as PICTURES
from telltale.core import schema

from tests.infra.assembly import ROOT, Assembly, Json, Resource, stages_context

WAVEFORMS = schema.WAVEFORMS.name
pytestmark = pytest.mark.synth

KEEPS_DATA = (
    "AWS::DynamoDB::Table",
    "AWS::Glue::Database",
    "AWS::KMS::Key",
    "AWS::Kinesis::Stream",
    "AWS::S3::Bucket",
    "AWS::SecretsManager::Secret",
)


def bucket(stage: Assembly) -> Resource:
    [lake] = stage.of("AWS::S3::Bucket")
    return lake


def denies_plain_http(policies: list[Resource], target: str) -> bool:
    statements = [s for policy in policies for s in policy.properties["PolicyDocument"]["Statement"]]
    return any(
        s["Effect"] == "Deny"
        and s["Principal"] in ("*", {"AWS": "*"})
        and s["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        and target in str(s["Resource"])
        for s in statements
    )


def test_nobody_can_make_the_lake_public(stage: Assembly) -> None:
    assert bucket(stage).properties["PublicAccessBlockConfiguration"] == {
        "BlockPublicAcls": True,
        "BlockPublicPolicy": True,
        "IgnorePublicAcls": True,
        "RestrictPublicBuckets": True,
    }


@pytest.mark.parametrize(
    ("kind", "policy"),
    [
        ("AWS::S3::Bucket", "AWS::S3::BucketPolicy"),
        ("AWS::SQS::Queue", "AWS::SQS::QueuePolicy"),
        ("AWS::SNS::Topic", "AWS::SNS::TopicPolicy"),
    ],
)
def test_whatever_can_be_reached_by_plain_http_refuses_it(stage: Assembly, kind: str, policy: str) -> None:
    open_ones = [r.id for r in stage.of(kind) if not denies_plain_http(stage.of(policy), r.id)]

    assert stage.of(kind)
    assert open_ones == []


def test_everything_at_rest_is_encrypted(stage: Assembly) -> None:
    assert bucket(stage).properties["BucketEncryption"]
    assert all(stream.properties["StreamEncryption"] for stream in stage.of("AWS::Kinesis::Stream"))
    assert all(topic.properties["KmsMasterKeyId"] for topic in stage.of("AWS::SNS::Topic"))
    assert all(
        queue.properties.get("SqsManagedSseEnabled") or queue.properties.get("KmsMasterKeyId")
        for queue in stage.of("AWS::SQS::Queue")
    )


def test_the_customer_key_encrypts_all_that_holds_data(production: Assembly) -> None:
    [key] = production.of("AWS::KMS::Key")
    holders = production.of(
        "AWS::S3::Bucket", "AWS::Kinesis::Stream", "AWS::DynamoDB::Table", "AWS::SQS::Queue", "AWS::SNS::Topic",
        "AWS::Events::EventBus", "AWS::Athena::WorkGroup",
    )  # fmt: skip

    assert key.properties["EnableKeyRotation"] is True
    assert [holder.id for holder in holders if key.id not in str(holder.properties)] == []


def test_the_demo_has_no_key_to_pay_for(demo: Assembly) -> None:
    assert demo.of("AWS::KMS::Key") == []


def test_every_table_can_be_put_back_and_is_paid_by_the_request(stage: Assembly) -> None:
    tables = stage.of("AWS::DynamoDB::Table")

    assert {table.properties["BillingMode"] for table in tables} == {"PAY_PER_REQUEST"}
    assert [
        table.id
        for table in tables
        if table.properties["PointInTimeRecoverySpecification"] != {"PointInTimeRecoveryEnabled": True}
    ] == []


def test_what_is_only_remembered_for_a_while_is_forgotten(stage: Assembly) -> None:
    forgetful = {
        table.id: table.properties["TimeToLiveSpecification"]
        for table in stage.of("AWS::DynamoDB::Table")
        if "TimeToLiveSpecification" in table.properties
    }

    assert all(one == {"AttributeName": "expires", "Enabled": True} for one in forgetful.values())
    assert {id_.rstrip("0123456789ABCDEF") for id_ in forgetful} >= {"TablesProgress", "TablesLedger"}
    assert not any(id_.startswith(("TablesCases", "TablesRegistry", "TablesStates")) for id_ in forgetful)


def test_cases_that_wait_for_their_order_can_be_found_oldest_first(stage: Assembly) -> None:
    [index] = stage.the("AWS::DynamoDB::Table", "TablesCases").properties["GlobalSecondaryIndexes"]

    assert index["IndexName"] == "outbox"
    assert {key["KeyType"]: key["AttributeName"] for key in index["KeySchema"]} == {
        "HASH": "outbox",
        "RANGE": "changed_at",
    }


def test_in_production_data_outlives_the_stack(production: Assembly) -> None:
    lost = [r.id for r in production.of(*KEEPS_DATA) if r.whole["DeletionPolicy"] != "Retain"]
    replaced = [r.id for r in production.of(*KEEPS_DATA) if r.whole["UpdateReplacePolicy"] != "Retain"]

    assert len(production.of(*KEEPS_DATA)) == 16
    assert (lost, replaced) == ([], [])
    assert all(table.properties["DeletionProtectionEnabled"] for table in production.of("AWS::DynamoDB::Table"))
    assert bucket(production).properties["VersioningConfiguration"] == {"Status": "Enabled"}
    assert '"terminationProtection": true' in (production.folder / "manifest.json").read_text()


def test_the_demo_can_be_torn_down(demo: Assembly) -> None:
    kept = [r.id for r in demo.of(*KEEPS_DATA) if r.whole.get("DeletionPolicy") == "Retain"]

    assert kept == []
    assert '"terminationProtection": true' not in (demo.folder / "manifest.json").read_text()


def rules(stage: Assembly) -> dict[str, Json]:
    return {rule["Id"]: rule for rule in bucket(stage).properties["LifecycleConfiguration"]["Rules"]}


@pytest.mark.parametrize(
    ("rule", "prefix"),
    [
        ("waveforms", f"data/{WAVEFORMS}/"),
        ("compacted-waveforms", f"lake/{WAVEFORMS}/data/"),
        ("evidence", PICTURES),
    ],
)
def test_waveforms_and_pictures_of_them_get_cheaper_with_age_and_stay_readable(
    production: Assembly, rule: str, prefix: str
) -> None:
    waveforms = rules(production)[rule]
    stage = stages_context()["stages"]["production"]

    assert waveforms["Prefix"] == prefix
    assert waveforms["Transitions"] == [
        {"StorageClass": "INTELLIGENT_TIERING", "TransitionInDays": stage["tier_days"]},
        # Not GLACIER or DEEP_ARCHIVE: a query that meets an object there fails.
        {"StorageClass": "GLACIER_IR", "TransitionInDays": stage["archive_days"]},
    ]


def test_only_what_is_no_longer_needed_expires(stage: Assembly) -> None:
    expiring = {rule["Prefix"] for rule in rules(stage).values() if "ExpirationInDays" in rule}

    assert expiring == {"receipts/committed/", "rule-errors/", "aws/lambda/", "athena-results/"}


def test_a_query_cannot_read_more_than_the_stage_allows(production: Assembly) -> None:
    [workgroup] = production.of("AWS::Athena::WorkGroup")
    configuration = workgroup.properties["WorkGroupConfiguration"]

    assert configuration["EnforceWorkGroupConfiguration"] is True
    assert configuration["BytesScannedCutoffPerQuery"] == stages_context()["stages"]["production"]["scan_limit_bytes"]
    assert configuration["ResultConfiguration"]["EncryptionConfiguration"]["EncryptionOption"] == "SSE_KMS"


def test_every_saved_query_is_in_the_workgroup_with_its_title(stage: Assembly) -> None:
    queries = stage.of("AWS::Athena::NamedQuery")
    files = sorted((ROOT / "queries").glob("*.sql"))

    assert sorted(query.properties["Name"] for query in queries) == sorted(
        file.read_text().splitlines()[0].removeprefix("--").strip() for file in files
    )
    assert all(query.properties["Database"].startswith("LakeDatabase") for query in queries)
