"""What every import has in common: items are stored once, and what is said of it adds up."""

import io
import json
from argparse import Namespace
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from cli import importing
from cli.import_files import Input, LocalFile, grouped, unpacked
from cli.import_seen import Seen, hashed
from cli.importing import Bad, Chunk, Folder, Known, Part, Stored
from hypothesis import given, settings
from hypothesis import strategies as st
from telltale.core import schema
from telltale.core.errors import Reason

from tests.command import telltale

T = 1_790_000_000_000
KEYS = st.lists(st.integers(0, 50), max_size=40)


@settings(max_examples=30, deadline=None)
@given(batches=st.lists(KEYS, max_size=8), in_memory=st.integers(1, 30))
def test_a_key_is_new_once(batches: list[list[int]], in_memory: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    seen, known = Seen(tmp_path_factory.mktemp("seen"), in_memory=in_memory), set()
    for keys in batches:
        new = seen.add(np.array(keys, np.uint64))
        expected = []
        for key in keys:
            expected.append(key not in known)
            known.add(key)
        assert new.tolist() == expected
    assert len(seen) == len(known)


def test_hashes_tell_rows_apart_and_columns_from_each_other() -> None:
    keys = hashed(pa.chunked_array([["a", "b", "a"]]), pa.chunked_array([["b", "a", "b"]]))

    assert keys[0] == keys[2] != keys[1]


class Numbers:
    """A source of readings: each file has a number a line, and ten of them are a chunk."""

    kind, noun = "numbers", "numbers"

    def __init__(self, *paths: Path) -> None:
        self.paths = paths
        self.read: list[int] = []
        self.known = (Known(schema.READINGS, ("value",), lambda rows: rows["value"].to_numpy().astype(np.uint64)),)

    def inputs(self) -> Sequence[Input]:
        return list(grouped(map(LocalFile, self.paths)))

    def chunks(self, given: Input, done: Collection[int]) -> Iterator[Chunk]:
        with given.files[0].open() as stream:
            lines = stream.read().splitlines()
        for number in range(0, len(lines), 10):
            self.read.append(number)
            some = lines[number : number + 10]
            good = np.array([int(line) for line in some if line.isdigit()], np.uint64)
            bad = [
                Bad(given.name, number + place + 1, Reason.BAD_FIELD, "no number", line)
                for place, line in enumerate(some)
                if not line.isdigit()
            ]
            rows = pa.table(
                {
                    **{name: ["x"] * len(good) for name in ("capture_id", "position", "site", "sensor", "tag")},
                    "t": pa.array([T + int(n) * 3_600_000 for n in good], pa.timestamp("ms", "UTC")),
                    "value": good.astype(float),
                }
            )
            yield Chunk(number // 10, good, [Part(schema.READINGS, rows)], bad, {("color", "none"): 1})

    def finish(self, lake: Stored) -> Iterator[tuple[str, Chunk]]:
        return iter(())

    def notes(self) -> Sequence[str]:
        return ["look at it"]


def numbers(path: Path, *values: object) -> Path:
    path.write_text("\n".join(map(str, values)))
    return path


def test_in_is_stored_and_duplicate_and_quarantined(tmp_path: Path) -> None:
    lake = Folder(tmp_path / "lake")

    summary = importing.carried_out(Numbers(numbers(tmp_path / "a", *range(25), "x", 3, 24)), lake)

    counts = (summary.records, summary.stored, summary.duplicate, summary.quarantined)
    assert counts == (28, 25, 2, 1)
    assert summary.adds_up
    assert sorted(lake.rows(schema.READINGS)["value"].to_pylist()) == list(range(25))
    assert lake.rows(schema.QUARANTINE)["payload"].to_pylist() == [b"x"]
    assert summary.lost == {("color", "none"): 3}


def test_the_same_bytes_under_two_names_are_read_once(tmp_path: Path) -> None:
    source = Numbers(numbers(tmp_path / "a", 1, 2), numbers(tmp_path / "b", 1, 2))

    assert importing.carried_out(source, Folder(tmp_path / "lake")).records == 2


def test_another_option_is_another_input(tmp_path: Path) -> None:
    files = [LocalFile(numbers(tmp_path / "a", 1))]

    [one], [same], [other] = (list(grouped(files, options=options)) for options in ("x", "x", "y"))

    assert one.digest == same.digest != other.digest


def test_small_files_are_read_together(tmp_path: Path) -> None:
    files = [LocalFile(numbers(tmp_path / str(n), "12345")) for n in range(5)]

    assert [len(one.files) for one in grouped(files, bytes_each=10)] == [2, 2, 1]


def test_a_stream_that_is_not_packed_is_left_as_it_is() -> None:
    assert unpacked(io.BytesIO(b"plain")).read() == b"plain"


@pytest.mark.parametrize("dry_run", [True, False])
def test_the_report_has_what_was_lost_and_refused(
    dry_run: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lake, written = Folder(tmp_path / "lake"), tmp_path / "report.json"
    path = numbers(tmp_path / "a", 1, "x")
    args = Namespace(dry_run=dry_run, report=written, json=False)

    status = importing.run(Numbers(path), args, lake)

    found = json.loads(written.read_text())
    told = capsys.readouterr().out
    assert status == 0
    assert (found["records"], found["stored"], found["quarantined"]) == (2, 1, 1)
    assert found["lost"] == [{"what": "color", "why": "none", "count": 1}]
    assert found["refused"] == [{"file": str(path), "line": 2, "reason": "bad_field", "detail": "no number"}]
    assert f"{path}:2: bad_field: no number" in told
    assert "look at it" in told
    assert ("nothing was written" in told) == dry_run == (not lake.receipts())


def test_a_place_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, told = telltale(["import", "monitron", "/no/such/file"], monkeypatch, capsys)

    assert status == 1
    assert "/no/such/file: no such file or folder" in told
