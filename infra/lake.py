"""The lake: one bucket, one Glue database, one Athena workgroup.

Prefixes of the bucket:
  data/<table>/…         Parquet files as the functions write them; they become part of a table when committed
  lake/<table>/…         the Iceberg tables: metadata, and data files that a compaction wrote
  evidence/<case>/…      pictures of what was seen when a case opened or worsened
  models/<asset>/…       models of assets: every version with its report, for good
  receipts/decided/…     what a function has decided to do with a batch, until it is done
  receipts/pending/…     what it did, until the lake has it; then receipts/committed/…
  commits/…              the plan of the commit under way
  rule-errors/…          messages that an IoT rule could not put on the stream
  aws/lambda/…           batches that a stream gave up on (Lambda chooses this key)
  athena-results/…       results of queries
"""

from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from aws_cdk import Duration, Stack
from aws_cdk import aws_athena as athena
from aws_cdk import aws_glue as glue
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.settings import Settings

NAME = "telltale"  # of the database, which people type into SQL, and of the workgroup, which has no other way
QUERIES = Path(__file__).parents[1] / "queries"
ASSET_TABLES = ("captures", "features", "readings")  # that models of assets are trained from and score
AGGREGATED = ("captures", "cases", "features", "labels", "quarantine", "readings", "verdicts", "work_orders")
# All of core.schema, which a test compares: synthesis has only this folder's code.
TABLES = (
    *("captures", "waveforms", "features", "readings", "verdicts", "tag_alarms", "scores", "diagnoses", "cases"),
    *("work_orders", "labels", "acts", "quarantine", "batches", "monitron_events", "lookout_findings"),
    *("position_daily", "site_daily"),
)
AGGREGATES = ("position_daily", "site_daily")
COMMITTED_DAYS = 90  # a receipt is the proof of a batch; its counts stay for good in the table `batches`
RESULTS_DAYS = 7
NONCURRENT_DAYS = 30


