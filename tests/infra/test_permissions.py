"""Who may do what: every statement of every role and policy is looked at."""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.infra.assembly import Assembly, Json

pytestmark = pytest.mark.synth

XRAY = "X-Ray's two calls have no resource"
BELOW = "objects whose names are made at run time"
IOT_NAMES = "AWS IoT Core names its log groups and their streams"
OWN = "topics and names of the gateway that the certificate belongs to"

# Every resource with a * that a role or an IoT policy may have, and why.
WILDCARDS = {
    "*": XRAY,
    "LakeBucket/athena-results/*": BELOW,
    "LakeBucket/aws/lambda/*": BELOW,
    "LakeBucket/commits/*": BELOW,
    "LakeBucket/data/*": BELOW,
    "LakeBucket/data/captures/*": BELOW,
    "LakeBucket/data/cases/*": BELOW,
    "LakeBucket/data/features/*": BELOW,
    "LakeBucket/data/labels/*": BELOW,
    "LakeBucket/data/quarantine/*": BELOW,
    "LakeBucket/data/readings/*": BELOW,
    "LakeBucket/data/verdicts/*": BELOW,
    "LakeBucket/data/waveforms/*": BELOW,
    "LakeBucket/data/work_orders/*": BELOW,
    "LakeBucket/evidence/*": BELOW,
    "LakeBucket/lake/*": BELOW,
    "LakeBucket/lake/captures/*": BELOW,
    "LakeBucket/lake/cases/*": BELOW,
    "LakeBucket/lake/features/*": BELOW,
    "LakeBucket/lake/labels/*": BELOW,
    "LakeBucket/lake/position_daily/*": BELOW,
    "LakeBucket/lake/quarantine/*": BELOW,
    "LakeBucket/lake/readings/*": BELOW,
    "LakeBucket/lake/site_daily/*": BELOW,
    "LakeBucket/lake/verdicts/*": BELOW,
    "LakeBucket/lake/work_orders/*": BELOW,
    "LakeBucket/models/*": BELOW,
    "LakeBucket/receipts/*": BELOW,
    "LakeBucket/receipts/decided/*": BELOW,
    "LakeBucket/receipts/pending/*": BELOW,
    "LakeBucket/rule-errors/*": BELOW,
    "TablesCases/index/*": "the table's indexes",
    "TablesNotices/index/*": "the table's indexes",
    "glue:table/LakeDatabase/*": "the tables of the one database, which commit_lake makes",
    "logs:log-group:AWSIotLogsV2*": IOT_NAMES,
    "iot:topic/dt/telltale/${iot:Connection.Thing.ThingName}/*": OWN,
    "iot:topic/$aws/rules/IngestCaptureRule/dt/telltale/${iot:Connection.Thing.ThingName}/*": OWN,
    "iot:topic/$aws/rules/IngestWaveRule/dt/telltale/${iot:Connection.Thing.ThingName}/*": OWN,
    "iot:topic/cmd/telltale/${iot:Connection.Thing.ThingName}/*": OWN,
    "iot:topicfilter/cmd/telltale/${iot:Connection.Thing.ThingName}/*": OWN,
    "iot:topic/$aws/things/${iot:Connection.Thing.ThingName}/shadow/*": OWN,
    "iot:topicfilter/$aws/things/${iot:Connection.Thing.ThingName}/shadow/*": OWN,
    "iot:client/claim-*": "devices with a claim certificate have no name yet",
    "iot:topic/$aws/certificates/create-from-csr/*": "request, accepted and rejected",
    "iot:topicfilter/$aws/certificates/create-from-csr/*": "accepted and rejected",
    "iot:topic/$aws/provisioning-templates/GatewaysTemplate/provision/*": "request, accepted and rejected",
    "iot:topicfilter/$aws/provisioning-templates/GatewaysTemplate/provision/*": "accepted and rejected",
}

# Only the variants of one verb, as CDK's grants write them.
WILDCARD_ACTIONS = {
    "kms:GenerateDataKey*",
    "kms:ReEncrypt*",
    "s3:Abort*",
    "s3:DeleteObject*",
    "s3:GetBucket*",
    "s3:GetObject*",
    "s3:List*",
}


@dataclass(frozen=True)
class Permission:
    who: str
    action: str
    resource: str
    condition: str


def listed(value: Json) -> list[Json]:
    return value if isinstance(value, list) else [value]


def short(text: str) -> str:
    """Without CDK's hashes and the constant parts of ARNs."""
    text = re.sub(r"arn:Partition:(\w+):Region:AccountId:", r"\1:", text)
    return re.sub(r"(?<=[A-Za-z])[0-9A-F]{8}(?=$|/)", "", text)


