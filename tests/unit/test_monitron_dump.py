"""The dump of a support ticket is read by a mapping that is proposed; and what history names becomes a plant."""

from pathlib import Path
from typing import Any

import pytest
from cli import importing, plant_file
from cli.import_files import LocalFile
from cli.import_monitron import Monitron
from cli.importing import Folder
from cli.monitron_mapping import propose, read_mapping
from cli.monitron_names import Paths, id_of
from cli.monitron_plant import Heard, fragment
from cli.problem import Problem
from telltale.core import schema

from tests.unit.test_import_monitron import EVERY, NOW, Place, text

HEAD = "Measured at;Site;Asset;Position;Sensor ID;Temperature (°F);Velocity X (in/s);Velocity RMS;Remark"
ROWS = (
    "04.05.2026 08:00;Werk 1;Pumpe 7;Motor A-Seite;aabb;104,0;0,1;2,5;",
    "04.05.2026 09:00;Werk 1;Pumpe 7;Motor A-Seite;aabb;105,8;0,2;2,6;loud",
    "04.05.2026 10:00;Werk 1;Pumpe 7;Motor A-Seite;aabb;viel;0,2;2,6;",
    "04.05.2026 11:00;Werk 1;Pumpe 7;Motor A-Seite",
)


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    path = tmp_path / "dump.csv"
    path.write_bytes("\ufeff".encode() + "\n".join([HEAD, *ROWS]).encode())
    return path


def test_a_mapping_is_proposed_from_the_names_of_columns_their_units_and_values(dump: Path, tmp_path: Path) -> None:
    written = tmp_path / "dump.yaml"
    written.write_text(propose(LocalFile(dump)))

    found = read_mapping(written)

    named = {name: one.name for name, one in found.columns.items()}
    assert named == {
        "Measured at": "timestamp",
        "Site": "siteName",
        "Asset": "assetName",
        "Position": "positionName",
        "Sensor ID": "sensor",
        "Temperature (°F)": "temperature_c",
        "Velocity X (in/s)": "velocity_x_mm_s",
        "Velocity RMS": "velocity_total_rms_mm_s",
    }
    assert (found.rows, found.decimal) == ("measurements", ",")
    assert found.columns["Velocity X (in/s)"].factor == 25.4
    assert '# "Remark":   # no field like it; loud' in written.read_text()


def test_a_dump_is_read_by_its_mapping(dump: Path, tmp_path: Path) -> None:
    written = tmp_path / "dump.yaml"
    proposed = propose(LocalFile(dump)).replace("# time_zone:", "time_zone:")
    written.write_text(proposed)
    lake = Folder(tmp_path / "lake")

    summary = importing.carried_out(Monitron([LocalFile(dump)], layout=read_mapping(written), now_ms=lambda: NOW), lake)

    captures = sorted(lake.rows(schema.CAPTURES).to_pylist(), key=lambda row: row["t"])
    assert [row["t"].isoformat() for row in captures] == ["2026-05-04T06:00:00+00:00", "2026-05-04T07:00:00+00:00"]
    assert captures[0]["temperature_c"] == pytest.approx(40.0)
    assert captures[0]["velocity_rms_x_mm_s"] == pytest.approx(2.54)
    assert captures[0]["position"] == "Werk-1/main/Pumpe-7/Motor-A-Seite"
    assert [one.where for one in summary.bad] == [f"{dump}:4", f"{dump}:5"]
    assert ["viel" in summary.bad[0].detail, "wanted 9" in summary.bad[1].detail] == [True, True]
    assert summary.lost['column "Remark"', "not in the mapping"] == 1
    assert summary.adds_up


