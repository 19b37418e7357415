"""What a verdict was made with is kept, read back, and found in git."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
from telltale import VERSION
from telltale.adapters import basis
from telltale.adapters.feature_stream import Message
from telltale.core.detect import Row, State, step
from telltale.core.plant import Limits, Position

PUMP = Position("hall/line/pump/de", limits=Limits(velocity_warning_mm_s=4.5), settings={"growth": 2.5})
ROW = Row("c-1", "x", 7, 8, "s-1", axes={"x": {"velocity_rms_mm_s": 1.0, "rms_g": 0.1}})


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True, text=True).stdout


def test_what_is_kept_is_read_back() -> None:
    state, _, _ = step(State.new(), ROW, PUMP)

    found = basis.read(basis.basis(Message(PUMP.id, ROW, digests={"captures": "ab"}), state, PUMP))

    assert (found.state, found.position, found.digests) == (State.unpack(state.pack()), PUMP, {"captures": "ab"})
    assert (found.version, found.core, found.limits) == (VERSION, basis.core_id(), basis.limits_id())


@pytest.mark.parametrize("broken", [{"state": "AA=="}, {"state": "!"}, {"position": "{}"}, {"position": "["}])
def test_what_cannot_be_read_says_so(broken: dict[str, Any]) -> None:
    kept = basis.basis(Message(PUMP.id, ROW), State.new(), PUMP)

    with pytest.raises((ValueError, KeyError, TypeError)):
        basis.read({**kept, **broken})


def test_a_folder_has_the_id_that_git_gives_it(tmp_path: Path) -> None:
    folder = tmp_path / "core"
    for name, text in {"b.py": "b", "a/c.py": "c", "a.py": "a", "a0.py": ""}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    wanted = git(tmp_path, "write-tree", "--prefix=core/").strip()
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "b.pyc").write_bytes(b"compiled")

    assert basis.tree_id(folder) == wanted
    assert basis.code_version() == f"{VERSION}+{basis.core_id()}"
