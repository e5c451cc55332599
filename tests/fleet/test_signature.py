"""Records that were not written with the key of the fleet are found out."""

from __future__ import annotations

import pytest

from charhost.fleet.signature import Signature

SIGNATURE = Signature("a key of sixteen", "charhost")


def test_a_signed_record_is_read_back() -> None:
    """The body of a record is what was signed, also with line breaks."""
    assert SIGNATURE.verify("state.desired", SIGNATURE.sign("state.desired", b"a\nb")) == b"a\nb"


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"a",
        SIGNATURE.sign("state.desired", b"a") + b"b",
        SIGNATURE.sign("state.desired.pirates", b"a"),
        Signature("another key", "charhost").sign("state.desired", b"a"),
        Signature("a key of sixteen", "other").sign("state.desired", b"a"),
    ],
)
def test_another_record_is_refused(record: bytes) -> None:
    """A changed body, another key, subject or fleet, or no signature at all: the record counts for nothing."""
    assert SIGNATURE.verify("state.desired", record) is None
