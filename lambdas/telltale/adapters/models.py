"""Models of assets: every version for good in S3, and in DynamoDB which one is live and where its scoring stands.

  s3: models/<asset>/<version>/model.json    the model and its conditions; never changed
      models/<asset>/<version>/report.json   where it came from, its quality, the gate
  dynamodb: pk = live#<asset>                the live version, its revision, and everything that was promoted before

A version is named after the end of the range it learned from and the digest of its bytes: training again on the same
rows gives the same version. The pointer moves only from the revision that was read, so that two who promote at once do
not overwrite each other, and each move is kept with who, when and why.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from telltale import VERSION
from telltale.adapters.events import Event
from telltale.core import asset_model
from telltale.core.asset_model import Model
from telltale.core.tags import OffRule, off_rule
from telltale.core.training import Made, Wish

PREFIX = "models/"
DIGEST = 12  # hexadecimal digits of a version's name: 48 bits, of some thousand versions an asset
_VERSION = re.compile(r"[0-9]{8}T[0-9]{6}-[0-9a-f]{12}")


class NoModel(LookupError):
    """There is no such model, or none is live; the message says which was looked for."""


class Outdated(ValueError):
    """The model was made by a version of Telltale that scored otherwise: train again."""


class Moved(Exception):
    """Somebody else promoted a model of this asset at the same moment."""


@dataclass(frozen=True, eq=False)
class Stored:
    """One version. off : the rule by which the machine is off.   learned_s : first and last row learned from.

    known_s : last row there was when it was made.
    """

    asset: str
    version: str
    model: Model
    every_s: float
    off: str | None
    learned_s: tuple[float, float]
    known_s: float
    document: Mapping[str, Any]

    @property
    def off_rule(self) -> OffRule | None:
        return None if self.off is None else off_rule(self.off)

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags that scoring reads: the model's, and the one that says whether the machine is off."""
        rule = self.off_rule
        extra = () if rule is None or rule.tag in self.model.tags else (rule.tag,)
        return (*self.model.tags, *extra)


@dataclass(frozen=True)
class Promotion:
    """One move of the pointer, forward or back."""

    version: str
    t_ms: int
    by: str
    why: str
    back: bool = False


@dataclass(frozen=True)
class Live:
    """What is live of an asset. `history` : every promotion, the last one is what is live."""

    asset: str
    revision: int
    history: tuple[Promotion, ...]

    @property
    def version(self) -> str:
        return self.history[-1].version

    @property
    def before(self) -> str | None:
        """What a rollback brings back: the version whose place this one took, and after that the one before it."""
        stack: list[str] = []
        for one in self.history:
            if one.back:
                stack.pop()
            else:
                stack.append(one.version)
        return stack[-2] if len(stack) > 1 else None


class Models:
    """The store. `now_ms` : the time of promotions."""

    def __init__(self, s3: Any, dynamodb: Any, *, bucket: str, table: str, now_ms: Callable[[], int]) -> None:
        self._s3, self._dynamodb = s3, dynamodb
        self._bucket, self._table, self._now_ms = bucket, table, now_ms

    # --- Versions

    def add(self, asset: str, made: Made, wish: Wish, *, by: str) -> Stored:
        """Stores a candidate; what is stored already stays as it is."""
        document = as_document(asset, made, wish)
        body = _canonical(document)
        version = version_of(document, body)
        self._put_once(f"{PREFIX}{asset}/{version}/model.json", body)
        report = {"version": version, "trained_at_ms": self._now_ms(), "trained_by": by, **made.report}
        self._put_once(f"{PREFIX}{asset}/{version}/report.json", _canonical(report))
        return of_document(asset, version, document)

    def get(self, asset: str, version: str) -> Stored:
        """NoModel if there is none; ValueError if its bytes are not those it was named after."""
        body = self._read(f"{PREFIX}{asset}/{version}/model.json")
        if body is None:
            raise NoModel(f"{asset} has no model {version}")
        document = json.loads(body)
        if version_of(document, body) != version:
            raise ValueError(f"model {version} of {asset} was changed: its bytes are those of another")
        return of_document(asset, version, document)

    def report(self, asset: str, version: str) -> dict[str, Any]:
        """What is known of a version; empty if nothing is."""
        body = self._read(f"{PREFIX}{asset}/{version}/report.json")
        return {} if body is None else json.loads(body)

    def files(self, asset: str, version: str) -> dict[str, bytes]:
        """The objects of a version by name."""
        found = {name: self._read(f"{PREFIX}{asset}/{version}/{name}") for name in ("model.json", "report.json")}
        return {name: body for name, body in found.items() if body is not None}

    def versions(self, asset: str | None = None) -> list[tuple[str, str]]:
        """(asset, version) of all, or of one asset, oldest first."""
        pages = self._s3.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=PREFIX if asset is None else f"{PREFIX}{asset}/"
        )
        keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
        parts = [key.removeprefix(PREFIX).rsplit("/", 2) for key in keys if key.endswith("/model.json")]
        return sorted((of, version) for of, version, _ in parts if _VERSION.fullmatch(version))

    # --- The pointer

    def live(self, asset: str) -> Live | None:
        answer = self._dynamodb.get_item(TableName=self._table, Key=_pk(asset), ConsistentRead=True)
        return _live(answer["Item"]) if "Item" in answer else None

    def all_live(self) -> list[Live]:
        """Of every asset that has one."""
        pages = self._dynamodb.get_paginator("scan").paginate(TableName=self._table, ConsistentRead=True)
        items = [item for page in pages for item in page["Items"] if item["pk"]["S"].startswith("live#")]
        return sorted(map(_live, items), key=lambda one: one.asset)

    def promote(self, asset: str, version: str, *, by: str, why: str) -> Live:
        """Lets this version be live. NoModel if there is none such; Moved if somebody else was faster."""
        self.get(asset, version)
        before = self.live(asset)
        if before is not None and before.version == version:
            return before
        return self._move(asset, before, Promotion(version, self._now_ms(), by, why))

    def rollback(self, asset: str, *, by: str, why: str) -> Live:
        """Lets the version be live that was before. NoModel if there was none."""
        before = self.live(asset)
        if before is None or before.before is None:
            raise NoModel(f"{asset} has no model that was live before")
        return self._move(asset, before, Promotion(before.before, self._now_ms(), by, why, back=True))

    def _move(self, asset: str, before: Live | None, to: Promotion) -> Live:
        texts = {name: {"S": text} for name, text in (("version", to.version), ("by", to.by), ("why", to.why))}
        entry = {"M": {**texts, "t_ms": {"N": str(to.t_ms)}, "back": {"BOOL": to.back}}}
        values: dict[str, Any] = {
            ":entry": {"L": [entry]},
            ":none": {"L": []},
            ":next": {"N": str(before.revision + 1 if before else 1)},
        }
        if before is not None:
            values[":was"] = {"N": str(before.revision)}
        try:
            self._dynamodb.update_item(
                TableName=self._table,
                Key=_pk(asset),
                UpdateExpression="SET revision = :next, history = list_append(if_not_exists(history, :none), :entry)",
                ConditionExpression="attribute_not_exists(pk)" if before is None else "revision = :was",
                ExpressionAttributeValues=values,
            )
        except self._dynamodb.exceptions.ConditionalCheckFailedException as error:
            raise Moved(f"another model of {asset} was promoted at this moment") from error
        history = (*(before.history if before else ()), to)
        return Live(asset, before.revision + 1 if before else 1, history)

    # --- Objects

    def _put_once(self, key: str, body: bytes) -> None:
        try:
            self._s3.put_object(Bucket=self._bucket, Key=key, Body=body, IfNoneMatch="*")
        except ClientError as error:
            if error.response["Error"]["Code"] not in {"PreconditionFailed", "ConditionalRequestConflict"}:
                raise

    def _read(self, key: str) -> bytes | None:
        try:
            return bytes(self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read())
        except self._s3.exceptions.NoSuchKey:
            return None


