"""MiniStack as a process of its own on the loopback interface; it forgets everything at the end."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError

START_S = 60  # for MiniStack to answer; it takes about 2 s on an idle machine


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """Its URL. folder : for its log."""
    url = f"http://127.0.0.1:{(port := _free_port())}"
    plain = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    settings = {"BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port), "S3_PERSIST": "0", "IOT_MTLS_ENABLED": "0"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "ministack"], env=plain | settings, cwd=folder, stdout=log, stderr=log
        )
    try:
        _await(f"{url}/_ministack/health", process, folder / "log")
        yield url
    finally:
        process.terminate()
        process.wait(timeout=30)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (URLError, OSError):
            time.sleep(0.1)
    raise RuntimeError(f"MiniStack did not answer at {url}:\n{log.read_text()[-2000:]}")
