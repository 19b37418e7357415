"""`telltale bench features` measures what it says, and its figures have the promised names."""

import argparse
import json
import subprocess
from typing import Any

import pytest
from cli import bench_features, feature_timing
from telltale.adapters.kinesis import by_shard

PROMISED = {
    "rfft_ratio", "rfft_ratio_26700", "best_fft_ratio", "diagnostic_ms", "handler_rfft_ratio", "scipy_speedup",
    "tsfel_speedup", "import_ms", "layer_mb",
}  # fmt: skip


def measured(monkeypatch: pytest.MonkeyPatch, **timing: Any) -> dict[str, Any]:
    """The figures, where every process answers at once."""

    def run(*arguments: str, **_: Any) -> str:
        return json.dumps(timing) if "cli.feature_timing" in arguments else "0.25"

    monkeypatch.setattr(bench_features, "_run", run)
    monkeypatch.setattr(bench_features, "_layer_mb", lambda: 136.0)
    return bench_features.figures(argparse.Namespace(rounds=1, without_tsfel=True))


def test_the_figures_are_one_flat_object_with_the_promised_names(monkeypatch: pytest.MonkeyPatch) -> None:
    timed = {"waveform_ms": 0.03, **dict.fromkeys(PROMISED - {"tsfel_speedup", "import_ms", "layer_mb"}, 1.0)}

    found = measured(monkeypatch, **timed)

    assert set(found) >= PROMISED
    assert found["tsfel_speedup"] is None
    assert (found["import_ms"], found["layer_mb"]) == (250, 136)
    assert bench_features.failed(found) is False


def test_where_tsfel_cannot_be_installed_it_is_said_and_its_figure_is_null(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_index(*command: Any) -> None:
        raise subprocess.CalledProcessError(2, "uv", stderr="no route to the index")

    monkeypatch.setattr(bench_features, "_quietly", no_index)

    assert bench_features._tsfel_ms() is None
    assert "no route to the index" in capsys.readouterr().out


def test_the_timed_captures_are_all_stored_with_their_features_and_files() -> None:
    event, extract = feature_timing.kinesis_event(feature_timing.records(300, 4096)), feature_timing.extracting()

    [(shard, records)] = by_shard(event).items()
    decision = extract.decide(shard, records)

    assert (decision.stored, decision.duplicate, decision.quarantined) == (100, 0, 0)
    assert {file.table: file.rows for file in decision.files} == {"captures": 100, "waveforms": 300, "features": 300}
    told = decision.effects["features"][0]["axes"]["x"]
    assert told["order_1_mm_s"] > 0
    assert told["env_bpfo_g"] > 0
    assert told["gear_mesh_g"] > 0


def test_the_split_of_the_time_adds_up(capsys: pytest.CaptureFixture[str]) -> None:
    event, extract = feature_timing.kinesis_event(feature_timing.records(300, 4096)), feature_timing.extracting()

    def run() -> None:
        [(shard, records)] = by_shard(event).items()
        extract.decide(shard, records)

    parts = feature_timing.split(run, rounds=1)

    assert {"routine set", "Parquet of waveforms", "capture: CBOR, checks", "the rest"} <= set(parts)
    assert all(seconds >= 0 for seconds in parts.values())


def test_things_that_are_compared_take_turns() -> None:
    turns: list[str] = []

    taken = feature_timing.alternate(3, lambda: turns.append("a"), lambda: turns.append("b"))

    assert "".join(turns) == "abababab"  # once to warm up
    assert [len(times) for times in taken] == [3, 3]
