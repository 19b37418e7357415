"""The dashboards of docs/grafana: panels ask in Athena's dialect, of tables and columns there are, and it runs."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from cli.deployment import ROOT
from telltale.adapters.about import ABOUT
from telltale.adapters.duck import execute
from telltale.adapters.parquet import arrow_schema
from telltale.adapters.trino import parse_query, tables_read, unknown_names
from telltale.core import schema

FOLDER = ROOT / "docs" / "grafana"
DASHBOARDS = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}
PAGE = (ROOT / "docs" / "lake.md").read_text()
NOW = datetime.now(UTC)
TABLES = {table.name: arrow_schema(table).empty_table() for table in schema.TABLES}
RELATIONS = TABLES | {f"{name}${about}": of(None) for name in TABLES for about, of in ABOUT.items()}


PANELS = [
    pytest.param(panel, id=f"{name}: {panel['title']}")
    for name, dashboard in DASHBOARDS.items()
    for panel in dashboard["panels"]
]


def filled(sql: str) -> str:
    """The text as the plugin fills it in for the last day: its macro for time, and a dashboard's variables."""
    start, end = (f"TIMESTAMP '{at:%Y-%m-%d %H:%M:%S}'" for at in (NOW - timedelta(days=1), NOW))
    text = re.sub(r"\$__timeFilter\(([^)]*)\)", rf"\1 BETWEEN {start} AND {end}", sql)
    text = text.replace("'$site'", "'riverside'").replace("'$position'", "'riverside/hall/pump/de'")
    assert not re.search(r"(?<![a-z])\$", text), f"nothing fills this in: {text}"
    return text


@pytest.mark.parametrize("panel", PANELS)
def test_a_panels_sql_names_what_there_is_and_runs(panel: Any) -> None:
    [target] = panel["targets"]
    query = parse_query(filled(target["rawSQL"]))

    assert unknown_names(query, {name: table.schema.names for name, table in RELATIONS.items()}) == []
    read = {name: RELATIONS[name] for name in tables_read(query)}
    rows, _ = execute(filled(target["rawSQL"]), read, database="telltale")
    assert rows.schema.names[0] == ("time" if panel["type"] == "timeseries" else rows.schema.names[0])


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_limits_what_is_read_by_time(panel: Any) -> None:
    sql = panel["targets"][0]["rawSQL"]

    small = {"cases", "work_orders", "labels"}  # all that ever happened is rows of people's pace
    big = {name for name in tables_read(parse_query(filled(sql))) if "$" not in name} - small
    assert not big or "$__timeFilter(" in sql or "current_timestamp - interval" in sql


@pytest.mark.parametrize("panel", PANELS)
def test_a_series_has_grafanas_time_and_is_sorted_by_it(panel: Any) -> None:
    [target] = panel["targets"]

    assert target["format"] == (0 if panel["type"] == "timeseries" else 1)
    if panel["type"] == "timeseries":
        assert target["rawSQL"].rsplit("ORDER BY ", 1)[1] == "1"


@pytest.mark.parametrize("panel", PANELS)
def test_a_time_has_no_more_digits_than_the_plugin_reads(panel: Any) -> None:
    select = parse_query(filled(panel["targets"][0]["rawSQL"]))
    read = {name: RELATIONS[name] for name in tables_read(select)}
    rows, _ = execute(filled(panel["targets"][0]["rawSQL"]), read, database="telltale")

    times = [field.name for field in rows.schema if pa.types.is_timestamp(field.type)]
    written = {item.alias: item.this for item in select.selects if item.alias in times}
    assert list(written) == times
    assert all(made.sql("trino").endswith("AS TIMESTAMP(3) WITH TIME ZONE)") for made in written.values())


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_dashboards_variables_are_asked_of_the_lake_in_order(name: str) -> None:
    source, *variables = DASHBOARDS[name]["templating"]["list"]

    assert (source["type"], source["query"]) == ("datasource", "grafana-athena-datasource")
    for variable in variables:
        query = parse_query(filled(variable["query"]["rawSQL"]))
        assert unknown_names(query, {table: rows.schema.names for table, rows in TABLES.items()}) == []


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_dashboard_is_whole(name: str) -> None:
    dashboard = DASHBOARDS[name]
    places = [panel["gridPos"] for panel in dashboard["panels"]]

    assert dashboard["uid"] == f"telltale-{name}"
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(places)
    assert all(place["x"] + place["w"] <= 24 for place in places)
    assert all(panel["datasource"]["uid"] == "${athena}" for panel in dashboard["panels"])
    assert f"grafana/{name}.json" in PAGE
