"""The documents of a fleet, with random ones: of programs without its key, of other versions, and damaged."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from charhost.fleet.engine.engine import Message
from charhost.fleet.record import NodeStatus, Proposal, Register, Vote, decide, next_step
from charhost.fleet.sets.known_files import KnownFiles
from charhost.fleet.sets.manifest import Listing, Manifest
from charhost.fleet.sets.pack import DamagedSet
from charhost.fleet.sets.packing import Root
from charhost.fleet.signature import Signature
from charhost.fleet.talks.talk_log import Entry, entries, fold
from charhost.jsontext import encoded
from charhost.loading.snapshot import Limits
from tests.fuzz.campaign import SECONDS, check_cost, run
from tests.fuzz.inputs import texts

SIGNATURE, SUBJECT = Signature("k" * 32, "main"), "talk.sess_1"
LIMITS = Limits(100, 1 << 20, 1 << 18)
CHANGE = {"epoch": 3, "root": "ab", "revision": "cd", "directory": "/srv/characters", "by": "n1", "at": "2026"}
PROPOSAL = CHANGE | {"members": ["n1", "n2"], "instance": "i", "deadline": 5.0}
REGISTER = {"epoch": 3, "committed": CHANGE, "proposed": PROPOSAL, "last": {"epoch": 2, "outcome": "aborted"}}
VOTE = {"node": "n2", "epoch": 3, "outcome": "built", "revision": "cd", "errors": []}
SERVED = {"epoch": 3, "revision": "cd", "state": "serving"}
STATUS = {"node": "n2", "instance": "i", "version": "1", "url": "", "sessions": 1, "sets": {"default": SERVED}}
RECORDS: list[tuple[type[BaseModel], Any]] = [
    (Register, REGISTER),
    (Proposal, PROPOSAL),
    (Vote, VOTE),
    (NodeStatus, STATUS),
]
ITEM = '{"kind":"Message","id":"item_1","role":"user","parts":[{"kind":"Text","text":"Hi"}],"status":"completed"}'
HEAD = {"character": "Ada", "owner": "", "dialect": "ga", "config": {}, "conversation": "conv_1", "set": "default"}
CONTENTS = [{"head": HEAD, "new": [[1, ITEM]]}, {"head": None, "gone": [1], "new": []}]
DIGEST = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"  # of no bytes
MANIFEST = {
    "directory": "/srv/characters",
    "revision": "cd",
    "snapshots": [{"directory": "/srv/characters", "changed": {"ada.py": DIGEST}, "gone": []}],
    "members": {"ada.py": "f"},
    "gone": [],
    "most": 0,
    "others": {},
    "needs": {},
    "places": {DIGEST: []},
}


# Those that nodes write are shorter.
MOST_OF_RECORD = 20_000


def record(data: bytes) -> None:
    """Read the records of a register, a vote and a node, and decide on what can be read."""
    for kind, _ in RECORDS:
        with suppress(ValidationError):
            found = kind.model_validate_json(data[:MOST_OF_RECORD])
            if isinstance(found, Register):
                next_step(found, "n2", "j", found.committed, None)
            if isinstance(found, Register) and found.proposed is not None:
                decide(found.proposed, {"n2": Vote.model_validate(VOTE)}, ["n1", "n2"])
            if isinstance(found, Vote):
                decide(Proposal.model_validate_json(encoded(PROPOSAL)), {found.node: found}, ["n2"], is_over=True)


def foreign(data: bytes) -> None:
    """Read messages that the fleet has not signed."""
    messages = [Message(1, data), Message(2, b"hmac-sha256:" + data)]
    assert list(entries(SIGNATURE, SUBJECT, messages)) == []
    assert fold(SIGNATURE, SUBJECT, messages).head is None


def talk(data: bytes) -> None:
    """Read a conversation whose content is damaged, or of another version."""
    entry = Entry(kind="base", writer="w", term=1, after=0)
    with suppress(ValidationError, ValueError, TypeError, KeyError):  # such a session is refused as unavailable
        fold(SIGNATURE, SUBJECT, [Message(1, entry.record(SIGNATURE, SUBJECT, data[:MOST]))]).saved("sess_1")


# Longer conversations are read on a thread.
MOST = 100_000


def manifest(data: bytes) -> None:
    """Read the blobs of a set."""
    with suppress(DamagedSet):
        Root.read(data)
    for blob in (data, zlib.compress(data, 1)):
        with suppress(DamagedSet):
            found, known = Manifest(Listing.read([blob], LIMITS), None, LIMITS), KnownFiles()
            found.missing(known)
            found.packed("root", {}, known)


DOCUMENTS: dict[str, tuple[Callable[[bytes], None], list[Any]]] = {
    "record": (record, [template for _, template in RECORDS]),
    "foreign": (foreign, [{"kind": "base", "writer": "w", "term": 1, "after": 0}]),
    "talk": (talk, CONTENTS),
    "manifest": (manifest, [MANIFEST, {"parts": [DIGEST], "rest": ""}]),
}


def check(data: bytes) -> None:
    """Read the rest of an input as the document that its first byte names."""
    read, _ = list(DOCUMENTS.values())[data[0] % len(DOCUMENTS)]
    read(data[1:])


@pytest.mark.slow
def test_random_documents() -> None:
    """Each is read or refused, without a long gap, and nothing is left of it."""
    inputs = [texts(templates).map(bytes([number]).__add__) for number, (_, templates) in enumerate(DOCUMENTS.values())]
    run(st.one_of(inputs), check, SECONDS / 4)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_good_documents(document: str) -> None:
    """The documents that the random ones are near to are read."""
    read, templates = DOCUMENTS[document]
    for template in templates:
        check_cost(read, encoded(template))
