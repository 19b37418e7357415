"""The AWS on this computer: one MiniStack process, IAM enforced, TLS, loopback only.

Its state lives in `.telltale/aws` and is written when it stops in good order. What does not survive
a stop: the certificate authority of the MQTT listener (gateways get new certificates at the next
`up`), and whatever happened since the last good stop if the process was killed.
"""

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cli.deployment import HOME, adopt
from cli.local_differences import PAGES_PORT
from cli.problem import Problem
from cli.process import is_running

ACCOUNT = "000000000000"
REGION = "us-east-1"
READY_WITHIN_S = 60.0
STOPPED_WITHIN_S = 120.0  # it writes its state, which holds a day of stream records
EMULATOR = Path(__file__).with_name("emulator.py")


@dataclass(frozen=True)
class LocalAws:
    """A running emulator: its process and its two ports."""

    pid: int
    port: int
    mqtt_port: int

    @property
    def endpoint(self) -> str:
        return f"https://localhost:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What a client of it needs: endpoint, credentials, and the certificate to trust."""
        certificate = str(tls_certificate()[0])
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_CA_BUNDLE": certificate,
            "SSL_CERT_FILE": certificate,  # Arrow's S3 client reads this one
            "NODE_EXTRA_CA_CERTS": certificate,  # and the CDK CLI this one
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def get(self, path: str) -> bytes:
        context = ssl.create_default_context(cafile=str(tls_certificate()[0]))
        with urllib.request.urlopen(self.endpoint + path, context=context, timeout=5) as answer:
            return bytes(answer.read())


def folder() -> Path:
    return HOME / "aws"


def running() -> LocalAws | None:
    """The emulator started from this checkout, if its process is alive and answers."""
    try:
        known = LocalAws(**json.loads((folder() / "process.json").read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None
    if not is_running(known.pid, EMULATOR.name):
        return None
    try:
        known.get("/_ministack/health")
    except (urllib.error.URLError, OSError):
        return None
    return known


def start() -> LocalAws:
    """Starts the emulator on free ports (the ones it had before, if they are free) and waits until it answers."""
    (folder() / "tmp").mkdir(parents=True, exist_ok=True)
    _forget_what_was_never_saved()
    port, mqtt_port, pages_port = (_free_port(wanted) for wanted in ports_before())
    known = [port, mqtt_port, pages_port]
    (folder() / "ports.json").write_text(json.dumps(known))  # addresses in the state hold on to them
    certificate, key = tls_certificate()
    settings = {
        "GATEWAY_PORT": str(port),
        "IOT_MTLS_PORT": str(mqtt_port),
        PAGES_PORT: str(pages_port),
        "BIND_HOST": "127.0.0.1",
        "MINISTACK_HOST": "localhost",
        "MINISTACK_REGION": REGION,
        "USE_SSL": "1",
        "MINISTACK_SSL_CERT": str(certificate),
        "MINISTACK_SSL_KEY": str(key),
        "AUTH": "true",
        "PERSIST_STATE": "1",
        "STATE_DIR": str(folder() / "state"),
        "S3_PERSIST": "1",
        "S3_DATA_DIR": str(folder() / "s3"),
        "TMPDIR": str(folder() / "tmp"),
        "LOG_LEVEL": "INFO",
        "SFTP_ENABLED": "0",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_CA_BUNDLE": str(certificate),
        "SSL_CERT_FILE": str(certificate),
        "OPENBLAS_NUM_THREADS": "1",  # the functions share two cores with everything else
        "PYTHONPATH": "",  # the functions see their own asset only, never the checkout
    }
    with (folder() / "emulator.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-P", str(EMULATOR)],
            cwd=folder(),
            env=adopt(os.environ, settings),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    local = LocalAws(process.pid, port, mqtt_port)
    (folder() / "process.json").write_text(json.dumps(asdict(local)))
    _wait_until_ready(local, process)
    return local


def _forget_what_was_never_saved() -> None:
    """S3 is written at once, the rest in a good stop: killed before its first, its buckets belong to no stack.

    They would be in the way of every deployment.
    """
    if not (folder() / "state" / "cloudformation.json").exists():
        shutil.rmtree(folder() / "s3", ignore_errors=True)


def stop() -> bool:
    """Stops the emulator so that it writes its state; True when there was one."""
    try:
        known = LocalAws(**json.loads((folder() / "process.json").read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return False
    if is_running(known.pid, EMULATOR.name):
        os.kill(known.pid, signal.SIGTERM)
        deadline = time.monotonic() + STOPPED_WITHIN_S
        while is_running(known.pid, EMULATOR.name) and time.monotonic() < deadline:
            time.sleep(0.1)
        if is_running(known.pid, EMULATOR.name):
            os.killpg(known.pid, signal.SIGKILL)
    (folder() / "process.json").unlink()
    return True


def tls_certificate() -> tuple[Path, Path]:
    """A self-signed certificate for localhost, made once, and its key."""
    certificate, key = folder() / "tls" / "cert.pem", folder() / "tls" / "key.pem"
    if not (certificate.exists() and key.exists()):
        certificate.parent.mkdir(parents=True, exist_ok=True)
        _make_certificate(certificate, key)
    return certificate, key


def _make_certificate(certificate: Path, key: Path) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=3650))
        .add_extension(
            x509.SubjectAlternativeName(
                [x509.DNSName("localhost"), x509.DNSName("*.localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
            ),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(private, hashes.SHA256())
    )
    key.touch(mode=0o600)
    key.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))


def _wait_until_ready(local: LocalAws, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            local.get("/_ministack/health")
            _check_mqtt(local)
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    log = (folder() / "emulator.log").read_text(errors="replace").strip().splitlines()[-8:]
    raise Problem(
        "the local AWS did not start; its last words:\n    " + "\n    ".join(log),
        f"the whole log is {folder() / 'emulator.log'}; `scripts/telltale doctor` checks ports and versions",
    )


def _check_mqtt(local: LocalAws) -> None:
    """The emulator only warns when its MQTT port is taken, so see that somebody listens there."""
    with socket.create_connection(("127.0.0.1", local.mqtt_port), timeout=2):
        return


def ports_before() -> tuple[int, int, int]:
    """The ports of the last start: the emulator's, MQTT's and that of pages. Zeros, for any, where there was none."""
    try:
        known = json.loads((folder() / "ports.json").read_text())
        return int(known[0]), int(known[1]), int(known[2]) if len(known) > 2 else 0
    except (FileNotFoundError, ValueError, TypeError, IndexError):
        return 0, 0, 0


def _free_port(wanted: int) -> int:
    """`wanted` if nobody listens there, else any free one."""
    for candidate in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", candidate))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise Problem("no free port on the loopback interface")
