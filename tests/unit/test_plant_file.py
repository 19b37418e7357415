"""The plant file: what it becomes, and that everything wrong with it is said at once, in the right place."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from cli.plant_file import PlantFileError, duration_s, parse, read
from telltale.core.bearings import CATALOGUE
from telltale.core.plant import Asset, Assignment, Bearing, Gateway, Limits, OperatingMode, Plant, Sensor

ROOT = Path(__file__).resolve().parents[2]


def file_with(positions: str, *, asset: str = "", site: str = "") -> str:
    """A plant file with one machine; lines are indented to where they belong."""

    def indented(text: str, by: int) -> str:
        return "".join(" " * by + line + "\n" for line in text.strip("\n").splitlines())

    return (
        "sites:\n  s:\n    gateways: {g-1: , g-2: }\n"
        + indented(site, 4)
        + "    areas:\n      a:\n        assets:\n          m:\n"
        + indented(asset, 12)
        + "            positions:\n"
        + indented(positions, 14)
    )


def plant_with(positions: str, *, asset: str = "", site: str = "") -> Plant:
    return parse(file_with(positions, asset=asset, site=site), file="plant.yaml")


def problems(text: str) -> list[str]:
    with pytest.raises(PlantFileError) as caught:
        parse(text, file="plant.yaml")
    return [str(problem) for problem in caught.value.problems]


def problem(positions: str, *, asset: str = "", site: str = "") -> str:
    """The one thing that is wrong, without the file's name."""
    [only] = problems(file_with(positions, asset=asset, site=site))
    return only.removeprefix("plant.yaml:")


# ---- what it becomes -----------------------------------------------------------------------------


def test_a_position_is_identified_by_its_path() -> None:
    plant = plant_with("p: {sensor: s-1}")

    assert list(plant.positions) == ["s/a/m/p"]
    assert plant.sensors == {"s-1": Sensor("s-1", (Assignment("s/a/m/p"),))}
    assert plant.gateways["g-1"] == Gateway("g-1", "s", "g-1")


def test_a_position_inherits_from_its_asset_and_may_say_otherwise() -> None:
    plant = plant_with(
        "p: {}\nq: {type: pump, speed_rpm: 960, limits: {velocity_alarm_mm_s: 8}}",
        asset="type: Motor\nspeed_rpm: 1480\nmachine_class: iso10816-1/II\nlimits: {velocity_warning_mm_s: 4}",
    )

    p, q = plant.positions["s/a/m/p"], plant.positions["s/a/m/q"]
    assert (p.type, p.speed_rpm, p.limits) == ("Motor", 1480, Limits(velocity_warning_mm_s=4))
    assert (q.type, q.speed_rpm) == ("Pump", 960)
    assert q.limits == Limits(velocity_warning_mm_s=4, velocity_alarm_mm_s=8)
    assert p.machine_class == q.machine_class == "iso10816-1/II"


def test_a_bearing_is_named_or_measured() -> None:
    geometry = "{elements: 12, element_diameter_mm: 10, pitch_diameter_mm: 60, contact_angle_deg: 15}"
    plant = plant_with(f"p: {{bearing: 6205-2rs}}\nq: {{bearing: {geometry}}}")

    assert plant.positions["s/a/m/p"].bearing == CATALOGUE["6205-2RS"]
    assert plant.positions["s/a/m/q"].bearing == Bearing(12, 10, 60, 15)


def test_what_moves_and_how_the_sensor_sits_is_inherited_like_everything_else() -> None:
    plant = plant_with(
        "p: {}\nq: {blades: 9, directions: {x: Axial}}",
        asset="blades: 6\nteeth: 23\nline_hz: 50\npoles: 4\nenvelope_band_hz: [2000, 4000]\n"
        "bands_hz: [[10, 100], [500, 1e3]]\ndirections: {x: horizontal, y: vertical, z: axial}",
    )

    p, q = plant.positions["s/a/m/p"], plant.positions["s/a/m/q"]
    assert (p.blades, p.teeth, p.line_hz, p.poles) == (6, 23, 50.0, 4)
    assert (p.envelope_band_hz, p.bands_hz) == ((2000.0, 4000.0), ((10.0, 100.0), (500.0, 1000.0)))
    assert p.directions == {"x": "horizontal", "y": "vertical", "z": "axial"}
    assert (q.blades, q.teeth, q.directions) == (9, 23, {"x": "axial"})


