"""A real Odoo 19 Community with its Maintenance app, on a PostgreSQL of its own, for this computer alone.

All of it lies below `.telltale/peers/odoo`; nothing is installed on the system, and nobody needs to be root:

    code/       Debian's package odoo-19, unpacked (only the suite sid has it; 120 MB)
    postgres/   Debian's PostgreSQL, unpacked, where the machine has none
    venv/       what Odoo imports, from PyPI (odoo.txt)
    cluster/    a database with the apps, the people and the keys of odoo_setup.py in it; made once
    runs/       a copy of the cluster for each Odoo that runs, gone when it ends

The first run takes about a minute, later ones a few seconds. Runs do not see each other, and what was interrupted is
done again.
"""

import fcntl
import hashlib
import json
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.peers import HOME, Gone
from cli.peers.apt import Apt, unpack
from cli.process import is_running

PACKAGE, SUITE = "odoo-19", "sid"
APPS = "maintenance,base_automation,stock"
DATABASE, OWNER = "telltale", "odoo"
TEAM, ASSET, PART = "Internal Maintenance", "pump-7", "6205-2RS"  # of odoo_setup.py, or of Odoo itself
NOT_NEEDED = (  # of the package's 1.1 GB; what is left takes 210 MB
    "*/addons/l10n_*", "*/addons/website*", "*/addons/pos_*", "*/addons/theme_*", "*/addons/spreadsheet_*",
    "*/addons/test_*", "*/i18n/*", "*/static/tests/*", "*/static/description/*",
)  # fmt: skip
HERE = Path(__file__).parent
PINS, SETUP = HERE / "odoo.txt", HERE / "odoo_setup.py"
READY_WITHIN_S = 300  # a guess: it takes 3 s on an idle machine, a minute on one with much other work
STOPS_WITHIN_S = 20  # a guess; after it, killed
FOR_SPEED = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "jit=off", "shared_buffers=128MB")


