"""A mailbox, for plants that have no maintenance system: the order lies in the logbook, mail brings it to people.

Each mail is written down in the order's history before it is sent, so that no two workers send it at once, and when
the server took it, for each recipient. SMTP cannot do better: where a worker dies between the server's yes and that
line, the mail goes out again, under the same Message-ID. An order counts as made once its first mail is out: a server
that is down keeps it waiting.
"""

import base64
import hashlib
import html
import re
import secrets
import smtplib
import ssl
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, formataddr, getaddresses, parseaddr

from telltale.adapters.cmms.adapter import Adapter, Given, Setting
from telltale.adapters.cmms.http import allowed
from telltale.adapters.cmms.logbook import Entry
from telltale.adapters.cmms.port import FIELDS, Capabilities, CmmsBusy, CmmsDenied, Order, OrderRequest, Plain, Status
from telltale.core.closure import Closure
from telltale.core.errors import CmmsRefused, RetryLater

SERVER_S = 10.0  # a guess: a healthy server answers in well under a second
CLAIM_MS = 150_000  # longer than the function may run: whoever was sending is dead by then
STARTTLS, TLS, CLEAR = "starttls", "tls", "none"
DENIED = (530, 534, 535, 538)  # authentication is needed, too weak, or does not hold (RFC 4954, 6)
OPENED = "opened"
LABEL = 20  # characters; a longer beginning of a line is a sentence with a colon in it
COLOURS = {"ALARM": "#b3261e", "WARNING": "#8a5a00"}


@dataclass(frozen=True)
class Server:
    """Where mail is handed over.

    user : "" where nobody signs in.   ca : PEM of the plant's own authority, "" for the public ones.
    """

    host: str
    port: int
    tls: str
    user: str = ""
    password: str = ""
    ca: str = ""


