"""Imports point inward: handlers, then adapters, then the core. Nothing inside knows who uses it."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LAMBDAS = ROOT / "lambdas"
CORE = sorted((LAMBDAS / "telltale" / "core").rglob("*.py"))
ADAPTERS = sorted((LAMBDAS / "telltale" / "adapters").rglob("*.py"))
HANDLERS = sorted(LAMBDAS.glob("*.py"))
INFRA = sorted([*(ROOT / "infra").rglob("*.py"), ROOT / "app.py"])
CLI = sorted((ROOT / "scripts" / "cli").rglob("*.py"))
HANDLER_NAMES = {path.stem for path in HANDLERS}

# The standard library's own doors to the world, which a pocket calculator has none of.
IMPURE = {
    "asyncio", "concurrent", "ctypes", "datetime", "getpass", "glob", "http", "io", "logging", "multiprocessing", "os",
    "pathlib", "platform", "random", "secrets", "shutil", "signal", "socket", "sqlite3", "ssl", "subprocess",
    "tempfile", "threading", "time", "urllib", "uuid", "warnings",
}  # fmt: skip
ON_ONE_COMPUTER = {"duck", "trino", "translation"}
NOT_IN_LAYERS = {"duckdb", "sqlglot", "rich", "yaml"}
CLOCKS = {"now", "today", "utcnow", "time", "time_ns", "monotonic", "perf_counter"}


def imports(path: Path) -> Iterator[str]:
    """Dotted names that the file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import hides where it points"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def roots(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports(path)}


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_there_is_something_to_look_at() -> None:
    assert all([CORE, ADAPTERS, HANDLERS, INFRA, CLI])


@pytest.mark.parametrize("path", CORE, ids=name)
def test_the_core_is_a_pocket_calculator(path: Path) -> None:
    foreign = {n for n in imports(path) if n.split(".")[0] not in sys.stdlib_module_names}

    assert {n for n in foreign if n.split(".")[0] != "numpy" and not n.startswith("telltale.core.")} == set()
    assert roots(path) & IMPURE <= {"datetime"}  # to read a time that is given; the next test is about asking for it


@pytest.mark.parametrize("path", CORE, ids=name)
def test_the_core_asks_no_clock_opens_no_file_and_prints_nothing(path: Path) -> None:
    calls = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    called = {f.id for f in calls if isinstance(f, ast.Name)} | {f.attr for f in calls if isinstance(f, ast.Attribute)}

    assert called & {*CLOCKS, "open", "print", "input", "read_text", "read_bytes", "getenv"} == set()


@pytest.mark.parametrize("path", ADAPTERS, ids=name)
def test_adapters_do_not_know_who_uses_them(path: Path) -> None:
    assert roots(path) & {"cli", "infra", "app", "tests", *HANDLER_NAMES} == set()


@pytest.mark.parametrize("path", HANDLERS, ids=name)
def test_a_handler_uses_neither_the_command_nor_the_cdk_nor_another_handler(path: Path) -> None:
    assert roots(path) & {"cli", "infra", "app", "tests", "aws_cdk", *HANDLER_NAMES} == set()


@pytest.mark.parametrize("path", INFRA, ids=name)
def test_the_infrastructure_knows_of_the_product_only_its_columns(path: Path) -> None:
    assert {n for n in imports(path) if n.startswith("telltale") and not n.startswith("telltale.core.schema")} == set()
    assert roots(path) & {"cli", "tests", *HANDLER_NAMES} == set()


@pytest.mark.parametrize("path", CLI, ids=name)
def test_the_command_does_not_reach_into_infrastructure_or_handlers(path: Path) -> None:
    assert roots(path) & {"infra", "tests", *HANDLER_NAMES} == set()


def of_the_module(path: Path) -> set[str]:
    """Names that the file imports when it is imported itself: not those inside functions."""
    tree = ast.parse(path.read_text())
    inside = {node for made in ast.walk(tree) if isinstance(made, ast.FunctionDef) for node in ast.walk(made)}
    outside = [node for node in ast.walk(tree) if node not in inside]
    names = {alias.name for node in outside if isinstance(node, ast.Import) for alias in node.names}
    return names | {f"{n.module}.{a.name}" for n in outside if isinstance(n, ast.ImportFrom) for a in n.names}


@pytest.mark.parametrize("path", [*ADAPTERS, *HANDLERS], ids=name)
def test_what_is_in_no_layer_is_imported_only_where_it_runs_on_one_computer(path: Path) -> None:
    local = {f"telltale.adapters.{name}" for name in ON_ONE_COMPUTER}
    at_once = of_the_module(path)

    if path.stem not in ON_ONE_COMPUTER:
        assert not [
            n for n in at_once if n.split(".")[0] in NOT_IN_LAYERS or n.rpartition(".")[0] in local or n in local
        ]
