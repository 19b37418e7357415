"""A Lambda function of the line, with its role, its log and nothing it was not given."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from aws_cdk import Duration, Size
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.settings import Settings

LAMBDAS = Path(__file__).parents[1] / "lambdas"
RUNTIME = lambda_.Runtime.PYTHON_3_13
ARCHITECTURE = lambda_.Architecture.ARM_64
ONE_CPU_MB = 1769  # memory at which Lambda gives one whole vCPU (AWS Lambda developer guide, "Configure memory")
TWO_CPUS_MB = 2 * ONE_CPU_MB
DISK_MB = 512  # that a function has without asking
WAITS_MB = 512  # for a function that waits for others: room for boto3 and a batch (guess)


class Function(lambda_.Function):
    """`module` is the file in `lambdas/`; all functions share that one asset, so they cannot disagree about a type."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        module: str,
        memory_mb: int,
        timeout: Duration,
        layers: Sequence[lambda_.ILayerVersion],
        environment: Mapping[str, str],
        settings: Settings,
        disk_mb: int = DISK_MB,
        at_once: int | None = None,
    ) -> None:
        # Before the function exists there is no scope of its own to put these in.
        log = logs.LogGroup(scope, f"{id_}Log", retention=settings.log_retention, removal_policy=settings.removal)
        role = iam.Role(scope, f"{id_}Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        log.grant_write(role)
        super().__init__(
            scope,
            id_,
            runtime=RUNTIME,
            architecture=ARCHITECTURE,
            code=lambda_.Code.from_asset(str(LAMBDAS), exclude=["**/__pycache__", "**/*.pyc"]),
            handler=f"{module}.handler",
            memory_size=memory_mb,
            ephemeral_storage_size=Size.mebibytes(disk_mb) if disk_mb != DISK_MB else None,
            timeout=timeout,
            reserved_concurrent_executions=at_once,
            layers=layers,
            environment={"POWERTOOLS_SERVICE_NAME": module, "POWERTOOLS_METRICS_NAMESPACE": "Telltale", **environment},
            role=role,
            log_group=log,
            logging_format=lambda_.LoggingFormat.JSON,
            tracing=lambda_.Tracing.ACTIVE,
        )
