"""The layers: third-party wheels for the functions' own platform, built with uv, without Docker.

`python -m infra.layers` builds them into `.build/layers` and prints their sizes; `python -m infra.layers lock` makes
`layers/*.txt` anew from pyproject.toml, as `telltale lock` does. Synth uses what is built, builds what is not, and
where it cannot (no network, or `-c layers=unbuilt`) makes a template that refuses to be deployed.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_lambda as lambda_
from constructs import Construct
from uv import find_uv_bin

from infra.function import ARCHITECTURE, RUNTIME

ROOT = Path(__file__).parents[1]
LOCKS = ROOT / "layers"
BUILT = ROOT / ".build" / "layers"
# The extras of pyproject.toml that each layer is made of. A function takes `base` and at most one other, and with
# `arrow` also `pictures`.
EXTRAS = {
    "base": ("lambda-base",),
    "arrow": ("lambda-arrow",),
    "iceberg": ("lambda-arrow", "lambda-iceberg"),
    "pictures": ("lambda-pictures",),
}
ARM64 = "aarch64-manylinux_2_28"  # Amazon Linux 2023, which PYTHON_3_13 runs on, has glibc 2.34
PYTHON = "3.13"
LIMIT_MB = 250  # of a function with its layers, unzipped (AWS Lambda quotas)

# Synth may be run where no index answers, by somebody who does not deploy: a silent one costs it 13 s, not two minutes.
SYNTH_WAITS = {"UV_HTTP_CONNECT_TIMEOUT": "4", "UV_HTTP_TIMEOUT": "6", "UV_HTTP_RETRIES": "1"}

# The runtime brings these.
IN_RUNTIME = ("boto3", "botocore", "jmespath", "python-dateutil", "s3transfer", "six", "urllib3")
# PyIceberg's command line needs these, the library does not.
UNUSED = ("click", "markdown-it-py", "mdurl", "pygments", "rich")

# What no function reads, as globs in the folder of packages.
TRIM = (
    "PIL/_avif*",  # formats other than PNG, and what Pillow computes beside drawing
    "PIL/_imagingcms*",
    "PIL/_imagingmath*",
    "PIL/_imagingmorph*",
    "PIL/_imagingtk*",
    "PIL/_webp*",
    "bin",
    "**/__pycache__",
    "**/tests",
    "**/*.a",
    "**/*.pxd",
    "**/*.pyi",
    "**/*.pyx",
    "*.dist-info/RECORD",
    "*.dist-info/sboms",
    "aws_lambda_powertools/event_handler/openapi/swagger_ui",
    "hive_metastore",
    "numpy/_core/include",
    "numpy/_core/_*_tests.*.so",
    "numpy/_core/_simd.*.so",  # for numpy's own tests
    "numpy/f2py",
    "pyarrow/include",
    "pyarrow/includes",
    "pyarrow/src",
    "pyarrow/*flight*",
    "pyarrow/_substrait*",  # the library itself is linked to, and stays
    "pyarrow/*cpp_tests*",
    "pyarrow/*encryption*",
    "pyarrow/*orc*",
    "pyarrow/_azurefs*",
    "pyarrow/_gcsfs*",
    "pyarrow/_hdfs*",
    "pyarrow/libarrow_python*.so",  # the same library three times; the one that is loaded is named .so.<abi>
    "pyarrow/libarrow_python*.so.*.*.*",
    "pillow.libs/libavif*",
    "pillow.libs/liblcms2*",
    "pillow.libs/libsharpyuv*",
    "pillow.libs/libwebp*",
    "pymupdf_fonts/[!F_]*",  # all but FiraGO, regular and bold
    "pymupdf_fonts/*Italic.py",
    "pymupdf_fonts/FiraMono*",
    "zstandard/*cffi*",  # the back end for PyPy
)
# What is left of packages of which the functions load single files: core/fft.py loads SciPy's pocketfft by itself.
ONLY = {
    "scipy": ("fft/_pocketfft/LICENSE.md", "fft/_pocketfft/pypocketfft*.so"),
    "scipy.libs": (),
}
# Arrow's own S3 file system: PyIceberg reads and writes through it, the others write with boto3.
TRIM_ALSO = {"base": (), "arrow": ("pyarrow/*s3*",), "iceberg": (), "pictures": ()}

HOW = "The layers were not built when this template was made: run `python -m infra.layers`, then synthesise again."


class Layers(Construct):
    """The layers, or without them a template that CloudFormation refuses. `wanted` is `build` or `unbuilt`."""

    def __init__(self, scope: Construct, id_: str, *, wanted: str) -> None:
        super().__init__(scope, id_)
        if wanted not in ("build", "unbuilt"):
            raise ValueError(f"context layers is {wanted!r}, wanted build or unbuilt")
        self._there = wanted == "build" and _all_built()
        if not self._there:
            self._refuse_to_deploy()
        self.base = self._layer("base")
        self.arrow = [*self.base, *self._layer("arrow")]
        self.iceberg = [*self.base, *self._layer("iceberg")]
        self.pictures = [*self.arrow, *self._layer("pictures")]

    def _layer(self, name: str) -> list[lambda_.ILayerVersion]:
        if not self._there:
            return []
        path = directory(name)
        code = lambda_.Code.from_asset(str(path), asset_hash=path.name, asset_hash_type=cdk.AssetHashType.CUSTOM)
        layer = lambda_.LayerVersion(
            self,
            name.title(),
            code=code,
            description=f"layers/{name}.txt",
            compatible_architectures=[ARCHITECTURE],
            compatible_runtimes=[RUNTIME],
        )
        return [layer]

    def _refuse_to_deploy(self) -> None:
        cdk.Annotations.of(self).add_warning_v2("telltale:layers", HOW)
        cdk.CfnRule(
            cdk.Stack.of(self),
            "LayersAreBuilt",
            assertions=[
                cdk.CfnRuleAssertion(assert_=cdk.Fn.condition_equals("unbuilt", "built"), assert_description=HOW)
            ],
        )


def directory(name: str) -> Path:
    """Where layer `name` is or will be: its name tells the pins and the way it is built."""
    recipe = hashlib.sha256(lock_path(name).read_bytes())
    kept = [f"{package}/{pattern}" for package, patterns in ONLY.items() for pattern in ("", *patterns)]
    recipe.update("\0".join((ARM64, PYTHON, *TRIM, *TRIM_ALSO[name], *kept)).encode())
    return BUILT / f"{name}-{recipe.hexdigest()[:12]}"


def build(name: str, waits: Mapping[str, str] | None = None) -> Path:
    """Build layer `name` unless it is there; answers its folder, which holds `python/`. `waits` are uv's settings."""
    target = directory(name)
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".building-") as work:
        python = Path(work, "layer", "python")
        _uv(
            "pip", "install", "--no-deps", "--require-hashes", "--only-binary", ":all:", "--python-version", PYTHON,
            "--python-platform", ARM64, "--target", str(python), "--requirement", str(lock_path(name)),
            waits=waits,
        )  # fmt: skip
        trim(python, name)
        python.parent.rename(target)  # at once: a build cut short leaves nothing that looks built
    return target


