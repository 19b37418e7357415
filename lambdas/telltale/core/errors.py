"""What can go wrong, split by what the caller does next.

* TelltaleError
  x Rejected        can never succeed: quarantine the record with its bytes, go on with the next
  x RetryLater      may succeed later: stop here, the stream delivers again from this record
  x CmmsRefused     the maintenance system said no for good: the case shows it, a person is told

Anything else that is raised is treated like RetryLater: it propagates, and the stream retries.
"""

from enum import StrEnum


class TelltaleError(Exception):
    """Root of Telltale's own errors."""


class Reason(StrEnum):
    """Why a record was quarantined. A closed list: it is counted, filtered and documented by value."""

    BAD_ENVELOPE = "bad_envelope"  # not what the IoT rule sends: no payload, topic or client
    BAD_PAYLOAD = "bad_payload"  # bytes that are not the JSON or CBOR they claim to be
    BAD_FIELD = "bad_field"  # decoded, but a field is missing, of the wrong type, NaN or infinite
    BAD_UNIT = "bad_unit"  # a unit that Telltale does not know
    BAD_RATE = "bad_rate"  # sampling rate not above zero, or above what any sensor delivers
    BAD_RANGE = "bad_range"  # a physically impossible value
    TOO_LARGE = "too_large"  # more bytes, samples or tags than the contract allows
    CLOCK_AHEAD = "clock_ahead"  # sampled later than it was received
    TOO_OLD = "too_old"  # sampled longer ago than the lake accepts live
    UNKNOWN_SENSOR = "unknown_sensor"  # not in the registry, or without a position at that time
    UNKNOWN_POSITION = "unknown_position"  # a feature row or act for a position that is not in the registry
    BAD_SETTINGS = "bad_settings"  # the position's settings or machine class make no sense, so nothing can be judged
    FOREIGN_GATEWAY = "foreign_gateway"  # topic, certificate, registry and payload disagree on the sender
    UNDELIVERED = "undelivered"  # the IoT rule's action failed, or the stream gave up on the batch


class Rejected(TelltaleError):
    """This record can never be stored: say what was found and what was wanted."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class RetryLater(TelltaleError):
    """Something this record needs is not there yet."""


class CmmsRefused(TelltaleError):
    """The maintenance system will never accept this call as it stands."""
