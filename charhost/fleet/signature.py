"""The signature of the records that the nodes of a fleet write."""

import hashlib
import hmac

_SCHEME = b"hmac-sha256:"


class Signature:
    """Signs the records of one fleet with its key, and finds those that were not written with it.

    A record cannot be moved to another subject or to another fleet. It may be replayed: its epoch shows that.
    """

    def __init__(self, key: str, fleet: str) -> None:
        self._key = key.encode()
        self._fleet = fleet.encode()

    def sign(self, subject: str, body: bytes) -> bytes:
        """Return the record to write: a line with the signature, and the body."""
        return self._line(subject, body) + body

    def verify(self, subject: str, record: bytes) -> bytes | None:
        """Return the body of a record, or None if its signature is missing or wrong."""
        line, newline, body = record.partition(b"\n")
        return body if hmac.compare_digest(line + newline, self._line(subject, body)) else None

    def _line(self, subject: str, body: bytes) -> bytes:
        signed = b"\0".join([self._fleet, subject.encode(), body])
        return _SCHEME + hmac.new(self._key, signed, hashlib.sha256).hexdigest().encode() + b"\n"
