"""What Lookout for Equipment said, as rows of the lake: inference results as `scores`, ranges and figures of models as
`lookout_findings`, labels as `labels`.
"""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from telltale.core.closure import closure_from

from cli import time_columns
from cli.lookout_files import Places
from cli.problem import Problem
from cli.time_columns import OFFSET, Fault, TimeFormat

Row = dict[str, Any]
Lost = Counter[tuple[str, str]]

REASONS = ("ANOMALY_DETECTED", "NO_ANOMALY_DETECTED", "MACHINE_OFF")
OFF = REASONS[2]
RESULT_KEYS = frozenset({"timestamp", "prediction", "prediction_reason", "anomaly_score", "diagnostics"})
CODE_VERSION = "lookout"  # in place of Telltale's version: it did not judge
BY = "lookout"
RANGES = {"labeled_ranges": "labelled", "predicted_ranges": "predicted"}
NO_ANOMALY = "NO_ANOMALY"  # a rating of a label: looked at, and nothing was wrong
# Keys of descriptions by which they are told apart.
EVENTS, LABEL_LISTS, METRICS = "InferenceEventSummaries", "LabelSummaries", "ModelMetrics"


class NotSo(ValueError):
    """A line or entry that is not what Lookout wrote; the message says what was found and wanted."""


def result(line: bytes) -> Row:
    """A line of inference results, checked."""
    try:
        said = json.loads(line)
    except ValueError as error:
        raise NotSo(f"no JSON, or cut off: {error}") from error
    if not isinstance(said, dict) or not isinstance(said.get("timestamp"), str):
        raise NotSo("found no timestamp, wanted a line of inference results")
    reason = said.get("prediction_reason")
    prediction = said.get("prediction", 0 if reason == OFF else None)
    if prediction not in (0, 1) or isinstance(prediction, bool):
        raise NotSo(f"found the prediction {prediction!r}, wanted 0 or 1")
    reason = REASONS[0 if prediction else 1] if reason is None else reason
    if reason not in REASONS:
        raise NotSo(f"found the prediction_reason {reason!r}, wanted {', '.join(REASONS)}")
    score = said.get("anomaly_score")
    if score is not None and not _is_number(score):
        raise NotSo(f"found the anomaly_score {score!r}, wanted a number")
    shares = said.get("diagnostics") or []
    if not isinstance(shares, list) or not all(_is_share(one) for one in shares):
        raise NotSo("found diagnostics that are no list of name and value")
    return {**said, "prediction": prediction, "prediction_reason": reason, "diagnostics": shares}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_share(one: object) -> bool:
    return isinstance(one, dict) and isinstance(one.get("name"), str) and _is_number(one.get("value"))


def score_rows(results: Sequence[Row], places: Places, *, model: str) -> tuple[list[tuple[Row | None, str]], Lost]:
    """For each result a row of `scores` (times in microseconds), or what is wrong with it."""
    lost: Lost = Counter()
    named = next((said["diagnostics"][0]["name"] for said in results if said["diagnostics"]), "")
    same = {"asset": places.asset, "site": places.asset.split("/")[0], "model": model, "code_version": CODE_VERSION}
    same["position"] = places.position(named.rpartition("\\")[0] or "process")
    rows: list[tuple[Row | None, str]] = []
    for said, (t_us, fault) in zip(results, instants([one["timestamp"] for one in results], places), strict=True):
        if fault:
            rows.append((None, fault))
            continue
        shares = [{"name": one["name"], "value": one["value"]} for one in said["diagnostics"]]
        for name in said.keys() - RESULT_KEYS:
            lost[f"field {name}", "not one that Lookout wrote"] += 1
        own = {
            "t": t_us,
            "scored_at": t_us,
            "score": said.get("anomaly_score"),
            "prediction": said["prediction"],
            "prediction_reason": said["prediction_reason"],
            "contributions": json.dumps(shares, separators=(",", ":")) if shares else None,
        }
        rows.append((same | own, ""))
    return rows, lost


def instants(values: Sequence[object], places: Places) -> list[tuple[int, str]]:
    """Microseconds since 1970, and what is wrong with each: "" for none. Numbers are seconds, texts any time."""
    texts = [value if isinstance(value, str) else repr(value) if _is_number(value) else "" for value in values]
    found: list[tuple[int, str]] = [(0, "")] * len(texts)
    with_offset = np.array([time_columns.has_offsets([text]) for text in texts], bool)
    numbers = np.array([_is_number(value) for value in values], bool)
    plain = ~with_offset & ~numbers
    as_written = _plain_format([text for text, is_plain in zip(texts, plain, strict=True) if is_plain], places)
    told: list[tuple[NDArray[np.bool_], TimeFormat]] = [
        (numbers, TimeFormat("s")),
        (with_offset & ~numbers, TimeFormat("iso", OFFSET)),
        (plain, as_written),
    ]
    for mine, form in told:
        rows = np.flatnonzero(mine)
        parsed = time_columns.parsed(pa.array([texts[row] for row in rows], pa.string()), form, latest_us=1 << 62)
        for row, t_us, fault in zip(rows.tolist(), parsed.t_us.tolist(), parsed.faults.tolist(), strict=True):
            words = "" if not fault else f'found the time "{texts[row][:80]}": {form.words(Fault(fault))}'
            found[row] = (t_us, words)
    return found


