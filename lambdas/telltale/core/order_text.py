"""What a work order says: title, description and the fields that a site's settings add.

A site may have templates of its own (`title`, `description`, `fields`) with names in braces: see NAMES. `{{` and `}}`
are braces. Nothing else of Python's formatting is taken, for a template comes from a file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from string import Formatter
from typing import Any

from telltale.core.explain import check_next, diagnosis_sentence, evidence_lines, fault_words, forecast_sentence
from telltale.core.judgement import CaseChange
from telltale.core.persistence import LEVELS
from telltale.core.plant import Position

TITLE = 100  # characters; enough for a name and a reason on a phone
MOST_NAMED = 50  # children that an order lists one by one
TREND = 6  # scores that a trend is told from: what persistence looks at
NAMES = (
    "severity", "position", "position_name", "asset", "asset_name", "site", "reason", "fault", "case_id", "key",
    "action", "spare_part", "manual", "link", "opened",
)  # fmt: skip


class BadTemplate(ValueError):
    """A template with a name that there is none of, or braces that do not match; the message says which."""


@dataclass(frozen=True)
class Place:
    """A case that another case's order names."""

    position: str
    change: CaseChange


@dataclass(frozen=True)
class About:
    """What an order is about.

    children : cases that it names beside its own.   key : of the order.   link : the evidence page; "" for none.
    asks : closure codes are given on that page, for the maintenance system has no fields for them.
    stock : how many of the spare part there are, in words; "" where nobody knows.
    no_asset : the asset that the maintenance system does not know; "" if it knows it, or was not asked.
    follows : the order before it, which cannot be opened again; "" for the first.
    """

    change: CaseChange
    position: Position
    key: str
    children: Sequence[Place] = ()
    link: str = ""
    asks: bool = False
    stock: str = ""
    no_asset: str = ""
    follows: str = ""

    @property
    def severity(self) -> str:
        """The worst of the case and those it stands for."""
        return max((self.change.severity, *(child.change.severity for child in self.children)), key=LEVELS.index)

    @property
    def name(self) -> str:
        """The place, as people call it."""
        return " ".join(filter(None, (self.position.asset_name, self.position.name))) or self.position.id


@dataclass(frozen=True)
class Text:
    """What an order says. `fields` : by the maintenance system's own names."""

    title: str
    description: str
    fields: Mapping[str, Any] = field(default_factory=dict)


def text(about: About, templates: Mapping[str, Any]) -> Text:
    """The order's text. templates : `title`, `description` and `fields` of a site's settings, as far as it has them.

    Raises BadTemplate.
    """
    values = _values(about)
    title, description = templates.get("title"), templates.get("description")
    return Text(
        title=shortened(filled(title, values) if title else _title(about)),
        description=filled(description, values) if description else "\n".join(_lines(about)),
        fields={
            name: filled(one, values) if isinstance(one, str) else one
            for name, one in (templates.get("fields") or {}).items()
        },
    )


def check(template: str) -> list[str]:
    """What is wrong in a template: names that there are none of, as they stand there; [] for a good one."""
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        return [str(error)]
    return [
        "{" + name + (f"!{conversion}" if conversion else "") + (f":{spec}" if spec else "") + "}"
        for _, name, spec, conversion in parts
        if name is not None and (name not in NAMES or spec or conversion)
    ]


def filled(template: str, values: Mapping[str, str]) -> str:
    """The template with its names replaced. Raises BadTemplate."""
    wrong = check(template)
    if wrong:
        raise BadTemplate(f"found {', '.join(wrong)} in {template!r}, wanted one of {', '.join(NAMES)}, in braces")
    return "".join(before + (values[name] if name else "") for before, name, _, _ in Formatter().parse(template))


def shortened(said: str) -> str:
    """One line of at most TITLE characters."""
    line = " ".join(said.split())
    return line if len(line) <= TITLE else line[: TITLE - 1] + "…"


def child_line(child: Place) -> str:
    """A child, as its parent's order lists it."""
    change = child.change
    return f"{change.severity} {child.position}, since {_moment(change.opened_ms)}: {change.reason} ({change.case_id})"


def trend_sentence(evidence: Mapping[str, Any]) -> str | None:
    """How the rule that says most has gone lately, as a share of its limit; None where it was never scored."""
    scored = {
        name: [one for one in scores if one is not None] for name, scores in evidence.get("last_scores", {}).items()
    }
    known = {name: scores[-TREND:] for name, scores in scored.items() if len(scores) > 1}
    if not known:
        return None
    name, scores = max(known.items(), key=lambda one: one[1][-1])
    how = "rising" if scores[-1] > scores[0] else "falling" if scores[-1] < scores[0] else "level"
    return f"{name} {how}, {scores[0]:.2f} to {scores[-1]:.2f} of its limit in the last {len(scores)} rows"


def _title(about: About) -> str:
    change, count = about.change, len(about.children)
    why = f"{fault_words(change.fault)}: {change.reason}" if change.fault else change.reason
    more = f" and {count} more place{'s' * (count > 1)}" if count else ""
    return f"{about.severity}: {about.name}{more}: {why}"


def _lines(about: About) -> list[str]:
    change, position, children = about.change, about.position, about.children
    facts = {
        "Where": f"{about.name} ({position.id})",
        "Severity": change.severity,
        "Since": _moment(change.opened_ms),
        "Why": change.reason,
        "Diagnosis": diagnosis_sentence(change.evidence),
        "Trend": trend_sentence(change.evidence),
        "Forecast": forecast_sentence(change.evidence),
        "Check next": check_next(change.evidence),
        "Suggested": position.action,
        "Spare part": f"{position.spare_part}{about.stock and f' ({about.stock})'}" if position.spare_part else None,
        "Manual": position.manual,
        "Asset": about.no_asset and f"{about.no_asset} is not known here, so the order names none",
        "Follows": about.follows,
        "Case": change.case_id,
        "Evidence": about.link,
        "When done": about.asks and about.link and f"say what it was and what was done at {about.link}",
    }
    lines = [f"{label}: {fact}" for label, fact in facts.items() if fact]
    lines += [f"- {line}" for line in evidence_lines(change.evidence)]
    lines += ["", f"Also, in {len(children)} more cases that have no order of their own:"] if children else []
    lines += [f"- {child_line(child)}" for child in children[:MOST_NAMED]]
    return lines + ([f"- and {len(children) - MOST_NAMED} more"] if len(children) > MOST_NAMED else [])


def _values(about: About) -> dict[str, str]:
    change, position = about.change, about.position
    return {
        "severity": about.severity,
        "position": position.id,
        "position_name": position.name or position.id.rsplit("/", 1)[-1],
        "asset": position.cmms_asset or position.asset,
        "asset_name": position.asset_name or position.asset.rsplit("/", 1)[-1],
        "site": position.site,
        "reason": change.reason,
        "fault": fault_words(change.fault) if change.fault else "",
        "case_id": change.case_id,
        "key": about.key,
        "action": position.action or "",
        "spare_part": position.spare_part or "",
        "manual": position.manual or "",
        "link": about.link,
        "opened": _moment(change.opened_ms),
    }


def _moment(t_ms: int) -> str:
    return f"{datetime.fromtimestamp(t_ms / 1000, UTC):%Y-%m-%d %H:%M} UTC"