def permissions(stage: Assembly) -> Iterator[Permission]:
    for policy in stage.of("AWS::IAM::Policy", "AWS::IoT::Policy", "AWS::IAM::ManagedPolicy"):
        who = [re.sub(r"(Role)?[0-9A-F]{8}$", "", name) for name in listed(policy.properties.get("Roles", policy.id))]
        for statement in policy.properties["PolicyDocument"]["Statement"]:
            assert statement["Effect"] == "Allow"
            assert "NotAction" not in statement
            assert "NotResource" not in statement
            for action in listed(statement["Action"]):
                for resource in listed(statement["Resource"]):
                    yield from (Permission(w, action, short(resource), str(statement.get("Condition"))) for w in who)


def who_may(stage: Assembly, action: str) -> dict[str, set[str]]:
    """Roles that may do `action`, by resource."""
    allowed = defaultdict(set)
    for permission in permissions(stage):
        if permission.action == action:
            allowed[permission.resource].add(permission.who)
    return dict(allowed)


def test_every_resource_with_a_star_has_its_reason(stage: Assembly) -> None:
    starred = {p.resource for p in permissions(stage) if "*" in p.resource}

    assert starred == set(WILDCARDS)


def test_the_whole_of_aws_is_open_only_to_traces(stage: Assembly) -> None:
    assert {p.action for p in permissions(stage) if p.resource == "*"} == {
        "xray:PutTraceSegments",
        "xray:PutTelemetryRecords",
    }


def test_a_star_in_an_action_is_only_ever_a_variant_of_one_verb(stage: Assembly) -> None:
    assert {p.action for p in permissions(stage) if "*" in p.action} <= WILDCARD_ACTIONS


def test_no_role_can_hand_on_rights_or_change_what_was_deployed(stage: Assembly) -> None:
    services = {p.action.split(":")[0] for p in permissions(stage)}

    assert services <= {
        "athena", "dynamodb", "events", "glue", "iot", "kinesis", "kms", "logs", "s3", "secretsmanager",
        "sns", "sqs", "xray",
    }  # fmt: skip


def test_each_role_is_for_one_service_and_iot_core_acts_for_this_account_only(stage: Assembly) -> None:
    for role in stage.of("AWS::IAM::Role"):
        [statement] = role.properties["AssumeRolePolicyDocument"]["Statement"]
        service = statement["Principal"]["Service"]

        assert service in ("lambda.amazonaws.com", "iot.amazonaws.com")
        if service == "iot.amazonaws.com":
            assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": "AccountId"}}


def test_only_fleet_provisioning_has_a_policy_that_aws_keeps(stage: Assembly) -> None:
    managed = {short(r.id): r.properties.get("ManagedPolicyArns") for r in stage.of("AWS::IAM::Role")}

    assert {id_: arns for id_, arns in managed.items() if arns} == {
        "GatewaysRegistrar": ["arn:Partition:iam::aws:policy/service-role/AWSIoTThingsRegistration"]
    }


def test_each_table_is_written_only_by_those_whose_job_it_is(stage: Assembly) -> None:
    writers = {table: who for table, who in who_may(stage, "dynamodb:PutItem").items() if "/index/" not in table}

    assert writers == {
        # nobody writes the registry: `telltale plant apply` does, as the person who runs it
        "TablesStates": {"DetectAnomalies", "StaleSensors"},
        "TablesCases": {"DetectAnomalies", "WorkOrders"},
        "TablesLedger": {"WorkOrders"},
        "TablesLogbook": {"WorkOrders"},
        "TablesNotices": {"SendNotices"},
        "TablesModels": {"ScoreAssets", "TrainModels"},
        "TablesProgress": {"ExtractFeatures", "DetectAnomalies", "CommitLake", "MaintainLake", "ScoreAssets"},
    }


def test_each_stream_is_written_and_read_only_by_those_whose_job_it_is(stage: Assembly) -> None:
    assert who_may(stage, "kinesis:PutRecords") == {
        "Captures": {"IngestDeliverer"},
        "Features": {"ExtractFeatures", "WorkOrders", "ScoreAssets"},
    }
    assert who_may(stage, "kinesis:GetRecords") == {"Captures": {"ExtractFeatures"}, "Features": {"DetectAnomalies"}}


def test_events_and_notices_come_only_from_those_whose_job_it_is(stage: Assembly) -> None:
    assert who_may(stage, "events:PutEvents") == {
        "MessagesBus": {"ExtractFeatures", "DetectAnomalies", "StaleSensors", "ScoreAssets", "TrainModels"}
    }
    assert who_may(stage, "sns:Publish") == {"MessagesNotices": {"WorkOrders"}, "NoticesPeople": {"SendNotices"}}