def _plain_format(texts: Sequence[str], places: Places) -> TimeFormat:
    """Results are always in ISO's form; labels are as people wrote them."""
    if not texts:
        return TimeFormat("iso", places.zone)
    try:
        return places.times(texts)
    except Problem:
        if places.pattern is None and not time_columns.fitting(texts, latest_us=1 << 62):
            return TimeFormat("iso", places.zone)
        raise


# ---- labels --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Label:
    """An abnormal range as it was given: start and end may be text or numbers."""

    start: object
    end: object
    rating: str | None = None
    code: str | None = None
    note: str | None = None
    equipment: str | None = None


def label_rows(labels: Sequence[Label], places: Places) -> list[tuple[Row | None, str]]:
    """For each a row of `labels` (times in microseconds), or what is wrong with it."""
    starts = instants([label.start for label in labels], places)
    ends = instants([label.end for label in labels], places)
    found: list[tuple[Row | None, str]] = []
    for label, (start, wrong), (end, wrong_end) in zip(labels, starts, ends, strict=True):
        if wrong or wrong_end or end < start:
            words = wrong or wrong_end or f"ends at {label.end} before it begins at {label.start}"
            found.append((None, words))
            continue
        found.append((_label_row(label, start, end, places), ""))
    return found


def _label_row(label: Label, start: int, end: int, places: Places) -> Row:
    position = places.position(label.equipment or "process")
    code = "NO_ISSUE" if label.rating == NO_ANOMALY else label.code
    closed = closure_from({"failure_mode": code, "note": label.note} if code else {"note": label.note})
    name = hashlib.sha256(f"{position} {start} {end}".encode()).hexdigest()[:20]
    return {
        "case_id": f"lookout-{name}",
        "position": position,
        "site": position.split("/")[0],
        "t": end,
        "opened_at": start,
        "failure_mode": closed.failure_mode,
        "failure_cause": closed.failure_cause,
        "action_taken": closed.action_taken,
        "by": BY,
        "note": closed.note or None,
    }


# ---- what the service said of models ---------------------------------------------------------------


@dataclass
class Described:
    """What a document holds. `model` has what the plant file can take of it."""

    labels: list[Label] = field(default_factory=list)
    findings: list[Row] = field(default_factory=list)
    model: dict[str, Any] = field(default_factory=dict)
    lost: Lost = field(default_factory=Counter)


def described(document: Any, places: Places, *, model: str) -> Described:
    """Labels, events or a model. NotSo for what is none of them."""
    found = Described()
    entries = document if isinstance(document, list) else None
    if entries is not None and entries and all(isinstance(one, dict) for one in entries):
        document = {LABEL_LISTS: entries} if "Rating" in entries[0] else {EVENTS: entries}
    if not isinstance(document, dict):
        raise NotSo("found neither labels nor events nor a model")
    if isinstance(document.get(LABEL_LISTS), list):
        found.labels = [_label(one) for one in document[LABEL_LISTS] if isinstance(one, dict)]
    elif isinstance(document.get(EVENTS), list):
        ranges = [one for one in document[EVENTS] if isinstance(one, dict)]
        found.findings = _events(ranges, places, model)
    elif METRICS in document or "ModelName" in document:
        name = str(document.get("ModelName") or model)
        metrics = _metrics_of(document)
        end = document.get("EvaluationDataEndTime") or document.get("TrainingDataEndTime")
        found.findings = _metrics(metrics, places, name, end)
        found.model = _model(document, places)
        _lose(document, found.lost)
    elif document.keys() & {*RANGES, "labeled_event_metrics", "unknown_event_metrics"}:
        found.findings = _metrics(document, places, model, None)
    else:
        raise NotSo(f"found JSON with {', '.join(list(document)[:6])}: neither labels nor events nor a model")
    return found