class Lake(Construct):
    def __init__(self, scope: Construct, id_: str, *, settings: Settings, key: kms.IKey | None) -> None:
        super().__init__(scope, id_)
        self.bucket = s3.Bucket(
            self,
            "Bucket",
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            encryption=s3.BucketEncryption.KMS if key else s3.BucketEncryption.S3_MANAGED,
            encryption_key=key,
            bucket_key_enabled=key is not None,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            versioned=settings.keep_data,  # what somebody deletes can be had back for a month
            lifecycle_rules=_lifecycle(settings),
            removal_policy=settings.removal,
        )
        # Only the database: commit_lake creates the tables and evolves their columns from core.schema, because
        # Iceberg's schema lives in the table's metadata, and CloudFormation cannot change that once it exists.
        database = glue.CfnDatabase(
            self,
            "Database",
            catalog_id=Stack.of(self).account,
            database_input=glue.CfnDatabase.DatabaseInputProperty(
                name=NAME,
                description="Condition monitoring: Iceberg tables, columns as in telltale.core.schema",
                location_uri=self.bucket.s3_url_for_object("lake/"),
            ),
        )
        database.apply_removal_policy(settings.removal)
        self.database_name = database.ref
        self.workgroup_name = self._workgroup(settings, key=key).ref
        self._save_queries()

    def grant_receipts(self, writer: iam.IGrantable) -> None:
        """Let `writer` upload data files, and keep its redo log until it is carried out."""
        self.bucket.grant_put(writer, "data/*")
        self.bucket.grant_put(writer, "receipts/pending/*")
        self.bucket.grant_put(writer, "receipts/decided/*")
        self.bucket.grant_read(writer, "receipts/decided/*")
        self.bucket.grant_delete(writer, "receipts/decided/*")

    def grant_evidence(self, witness: iam.IGrantable) -> None:
        """Let `witness` look at waveforms, and keep pictures of what it saw."""
        self.bucket.grant_read(witness, "data/waveforms/*")
        self.bucket.grant_put(witness, "evidence/*")

    def grant_pictures(self, reader: iam.IGrantable) -> None:
        """Let `reader` have the pictures of cases whose names it knows; it cannot list them."""
        pictures = [self.bucket.arn_for_objects("evidence/*")]
        iam.Grant.add_to_principal(grantee=reader, actions=["s3:GetObject"], resource_arns=pictures)
        if self.bucket.encryption_key:
            self.bucket.encryption_key.grant_decrypt(reader)

    def grant_rows(self, reader: iam.IGrantable) -> None:
        """Let `reader` see the rows that models of assets are about, and no others."""
        for name in ASSET_TABLES:
            self.bucket.grant_read(reader, f"data/{name}/*")
            self.bucket.grant_read(reader, f"lake/{name}/*")
        stack = Stack.of(self)
        iam.Grant.add_to_principal(
            grantee=reader,
            actions=["glue:GetTable"],
            resource_arns=[
                stack.format_arn(service="glue", resource="catalog"),
                stack.format_arn(service="glue", resource="database", resource_name=self.database_name),
                *(
                    stack.format_arn(service="glue", resource="table", resource_name=f"{self.database_name}/{name}")
                    for name in ASSET_TABLES
                ),
            ],
        )

    def grant_aggregation(self, aggregation: iam.IGrantable) -> None:
        """Let `aggregation` query the tables that aggregates are made of, and replace days of the aggregates. It drops
        nothing: the files of the days that it replaced are maintenance's to delete.
        """
        for name in AGGREGATED:
            self.bucket.grant_read(aggregation, f"data/{name}/*")
            self.bucket.grant_read(aggregation, f"lake/{name}/*")
        for name in AGGREGATES:
            self.bucket.grant_read(aggregation, f"lake/{name}/*")
            self.bucket.grant_put(aggregation, f"lake/{name}/*")
        self.bucket.grant_read(aggregation, "athena-results/*")
        self.bucket.grant_put(aggregation, "athena-results/*")
        stack = Stack.of(self)
        databases = [stack.format_arn(service="glue", resource="catalog")] + [
            # Athena asks for the account's default database too, whichever is queried (Athena user guide,
            # "Configure access to databases and tables in the AWS Glue Data Catalog")
            stack.format_arn(service="glue", resource="database", resource_name=name)
            for name in (self.database_name, "default")
        ]
        tables = {
            name: stack.format_arn(service="glue", resource="table", resource_name=f"{self.database_name}/{name}")
            for name in AGGREGATED + AGGREGATES
        }
        for actions, resources in (
            (["glue:GetDatabase", "glue:GetTable"], databases + list(tables.values())),
            (["glue:UpdateTable"], databases[:2] + [tables[name] for name in AGGREGATES]),
            (
                [
                    "athena:GetQueryExecution",
                    "athena:GetQueryResults",
                    "athena:GetWorkGroup",
                    "athena:StartQueryExecution",
                    "athena:StopQueryExecution",
                ],
                [stack.format_arn(service="athena", resource="workgroup", resource_name=self.workgroup_name)],
            ),
        ):
            iam.Grant.add_to_principal(grantee=aggregation, actions=actions, resource_arns=resources)

    def grant_models(self, trainer: iam.IGrantable) -> None:
        """Let `trainer` keep new versions of models; it changes none and deletes none."""
        self.bucket.grant_read(trainer, "models/*")
        self.bucket.grant_put(trainer, "models/*")

    def grant_commit(self, committer: iam.IGrantable) -> None:
        """Let `committer` make tables, evolve them and add data files; it drops neither tables nor files."""
        for prefix in ("data/*", "lake/*", "receipts/*", "commits/*"):
            self.bucket.grant_read(committer, prefix)
        for prefix in ("lake/*", "receipts/*", "commits/*"):
            self.bucket.grant_put(committer, prefix)
        self.bucket.grant_delete(committer, "receipts/pending/*")
        stack = Stack.of(self)
        iam.Grant.add_to_principal(
            grantee=committer,
            actions=["glue:GetDatabase", "glue:GetTable", "glue:GetTables", "glue:CreateTable", "glue:UpdateTable"],
            resource_arns=[
                stack.format_arn(service="glue", resource="catalog"),
                stack.format_arn(service="glue", resource="database", resource_name=self.database_name),
                stack.format_arn(service="glue", resource="table", resource_name=f"{self.database_name}/*"),
            ],
        )

    def grant_maintenance(self, maintenance: iam.IGrantable) -> None:
        """Let `maintenance` put data files in the place of others and delete those that no table needs any more. What
        it deletes can be had back for as long as the bucket keeps versions, which it cannot delete.
        """
        for prefix in ("data/*", "lake/*", "receipts/*", "commits/*"):
            self.bucket.grant_read(maintenance, prefix)
        self.bucket.grant_put(maintenance, "lake/*")
        iam.Grant.add_to_principal(
            grantee=maintenance,
            actions=["s3:DeleteObject"],
            resource_arns=[self.bucket.arn_for_objects(prefix) for prefix in ("data/*", "lake/*", "evidence/*")],
        )
        stack = Stack.of(self)
        iam.Grant.add_to_principal(
            grantee=maintenance,
            actions=["glue:GetDatabase", "glue:GetTable", "glue:UpdateTable"],
            resource_arns=[
                stack.format_arn(service="glue", resource="catalog"),
                stack.format_arn(service="glue", resource="database", resource_name=self.database_name),
                *(
                    stack.format_arn(service="glue", resource="table", resource_name=f"{self.database_name}/{name}")
                    for name in TABLES
                ),
            ],
        )

    def grant_engine(self, engine: iam.IGrantable, *, workgroup: str) -> None:
        """Let `engine` rewrite the tables' files by queries in `workgroup`, and delete those that nobody reads."""
        for prefix in ("data/*", "lake/*"):
            self.bucket.grant_read(engine, prefix)
        self.bucket.grant_put(engine, "lake/*")
        iam.Grant.add_to_principal(
            grantee=engine,
            actions=["s3:DeleteObject"],  # as for maintenance: no versions
            resource_arns=[self.bucket.arn_for_objects(prefix) for prefix in ("data/*", "lake/*")],
        )
        self.bucket.grant_read(engine, "athena-results/*")
        self.bucket.grant_put(engine, "athena-results/*")
        stack = Stack.of(self)
        databases = [stack.format_arn(service="glue", resource="catalog")] + [
            # Athena asks for the default database too, see grant_aggregation
            stack.format_arn(service="glue", resource="database", resource_name=name)
            for name in (self.database_name, "default")
        ]
        tables = [
            stack.format_arn(service="glue", resource="table", resource_name=f"{self.database_name}/{name}")
            for name in TABLES
        ]
        group = stack.format_arn(service="athena", resource="workgroup", resource_name=workgroup)
        catalog = stack.format_arn(service="athena", resource="datacatalog", resource_name="AwsDataCatalog")
        for actions, resources in (
            (["glue:GetDatabase", "glue:GetTable"], databases + tables),
            (["glue:UpdateTable"], databases[:2] + tables),
            (["athena:GetQueryExecution", "athena:StartQueryExecution", "athena:StopQueryExecution"], [group]),
            (["athena:GetDataCatalog"], [catalog]),
        ):
            iam.Grant.add_to_principal(grantee=engine, actions=actions, resource_arns=resources)

    def _workgroup(self, settings: Settings, *, key: kms.IKey | None) -> athena.CfnWorkGroup:
        encryption = athena.CfnWorkGroup.EncryptionConfigurationProperty(
            encryption_option="SSE_KMS" if key else "SSE_S3", kms_key=key.key_arn if key else None
        )
        return athena.CfnWorkGroup(
            self,
            "Workgroup",
            name=NAME,
            description="SQL on the lake",
            recursive_delete_option=True,  # the query history and our named queries go with it, data does not
            work_group_configuration=athena.CfnWorkGroup.WorkGroupConfigurationProperty(
                enforce_work_group_configuration=True,
                publish_cloud_watch_metrics_enabled=True,
                bytes_scanned_cutoff_per_query=settings.scan_limit_bytes,
                result_configuration=athena.CfnWorkGroup.ResultConfigurationProperty(
                    output_location=self.bucket.s3_url_for_object("athena-results/"),
                    encryption_configuration=encryption,
                ),
            ),
        )

    def _save_queries(self) -> None:
        for path in sorted(QUERIES.glob("*.sql")):
            query = NamedQuery.read(path)
            athena.CfnNamedQuery(
                self,
                f"Query-{path.stem}",
                name=query.title,
                description=query.description,
                query_string=query.sql,
                database=self.database_name,
                work_group=self.workgroup_name,
            )


