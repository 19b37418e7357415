"""`telltale lake erase` and `lake retention` as a person uses them, on an emulated bucket, catalog and tables."""

import json
from typing import Any
from uuid import uuid4

import pytest
from cli import lake_erase, lake_retention
from telltale.adapters.cases import Cases
from telltale.adapters.changed_days import ChangedDays
from telltale.adapters.lease import Lease
from telltale.adapters.maintenance import LEASE
from telltale.adapters.registry import Registry
from telltale.core import schema
from telltale.core.plant import Assignment, Position, Sensor, Site

from tests.aws_line import change, make_table
from tests.command import telltale
from tests.contracts.conftest import REGION, client
from tests.contracts.test_erase import NOW, A, B, Place, reading
from tests.contracts.test_lake import DAY, T

pytestmark = pytest.mark.long  # MiniStack


class Here:
    """A deployment: the place, with a registry, cases and a progress table."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint, self.place = endpoint, Place(endpoint)
        self.environment = {"AWS_ENDPOINT_URL": endpoint, "AWS_REGION": REGION}
        self.outputs = {"LakeBucket": self.place.bucket, "GlueDatabase": self.place.database}
        for kind in ("registry", "cases", "progress"):
            name = f"{kind}-{uuid4().hex}"
            make_table(self.client("dynamodb"), name, kind)
            self.outputs[f"{kind.title()}Table"] = name
        for item in (Site("a"), Site("b"), Position(A), Sensor("s-1", (Assignment(A),))):
            self.registry.put(item)

    def client(self, service: str) -> Any:
        return client(service, self.endpoint)

    @property
    def registry(self) -> Registry:
        return Registry(self.client("dynamodb"), self.outputs["RegistryTable"])

    @property
    def cases(self) -> Cases:
        return Cases(self.client("dynamodb"), self.outputs["CasesTable"])


class Person:
    """At the command line."""

    def __init__(self, here: Here, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys
        for module in (lake_erase, lake_retention):
            monkeypatch.setattr(module, "current", lambda: here)
        monkeypatch.setattr(lake_erase, "_now_ms", lambda: NOW)

    def says(self, *arguments: str) -> tuple[int, str, str]:
        return telltale(["lake", *arguments], self._monkeypatch, self._capsys, columns=200)


@pytest.fixture
def here(ministack: str) -> Here:
    return Here(ministack)


@pytest.fixture
def person(here: Here, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Person:
    return Person(here, monkeypatch, capsys)


def test_an_erase_is_shown_first_then_done_with_pictures_and_a_record(here: Here, person: Person) -> None:
    place = here.place
    place.add(schema.READINGS, reading(1.0), reading(2.0, B))
    here.cases.put(A, change(2, "resolved", t_ms=T), changed_at=T)
    picture = f"evidence/{change().case_id}/1.svg"
    place.s3.put_object(Bucket=place.bucket, Key=picture, Body=b"")

    shown = person.says("erase", "--position", A)
    untouched = place.values()
    done = person.says("erase", "--position", A, "--yes", "--why", "asked to", "--by", "mia")

    assert (shown[0], untouched, done[0]) == (0, [1.0, 2.0], 0)
    assert "this is what --yes would erase of position a/hall/pump/de" in shown[1]
    assert f"position {A}: 1 rows and 1 pictures erased" in done[1]
    assert place.values() == [2.0]
    assert picture not in place.stored()
    [act] = place.rows(schema.ACTS)
    assert (act["kind"], act["by"], act["why"]) == ("erase", "mia", "asked to")


def test_it_asks_for_a_reason_and_refuses_evidence_of_open_cases(here: Here, person: Person) -> None:
    here.place.add(schema.READINGS, reading(1.0))
    without_reason = person.says("erase", "--position", A, "--yes")
    here.cases.put(A, change(), changed_at=T)
    refused = [
        person.says("erase", f"--{kind}", name) for kind, name in (("site", "a"), ("position", A), ("sensor", "s-1"))
    ]

    assert (without_reason[0], "--yes needs --why" in without_reason[2]) == (1, True)
    assert [(status, change().case_id in err) for status, _, err in refused] == [(1, True)] * 3
    assert here.place.values() == [1.0]


def test_a_name_that_nothing_has_is_told_with_the_one_that_was_perhaps_meant(here: Here, person: Person) -> None:
    here.place.add(schema.READINGS, reading(1.0))

    status, out, _ = person.says("erase", "--sensor", "s-l")

    assert (status, 'did you mean "s-1"?' in out) == (0, True)


def test_it_waits_for_maintenance(here: Here, person: Person) -> None:
    here.place.add(schema.READINGS, reading(1.0))
    held = Lease(
        here.client("dynamodb"),
        table=here.outputs["ProgressTable"],
        name=LEASE,
        owner="maintenance",
        lasts_ms=DAY,
        now_ms=lambda: NOW,
    )
    held.hold()

    status, _, err = person.says("erase", "--site", "a", "--yes", "--why", "asked to")

    assert (status, "maintenance of the lake is at work" in err, here.place.values()) == (1, True, [1.0])


def test_the_days_of_a_sensor_are_summed_up_anew(here: Here, person: Person) -> None:
    here.place.add(schema.READINGS, reading(1.0), reading(2.0, t_ms=T + DAY))

    status, out, _ = person.says("erase", "--sensor", "s-1", "--yes", "--why", "broken", "--json")

    days = ChangedDays(here.client("dynamodb"), here.outputs["ProgressTable"], now_ms=lambda: NOW).waiting()
    said = json.loads(out)
    assert (status, said["erased"], [(one["table"], one["rows"]) for one in said["tables"]]) == (
        0,
        True,
        [("readings", 2)],
    )
    assert [one.day for one in days] == ["2026-09-22", "2026-09-21"]


def test_retention_shows_the_rules_and_what_is_due(here: Here, person: Person) -> None:
    here.registry.put(Site("a", retention={"measurements": 7, "waveforms": 90}))
    here.place.add(schema.READINGS, reading(1.0), reading(2.0, B))

    status, out, _ = person.says("retention")

    assert status == 0
    assert [line.split() for line in out.splitlines()][1:3] == [["a", "90", "d", "7", "d"], ["b", "forever", "forever"]]
    assert "kept for good: judgements, cases, daily, imports, quarantine, pictures" in out
    assert "readings" in out
    assert here.place.values() == [1.0, 2.0]
