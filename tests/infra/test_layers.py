"""The layers keep what the functions import, and are the versions that the tests run against."""

import ast
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import aws_cdk as cdk
import pytest
from aws_cdk.assertions import Template

from infra import layers
from infra.data import Data
from infra.function import LAMBDAS
from infra.line import Line
from infra.settings import Settings
from tests.infra.assembly import Json, stages_context

PIN = re.compile(r"^([A-Za-z0-9_.-]+)==(\S+)", re.MULTILINE)


def pins(path: Path) -> dict[str, str]:
    return dict(PIN.findall(path.read_text()))


def unpack(packages: list[str], into: Path) -> Path:
    """Lay the files of installed packages out as a layer does."""
    for package in packages:
        for file in metadata.files(package) or ():
            source, target = Path(str(file.locate())), into / file
            if ".." not in file.parts and source.is_file():
                target.parent.mkdir(parents=True, exist_ok=True)
                _link(source, target)
    return into


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)


@pytest.mark.parametrize("name", layers.EXTRAS)
def test_a_layer_pins_what_the_tests_run_against(name: str) -> None:
    tested = pins(layers.ROOT / "requirements" / "dev.txt")

    pinned = pins(layers.lock_path(name))

    assert pinned
    assert pinned == {package: tested[package] for package in pinned}


@pytest.mark.parametrize("name", layers.EXTRAS)
def test_a_layer_can_be_installed_only_with_the_files_that_were_locked(name: str) -> None:
    text = layers.lock_path(name).read_text()

    assert all("--hash=sha256:" in pin for pin in re.split(r"\n(?=\S)", text.strip()))
    assert "://" not in text


# The functions that have the layer, and what they do with it only when they run.
IMPORTS = {
    "base": """
import provisioning_hook, stale_sensors, work_orders, numpy.fft, numpy.linalg
from telltale.core import fft
assert fft._pocketfft.__file__.startswith(str(base)), "the vectorised FFT is one file of SciPy"
""",
    "arrow": """
import detect_anomalies, extract_features
import io, numpy, pyarrow, pyarrow.compute, pyarrow.parquet
table = pyarrow.table({"samples": [[1, 2], [3]], "t": numpy.arange(2)})
file = io.BytesIO()
pyarrow.parquet.write_table(table, file, compression="zstd")
assert pyarrow.parquet.read_table(file) == table
""",
    "iceberg": """
import aggregate_lake, commit_lake, maintain_lake, score_assets, train_models
import pyarrow.fs, pyarrow.parquet, pyarrow.dataset, pyiceberg.catalog.glue, pyiceberg.io.pyarrow, pyiceberg.table
import zstandard, pyroaring
assert pyarrow.fs.S3FileSystem
assert pyiceberg.io.load_file_io({}, "s3://lake/x").__class__.__name__ == "PyArrowFileIO"
assert zstandard.decompress(zstandard.compress(b"manifest")) == b"manifest"
""",
    "pictures": """
from telltale.adapters import png
from telltale.core.drawing import Drawing, Polyline, Text
shapes = Polyline(((0, 0), (9, 9))), Text(5, 30, "größer", 18), Text(5, 30, "2×", 18, bold=True)
assert png.render(Drawing(60, 40, shapes)).startswith(bytes([137]) + b"PNG")
""",
}


@pytest.mark.parametrize("name", layers.EXTRAS)
def test_what_is_left_of_the_packages_still_works(name: str, tmp_path: Path) -> None:
    runtime = unpack(list(layers.IN_RUNTIME), tmp_path / "runtime")
    base = unpack(list(pins(layers.lock_path("base"))), tmp_path / "base")
    layer = base if name == "base" else unpack(list(pins(layers.lock_path(name))), tmp_path / name)
    for path in {base, layer}:
        layers.trim(path, path.name)

    search = [str(path) for path in (LAMBDAS, base, layer, runtime)]
    script = f"import sys\nbase, sys.path[:0] = {str(base)!r}, {search}\n{IMPORTS[name]}"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", script], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", layers.EXTRAS)
def test_a_layer_is_known_by_its_pins_and_by_how_it_is_trimmed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = layers.directory(name)

    monkeypatch.setattr(layers, "TRIM", (*layers.TRIM, "numpy/ma"))
    trimmed = layers.directory(name)
    monkeypatch.setattr(layers, "ONLY", {})

    assert len({before, trimmed, layers.directory(name)}) == 3


def test_of_scipy_there_is_one_module_left_and_its_licence(tmp_path: Path) -> None:
    packages = unpack(["scipy"], tmp_path)

    layers.trim(packages, "base")

    left = sorted(path.name.split(".")[0] for path in (packages / "scipy").rglob("*") if path.is_file())
    assert left == ["LICENSE", "pypocketfft"]
    assert layers.size_mb(packages) < 2