def test_operating_modes_are_named_by_the_edges_of_speed_and_load_and_handed_down() -> None:
    plant = plant_with(
        "p: {}\nq: {modes: {idle: {load: [0, 20]}}}",
        asset="load_tag: load_pct\n"
        "modes: {slow: {speed_rpm: [300, 900]}, full: {speed_rpm: [900, 1600], load: [20, 99]}}",
    )

    p, q = plant.positions["s/a/m/p"], plant.positions["s/a/m/q"]
    assert p.load_tag == "load_pct"
    assert p.modes == (OperatingMode("slow", (300, 900)), OperatingMode("full", (900, 1600), (20, 99)))
    assert q.modes == (OperatingMode("idle", None, (0, 20)),)


def test_tags_to_watch_are_named_or_all_of_them_and_a_position_may_want_others_or_none() -> None:
    plant = plant_with(
        "p: {}\nq: {streams: {flow: {probation_rows: 300}, x/rms_g: , all: {probation_rows: 100}}}\nr: {streams: {}}",
        asset="streams: all",
    )

    assert plant.positions["s/a/m/p"].streams == {"*": 600}
    assert plant.positions["s/a/m/q"].streams == {"flow": 300, "x/rms_g": 600, "*": 100}
    assert plant.positions["s/a/m/r"].streams == {}


@pytest.mark.parametrize(
    ("streams", "says"),
    [
        (
            "al",
            'found "al", wanted all, or the tags to watch, such as {flow: {probation_rows: 600}} (did you mean "all"?)',
        ),
        ("[flow]", "found a list, wanted all, or the tags to watch"),
        ("{x/rmsg: }", 'found "x/rmsg", wanted a tag\'s name, or an axis and an indicator such as x/rms_g'),
        ("{flow: {probation_rows: 12}}", "found 12, wanted a number of rows from 32 to 100000"),
        ("{flow: {probation: 600}}", 'found the key "probation", wanted one of probation_rows'),
        ("{all: {probation_rows: 5000}}", "the streams of a position would take"),
    ],
)
def test_what_is_wrong_with_tags_to_watch_is_said(streams: str, says: str) -> None:
    assert says in problem(f"p: {{streams: {streams}}}")


def test_a_vertical_machine_has_two_horizontal_directions() -> None:
    plant = plant_with("p: {directions: {x: horizontal, y: horizontal, z: axial}}")

    assert plant.positions["s/a/m/p"].directions["y"] == "horizontal"


def test_replacing_a_sensor_keeps_the_position_and_dates_are_the_sites() -> None:
    plant = plant_with(
        "p:\n  sensor:\n    - {id: old, to: 2026-07-01}\n    - {id: new, from: 2026-07-01}",
        site="time_zone: Europe/Berlin",
    )

    change = round(datetime(2026, 6, 30, 22, tzinfo=UTC).timestamp() * 1000)  # midnight in Berlin, in summer
    assert plant.sensors["old"].assignments == (Assignment("s/a/m/p", 0, change),)
    assert plant.sensors["new"].assignments == (Assignment("s/a/m/p", change, None),)


def test_a_sensor_may_move_and_is_then_heard_through_any_gateway_of_the_site() -> None:
    plant = plant_with(
        "p: {gateway: g-1, sensor: {id: x, to: 2026-01-01}}\nq: {gateway: g-2, sensor: {id: x, from: 2026-01-01}}"
    )

    assert [seat.position for seat in plant.sensors["x"].assignments] == ["s/a/m/p", "s/a/m/q"]
    assert plant.sensors["x"].gateway is None