WRONG = {
    "unknown key": ("rowz: measurements\n", "rowz"),
    "unknown rows": ("rows: things\n", "things"),
    "unknown field": ("columns: {A: velocity_q_mm_s}\n", "did you mean velocity_"),
    "unknown unit": ("columns: {A: {field: velocity_x_mm_s, unit: furlongs}}\n", "furlongs"),
    "unknown zone": ("time_zone: Mars/Olympus\n", "Mars/Olympus"),
    "no YAML": ("columns: [\n", "not YAML"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_mistake_in_a_mapping_is_named(case: str, tmp_path: Path) -> None:
    body, word = WRONG[case]
    path = tmp_path / "mapping.yaml"
    path.write_text(body)

    with pytest.raises(Problem) as told:
        read_mapping(path)

    assert word in str(told.value)


def test_positions_lie_where_the_mapping_says(tmp_path: Path) -> None:
    place = Place(tmp_path)
    written = tmp_path / "mapping.yaml"
    written.write_text("positions:\n  site-1/pump-07/motor-de: riverside/pump-hall/pump-1/motor-drive-end\n")

    place.imported(place.file(text(EVERY)), layout=read_mapping(written))

    found = {row["position"] for row in place.rows(schema.MONITRON_EVENTS)}
    assert found == {"riverside/pump-hall/pump-1/motor-drive-end", "riverside"}


NAMES = {
    "pump-07": "pump-07",
    "Pump 07": "Pump-07",
    "  Pump   07 ": "Pump-07",
    "a_b.c:d": "a_b.c:d",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_becomes_an_id(name: str) -> None:
    assert id_of(name) == NAMES[name]


def test_names_that_lose_more_than_spaces_stay_apart() -> None:
    names = ["Pumpe (Süd)", "Pumpe (Sud)", "Pumpe/Süd", "泵", "机", "x" * 100, "x" * 101]

    found = [id_of(name) for name in names]

    assert len(set(found)) == len(names)
    assert all(0 < len(one) <= 64 for one in found)


def test_a_position_that_was_renamed_is_told() -> None:
    paths = Paths()
    paths.path("s", "a", "old", "ap-1")
    paths.path("s", "a", "new", "ap-1")

    [note] = paths.notes()

    assert "ap-1" in note
    assert "s/main/a/new and s/main/a/old" in note


def test_the_plant_that_history_names_is_a_plant_file(tmp_path: Path) -> None:
    place = Place(tmp_path)
    source = Monitron([LocalFile(place.file(text(EVERY)))], now_ms=lambda: NOW, wants_plant=True)
    importing.carried_out(source, place.lake)

    plant = plant_file.parse(fragment(source.heard), file="made.yaml")

    [position] = plant.positions.values()
    assert (position.id, position.name) == ("site-1/main/pump-07/motor-de", "motor-de")
    assert (position.machine_class, position.interval_s) == ("iso10816-1/II", 3600)
    assert plant.sensors["aabbccddeeff"].position_at(NOW) == position.id
    assert plant.gateways["112233445566"].name == "hall"


def test_a_list_of_positions_gives_classes_types_and_limits_to_the_plant(tmp_path: Path) -> None:
    listed = tmp_path / "positions.csv"
    listed.write_text(
        "Site,Asset,Position,Position type,Machine class,Warning limit,Alarm limit,Sensor\n"
        "site-1,pump-07,motor-de,Motor,CLASS3,3.5,7.1,aabbccddeeff\n"
    )
    written = tmp_path / "positions.yaml"
    written.write_text(propose(LocalFile(listed)))
    source = Monitron([LocalFile(listed)], layout=read_mapping(written))

    source.describe()

    plant = plant_file.parse(fragment(source.heard), file="made.yaml")
    [position] = plant.positions.values()
    assert (position.type, position.machine_class) == ("Motor", "iso10816-1/III")
    assert (position.limits.velocity_warning_mm_s, position.limits.velocity_alarm_mm_s) == (3.5, 7.1)


def test_a_sensor_that_was_replaced_sat_there_until_the_next_one_was_heard() -> None:
    heard = Heard()
    heard.describe("s/main/a/p", {"siteName": "s"}, {})
    heard.positions["s/main/a/p"].sensors = {"one": (0, 86_400_000), "two": (172_800_000, 259_200_000)}

    plant = plant_file.parse(fragment(heard), file="made.yaml")

    sat: dict[str, Any] = {name: sensor.assignments[0] for name, sensor in plant.sensors.items()}
    assert (sat["one"].to_ms, sat["two"].from_ms, sat["two"].to_ms) == (172_800_000, 172_800_000, None)
