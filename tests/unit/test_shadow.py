"""A shadow knows what was live when it began; a plant file takes its settings and stays as it was otherwise."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cli import plant_edit, plant_file
from cli.deployment import ROOT
from cli.plant_edit import edited, snippet
from telltale.core.plant import Limits, Position
from telltale.core.shadow import Act, Shadow, fingerprint

PUMP = Position("hall/line/pump/de", settings={"growth": 2.5})
STARTED = Act("started", 1_000, "mia", "late warnings")
SHADOW = Shadow("tight", {PUMP.id: fingerprint(PUMP)}, (STARTED,), {"growth": 2.0})
FILE = """\
sites:
  hall:      # the big one
    areas:
      line:
        assets:
          pump:
            machine_class: iso10816-1/II
            settings: {warmup: 50}
            positions:
              de:
                name: drive end   # said by mia
                settings:
                  growth: 2.5     # as in March
                limits: {velocity_alarm_mm_s: 9}
              nde:
                sensor: s-2
              top: {name: top}
              bare:
"""


def test_a_shadow_runs_until_it_is_promoted_or_stopped_and_then_no_more() -> None:
    stopped = SHADOW.after(Act("stopped", 2_000, "mia", "no better"))

    assert (SHADOW.state, SHADOW.since_ms, stopped.state) == ("running", 1_000, "stopped")
    with pytest.raises(ValueError, match="tight was stopped"):
        stopped.after(Act("promoted", 3_000, "mia", "yet"))


@pytest.mark.parametrize(
    "other", [{"settings": {}}, {"limits": Limits(velocity_alarm_mm_s=9.0)}, {"speed_rpm": 1480.0}, {"name": "DE"}]
)
def test_any_change_of_a_position_shows(other: dict[str, Any]) -> None:
    assert SHADOW.changed({PUMP.id: PUMP}) == []
    assert SHADOW.changed({PUMP.id: replace(PUMP, **other)}) == [PUMP.id]
    assert SHADOW.changed({}) == [PUMP.id]


def parsed(text: str) -> Any:
    return plant_file.parse(text, file="plant.yaml")


@pytest.mark.parametrize("position", ["de", "nde", "top"])
def test_settings_are_written_into_a_plant_file_and_nothing_else_changes(position: str) -> None:
    path, before = f"hall/line/pump/{position}", parsed(FILE)
    wanted: dict[str, Any] = {"settings": {"growth": 1.8, "warmup": 80}, "limits": {"velocity_warning_mm_s": 3.5}}

    text = edited(FILE, {path: {**wanted, "machine_class": "iso10816-1/I"}})

    was = before.positions[path]
    now = replace(
        was,
        settings={**was.settings, "growth": 1.8, "warmup": 80},
        limits=replace(was.limits, velocity_warning_mm_s=3.5),
        machine_class="iso10816-1/I",
    )
    assert parsed(text) == replace(before, positions={**before.positions, path: now})
    for comment in ("# the big one", "# said by mia", "# as in March"):
        assert comment in text


def test_a_file_that_does_not_write_a_position_out_is_left_alone() -> None:
    for path in ("hall/line/pump/bare", "hall/line/pump/away", "barn/line/pump/de"):
        with pytest.raises(ValueError, match="is not written out in the file"):
            edited(FILE, {path: {"settings": {"growth": 1.8}}})


def test_every_position_of_the_plant_file_that_comes_along_can_be_edited() -> None:
    text = Path(ROOT / "plant.yaml").read_text()
    before = parsed(text)

    after = parsed(edited(text, {path: {"settings": {"growth": 1.8}} for path in before.positions}))

    own = {name: replace(one, settings={**one.settings, "growth": 1.8}) for name, one in before.positions.items()}
    assert after == replace(before, positions=own)


def test_what_a_person_is_to_write_is_yaml_of_it() -> None:
    told = snippet({"a/b/c/d": {"settings": {"growth": 1.8}, "limits": {"velocity_alarm_mm_s": None}}})

    assert told == "a/b/c/d:\n  settings: {growth: 1.8}\n  limits: {velocity_alarm_mm_s: null}"
    assert plant_edit.snippet({}) == ""
