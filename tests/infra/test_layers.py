"""The layers keep what the functions import, and are the versions that the tests run against."""

import os
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import aws_cdk as cdk
import pytest
from aws_cdk.assertions import Template

from infra import layers
from tests.infra.assembly import Json

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


IMPORTS = {
    "base": "import aws_lambda_powertools.metrics, aws_xray_sdk.core, cbor2, numpy.fft, numpy.linalg, numpy.random",
    "arrow": """
import io, numpy, pyarrow, pyarrow.compute, pyarrow.parquet
table = pyarrow.table({"samples": [[1, 2], [3]], "t": numpy.arange(2)})
file = io.BytesIO()
pyarrow.parquet.write_table(table, file, compression="zstd")
assert pyarrow.parquet.read_table(file) == table
""",
    "iceberg": """
import pyarrow.fs, pyarrow.parquet, pyarrow.dataset, pyiceberg.catalog.glue, pyiceberg.io.pyarrow, pyiceberg.table
import zstandard, pyroaring
assert pyarrow.fs.S3FileSystem
assert pyiceberg.io.load_file_io({}, "s3://lake/x").__class__.__name__ == "PyArrowFileIO"
assert zstandard.decompress(zstandard.compress(b"manifest")) == b"manifest"
""",
}


@pytest.mark.parametrize("name", layers.EXTRAS)
def test_what_is_left_of_the_packages_still_works(name: str, tmp_path: Path) -> None:
    runtime = unpack(list(layers.IN_RUNTIME), tmp_path / "runtime")
    base = unpack(list(pins(layers.lock_path("base"))), tmp_path / "base")
    layer = base if name == "base" else unpack(list(pins(layers.lock_path(name))), tmp_path / name)
    for path in {base, layer}:
        layers.trim(path, path.name)

    script = f"import sys; sys.path[:0] = {[str(base), str(layer), str(runtime)]}\n{IMPORTS[name]}"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", script], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", layers.EXTRAS)
def test_a_layer_is_known_by_its_pins_and_by_how_it_is_trimmed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = layers.directory(name)

    monkeypatch.setattr(layers, "TRIM", (*layers.TRIM, "numpy/ma"))

    assert layers.directory(name) != before


# --- In a template


@pytest.fixture
def nothing_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(layers, "BUILT", tmp_path / "layers")
    return tmp_path / "layers"


def template(wanted: str) -> Json:
    stack = cdk.Stack(cdk.App(), "Line")
    made = layers.Layers(stack, "Layers", wanted=wanted)
    assert len(made.arrow) == len(made.iceberg) == 2 * len(made.base)
    return Template.from_stack(stack).to_json()


def test_layers_that_are_built_are_used_and_the_template_may_be_deployed(nothing_built: Path) -> None:
    for name in layers.EXTRAS:
        python = layers.directory(name) / "python"
        python.mkdir(parents=True)
        (python / "package.py").write_text("")

    made = template("build")

    found = [r["Properties"] for r in made["Resources"].values() if r["Type"] == "AWS::Lambda::LayerVersion"]
    assert len(found) == len(layers.EXTRAS)
    assert {tuple(layer["CompatibleArchitectures"]) for layer in found} == {("arm64",)}
    assert "LayersAreBuilt" not in made.get("Rules", {})


def test_layers_that_cannot_be_built_make_a_template_that_refuses_to_be_deployed(
    nothing_built: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_network(*arguments: str) -> None:
        raise subprocess.CalledProcessError(2, arguments, stderr="could not connect")

    monkeypatch.setattr(layers, "_uv", no_network)

    assert "LayersAreBuilt" in template("build")["Rules"]
    assert "could not connect" in capsys.readouterr().err
    assert list(nothing_built.iterdir()) == []


def test_a_word_that_is_not_about_layers_is_refused() -> None:
    with pytest.raises(ValueError, match=r"unbuild.*build or unbuilt"):
        template("unbuild")
