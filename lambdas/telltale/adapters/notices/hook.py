"""One POST to a webhook whose address is a secret: it stands in no error and no log."""

import json
from typing import Any
from urllib.parse import urlsplit

from telltale.adapters.cmms.http import COME_AGAIN, Answer, Http, shown
from telltale.adapters.cmms.port import CmmsBusy
from telltale.adapters.notices.port import Refused
from telltale.core.errors import CmmsRefused, RetryLater

EXPECTED = tuple(status for status in range(200, 500) if status not in COME_AGAIN)
WRONG = (400, 413, 415, 422)  # the message is; any other 4xx says that the address is, which somebody can put right


def post(http: Http, name: str, payload: Any) -> Answer:
    """The answer, 2xx. `name` : how the webhook is called in errors. Raises Refused, CmmsBusy or RetryLater."""
    raw = json.dumps(payload, ensure_ascii=False, allow_nan=False).encode()
    try:
        answer = http.ask("POST", "", raw=raw, headers={"Content-Type": "application/json"}, good=EXPECTED)
    except CmmsBusy as busy:
        raise CmmsBusy(_without(http.base, name, str(busy)), busy.after_s) from None
    except RetryLater as later:
        raise RetryLater(f"{name} could not be reached: {type(later.__cause__).__name__}") from None
    if 200 <= answer.status < 300:
        return answer
    said = f"{name} answered {answer.status}: {_without(http.base, name, shown(answer.body))}"
    raise Refused(said) if answer.status in WRONG else RetryLater(f"{said}; set its address anew if it has changed")


def opened(url: str, name: str, http: Any) -> Http:
    """Http to the address; raises RetryLater where it is none that may be asked, which a new secret puts right."""
    try:
        made: Http = http(url)
    except CmmsRefused:
        raise RetryLater(f"{name}: its secret is no https address") from None
    return made


def _without(url: str, name: str, text: str) -> str:
    path = urlsplit(url).path
    for secret in (url, path):
        text = text.replace(secret, name) if len(secret) > 1 else text
    return text
