"""A real mail server (aiosmtpd) with its own certificate authority, STARTTLS or TLS, and users that must sign in."""

import datetime
import ipaddress
import socket
import ssl
from asyncio import WriteTransport
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

USER, PASSWORD = "telltale", "of the mail server"


class Inbox:
    """What was delivered, to whom.

    answers : what the next commands are answered instead, by command (RCPT, DATA) or recipient, used up in order.
    """

    def __init__(self) -> None:
        self.mails: list[tuple[str, EmailMessage]] = []
        self.answers: dict[str, list[str]] = {}
        self.sessions = 0
        self.port = 0
        self.ca = ""

    def to(self, recipient: str) -> list[EmailMessage]:
        return [mail for to, mail in self.mails if to == recipient]

    def _instead(self, *names: str) -> str | None:
        return next((self.answers[name].pop(0) for name in names if self.answers.get(name)), None)

    async def handle_EHLO(  # noqa: N802  # aiosmtpd's own names
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        self.sessions += 1
        return responses

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        instead = self._instead("RCPT", address)
        if instead is None:
            envelope.rcpt_tos.append(address)
        return instead or "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        instead = self._instead("DATA")
        if instead is None or instead.startswith("lost"):
            mail = message_from_bytes(envelope.original_content or b"", policy=default)
            assert isinstance(mail, EmailMessage)
            self.mails += [(to, mail) for to in envelope.rcpt_tos]
        if instead and instead.startswith("lost"):
            assert isinstance(server.transport, WriteTransport)
            server.transport.abort()
        return instead or "250 taken"


def signed_in(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
    held = isinstance(data, LoginPassword) and (data.login, data.password) == (USER.encode(), PASSWORD.encode())
    return AuthResult(success=held, handled=False)


@contextmanager
def serving(folder: Path, *, tls: str = "starttls", host: str = "localhost") -> Iterator[Inbox]:
    """The server on a free port of 127.0.0.1, with a certificate for `host`. Only with STARTTLS does it ask for users:
    aiosmtpd does not count TLS from the start.
    """
    inbox = Inbox()
    with socket.socket() as one:  # aiosmtpd looks at its own port once it listens, and cannot for port 0
        one.bind(("127.0.0.1", 0))
        inbox.port = one.getsockname()[1]
    certificate, inbox.ca = _certificate(folder, host)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    options: dict[str, Any] = {"ssl_context": context} if tls == "tls" else {}
    if tls == "starttls":
        options = {"tls_context": context, "require_starttls": True, "auth_required": True, "authenticator": signed_in}
    controller = Controller(inbox, hostname="127.0.0.1", port=inbox.port, **options)
    controller.start()
    try:
        yield inbox
    finally:
        controller.stop()


def _certificate(folder: Path, host: str) -> tuple[Path, str]:
    """A file with key and certificate for the host, and the authority that signed it, as PEM."""
    names = [x509.DNSName(host), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))] if host == "localhost" else []
    authority, authority_key = _signed("the plant's own authority", [])
    certificate, key = _signed(host, names or [x509.DNSName(host)], authority, authority_key)
    file = folder / f"{host}.pem"
    kind = serialization.PrivateFormat.PKCS8
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, kind, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return file, authority.public_bytes(serialization.Encoding.PEM).decode()


def _signed(
    name: str,
    names: list[x509.GeneralName],
    by: x509.Certificate | None = None,
    by_key: ec.EllipticCurvePrivateKey | None = None,
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    called = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    issuer_key = by_key or key
    draft = (
        x509.CertificateBuilder()
        .subject_name(called)
        .issuer_name(by.subject if by else called)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=by is None, path_length=None), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if names:
        draft = draft.add_extension(x509.SubjectAlternativeName(names), critical=False)
    else:
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        draft = draft.add_extension(usage, critical=True)
    return draft.sign(issuer_key, hashes.SHA256()), key
