"""An import into a lake: exactly once, whatever stops it, and nothing of the line's is disturbed. On MiniStack."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from cli import importing
from cli.deployment import Deployment
from cli.import_files import LocalFile, find
from cli.import_monitron import Monitron
from cli.importing import Deployed, Summary
from cli.quarantine import chosen
from cli.reconcile import reconcile
from cli.set_aside import entries
from telltale.adapters.receipts import PENDING, Receipt

from tests.contracts.conftest import REGION
from tests.contracts.test_commit import Place
from tests.unit.test_import_monitron import EVERY, NOW, STORY, numbered, text

LISTED = {"CapturesStream": "captures", "FeaturesStream": "features"}


class Lake(Place):
    """A lake that is imported into."""

    def __init__(self, endpoint: str, folder: Path) -> None:
        super().__init__(endpoint)
        outputs = {"LakeBucket": self.bucket, "GlueDatabase": self.database, "ProgressTable": self.table, **LISTED}
        self.deployment = Deployment(outputs, {"AWS_ENDPOINT_URL": endpoint, "AWS_REGION": REGION})
        self.folder = folder

    def file(self, name: str, body: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(body)
        return path

    def imported(self, *paths: Path, lake: Deployed | None = None, **how: Any) -> Summary:
        source = Monitron([LocalFile(path) for path in paths], now_ms=lambda: NOW, **how)
        return importing.carried_out(source, lake or Deployed(self.deployment))

    def ids(self) -> list[str]:
        return sorted(row["event_id"] for row in self.rows("monitron_events"))


class Killed(Exception):
    pass


class Failing(Deployed):
    """Dies at the n-th thing it writes, before it is written or just after."""

    def __init__(self, deployment: Deployment, at: int, *, after: bool) -> None:
        super().__init__(deployment)
        self._left, self._after = at, after

    def put(self, key: str, body: bytes) -> None:
        self._dies(after=False)
        super().put(key, body)
        self._dies(after=True)

    def publish(self, receipt: Receipt) -> None:
        self._dies(after=False)
        super().publish(receipt)
        self._dies(after=True)

    def _dies(self, *, after: bool) -> None:
        if after == self._after:
            self._left -= 1
            if self._left == 0:
                raise Killed


@pytest.fixture
def lake(ministack: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    monkeypatch.setenv("AWS_ENDPOINT_URL", ministack)
    monkeypatch.setenv("AWS_REGION", REGION)
    return Lake(ministack, tmp_path)


def test_what_is_imported_waits_for_the_committer_and_is_then_in_the_tables(lake: Lake) -> None:
    summary = lake.imported(lake.file("a.json", text(EVERY)))
    lake.commit()

    assert (summary.records, summary.stored) == (len(EVERY), len(EVERY))
    assert lake.ids() == sorted(one["eventId"] for one in EVERY)
    assert (len(lake.rows("captures")), len(lake.rows("cases")), len(lake.rows("labels"))) == (1, len(STORY), 1)
    batches = {row["stream"]: row for row in lake.rows("batches") if row["records"]}
    assert (batches["monitron"]["function"], batches["monitron"]["records"]) == ("import", len(EVERY))


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", [1, 6, 15])
def test_an_import_that_was_killed_goes_on_and_stores_each_event_once(at: int, after: bool, lake: Lake) -> None:
    path = lake.file("a.json", text([*numbered(12), *STORY]))
    how: dict[str, Any] = {"chunk_bytes": 1}  # a chunk for each block

    with suppress(Killed), small_blocks():
        lake.imported(path, lake=Failing(lake.deployment, at, after=after), **how)
    lake.commit()  # in between, or not: it makes no difference to what comes out
    with small_blocks():
        summary = lake.imported(path, **how)
    lake.commit()

    assert lake.ids() == sorted([f"m-{n}" for n in range(12)] + [one["eventId"] for one in STORY])
    assert sorted(row["revision"] for row in lake.rows("cases")) == [1, 2, 3, 4]
    assert (summary.records, summary.stored, summary.duplicate) == (16, 16, 0)
    assert summary.adds_up


class small_blocks:  # noqa: N801 -- reads like a function
    """Blocks of a few events."""

    def __enter__(self) -> None:
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr("cli.monitron_text.blocks.__kwdefaults__", {"size": 7000})

    def __exit__(self, *_: object) -> None:
        self.patch.undo()


@pytest.mark.parametrize("committed", [False, True], ids=["pending", "committed"])
def test_what_the_lake_has_or_will_have_is_a_duplicate(committed: bool, lake: Lake) -> None:
    lake.imported(lake.file("a.json", text(numbered(5))))
    if committed:
        lake.commit()

    summary = lake.imported(lake.file("b.json", text(numbered(8))))
    lake.commit()

    assert (summary.stored, summary.duplicate) == (3, 5)
    assert lake.ids() == sorted(f"m-{n}" for n in range(8))


def test_an_import_is_not_repeated_when_its_receipts_are_long_gone(lake: Lake) -> None:
    path = lake.file("a.json", text(numbered(3)))
    lake.imported(path)
    lake.commit()
    for key in lake.keys("receipts/committed/import/"):
        lake.s3.delete_object(Bucket=lake.bucket, Key=key)

    again = lake.imported(path)

    assert (again.records, again.earlier) == (3, 3)
    assert lake.keys(PENDING) == []


def test_a_dry_run_counts_the_same_and_writes_nothing(lake: Lake) -> None:
    lake.imported(lake.file("a.json", text(numbered(2))))
    lake.commit()
    before = lake.keys("")
    source = Monitron([LocalFile(lake.file("b.json", text([*numbered(4), *STORY])))], now_ms=lambda: NOW)

    summary = importing.carried_out(source, Deployed(lake.deployment), dry_run=True)

    assert (summary.records, summary.stored, summary.duplicate) == (8, 6, 2)
    assert summary.rows["cases"] == len(STORY)
    assert lake.keys("") == before


def test_the_books_of_the_line_add_up_beside_an_import(lake: Lake) -> None:
    lake.imported(lake.file("a.json", text(numbered(3)) + b"\nnot an event"))
    lake.commit()

    found = reconcile(lake.deployment)

    assert found.problems == ()
    assert (found.records, found.capture_rows, found.quarantine_rows) == (0, 0, 1)


def test_what_an_import_refused_is_listed_and_not_put_on_a_stream(lake: Lake) -> None:
    lake.imported(lake.file("a.json", b"not an event"))
    lake.commit()

    [entry] = entries(lake.deployment)

    assert entry.id.startswith("import/")
    assert "a.json:1" in entry.detail
    assert not chosen([entry], [entry.id], None)[0].replayable


def test_objects_of_a_bucket_are_read_in_ranges(lake: Lake) -> None:
    for name, events in (("one", numbered(2)), ("two.json", numbered(4)[2:])):
        lake.s3.put_object(Bucket=lake.bucket, Key=f"monitron/{name}", Body=text(events))
    files = find([f"s3://{lake.bucket}/monitron/"], (".json",), s3=lambda: lake.s3)

    with files[0].open() as stream:
        stream.seek(5)
        middle = stream.read(20)
    summary = importing.carried_out(Monitron(files, now_ms=lambda: NOW), Deployed(lake.deployment))

    assert middle == text(numbered(2))[5:25]
    assert summary.stored == 4


def test_two_imports_of_the_same_at_once_store_it_once(lake: Lake) -> None:
    path = lake.file("a.json", text(numbered(6)))
    lakes: Sequence[Deployed] = [Deployed(lake.deployment), Deployed(lake.deployment)]  # both see an empty lake

    for one in lakes:
        lake.imported(path, lake=one)
    lake.commit()

    assert lake.ids() == sorted(f"m-{n}" for n in range(6))