@dataclass(frozen=True)
class Odoo:
    """An Odoo that runs. keys : for its API, by login: "telltale" may do what docs/cmms/odoo.md asks for and no more,
    "mia" is a technician who manages equipment, "admin" may do anything.
    """

    url: str
    keys: Mapping[str, str]
    log: Path
    database: str = DATABASE

    def ask(self, who: str, model: str, method: str, **named: Any) -> Any:
        """What Odoo answers to that person, by JSON-2; raises AssertionError with what it said."""
        request = urllib.request.Request(
            f"{self.url}/json/2/{model}/{method}",
            json.dumps(named).encode(),
            {
                "Authorization": f"bearer {self.keys[who]}",
                "X-Odoo-Database": self.database,
                "Content-Type": "application/json",
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{model}.{method} as {who}: {error.code} {error.read()[:500]!r}") from error


@contextmanager
def running(*, workers: int = 0, home: Path = HOME / "odoo") -> Iterator[Odoo]:
    """An Odoo of its own with a fresh database. workers : processes that answer requests; 0: threads of one.

    Raises Gone, saying why, where it cannot be had.
    """
    here = _Place(home)
    with _alone(home):
        here.prepare()
        _clear(home / "runs")
        folder = here.new_run()
    try:
        with here.database(folder) as postgres_port:
            port, longpolling = _free_port(), _free_port()
            here.configure(folder, postgres_port, http_port=port, gevent_port=longpolling, workers=workers)
            url = f"http://127.0.0.1:{port}"
            with here.server(folder, url) as log:
                yield Odoo(url, json.loads((here.cluster / "keys.json").read_text()), log)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class _Place:
    """The folder in which all of it lies."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._code, self._venv, self._postgres = home / "code", home / "venv", home / "postgres"
        self._user = _unprivileged()
        self._data = _reachable(home, self._user)
        self.cluster = self._data / "cluster"

    def prepare(self) -> None:
        """Fetches, unpacks and installs what is missing."""
        _once(self._code, "Odoo 19 from Debian's suite sid (120 MB)", self._fetch)
        _once(self._venv, "what Odoo imports, from PyPI", self._install, unless=_digest(PINS))
        if not _programs():
            _once(self._postgres, "PostgreSQL from Debian", self._fetch_postgres)
        wanted = _digest(SETUP, PINS, text=f"{APPS} {FOR_SPEED} {self._binaries()}")
        _once(self.cluster, "a database with the Maintenance app (half a minute)", self._make, unless=wanted)

    def _fetch(self, into: Path) -> None:
        apt = Apt(self._home / "apt" / SUITE, suite=SUITE)
        apt.update()
        packages = self._home / "packages"
        shutil.rmtree(packages, ignore_errors=True)
        [package] = apt.download([PACKAGE], packages)
        unpack(package, into, leave_out=NOT_NEEDED)
        shutil.rmtree(packages)

    def _fetch_postgres(self, into: Path) -> None:
        apt = Apt(self._home / "apt" / "own")
        apt.update()
        packages = self._home / "packages"
        shutil.rmtree(packages, ignore_errors=True)
        for package in apt.download([one for one in apt.needed("postgresql") if _of_postgres(one)], packages):
            unpack(package, into)
        shutil.rmtree(packages)

    def _install(self, into: Path) -> None:
        uv = Path(sys.executable).with_name("uv")
        if uv.exists():
            _run([uv, "venv", "--quiet", "--python", sys.executable, into])
            _run([uv, "pip", "install", "--quiet", "--python", into / "bin" / "python", "-r", PINS])
        else:
            _run([sys.executable, "-m", "venv", into])
            _run([into / "bin" / "python", "-m", "pip", "install", "--quiet", "-r", PINS])

    def _make(self, into: Path) -> None:
        """A cluster with one database, in which the apps are installed and odoo_setup.py has run."""
        into.mkdir(parents=True)
        into.chmod(0o700)
        password = into / "password"
        password.write_text(secrets.token_hex(16))
        _give(self._user, into, password)
        command: list[Path | str] = [
            self._binaries() / "initdb",
            "-D",
            into / "data",
            "-U",
            OWNER,
            "--auth=scram-sha-256",
        ]
        _run([*command, f"--pwfile={password}", "-E", "UTF8", "--locale=C.UTF-8"], **self._as_user())
        with self.database(into) as port:
            odoo = self.configure(into, port, http_port=_free_port(), gevent_port=_free_port())
            _run([*odoo, "--init", APPS, "--stop-after-init", "--no-http", "--log-level=warn"], env=self._environment())
            odoo.insert(2, "shell")
            shell = [*odoo, "--no-http", "--log-level=error"]
            said = _run(shell, env=self._environment(), input=SETUP.read_text())
        keys = next((line for line in said.splitlines() if line.startswith("KEYS ")), None)
        if keys is None:
            raise Gone(f"Odoo could not be set up: {said[-1000:]}")
        (into / "keys.json").write_text(keys.removeprefix("KEYS "))
        (into / "keys.json").chmod(0o600)

    def new_run(self) -> Path:
        """A copy of the cluster, marked as this process's."""
        folder = self._data / "runs" / f"{os.getpid()}-{secrets.token_hex(4)}"
        folder.mkdir(parents=True)
        _run(["cp", "-a", "--reflink=auto", f"{self.cluster}/.", folder])
        (folder / "owner").write_text(str(os.getpid()))
        return folder

    @contextmanager
    def database(self, folder: Path) -> Iterator[int]:
        """The port of a PostgreSQL on `folder`, on the loopback interface, until the block ends."""
        port = _free_port()
        settings = ("listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=100", *FOR_SPEED)
        options = [part for one in settings for part in ("-c", one)]
        command: list[Path | str] = [self._binaries() / "postgres", "-D", folder / "data", "-p", str(port), *options]
        with _process(command, folder / "postgres.log", folder, stop=signal.SIGINT, **self._as_user()) as alive:
            status = folder / "data" / "postmaster.pid"
            _wait("PostgreSQL", folder / "postgres.log", alive, lambda: "ready" in status.read_text())
            yield port

    def configure(
        self, folder: Path, postgres_port: int, *, http_port: int, gevent_port: int, workers: int = 0
    ) -> list[Path | str]:
        """Writes Odoo's configuration and answers the command that follows it."""
        settings = {
            "db_host": "127.0.0.1",
            "db_port": postgres_port,
            "db_user": OWNER,
            "db_password": (folder / "password").read_text(),
            "db_name": DATABASE,
            "list_db": False,
            "admin_passwd": secrets.token_hex(16),
            "data_dir": folder / "odoo",
            "http_interface": "127.0.0.1",
            "http_port": http_port,
            "gevent_port": gevent_port,
            "workers": workers,
            "max_cron_threads": 0,
        }
        path = folder / "odoo.conf"
        path.touch(mode=0o600)
        path.write_text("[options]\n" + "".join(f"{name} = {value}\n" for name, value in settings.items()))
        return [self._venv / "bin" / "python", self._code / "usr" / "bin" / "odoo", "-c", path, "-d", DATABASE]

    @contextmanager
    def server(self, folder: Path, url: str) -> Iterator[Path]:
        """Odoo on `folder`, answering; yields its log."""
        log = folder / "odoo.log"
        program, odoo = self._venv / "bin" / "python", self._code / "usr" / "bin" / "odoo"
        command: list[Path | str] = [program, odoo, "-c", folder / "odoo.conf", "-d", DATABASE]
        with _process(command, log, folder, stop=signal.SIGTERM, env=self._environment()) as alive:
            _wait("Odoo", log, alive, lambda: _answers(f"{url}/web/health"))
            yield log

    def _binaries(self) -> Path:
        found = _programs() or _programs(self._postgres)
        if found is None:
            raise Gone("PostgreSQL is not on this machine, and could not be fetched")
        return found

    def _environment(self) -> dict[str, str]:
        path = self._code / "usr" / "lib" / "python3" / "dist-packages"
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "PYTHON", "ODOO"))}
        return {**kept, "PYTHONPATH": str(path), "PYTHONDONTWRITEBYTECODE": "1", "HOME": str(self._home)}

    def _as_user(self) -> dict[str, Any]:
        """PostgreSQL refuses to run as root."""
        libraries = [str(path) for path in self._postgres.glob("*/lib/*-linux-gnu*")]
        libraries += [str(path) for path in self._postgres.glob("lib/*-linux-gnu*")]
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        environment = kept | ({"LD_LIBRARY_PATH": os.pathsep.join(libraries)} if libraries else {})
        if self._user is None:
            return {"env": environment, "cwd": "/"}
        return {"env": environment, "cwd": "/", "user": self._user.pw_uid, "group": self._user.pw_gid}


