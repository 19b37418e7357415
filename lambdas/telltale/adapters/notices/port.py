"""What sends a notice: the port that each channel implements, and what can go wrong.

RetryLater (and CmmsBusy, with the seconds asked for)   the channel is down or busy: again later
Refused                                                 it will never take this notice: said, counted, given up
"""

from typing import Protocol

from telltale.core.errors import TelltaleError
from telltale.core.notice_text import Words
from telltale.core.recipients import Recipient


class Refused(TelltaleError):
    """The channel says that the notice is wrong, so that sending it again is of no use."""


class Channel(Protocol):
    """Sends to one kind of address. A channel that answers late may have sent: notices come at least once."""

    def send(self, recipient: Recipient, words: Words) -> None: ...