class Mailbox(Plain):
    """The logbook, and a mail for each thing that happens to an order."""

    name = "email"
    capabilities = Capabilities(upsert=True, pushes=False, reopens=True, codes=True)

    def __init__(self, given: Given) -> None:
        settings = given.settings
        self._book, self._now_ms, self._budget = given.logbook, given.now_ms, given.budget
        self._sender = str(settings["from"])
        self._to = tuple(formataddr(one) for one in getaddresses([str(settings["to"])]))
        wrong = [one for one in (self._sender, *self._to) if "@" not in parseaddr(one)[1]]
        if wrong or not self._to:
            raise CmmsRefused(f"site {given.site}: {', '.join(wrong) or 'to'} is no mail address")
        self._domain = parseaddr(self._sender)[1].partition("@")[2]
        names = {name: given.secrets.get(name, "") for name in ("user", "password", "ca")}
        self._server = Server(str(settings["host"]), int(settings["port"]), str(settings["tls"]), **names)
        if self._server.tls == CLEAR and not allowed(f"http://{self._server.host}/"):
            raise CmmsRefused(f"site {given.site}: mail goes to {self._server.host} by TLS, or not at all")

    def find(self, key: str) -> Order | None:
        entry = self._book.entry(key)
        return entry.order if entry and not self._missing(entry, self._id(key, OPENED)) else None

    def create(self, request: OrderRequest) -> Order:
        self._book.create(request)
        entry = self._entry(request.key)
        self._tell(entry, OPENED, entry.request.title, headers=request.fields)
        return entry.order

    def get(self, ref: str) -> Order | None:
        return self._book.get(ref)

    def update(self, ref: str, request: OrderRequest, fields: Collection[str] = FIELDS) -> Order:
        """No mail: what the worker has to say of a change follows as a comment."""
        return self._book.update(ref, request, fields)

    def comment(self, ref: str, text: str, *, key: str) -> None:
        self._book.comment(ref, text, key=key)
        self._tell(self._entry(ref), key, text)

    def set_status(self, ref: str, status: Status, *, by: str, closure: Closure | None = None) -> Order:
        order = self._book.set_status(ref, status, by=by, closure=closure)
        found = "; ".join(filter(None, (order.closure or {}).values()))
        news = f"{order.status} by {order.by}{found and ': '}{found}"
        self._tell(self._entry(ref), f"{order.status}-{order.changed_ms}", news)
        return order

    def _entry(self, ref: str) -> Entry:
        entry = self._book.entry(ref)
        if entry is None:
            raise CmmsRefused(f"order {ref} is not in the logbook")
        return entry

    def _id(self, key: str, what: str) -> str:
        """The Message-ID of what is told of an order: the same whenever it is told."""
        return f"<{key}.{hashlib.sha256(what.encode()).hexdigest()[:16]}@{self._domain}>"

    def _missing(self, entry: Entry, message_id: str) -> list[str]:
        """Recipients of whom the history says neither that they were sent it, nor that they cannot be."""
        said = {line.text for line in entry.history}
        return [to for to in self._to if not {_taken(message_id, to), _refused(message_id, to)} & said]

    def _tell(self, entry: Entry, what: str, news: str, headers: Mapping[str, str] | None = None) -> None:
        """Sends what is new to each recipient that does not have it yet.

        Raises CmmsBusy when one has to wait, and CmmsRefused when the server takes it for none of them.
        """
        key, message_id = entry.request.key, self._id(entry.request.key, what)
        if not self._missing(entry, message_id):
            return
        attempt = self._claimed(entry, message_id)
        try:
            self._send(message_id, self._entry(key), news, headers or {})
        finally:
            self._note(key, _over(message_id, attempt))

    def _claimed(self, entry: Entry, message_id: str) -> int:
        """The number of this attempt to send a mail: the only one there is now, or CmmsBusy is raised."""
        lines = {line.text: line.t_ms for line in entry.history}
        before = [one for one in lines if one.startswith(_claim(message_id, ""))]
        attempt = len(before) + 1
        since_ms = max((lines[one] for one in before), default=0)
        left_ms = since_ms + CLAIM_MS - self._now_ms()
        if before and _over(message_id, attempt - 1) not in lines and left_ms > 0:
            raise CmmsBusy(f"another worker is sending mail {message_id}", left_ms / 1000)
        mine = _claim(message_id, f"{attempt} {secrets.token_hex(4)}")
        self._note(entry.request.key, mine, once=_claim(message_id, str(attempt)))
        if not any(line.text == mine for line in self._entry(entry.request.key).history):
            raise CmmsBusy(f"another worker is sending mail {message_id}")
        return attempt

    def _send(self, message_id: str, entry: Entry, news: str, headers: Mapping[str, str]) -> None:
        key, missing = entry.request.key, self._missing(entry, message_id)
        message = self._message(entry, message_id, news, headers)
        later: list[str] = []
        refused: list[str] = []
        words: list[str] = []
        with _session(self._server, self._domain, self._budget) as session:
            for to in missing:
                said = _sent_to(session, parseaddr(self._sender)[1], to, message)
                if said is None:
                    self._note(key, _taken(message_id, to))
                else:
                    (later if said[0] < 500 else refused).append(to)
                    words.append(f"{to}: {said[0]} {said[1]}")
        if later:
            raise CmmsBusy(f"{self._server.host} takes mail later: {'; '.join(words)}")
        if set(refused) == set(self._to):
            raise CmmsRefused(f"{self._server.host} takes the mail for nobody: {'; '.join(words)}")
        for to in refused:
            self._note(key, _refused(message_id, to))

    def _note(self, key: str, text: str, *, once: str = "") -> None:
        """A line of the order's history; one a `once`, which is the text where none is given."""
        self._book.comment(key, text, key=hashlib.sha256((once or text).encode()).hexdigest()[:32])

    def _message(self, entry: Entry, message_id: str, news: str, headers: Mapping[str, str]) -> bytes:
        request, first = entry.request, self._id(entry.request.key, OPENED)
        message = EmailMessage(policy=SMTP.clone(cte_type="7bit"))
        message["From"] = self._sender
        message["To"] = ", ".join(self._to)
        message["Subject"] = " ".join(news.split())
        message["Date"] = format_datetime(datetime.fromtimestamp(self._now_ms() / 1000, UTC))
        message["Message-ID"] = message_id
        if message_id != first:
            message["In-Reply-To"] = message["References"] = first
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's absence is answered to it
        message["X-Auto-Response-Suppress"] = "All"  # the same, to Exchange
        message["Importance"] = "high" if request.severity == "ALARM" else "normal"
        message["X-Telltale-Order"] = request.key
        for name, value in headers.items():
            del message[name]
            message[name] = " ".join(str(value).split())
        message.set_content(_text(entry, news))
        message.add_alternative(_html(entry, news), subtype="html")
        return message.as_bytes()


@contextmanager
def _session(server: Server, name: str, budget: Callable[[], None]) -> Iterator[smtplib.SMTP]:
    """A server that lets Telltale hand mail over, known by its certificate."""
    budget()
    try:
        context = ssl.create_default_context(cadata=_authorities(server.ca) or None)
        session: smtplib.SMTP
        if server.tls == TLS:
            session = smtplib.SMTP_SSL(server.host, server.port, name, timeout=SERVER_S, context=context)
        else:
            session = smtplib.SMTP(server.host, server.port, name, timeout=SERVER_S)
        try:
            if server.tls == STARTTLS:
                session.starttls(context=context)
            if server.user:
                session.login(server.user, server.password)
            yield session
            with suppress(smtplib.SMTPException):
                session.quit()
        finally:
            session.close()
    except (ssl.SSLCertVerificationError, smtplib.SMTPNotSupportedError) as error:
        raise CmmsDenied(f"{server.host} is not to be trusted with mail: {error}") from error
    except smtplib.SMTPResponseException as error:
        said = f"{server.host}: {error.smtp_code} {_shown(error.smtp_error)}"
        raise (CmmsBusy(said) if error.smtp_code < 500 else CmmsDenied(said)) from error
    except OSError as error:
        raise RetryLater(f"{server.host}:{server.port} could not be reached: {error}") from error