def _programs(root: Path = Path("/")) -> Path | None:
    """Where PostgreSQL's newest programs are below `root`; None where there are none."""
    found = [path.parent for path in root.glob("usr/lib/postgresql/*/bin/initdb")]
    complete = [path for path in found if (path / "postgres").exists()]
    return max(complete, key=lambda path: float(path.parent.name), default=None)


def _of_postgres(package: str) -> bool:
    """Whether the server needs it, beside the C library: not its just-in-time compiler, nor Debian's Perl around it."""
    if package.startswith("postgresql-"):
        return package.removeprefix("postgresql-").removeprefix("client-").isdecimal()
    left_out = ("libllvm", "libperl", "libcommon", "libc6", "libgcc", "libcrypt1", "libstdc++", "libdb", "libc-")
    return package == "zlib1g" or (
        package.startswith("lib")
        and not package.startswith(left_out)
        and not package.endswith(("-perl", "-bin", "-data"))
    )


def _unprivileged() -> pwd.struct_passwd | None:
    """Whom PostgreSQL runs as where we are root; None: as we do."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name)
    raise Gone("PostgreSQL refuses to run as root, and this machine knows no user `nobody`")


def _reachable(home: Path, user: pwd.struct_passwd | None) -> Path:
    """`home`, or a folder in /var/tmp where that user cannot get there."""
    home.mkdir(parents=True, exist_ok=True)
    if user is None or all(folder.stat().st_mode & 0o001 for folder in (home, *home.parents)):
        return home
    elsewhere = Path("/var/tmp") / f"telltale-odoo-{hashlib.sha256(str(home).encode()).hexdigest()[:12]}"
    elsewhere.mkdir(exist_ok=True)
    if elsewhere.stat().st_uid != os.geteuid():
        raise Gone(f"{elsewhere} belongs to somebody else")
    return elsewhere


def _give(user: pwd.struct_passwd | None, *paths: Path) -> None:
    if user is not None:
        for path in paths:
            os.chown(path, user.pw_uid, user.pw_gid)


def _once(target: Path, what: str, make: Callable[[Path], None], *, unless: str = "") -> None:
    """Makes a folder, unless it is there whole, and made of the same (`unless`)."""
    stamp = target.with_name(f"{target.name}.stamp")
    if target.exists() and stamp.exists() and stamp.read_text() == unless:
        return
    began = time.monotonic()
    print(f"  preparing {what} …", file=sys.stderr, flush=True)
    stamp.unlink(missing_ok=True)
    shutil.rmtree(target, ignore_errors=True)
    make(target)
    stamp.write_text(unless)
    print(f"  preparing {what} … {time.monotonic() - began:.1f} s", file=sys.stderr, flush=True)


def _digest(*paths: Path, text: str = "") -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths) + text.encode()).hexdigest()


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Nobody else prepares this folder meanwhile."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _clear(runs: Path) -> None:
    """Ends and removes what processes left that were killed."""
    for folder in runs.glob("*"):
        owner = folder / "owner"
        if owner.exists() and Path(f"/proc/{owner.read_text()}").exists():
            continue
        for pid in (int(path.read_text()) for path in folder.glob("*.pid")):
            if is_running(pid, folder.name):
                os.kill(pid, signal.SIGTERM)
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _process(
    command: Sequence[Path | str], log: Path, folder: Path, *, stop: signal.Signals, **how: Any
) -> Iterator[Callable[[], bool]]:
    """A process until the block ends; yields whether it is alive. Its number stands in `folder`, for the next run."""
    with log.open("ab") as out:
        words = [str(word) for word in command]
        process = subprocess.Popen(
            words, stdout=out, stderr=out, stdin=subprocess.DEVNULL, start_new_session=True, **how
        )
    (folder / f"{log.stem}.pid").write_text(str(process.pid))
    try:
        yield lambda: process.poll() is None
    finally:
        process.send_signal(stop)
        try:
            process.wait(STOPS_WITHIN_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # its own session: itself and what it forked
            process.wait()


def _wait(what: str, log: Path, alive: Callable[[], bool], ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while alive() and time.monotonic() < deadline:
        with suppress(OSError):
            if ready():
                return
        time.sleep(0.05)
    raise Gone(f"{what} did not start: {log.read_text(errors='replace')[-1000:]}")


def _answers(url: str) -> bool:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return bool(answer.status == 200)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _run(command: Sequence[Path | str], **how: Any) -> str:
    """What it printed. Raises Gone, with what it said, where it fails."""
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, **how)
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip()[-1500:]
        raise Gone(f"`{' '.join(words[:4])} …` failed: {said}")
    return done.stdout + done.stderr
