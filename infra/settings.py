"""What differs between stages: one frozen value, read from `stages` in cdk.json with `-c stage=NAME`."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from aws_cdk import RemovalPolicy
from aws_cdk import aws_logs as logs
from constructs import Node

LOG_RETENTION = {
    7: logs.RetentionDays.ONE_WEEK,
    30: logs.RetentionDays.ONE_MONTH,
    90: logs.RetentionDays.THREE_MONTHS,
    365: logs.RetentionDays.ONE_YEAR,
    731: logs.RetentionDays.TWO_YEARS,
}


LAKE_ENGINES = ("function", "athena")
MAY_BE_ZERO = ("pages_at_once",)


class BadSettings(ValueError):
    """The context does not describe a stage; the message says which key, what was found and what was wanted."""


@dataclass(frozen=True)
class Settings:
    """One stage. Every key must be given, for a default that differs between stages would be a guess."""

    stage: str
    keep_data: bool  # data outlives the stacks: retain, versions, deletion and termination protection
    customer_key: bool  # encrypt with a KMS key of one's own (about 1 USD a month and the calls), not one of AWS's
    on_demand_streams: bool  # Kinesis scales by itself and costs more; else `shards` a stream
    shards: int  # 1 MB or 1000 messages a second each
    stream_retention_hours: int  # 24 to 168: how long a fault of ours may last before captures are set aside
    commit_minutes: int  # how old the newest row in the lake may be
    aggregate_minutes: int  # how old the aggregates of a day that changes may be
    score_minutes: int  # how often models of assets judge what is new in the lake
    maintain_hours: int  # how often the tables are maintained: small files and old snapshots are cleared away
    lake_engine: str  # what compacts the tables: "function", or "athena" where one function cannot keep up
    stale_minutes: int  # how often silent sensors are looked for
    sweep_minutes: int  # how often cases that wait for a work order are looked for
    scan_limit_bytes: int  # an Athena query that would read more is cancelled
    log_days: int  # one of LOG_RETENTION
    tier_days: int  # raw waveforms move to Intelligent-Tiering
    archive_days: int  # raw waveforms move to Glacier Instant Retrieval
    errors_days: int  # what could not be delivered is kept this long for a redrive
    iot_logging: bool  # IoT Core has one logging setting an account and region: false leaves it to its owner
    monitron_stream: bool  # a Kinesis stream of events in Amazon Monitron's format, for consumers of its export
    hints_url: bool  # an address where maintenance systems tell of changes; open to all, believes only what is signed
    pages: bool  # the page that work orders and notices link to; open to all, shows only what a link was signed for
    pages_at_once: int  # at most, kept from the account's concurrency; 0: no limit but the account's
    alarm_email: str  # told when the line is in trouble; "" for nobody

    def __post_init__(self) -> None:
        if self.lake_engine not in LAKE_ENGINES:
            raise BadSettings(
                f"stage {self.stage}: lake_engine is {self.lake_engine!r}, wanted one of {list(LAKE_ENGINES)}"
            )
        if not 1 <= self.maintain_hours <= 24:
            raise BadSettings(f"stage {self.stage}: maintain_hours is {self.maintain_hours}, wanted 1 to 24")
        if self.log_days not in LOG_RETENTION:
            raise BadSettings(f"stage {self.stage}: log_days is {self.log_days}, wanted one of {list(LOG_RETENTION)}")
        if not 24 <= self.stream_retention_hours <= 168:
            raise BadSettings(
                f"stage {self.stage}: stream_retention_hours is {self.stream_retention_hours}, wanted 24 to 168, "
                "the longest that a Lambda event source mapping tells the age of a record"
            )
        if self.archive_days <= self.tier_days:
            raise BadSettings(
                f"stage {self.stage}: archive_days is {self.archive_days}, wanted more than tier_days, {self.tier_days}"
            )
        if self.alarm_email and not self.customer_key:
            raise BadSettings(
                f"stage {self.stage}: alarm_email needs customer_key true: CloudWatch cannot publish to a topic "
                "that is encrypted with AWS's own key"
            )

    @property
    def removal(self) -> RemovalPolicy:
        return RemovalPolicy.RETAIN if self.keep_data else RemovalPolicy.DESTROY

    @property
    def log_retention(self) -> logs.RetentionDays:
        return LOG_RETENTION[self.log_days]

    @classmethod
    def from_context(cls, node: Node) -> "Settings":
        return cls.of(node.try_get_context("stage"), node.try_get_context("stages"))

    @classmethod
    def of(cls, stage: str, stages: Mapping[str, Mapping[str, Any]]) -> "Settings":
        """The settings of `stage`; raises BadSettings."""
        if stage not in stages:
            raise BadSettings(f"stage {stage!r} is not in cdk.json, wanted one of {sorted(stages)}")
        given, wanted = stages[stage], {f.name: f.type for f in fields(cls) if f.name != "stage"}
        if given.keys() != wanted.keys():
            unknown, missing = sorted(given.keys() - wanted.keys()), sorted(wanted.keys() - given.keys())
            raise BadSettings(f"stage {stage}: unknown keys {unknown}, missing keys {missing}")
        for name, kind in wanted.items():
            _check(stage, name, given[name], kind)
        return cls(stage=stage, **given)


def _check(stage: str, name: str, value: Any, kind: Any) -> None:
    # bool is an int to isinstance, and `"shards": true` is a mistake
    if (isinstance(value, bool) and kind is not bool) or not isinstance(value, kind):
        raise BadSettings(f"stage {stage}: {name} is {value!r}, wanted {getattr(kind, '__name__', kind)}")
    least = 0 if name in MAY_BE_ZERO else 1
    if kind is int and value < least:
        raise BadSettings(f"stage {stage}: {name} is {value}, wanted {least} or more")