def test_ids_that_yaml_takes_for_other_things_stay_as_they_are_written() -> None:
    plant = plant_with("no: {sensor: 0012}")

    assert list(plant.positions) == ["s/a/m/no"]
    assert list(plant.sensors) == ["0012"]


def test_the_webhook_keeps_its_settings() -> None:
    plant = plant_with("p: ", site="cmms: {webhook: {url: https://cmms.example.com/hook}}")

    assert plant.sites["s"].cmms == "webhook"
    assert plant.sites["s"].cmms_settings == {"url": "https://cmms.example.com/hook"}


def test_every_system_takes_fields_of_its_own_and_a_limit_of_calls() -> None:
    fields = "fields: {team: 3, place: '{site} {asset}', urgent: true, due: 2026-12-01}"
    plant = plant_with("p: ", site=f"cmms: {{logbook: {{calls_per_minute: 90, {fields}}}}}")

    assert plant.sites["s"].cmms_settings == {
        "calls_per_minute": 90,
        "fields": {"team": 3, "place": "{site} {asset}", "urgent": True, "due": "2026-12-01"},
    }


def test_the_demo_plant_and_the_documented_example_are_right() -> None:
    documented = (ROOT / "docs/plant.md").read_text().split("```yaml\n")[1].split("```")[0]

    assert len(read(ROOT / "plant.yaml").positions) == 8
    assert parse(documented, file="docs/plant.md").positions


@pytest.mark.parametrize(
    ("text", "seconds"), [("500ms", 0.5), ("30s", 30), ("10 min", 600), ("1h", 3600), ("1.5h", 5400), ("1d", 86400)]
)
def test_durations_have_units(text: str, seconds: float) -> None:
    assert duration_s(text) == seconds


@pytest.mark.parametrize("text", ["10", "h", "1 hour", "-1h", "1h30min", ""])
def test_what_is_no_duration(text: str) -> None:
    assert duration_s(text) is None


def test_an_asset_with_a_model_says_what_it_is_made_of() -> None:
    model = """
model:
  tags: ["process/*", p/x/rms_g]
  every: 10min
  off: process/flow<1
  position: p
  history: 60d
  retrain: 7d
  false_alarm_rows: 5000
"""

    plant = plant_with("p: {}\nprocess: {}", asset="name: Pump" + model)

    tags = ("process/*", "p/x/rms_g")
    wanted = Asset("s/a/m", "Pump", tags, 600.0, "process/flow<1", "p", 60.0, 7.0, 5000.0)
    assert plant.assets == {"s/a/m": wanted}


def test_an_asset_without_a_model_is_known_by_its_positions_only() -> None:
    assert plant_with("p: {}").assets == {}
    assert plant_with("p: {}", asset="model: {every: 1h}").assets == {"s/a/m": Asset("s/a/m", "m", every_s=3600.0)}


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("{tags: process/flow}", "wanted a list of tags"),
        ("{tags: [flow]}", 'found "flow", wanted a tag that begins with a position of this asset and /'),
        ("{off: flow is low}", 'found "flow is low", wanted a tag, < or >, and a number'),
        ("{position: q}", 'found "q", wanted a position of this asset'),
        ("{retrain: weekly}", "wanted a duration"),
        ("{false_alarm_rows: 1}", "wanted a number of rows from 10"),
        ("{every_s: 60}", 'found the key "every_s"'),
    ],
)
def test_what_is_wrong_with_a_model_is_said(model: str, says: str) -> None:
    assert says in problem("p: {}", asset=f"model: {model}")


# ---- what is wrong with it -----------------------------------------------------------------------