# --- In a template


@pytest.fixture
def nothing_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(layers, "BUILT", tmp_path / "layers")
    return tmp_path / "layers"


@pytest.fixture
def built(nothing_built: Path) -> None:
    """Something in the place of each layer."""
    for name in layers.EXTRAS:
        python = layers.directory(name) / "python"
        python.mkdir(parents=True)
        (python / "package.py").write_text("")


def template(wanted: str) -> Json:
    stack = cdk.Stack(cdk.App(), "Line")
    made = layers.Layers(stack, "Layers", wanted=wanted)
    assert len(made.arrow) == len(made.iceberg) == 2 * len(made.base)
    return Template.from_stack(stack).to_json()


@pytest.mark.usefixtures("built")
def test_layers_that_are_built_are_used_and_the_template_may_be_deployed() -> None:
    made = template("build")

    found = [r["Properties"] for r in made["Resources"].values() if r["Type"] == "AWS::Lambda::LayerVersion"]
    assert len(found) == len(layers.EXTRAS)
    assert {tuple(layer["CompatibleArchitectures"]) for layer in found} == {("arm64",)}
    assert "LayersAreBuilt" not in made.get("Rules", {})


def test_layers_that_cannot_be_built_make_a_template_that_refuses_to_be_deployed(
    nothing_built: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_network(*arguments: str, **_: object) -> None:
        raise subprocess.CalledProcessError(2, arguments, stderr="could not connect")

    monkeypatch.setattr(layers, "_uv", no_network)

    assert "LayersAreBuilt" in template("build")["Rules"]
    assert "could not connect" in capsys.readouterr().err
    assert list(nothing_built.iterdir()) == []


@pytest.fixture
def silent_index() -> Iterator[str]:
    """An index that takes calls and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/simple"


@pytest.mark.usefixtures("nothing_built")
def test_synth_gives_up_on_an_index_that_never_answers_when_it_has_waited_as_long_as_it_may(
    silent_index: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layers, "SYNTH_WAITS", layers.SYNTH_WAITS | {"UV_HTTP_TIMEOUT": "1"})
    for name, value in {"UV_DEFAULT_INDEX": silent_index, "UV_CACHE_DIR": str(tmp_path), "UV_NO_CONFIG": "1"}.items():
        monkeypatch.setenv(name, value)

    started = time.monotonic()
    made = template("build")

    assert time.monotonic() - started < 20
    assert "LayersAreBuilt" in made["Rules"]


def test_a_word_that_is_not_about_layers_is_refused() -> None:
    with pytest.raises(ValueError, match=r"unbuild.*build or unbuilt"):
        template("unbuild")


# --- What the functions import

# Else as the package.
MODULES = {
    "aws-lambda-powertools": "aws_lambda_powertools",
    "pillow": "PIL",
    "pymupdf-fonts": "pymupdf_fonts",
}
# Imported by the line that needs it, and only on one computer; tests/rules/test_layering.py sees to it.
LOCAL = {"telltale.adapters.duck"}


def imported(module: str, seen: set[str]) -> set[str]:
    """Third-party packages that a file of `lambdas/` needs, and the files that it imports, and so on."""
    path = layers.ROOT / "lambdas" / Path(*module.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    if module in {*seen, *LOCAL} or not path.exists():
        return set()
    seen.add(module)
    found = set()
    for name in _imports(ast.parse(path.read_text()).body):
        if name.split(".")[0] == "telltale":
            found |= imported(name, seen) | imported(name.rpartition(".")[0], seen)
        elif name.split(".")[0] not in sys.stdlib_module_names:
            found.add(name.split(".")[0])
    return found


def _imports(body: list[ast.stmt]) -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue  # for mypy, not for Lambda
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        yield from _imports([child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)])


@pytest.mark.usefixtures("built")
def test_every_function_has_the_layers_with_what_it_imports() -> None:
    app = cdk.App(context={"layers": "build"})
    settings = Settings.of("demo", stages_context()["stages"])
    line = Template.from_stack(Line(app, "Line", settings=settings, data=Data(app, "Data", settings=settings)))
    versions = {id_: r["Properties"] for id_, r in line.find_resources("AWS::Lambda::LayerVersion").items()}
    runtime = {package.replace("-", "_") for package in layers.IN_RUNTIME}

    for function in line.find_resources("AWS::Lambda::Function").values():
        module = function["Properties"]["Handler"].split(".")[0]
        locks = [layers.ROOT / versions[layer["Ref"]]["Description"] for layer in function["Properties"]["Layers"]]
        brought = {MODULES.get(package, package) for lock in locks for package in pins(lock)}

        assert imported(module, set()) - brought - runtime == set(), module