def as_document(asset: str, made: Made, wish: Wish) -> dict[str, Any]:
    """What model.json holds: the same for the same rows, wish and code."""
    rule = None if wish.off is None else off_rule(wish.off)
    conditions = {
        "asset": asset,
        "every_s": wish.every_s,
        "off": None if rule is None else {"tag": rule.tag, "below": rule.below, "value": rule.value},
        "off_rule": wish.off,
        "drop": [],
        "learned_s": list(made.learned_s),
        "known_s": made.known_s,
        "abnormal_s": [list(one) for one in (*wish.labelled, *wish.left_out)],
        "code_version": VERSION,
    }
    return {**asset_model.as_json(made.model), "conditions": conditions}


def of_document(asset: str, version: str, document: Mapping[str, Any]) -> Stored:
    """ValueError for what as_document did not make; Outdated for what an older version of it made."""
    try:
        of = document["conditions"]
        first, last = of["learned_s"]
        every_s, off, known_s = of["every_s"], of["off_rule"], of["known_s"]
    except (KeyError, TypeError) as error:
        raise ValueError(f"model {version} of {asset}: not a stored model: {error!r}") from error
    try:
        model = asset_model.from_json(document)
    except ValueError as error:
        raise Outdated(f"model {version} of {asset} cannot be scored with any more: {error}: train again") from error
    return Stored(asset, version, model, every_s, off, (first, last), known_s, document)


def version_of(document: Mapping[str, Any], body: bytes) -> str:
    """The name of a version: the end of what it learned from, and the digest of its bytes."""
    last = datetime.fromtimestamp(document["conditions"]["learned_s"][1], UTC)
    return f"{last:%Y%m%dT%H%M%S}-{hashlib.sha256(body).hexdigest()[:DIGEST]}"


def model_promoted(live: Live) -> Event:
    """Another version of an asset's model is live."""
    last = live.history[-1]
    known = {"previous": live.history[-2].version} if len(live.history) > 1 else {}
    return Event(
        "Model Promoted",
        {
            "version": "1",
            "id": f"{live.asset}#{live.revision}",
            "asset": live.asset,
            "site": live.asset.split("/")[0],
            "model": last.version,
            **known,
            "t_ms": last.t_ms,
            "by": last.by,
            "why": last.why,
        },
    )


def _canonical(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


def _pk(asset: str) -> dict[str, dict[str, str]]:
    return {"pk": {"S": f"live#{asset}"}}


def _live(item: Mapping[str, Any]) -> Live:
    entries: Sequence[Mapping[str, Any]] = [entry["M"] for entry in item["history"]["L"]]
    history = tuple(
        Promotion(one["version"]["S"], int(one["t_ms"]["N"]), one["by"]["S"], one["why"]["S"], one["back"]["BOOL"])
        for one in entries
    )
    return Live(item["pk"]["S"].removeprefix("live#"), int(item["revision"]["N"]), history)