def test_notices_read_cases_and_can_change_nothing_but_what_they_remember(stage: Assembly) -> None:
    changing = ("Put", "Update", "Delete", "BatchWrite", "Send", "Publish", "PutEvents")
    sender = {(p.action, p.resource) for p in permissions(stage) if p.who == "SendNotices"}

    assert {
        resource for action, resource in sender if action.split(":")[1].startswith(changing) and "Log" not in resource
    } - {"*"} == {"TablesNotices", "TablesNotices/index/*", "NoticesPeople", "NoticesQueue"}
    assert ("sqs:SendMessage", "NoticesQueue") not in sender
    assert ("sns:ListSubscriptionsByTopic", "NoticesPeople") in sender


def test_only_committer_and_maintenance_write_tables_and_only_maintenance_deletes_data(stage: Assembly) -> None:
    assert who_may(stage, "s3:PutObject")["LakeBucket/lake/*"] == {"CommitLake", "MaintainLake"}
    assert who_may(stage, "glue:UpdateTable")["glue:table/LakeDatabase/readings"] == {"MaintainLake"}
    assert who_may(stage, "s3:DeleteObject") == {
        f"LakeBucket/{prefix}/*": {"MaintainLake"} for prefix in ("data", "lake", "evidence")
    }
    assert who_may(stage, "s3:DeleteObjectVersion") == {}
    assert who_may(stage, "glue:UpdateTable")["glue:table/LakeDatabase/*"] == {"CommitLake"}
    assert who_may(stage, "glue:DeleteTable") == {}
    assert set(who_may(stage, "s3:DeleteObject*")) == {"LakeBucket/receipts/decided/*", "LakeBucket/receipts/pending/*"}


def test_only_aggregation_asks_athena_and_it_replaces_nothing_but_aggregates(stage: Assembly) -> None:
    written = {p.resource for p in permissions(stage) if p.who == "AggregateLake" and p.action == "s3:PutObject"}
    tables = {resource for resource, who in who_may(stage, "glue:UpdateTable").items() if "AggregateLake" in who}

    assert {who for whos in who_may(stage, "athena:StartQueryExecution").values() for who in whos} == {"AggregateLake"}
    assert written == {f"LakeBucket/{name}/*" for name in ("lake/position_daily", "lake/site_daily", "athena-results")}
    assert {table for table in tables if table.startswith("glue:table/")} == {
        "glue:table/LakeDatabase/position_daily",
        "glue:table/LakeDatabase/site_daily",
    }


def test_only_detection_looks_at_waveforms_and_keeps_pictures_of_them(stage: Assembly) -> None:
    assert who_may(stage, "s3:GetObject*")["LakeBucket/data/waveforms/*"] == {"DetectAnomalies"}
    assert who_may(stage, "s3:PutObject")["LakeBucket/evidence/*"] == {"DetectAnomalies"}
    assert "LakeBucket/evidence/*" not in who_may(stage, "s3:GetObject*")


def test_only_training_keeps_models_and_only_what_they_are_about_is_read_for_them(stage: Assembly) -> None:
    readers = who_may(stage, "s3:GetObject*")
    tables = {resource for resource, who in who_may(stage, "glue:GetTable").items() if "ScoreAssets" in who}

    assert who_may(stage, "s3:PutObject")["LakeBucket/models/*"] == {"TrainModels"}
    assert readers["LakeBucket/models/*"] == {"ScoreAssets", "TrainModels"}
    assert readers["LakeBucket/lake/readings/*"] == {"ScoreAssets", "TrainModels", "AggregateLake"}
    assert {resource for resource in tables if resource.startswith("glue:table/")} == {
        f"glue:table/LakeDatabase/{name}" for name in ("captures", "features", "readings")
    }


def test_the_role_that_reads_a_stream_may_set_a_batch_aside_as_lambda_asks(stage: Assembly) -> None:
    """Both rights, on the bucket and below the prefix that Lambda chooses."""
    assert who_may(stage, "s3:PutObject")["LakeBucket/aws/lambda/*"] == {"ExtractFeatures", "DetectAnomalies"}
    assert who_may(stage, "s3:ListBucket")["LakeBucket"] == {"ExtractFeatures", "DetectAnomalies"}


def test_a_rules_error_role_can_only_add_errors(stage: Assembly) -> None:
    assert {p.resource for p in permissions(stage) if p.who == "IngestRescuer" and p.action.startswith("s3")} == {
        "LakeBucket/rule-errors/*"
    }


def test_a_secret_is_read_only_by_those_who_use_it(stage: Assembly) -> None:
    assert who_may(stage, "secretsmanager:GetSecretValue") == {
        "CmmsSecrets": {"SendNotices", "WorkOrders"},
        "LinkKey": {"EvidencePage", "SendNotices", "WorkOrders"},
        "WebhookSecret": {"WorkOrders"},
    }