def _metrics_of(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """ModelMetrics, which the service gives as JSON in a text."""
    metrics = document.get(METRICS) or {}
    if isinstance(metrics, str):
        try:
            metrics = json.loads(metrics)
        except ValueError as error:
            raise NotSo(f"found {METRICS} that are no JSON: {error}") from error
    if not isinstance(metrics, dict):
        raise NotSo(f"found {METRICS} that are no mapping")
    return metrics


def _label(entry: Mapping[str, Any]) -> Label:
    texts = {name: entry.get(name) for name in ("Rating", "FaultCode", "Notes", "Equipment")}
    rating, code, note, equipment = (None if text is None else str(text) for text in texts.values())
    return Label(entry.get("StartTime"), entry.get("EndTime"), rating, code, note, equipment)


def _finding(places: Places, model: str, kind: str, name: str, t_us: int, **more: Any) -> Row:
    site = places.asset.split("/")[0]
    return {"asset": places.asset, "site": site, "model": model, "kind": kind, "name": name, "t": t_us, **more}


def _events(entries: Sequence[Mapping[str, Any]], places: Places, model: str) -> list[Row]:
    starts = _times([one.get("EventStartTime") for one in entries], places)
    ends = _times([one.get("EventEndTime") for one in entries], places)
    return [
        _finding(
            places,
            str(one.get("InferenceSchedulerName") or model),
            "event",
            _name(start),
            end,
            start=start,
            diagnostics=_text(one.get("Diagnostics")),
        )
        for one, start, end in zip(entries, starts, ends, strict=True)
    ]


def _name(t_us: int) -> str:
    return f"{datetime.fromtimestamp(t_us // 1_000_000, UTC):%Y-%m-%dT%H:%M:%S}"


def _times(values: Sequence[object], places: Places) -> list[int]:
    found = instants(values, places)
    wrong = next((words for _, words in found if words), None)
    if wrong is not None:
        raise NotSo(wrong)
    return [t_us for t_us, _ in found]


def _metrics(metrics: Mapping[str, Any], places: Places, model: str, end: object) -> list[Row]:
    """Each figure, and each range, of a model's evaluation."""
    ranges = []
    for key, kind in RANGES.items():
        given = metrics.get(key) or []
        listed = [one for one in given if isinstance(one, dict)] if isinstance(given, list) else []
        starts = _times([one.get("start") for one in listed], places)
        ends = _times([one.get("end") for one in listed], places)
        for one, start, until in zip(listed, starts, ends, strict=True):
            extra = {name: value for name, value in one.items() if name not in ("start", "end", "diagnostics")}
            more = {"start": start, "diagnostics": _text(one.get("diagnostics")), "extra": _text(extra or None)}
            ranges.append(_finding(places, model, kind, _name(start), until, **more))
    if end is not None:
        [last] = _times([end], places)
    elif ranges:
        last = max(row["t"] for row in ranges)
    else:
        raise NotSo("found figures of a model without a time: wanted EvaluationDataEndTime beside them, or ranges")
    figures = _figures({name: value for name, value in metrics.items() if name not in RANGES})
    return [*ranges, *(_finding(places, model, "metric", name, last, value=value) for name, value in figures)]


def _figures(tree: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, float]]:
    for name, value in tree.items():
        own = f"{path}.{name}" if path else name
        if isinstance(value, dict):
            yield from _figures(value, own)
        elif _is_number(value):
            yield own, float(value)


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value, separators=(",", ":"))


TAKEN = frozenset(
    {
        "ModelName",
        METRICS,
        "OffCondition",
        "DataPreProcessingConfiguration",
        "EvaluationDataEndTime",
        "TrainingDataStartTime",
        "TrainingDataEndTime",
    }
)


def _model(document: Mapping[str, Any], places: Places) -> dict[str, Any]:
    """What the plant file says of a model: interval, off rule, how far back it learns."""
    found: dict[str, Any] = {}
    sampling = document.get("DataPreProcessingConfiguration")
    every = sampling.get("TargetSamplingRate") if isinstance(sampling, dict) else None
    if isinstance(every, str) and (text := duration(every)):
        found["every"] = text
    if document.get("OffCondition"):
        found["off"] = off_rule(str(document["OffCondition"]), places)
    span = [document.get(name) for name in ("TrainingDataStartTime", "TrainingDataEndTime")]
    if all(span):
        start, end = _times(span, places)
        found["history"] = f"{max(1, round((end - start) / 86_400e6))}d"
    return found


def _lose(document: Mapping[str, Any], lost: Lost) -> None:
    for name, value in document.items():
        if name not in TAKEN and value not in (None, "", [], {}):
            lost[f"model: {name}", "has no counterpart"] += 1


def duration(text: str) -> str | None:
    """`PT5M` as the plant file writes it: `5min`."""
    units = {"S": "s", "M": "min", "H": "h"}
    number, unit = text[2:-1], text[-1:]
    return f"{number}{units[unit]}" if text.startswith("PT") and number.isdecimal() and unit in units else None


def off_rule(text: str, places: Places) -> str:
    r"""`pump\Speed<100` with the tag as our models call it. NotSo for what is no such rule."""
    for mark in "<>":
        name, found, value = text.partition(mark)
        if found:
            try:
                return f"{places.tag(name.strip())}{mark}{float(value):g}"
            except ValueError:
                break
    raise NotSo(f'found the off-time "{text}", wanted component\\sensor<value or >value')