@dataclass(frozen=True)
class NamedQuery:
    """A file of `queries/`: its first line is `-- Title`, the comment lines after it say what it answers."""

    title: str
    description: str
    sql: str

    @classmethod
    def read(cls, path: Path) -> "NamedQuery":
        text = path.read_text()
        comments = [
            line.removeprefix("--").strip() for line in takewhile(lambda line: line.startswith("--"), text.splitlines())
        ]
        if not comments:
            raise ValueError(f"{path} starts with {text[:40]!r}, wanted a first line `-- Title`")
        return cls(title=comments[0], description=" ".join(comments[1:]), sql=text)


def _lifecycle(settings: Settings) -> list[s3.LifecycleRule]:
    rarely_read = [
        s3.Transition(
            storage_class=s3.StorageClass.INTELLIGENT_TIERING, transition_after=Duration.days(settings.tier_days)
        ),
        # An archive that answers at once: an engine that meets an old file reads it, slower billed, and never fails.
        s3.Transition(
            storage_class=s3.StorageClass.GLACIER_INSTANT_RETRIEVAL,
            transition_after=Duration.days(settings.archive_days),
        ),
    ]
    return [
        s3.LifecycleRule(id="waveforms", prefix="data/waveforms/", transitions=rarely_read),
        s3.LifecycleRule(id="compacted-waveforms", prefix="lake/waveforms/data/", transitions=rarely_read),
        s3.LifecycleRule(id="evidence", prefix="evidence/", transitions=rarely_read),
        _expire("receipts", "receipts/committed/", days=COMMITTED_DAYS),
        _expire("rule-errors", "rule-errors/", days=settings.errors_days),
        _expire("failed-batches", "aws/lambda/", days=settings.errors_days),
        _expire("results", "athena-results/", days=RESULTS_DAYS),
        s3.LifecycleRule(
            id="remains",
            abort_incomplete_multipart_upload_after=Duration.days(7),
            noncurrent_version_expiration=Duration.days(NONCURRENT_DAYS),
            expired_object_delete_marker=True,
        ),
    ]


def _expire(id_: str, prefix: str, *, days: int) -> s3.LifecycleRule:
    return s3.LifecycleRule(id=id_, prefix=prefix, expiration=Duration.days(days))