def test_who_is_not_told_by_the_customer_key_cannot_read_what_it_encrypts(production: Assembly) -> None:
    readers = {who for whos in who_may(production, "kms:Decrypt").values() for who in whos}

    assert "IngestLogger" not in readers
    assert {"ExtractFeatures", "DetectAnomalies", "CommitLake", "WorkOrders"} <= readers


# --- What a gateway's certificate may do

THING = "${iot:Connection.Thing.ThingName}"


def gateway(stage: Assembly) -> set[tuple[str, str]]:
    return {(p.action, p.resource) for p in permissions(stage) if p.who == "GatewaysPolicy"}


def test_a_gateway_connects_only_as_the_thing_its_certificate_is_attached_to(stage: Assembly) -> None:
    [connect] = [p for p in permissions(stage) if p.who == "GatewaysPolicy" and p.action == "iot:Connect"]

    assert connect.resource == f"iot:client/{THING}"
    assert connect.condition == str({"Bool": {"iot:Connection.Thing.IsAttached": "true"}})


def test_a_gateway_publishes_only_below_its_own_name_and_feeds_only_our_two_rules(stage: Assembly) -> None:
    assert {resource for action, resource in gateway(stage) if action == "iot:Publish"} == {
        f"iot:topic/dt/telltale/{THING}/*",
        f"iot:topic/$aws/rules/IngestCaptureRule/dt/telltale/{THING}/*",
        f"iot:topic/$aws/rules/IngestWaveRule/dt/telltale/{THING}/*",
    }


def test_a_gateway_hears_only_its_own_commands_and_its_own_shadow(stage: Assembly) -> None:
    heard = (f"cmd/telltale/{THING}/*", f"$aws/things/{THING}/shadow/*")

    assert {resource for action, resource in gateway(stage) if action == "iot:Subscribe"} == {
        f"iot:topicfilter/{topic}" for topic in heard
    }
    assert {resource for action, resource in gateway(stage) if action == "iot:Receive"} == {
        f"iot:topic/{topic}" for topic in heard
    }


def test_a_gateway_may_do_nothing_else(stage: Assembly) -> None:
    assert {action for action, _ in gateway(stage)} == {"iot:Connect", "iot:Publish", "iot:Subscribe", "iot:Receive"}


def test_the_hook_can_be_called_only_by_iot_core_of_this_account(stage: Assembly) -> None:
    [permission] = [p.properties for p in stage.of("AWS::Lambda::Permission") if "ProvisioningHook" in p.id]

    assert permission["Principal"] == "iot.amazonaws.com"
    assert permission["SourceAccount"] == "AccountId"


def test_nothing_but_the_evidence_page_can_be_called_by_everybody_and_that_only_by_its_address(stage: Assembly) -> None:
    permissions = [p.properties for p in stage.of("AWS::Lambda::Permission")]
    to_all = [p for p in permissions if p["Principal"] == "*"]
    others = [p for p in permissions if p["Principal"] != "*"]

    assert {short(p["FunctionName"]) for p in to_all} == {"EvidencePage"}
    assert {p["Action"]: (p.get("FunctionUrlAuthType"), p.get("InvokedViaFunctionUrl")) for p in to_all} == {
        "lambda:InvokeFunctionUrl": ("NONE", None),
        "lambda:InvokeFunction": (None, True),
    }
    assert {p["Principal"] for p in others} == {"iot.amazonaws.com", "events.amazonaws.com"}
    assert all("SourceArn" in p or "SourceAccount" in p for p in others)


# --- What the evidence page may do, whose address is open to the internet


def test_the_evidence_page_can_look_up_what_a_link_names_and_list_or_change_nothing(stage: Assembly) -> None:
    page = {(p.action, p.resource) for p in permissions(stage) if p.who == "EvidencePage"}
    own = {"logs:CreateLogStream", "logs:PutLogEvents", "xray:PutTraceSegments", "xray:PutTelemetryRecords"}
    key = {(action, resource) for action, resource in page if action.startswith("kms:")}

    assert {(action, resource) for action, resource in page - key if action not in own} == {
        ("dynamodb:GetItem", "TablesCases"),
        ("dynamodb:BatchGetItem", "TablesRegistry"),
        ("s3:GetObject", "LakeBucket/evidence/*"),
        ("secretsmanager:GetSecretValue", "LinkKey"),
        ("secretsmanager:DescribeSecret", "LinkKey"),
        *(
            (f"sqs:{action}", queue)
            for action in ("SendMessage", "GetQueueAttributes", "GetQueueUrl")
            for queue in ("MessagesOrders", "NoticesQueue")
        ),
    }
    assert {action for action, _ in key} <= {"kms:Decrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*", "kms:Encrypt"}