def size_mb(path: Path) -> float:
    """Size of the files in `path`, in MB as Lambda counts them: 2^20 bytes."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) / 2**20


def _all_built() -> bool:
    try:
        for name in EXTRAS:
            build(name, SYNTH_WAITS)
    except subprocess.CalledProcessError as error:
        print(f"telltale: a layer could not be built: {error.stderr.strip()}", file=sys.stderr)
        return False
    return True


def trim(python: Path, name: str) -> None:
    """Take out of the folder of packages of layer `name` what no function reads."""
    for pattern in (*TRIM, *TRIM_ALSO[name]):
        for path in list(python.glob(pattern)):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
    for package, patterns in ONLY.items():
        _keep_only(python / package, patterns)


def _keep_only(folder: Path, patterns: Iterable[str]) -> None:
    kept = {path for pattern in patterns for path in folder.glob(pattern)}
    for path in sorted(folder.rglob("*"), reverse=True):  # what is in a folder before the folder
        if path.is_dir():
            if not any(path.iterdir()):
                path.rmdir()
        elif path not in kept:
            path.unlink()


def _lock(name: str) -> None:
    left_out = [word for package in (*IN_RUNTIME, *UNUSED) for word in ("--no-emit-package", package)]
    extras = [word for extra in EXTRAS[name] for word in ("--extra", extra)]
    _uv(
        "pip", "compile", "--quiet", "--no-header", "--no-annotate", "--generate-hashes", "--python-version", PYTHON,
        "--python-platform", ARM64, "--only-binary", ":all:", "--constraint", str(ROOT / "requirements" / "dev.txt"),
        *left_out, *extras, "--output-file", str(lock_path(name)), str(ROOT / "pyproject.toml"),
    )  # fmt: skip


def lock_path(name: str) -> Path:
    return LOCKS / f"{name}.txt"


def _uv(*arguments: str, waits: Mapping[str, str] | None = None) -> None:
    """Run uv; what the caller's own environment says of `waits` holds."""
    environment = {**(waits or {}), **os.environ}
    subprocess.run([find_uv_bin(), *arguments], check=True, capture_output=True, text=True, env=environment)


def main(arguments: list[str]) -> None:
    if arguments == ["lock"]:
        for name in EXTRAS:
            _lock(name)
        return
    sizes = {name: size_mb(build(name)) for name in EXTRAS}
    beside = {"base": 0.0, "pictures": sizes["base"] + sizes["arrow"]}
    for name, size in sizes.items():
        function = size + beside.get(name, sizes["base"])
        print(f"{name:8} {size:6.1f} MB, a function with it {function:6.1f} of {LIMIT_MB} MB: {directory(name)}")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except subprocess.CalledProcessError as error:
        sys.exit(f"uv failed:\n{error.stderr.strip()}")
