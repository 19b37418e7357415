"""Every finding of cdk-nag (AwsSolutions) that is left as it is, with the reason. Synth fails on any other."""

from collections.abc import Mapping

import aws_cdk as cdk

# How cdk-nag writes ARNs and names that come from the other stack.
LAKE = "TelltaleData:ExportsOutputFnGetAttLakeBucketB1D32E10Arn6706D8FF"
CASES = "TelltaleData:ExportsOutputFnGetAttTablesCases698FA840Arn2D083CF6"
NOTICES = "TelltaleData:ExportsOutputFnGetAttTablesNotices44D619EBArnD1735635"
DATABASE = "TelltaleData:ExportsOutputRefLakeDatabase161E1CC7B32128F8"
HERE = "<AWS::Region>:<AWS::AccountId>"

_GRANT = "written by a CDK grant; it ends in * so that it covers the variants of this one verb"
_PREFIX = "the objects below this prefix have names that are made at run time"

DATA: Mapping[str, str] = {
    "AwsSolutions-S1": "who read what is a matter for CloudTrail data events, which the owner of the account sets for "
    "all buckets; access logs would add an object for every Parquet file that a query reads",
    "AwsSolutions-SMG4": "the secret is shared with the receiver of the webhook, so a rotation takes two; a rotation "
    "by the clock would cut the connection",
    "AwsSolutions-KDS3": "the streams are encrypted with the customer's own key, as the stage asks for; the rule knows "
    "only AWS's key",
}

LINE: Mapping[str, str] = {
    "AwsSolutions-L1": "the wheels in the layers are locked and tested for this runtime; it is supported until 2029",
    "AwsSolutions-IAM5[Resource::*]": "X-Ray has no resources to name: PutTraceSegments and PutTelemetryRecords take "
    "only *, and so do the calls by which Step Functions sets up the delivery of its log",
    **{
        f"AwsSolutions-IAM5[Action::{action}]": _GRANT
        for action in (
            "kms:GenerateDataKey*",
            "kms:ReEncrypt*",
            "s3:Abort*",
            "s3:DeleteObject*",
            "s3:GetBucket*",
            "s3:GetObject*",
            "s3:List*",
        )
    },
    **{
        f"AwsSolutions-IAM5[Resource::{LAKE}/{prefix}/*]": _PREFIX
        for prefix in (
            "athena-results",
            "aws/lambda",
            "commits",
            "data",
            "data/captures",
            "data/cases",
            "data/features",
            "data/labels",
            "data/quarantine",
            "data/readings",
            "data/verdicts",
            "data/waveforms",
            "data/work_orders",
            "evidence",
            "lake",
            "lake/captures",
            "lake/cases",
            "lake/features",
            "lake/labels",
            "lake/position_daily",
            "lake/quarantine",
            "lake/readings",
            "lake/site_daily",
            "lake/verdicts",
            "lake/work_orders",
            "models",
            "receipts",
            "receipts/decided",
            "receipts/pending",
            "rule-errors",
        )
    },
    f"AwsSolutions-IAM5[Resource::{CASES}/index/*]": "the indexes of the table, of which there is one",
    f"AwsSolutions-IAM5[Resource::{NOTICES}/index/*]": "the indexes of the table, of which there is one",
    f"AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:glue:{HERE}:table/{DATABASE}/*]": "commit_lake makes the tables "
    "of this one database",
    f"AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:logs:{HERE}:log-group:AWSIotLogsV2*]": "AWS IoT Core names its "
    "log groups and their streams",
    "AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AWSIoTThingsRegistration]": "the "
    "policy that AWS documents for fleet provisioning and keeps in step with it; only IoT Core can take the role, only "
    "for this account, and what it registers the template and the hook decide",
}


def give(stack: cdk.Stack, reasons: Mapping[str, str]) -> None:
    """Leave the findings in `stack` that have a reason."""
    for finding, reason in reasons.items():
        cdk.Validations.of(stack).acknowledge(cdk.Acknowledgment(id=finding, reason=reason))
