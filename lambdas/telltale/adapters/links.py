"""Links to the evidence page, signed with the key in Secrets Manager."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from telltale.core.links import EVIDENCE, UNSUBSCRIBE, BadLink, Claims, Expired, read, sign

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

DAY_S = 86_400
EVIDENCE_DAYS = 90  # from the case's opening; longer than most repairs wait for a part (guess)
STEP_DAYS = 30  # by which the link of a case that lives longer is extended; at least 60 days are left then (guess)
UNSUBSCRIBE_DAYS = 400  # of an old mail, too, for more than a year (guess)
KEEP_S = 300.0  # how long a warm container believes the keys it read
AGAIN_S = 30.0  # when it may read them again for a link that they did not sign


class Links:
    """Makes links. base_url : of the page, "" where the stage has none; then every link is "".

    key : the secret they are signed with, asked for with each link.
    """

    def __init__(self, base_url: str, key: Callable[[], bytes], now_ms: Callable[[], int]) -> None:
        self._base_url, self._key, self._now_ms = base_url, key, now_ms

    def evidence(self, case_id: str, *, opened_ms: int, to: str = "") -> str:
        """The page of a case: the same address for a month at a time, and good for at least 60 days from now.

        to : who gets it, so that the page knows who answers.
        """
        return self._made(Claims(EVIDENCE, case_id, evidence_expires_s(opened_ms, self._now_ms()), to))

    def unsubscribe(self, site: str, recipient: str) -> str:
        """Where `recipient` stops the notices of a site: a page with a button, and RFC 8058's one click.

        Whoever does it puts `{"unsubscribe": {"site": …, "to": recipient, "at_ms": …}}` into NOTICES_QUEUE_URL.
        """
        month_s = STEP_DAYS * DAY_S
        begun_s = self._now_ms() // 1000 // month_s * month_s
        return self._made(Claims(UNSUBSCRIBE, site, begun_s + month_s + UNSUBSCRIBE_DAYS * DAY_S, recipient))

    def _made(self, claims: Claims) -> str:
        return f"{self._base_url.rstrip('/')}/{sign(self._key(), claims)}" if self._base_url else ""


def evidence_expires_s(opened_ms: int, now_ms: int) -> int:
    """When the link of a case ends, in seconds since 1970: 90 days after it opened, and later in steps of 30."""
    opened_s = opened_ms // 1000
    past_first_s = now_ms // 1000 - opened_s - STEP_DAYS * DAY_S
    steps = max(0, -(-past_first_s // (STEP_DAYS * DAY_S)))
    return opened_s + (EVIDENCE_DAYS + steps * STEP_DAYS) * DAY_S


class LinkKeys:
    """The signing key, and the one before it, from Secrets Manager; read again every five minutes.

    A rotated key signs at once, and links made before stay good until the next rotation: rotating twice revokes them.
    """

    def __init__(self, secrets: "SecretsManagerClient", arn: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._secrets, self._arn, self._clock = secrets, arn, clock
        self._keys: tuple[bytes, ...] = ()
        self._read_s = 0.0

    def current(self) -> bytes:
        """What new links are signed with."""
        return self.all()[0]

    def all(self, *, older_s: float = KEEP_S) -> tuple[bytes, ...]:
        """What a link may be signed with, the present key first; asked for again when what is known is older."""
        if not self._keys or self._clock() - self._read_s >= older_s:
            found = [self._read("AWSCURRENT"), self._read("AWSPREVIOUS")]
            if not found[0]:
                raise ValueError(f"the secret {self._arn} is empty: nothing can be signed with it")
            self._keys, self._read_s = tuple(key for key in found if key), self._clock()
        return self._keys

    def claims(self, token: str, *, now_s: float) -> Claims:
        """What a token says; raises BadLink. The key may have been rotated a moment ago."""
        try:
            return read(self.all(), token, now_s=now_s)
        except Expired:
            raise
        except BadLink:
            return read(self.all(older_s=AGAIN_S), token, now_s=now_s)

    def _read(self, stage: str) -> bytes:
        """The key of that stage; empty where there is none, as before the first rotation."""
        try:
            return self._secrets.get_secret_value(SecretId=self._arn, VersionStage=stage)["SecretString"].encode()
        except self._secrets.exceptions.ResourceNotFoundException:
            if stage == "AWSCURRENT":
                raise
            return b""