def _authorities(pem: str) -> bytes:
    """The certificates of a PEM text, be its line ends there or not: secrets are typed on one line."""
    found = re.findall(r"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", pem, re.DOTALL)
    try:
        if pem and not found:
            raise ValueError("no BEGIN CERTIFICATE in it")
        return b"".join(base64.b64decode(re.sub(r"\s|\\n", "", one), validate=True) for one in found)
    except ValueError as error:
        raise CmmsDenied(f"the secret 'ca' is no certificate: {error}") from error


def _sent_to(session: smtplib.SMTP, sender: str, to: str, message: bytes) -> tuple[int, str] | None:
    """None once the server has taken the mail; else its code and words. Raises for what holds for every mail."""
    try:
        session.sendmail(sender, [parseaddr(to)[1]], message)
    except smtplib.SMTPRecipientsRefused as refused:
        [(code, words)] = refused.recipients.values()
        said = _shown(words)
    except (smtplib.SMTPSenderRefused, smtplib.SMTPDataError) as refused:
        code, said = refused.smtp_code, _shown(refused.smtp_error)
    else:
        return None
    if code in DENIED:
        raise smtplib.SMTPAuthenticationError(code, said)
    return code, said


def _claim(message_id: str, attempt: str) -> str:
    return f"mailing {message_id}, attempt {attempt}"


def _over(message_id: str, attempt: int) -> str:
    return f"attempt {attempt} to mail {message_id} is over"


def _taken(message_id: str, to: str) -> str:
    return f"mailed {to}: {message_id}"


def _refused(message_id: str, to: str) -> str:
    return f"not taken for {to}: {message_id}"


def _shown(words: bytes | str) -> str:
    return words.decode(errors="replace") if isinstance(words, bytes) else words


def _footer(entry: Entry) -> str:
    request = entry.request
    how = f"at {request.link}" if request.link else f"with: telltale orders close {request.key}"
    return f"Order {request.key} of {request.position} is {entry.order.status}. Take it up or close it {how}"


def _text(entry: Entry, news: str) -> str:
    return "\n".join([news, "", entry.request.description, "", "-- ", _footer(entry), ""])


def _html(entry: Entry, news: str) -> str:
    """The same for people who read mail on a phone: no script, no picture, nothing fetched from anywhere."""
    request, said = entry.request, html.escape
    lines = []
    for line in request.description.splitlines():
        label, colon, fact = line.partition(": ")
        if colon and label[:1].isupper() and len(label) <= LABEL:
            lines.append(f"<tr><th align=left valign=top>{said(label)}</th><td>{_linked(fact)}</td></tr>")
        elif line:
            lines.append(f"<tr><td colspan=2>{said(line)}</td></tr>")
    button = "background:#1a56a0;color:#fff;padding:12px 18px;text-decoration:none;display:inline-block"
    act = f'<p><a style="{button}" href="{said(request.link)}">I have it · Done · False alarm</a></p>'
    return "\n".join(
        [
            '<!doctype html><html><body style="font-family:sans-serif;font-size:16px;line-height:1.4">',
            f'<h1 style="font-size:20px;color:{COLOURS.get(request.severity, "#000")}">{said(news)}</h1>',
            act if request.link else "",
            f'<table cellpadding=4 style="border-collapse:collapse">{"".join(lines)}</table>',
            f'<p style="color:#555;font-size:13px">{said(_footer(entry))}</p></body></html>',
        ]
    )


def _linked(fact: str) -> str:
    shown = html.escape(fact)
    return f'<a href="{shown}">{shown}</a>' if fact.startswith("https://") and " " not in fact else shown


ADAPTER = Adapter(
    title="E-mail, beside the logbook",
    make=Mailbox,
    settings={
        "host": Setting("the mail server that takes outgoing mail", required=True),
        "port": Setting("its port", int, default=587),
        "tls": Setting(
            "how the connection is kept secret; none is for this computer only",
            default=STARTTLS,
            choices=(STARTTLS, TLS, CLEAR),
        ),
        "from": Setting("who the mail is from", required=True),
        "to": Setting("who gets it: addresses, with commas between them", required=True),
    },
    secrets={
        "user": "of the mail server; without it nobody signs in",
        "password": "of that user",
        "ca": "the certificate (PEM) of the plant's own authority, where the server's is not a public one's",
    },
)