WRONG = {
    "a misspelt key": ("p: {bearng: 6205-2RS}", '9:19: found the key "bearng"', 'did you mean "bearing"?'),
    "a misspelt type": ("p: {type: moter}", '9:25: found "moter"', 'did you mean "Motor"?'),
    "an unknown machine class": ("p: {machine_class: iso10816-1/V}", '9:34: found "iso10816-1/V"', "iso10816-1/II"),
    "an unknown bearing": ("p: {bearing: 6305}", '9:28: found "6305"', "near it are 6310"),
    "an incomplete bearing": ("p: {bearing: {elements: 9}}", "9:28: the bearing needs", "pitch_diameter_mm"),
    "an impossible bearing": (
        "p: {bearing: {elements: 9, element_diameter_mm: 40, pitch_diameter_mm: 39}}",
        "9:28: the bearing's element_diameter_mm",
        "below its pitch_diameter_mm",
    ),
    "half a ball": (
        "p: {bearing: {elements: 8.5, element_diameter_mm: 4, pitch_diameter_mm: 39}}",
        "9:39: found 8.5",
        "whole number",
    ),
    "half a blade": ("p: {blades: 6.5}", "9:27: found 6.5", "a whole number of blades"),
    "a gear without teeth": ("p: {teeth: 0}", "9:26: found 0", "from 3 to 2000"),
    "mains with its unit": ("p: {line_hz: 50 Hz}", '9:28: found "50 Hz"', "without its unit"),
    "pole pairs": ("p: {poles: 3}", "9:26: found 3 poles", "an even number"),
    "a band with one end": ("p: {envelope_band_hz: [2000]}", "9:37: found a list", "such as [2000, 4000]"),
    "a band in words": ("p: {envelope_band_hz: 2-4 kHz}", '9:37: found "2-4 kHz"', "such as [2000, 4000]"),
    "a band with a text in it": ("p: {envelope_band_hz: [2 kHz, 4000]}", '9:38: found "2 kHz"', "without its unit"),
    "a band backwards": (
        "p: {envelope_band_hz: [4000, 2000]}",
        "9:37: found a band from 4000 to 2000 Hz",
        "ends above",
    ),
    "one band where a list of them goes": ("p: {bands_hz: [10, 100]}", "9:29: found a list", "[[500, 1000], ["),
    "more bands than there are columns": (
        "p: {bands_hz: [[1, 2], [2, 3], [3, 4], [4, 5], [5, 6]]}",
        "9:29: found 5 bands",
        "up to 4 bands",
    ),
    "a mode without edges": ("p: {modes: {slow: {}}}", "9:27: mode ", "needs the edges of speed_rpm, of load, or both"),
    "a mode with one edge": ("p: {modes: {slow: {speed_rpm: 900}}}", '9:45: found "900"', "two edges in r/min"),
    "a mode backwards": ("p: {modes: {slow: {speed_rpm: [900, 300]}}}", "9:45: found edges from 900 to 300", "above"),
    "two modes for one row": (
        "p: {modes: {slow: {speed_rpm: [0, 900]}, full: {speed_rpm: [800, 1600]}}}",
        '9:56: modes "slow" and "full" overlap',
        "of both",
    ),
    "a mode by a load that no tag gives": (
        "p: {modes: {idle: {load: [0, 20]}}}",
        '9:15: mode "idle" goes by the load',
        "(load_tag)",
    ),
    "more modes than are kept": (
        "p: {modes: {" + ", ".join(f"m{n}: {{speed_rpm: [{n}00, {n}50]}}" for n in range(7)) + "}}",
        "9:26: found 7 operating modes",
        "6 at most",
    ),
    "a tag of the load that is no name": ("p: {load_tag: motor load}", '9:29: found "motor load"', "name of a tag"),
    "a misspelt axis": ("p: {directions: {h: axial}}", '9:32: found the key "h"', "one of x, y, z"),
    "a misspelt direction": ("p: {directions: {x: axal}}", '9:35: found "axal"', 'did you mean "axial"?'),
    "two axes along the shaft": (
        "p: {directions: {x: axial, y: axial}}",
        "9:45: axes x and y are both axial",
        "right angles",
    ),
    "a number with its unit": ("p: {speed_rpm: 1480 rpm}", '9:30: found "1480 rpm"', "without its unit"),
    "a decimal comma": ('p: {speed_rpm: "1480,5"}', '9:30: found "1480,5"', "with a point"),
    "an impossible number": ("p: {speed_rpm: -3}", "9:30: found -3", "from 0 to 120000"),
    "not a number at all": ("p: {speed_rpm: .nan}", '9:30: found ".nan"', "a number of r/min"),
    "a list for a number": ("p: {speed_rpm: [1, 2]}", '9:30: found "a list"', "a number of r/min"),
    "a list for a text": ("p: {action: [grease it]}", "9:27: found a list", "wanted a text"),
    "a duration without a unit": ("p: {interval: 600}", '9:29: found "600"', "such as 30s"),
    "a zero interval": ("p: {interval: 0s}", '9:29: found "0s"', "such as 30s"),
    "a misspelt limit": (
        "p: {limits: {velocity_alarm: 7}}",
        '9:28: found the key "velocity_alarm"',
        "velocity_alarm_mm_s",
    ),
    "limits the wrong way round": (
        "p: {limits: {temperature_warning_c: 90, temperature_alarm_c: 80}}",
        "9:15: temperature_warning_c (90)",
        "below temperature_alarm_c (80)",
    ),
    "a gate above the speed": (
        "p: {speed_rpm: 900, running_above_rpm: 1000}",
        "9:15: running_above_rpm (1000)",
        "below speed_rpm (900)",
    ),
    "a misspelt setting": ("p: {settings: {warmpup: 10}}", '9:30: found the key "warmpup"', 'did you mean "warmup"?'),
    "settings that contradict each other": (
        "p: {settings: {warning_n: 5, warning_m: 3}}",
        "9:15: these detection settings do not go together",
        "n <= m",
    ),
    "an unknown gateway": ("p: {gateway: g-3}", '9:28: found "g-3"', "wanted a gateway of site"),
    "a sensor without id": ("p: {sensor: {from: 2026-01-01}}", "9:27: the sensor needs its id", ""),
    "a malformed sensor id": ("p: {sensor: s/1}", '9:27: found "s/1" as the id of a sensor', "letters"),
    "a misspelt sensor key": ("p: {sensor: {id: x, form: 2026-01-01}}", '9:35: found the key "form"', '"from"'),
    "a date that is none": ("p: {sensor: {id: x, from: 2026-02-30}}", '9:41: found "2026-02-30"', "2026-03-01"),
    "a stay that ends before it starts": (
        "p: {sensor: {id: x, from: 2026-02-02, to: 2026-02-01}}",
        '9:57: sensor "x" leaves before it comes',
        "",
    ),
    "two sensors at once on one position": (
        "p: {sensor: [{id: x}, {id: y, from: 2026-01-01}]}",
        '9:37: sensors "x" (line 9) and "y" sit on s/a/m/p at one time',
        "",
    ),
    "one sensor at once on two positions": (
        "p: {sensor: x}\nq: {sensor: x}",
        '10:27: sensor "x" sits on s/a/m/p (line 9) at the same time',
        '"from"',
    ),
    "a malformed position id": ("p q: {}", '9:15: found "p q" as the id of a position', "letters"),
    "a position given twice": ("p: {}\np: {}", '10:15: "p" is given twice, first on line 9', ""),
    "a key given twice": ("p: {speed_rpm: 1, speed_rpm: 2}", '9:33: "speed_rpm" is given twice', ""),
    "a text for a mapping": ("p: pump", '9:18: found "pump", wanted a position\'s keys', ""),
    "a merge key": ("p: {<<: {speed_rpm: 1}}", "9:19: merge keys", "asset"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_named_with_its_place_and_what_was_wanted(name: str) -> None:
    positions, found, wanted = WRONG[name]

    said = problem(positions)

    assert said.startswith(found)
    assert wanted in said


WRONG_SITE = {
    "a misspelt time zone": (
        "time_zone: Europe/Berlln",
        '4:16: found "Europe/Berlln"',
        'did you mean "Europe/Berlin"?',
    ),
    "a misspelt maintenance system": ("cmms: webhok", '4:11: found "webhok"', 'did you mean "webhook"?'),
    "a webhook without an address": ("cmms: webhook", "4:11: webhook needs its url", ""),
    "an unsafe address": ("cmms: {webhook: {url: http://x.example}}", '4:27: found "http://x.example"', "https://"),
    "a setting it does not have": (
        "cmms: {webhook: {url: https://x.example, pushs: true}}",
        '4:46: found the key "pushs"',
        'did you mean "pushes"?',
    ),
    "a template that names nothing known": (
        "cmms: {webhook: {url: https://x.example, title: '{severty}'}}",
        "4:53: found {severty}",
        "severity",
    ),
    "calls that are no number": (
        "cmms: {webhook: {url: https://x.example, calls_per_minute: many}}",
        '4:64: found "many"',
        "calls a minute",
    ),
    "two maintenance systems": ("cmms: {logbook: , webhook: }", "4:11: found 2 maintenance systems", "one of"),
    "a misspelt site key": ("area: {}", '4:5: found the key "area"', 'did you mean "areas"?'),
}


@pytest.mark.parametrize("name", WRONG_SITE)
def test_what_is_wrong_with_a_site_is_named_too(name: str) -> None:
    site, found, wanted = WRONG_SITE[name]

    [said] = problems(file_with("p: {}", site=site))

    assert said.removeprefix("plant.yaml:").startswith(found)
    assert wanted in said


def test_a_gateway_belongs_to_one_site() -> None:
    [said] = problems("sites:\n  s: {gateways: {g: }}\n  t: {gateways: {g: }}")

    assert said.startswith('plant.yaml:3:18: gateway "g" is already at site "s"')


def test_a_gateways_id_must_do_as_the_name_of_a_thing() -> None:
    [said] = problems("sites:\n  s: {gateways: {g.1: }}")

    assert said.startswith('plant.yaml:2:18: found "g.1" as the id of a gateway')


def test_a_gateway_of_another_site_is_not_one_of_this() -> None:
    areas = "{a: {assets: {m: {positions: {p: {gateway: g}}}}}}"
    text = f"sites:\n  s: {{gateways: {{g: }}}}\n  t: {{gateways: {{h: }}, areas: {areas}}}"

    [said] = problems(text)

    assert 'found "g", wanted a gateway of site "t"' in said


def test_a_site_without_gateways_says_so() -> None:
    [said] = problems("sites:\n  s: {areas: {a: {assets: {m: {positions: {p: {gateway: g}}}}}}}")

    assert 'site "s" has no gateways' in said


def test_everything_wrong_is_said_at_once_and_in_the_files_order() -> None:
    said = problems(file_with("p: {type: x, speed_rpm: y, interval: z}", asset="bearing: w", site="time_zone: v"))

    assert [line.split(":")[1] for line in said] == ["4", "9", "11", "11", "11"]


def test_a_problem_of_the_asset_is_said_once_and_not_for_each_position() -> None:
    said = problems(file_with("p: {}\nq: {}", asset="limits: {velocity_warning_mm_s: 9, velocity_alarm_mm_s: 4}"))

    assert len(said) == 1


@pytest.mark.parametrize("text", ["sites: [", "a: b: c", "\tsites:", "sites: {s: *gone}", "'", b"\xff\xfe\x00"])
def test_what_is_no_yaml_is_said_with_its_place(text: str | bytes) -> None:
    with pytest.raises(PlantFileError) as caught:
        parse(text, file="plant.yaml")

    [only] = caught.value.problems
    assert "not YAML" in only.message
    assert only.line >= 1


@pytest.mark.parametrize("text", ["", "sites:", "# nothing", "sites: {}"])
def test_a_file_without_sites_is_wrong(text: str) -> None:
    [said] = problems(text)

    assert "wanted at least one" in said


@pytest.mark.parametrize("text", ["3", "[sites]", "site: {}"])
def test_a_file_that_is_something_else_says_what_was_wanted(text: str) -> None:
    [said] = problems(text)

    assert "sites" in said
