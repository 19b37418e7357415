"""What each function is told by its environment: one typed object a function, read once, at the edge.

A field is the variable of the same name in capitals; one that is missing raises KeyError naming it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Self


@dataclass(frozen=True)
class _FromEnvironment:
    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        return cls(**{field.name: env[field.name.upper()] for field in fields(cls)})


@dataclass(frozen=True)
class ExtractSettings(_FromEnvironment):
    lake_bucket: str
    registry_table: str
    progress_table: str
    features_stream: str
    bus_name: str


@dataclass(frozen=True)
class CommitSettings(_FromEnvironment):
    lake_bucket: str
    glue_database: str
    progress_table: str


@dataclass(frozen=True)
class MaintainSettings(_FromEnvironment):
    lake_bucket: str
    lake_engine: str  # what compacts: function, or athena
    glue_database: str
    registry_table: str
    cases_table: str
    progress_table: str


@dataclass(frozen=True)
class AggregateSettings(_FromEnvironment):
    lake_bucket: str
    glue_database: str
    workgroup: str
    progress_table: str
    query_engine: str  # athena, or duckdb on one computer


@dataclass(frozen=True)
class DetectSettings(_FromEnvironment):
    lake_bucket: str
    registry_table: str
    states_table: str
    cases_table: str
    progress_table: str
    bus_name: str
    topic_arn: str  # that it is in this account and region, which events in Monitron's format name
    monitron_stream: str  # "" where the stage has none


@dataclass(frozen=True)
class WorkOrdersSettings(_FromEnvironment):
    registry_table: str
    states_table: str
    cases_table: str
    ledger_table: str
    logbook_table: str
    features_stream: str
    bus_name: str
    topic_arn: str
    webhook_secret_arn: str
    cmms_secrets_arn: str
    lake_bucket: str
    orders_queue_url: str
    link_key_arn: str
    pages_url: str  # "" where the stage has no page


@dataclass(frozen=True)
class PageSettings(_FromEnvironment):
    lake_bucket: str
    registry_table: str
    cases_table: str
    orders_queue_url: str
    notices_queue_url: str  # "" where nobody sends notices
    link_key_arn: str


@dataclass(frozen=True)
class NoticesSettings(_FromEnvironment):
    registry_table: str
    cases_table: str
    notices_table: str
    people_topic_arn: str
    cmms_secrets_arn: str  # addresses of webhooks are among them
    link_key_arn: str
    pages_url: str  # "" where the stage has no page


@dataclass(frozen=True)
class StaleSettings(_FromEnvironment):
    registry_table: str
    states_table: str
    bus_name: str
    topic_arn: str  # as of DetectSettings
    monitron_stream: str


@dataclass(frozen=True)
class ProvisioningSettings(_FromEnvironment):
    registry_table: str


@dataclass(frozen=True)
class ScoreSettings(_FromEnvironment):
    lake_bucket: str
    glue_database: str
    registry_table: str
    models_table: str
    progress_table: str
    features_stream: str
    bus_name: str


@dataclass(frozen=True)
class TrainSettings(_FromEnvironment):
    lake_bucket: str
    glue_database: str
    registry_table: str
    cases_table: str
    models_table: str
    bus_name: str
