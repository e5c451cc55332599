"""Conversations of a fleet, and what its nodes have of them."""

from __future__ import annotations

from collections.abc import Sequence

from charhost.conversation.items import Item
from charhost.fleet.engine.engine import Engine
from charhost.fleet.engine.memory import MemoryStore
from charhost.fleet.signature import Signature
from charhost.fleet.talks.talk import TalkArchive
from charhost.fleet.talks.talk_log import fold
from charhost.memory.offload import Offload
from charhost.resume.saved_session import SavedSession
from tests.scripted import message

KEY = "a key of sixteen"
SIGNATURE = Signature(KEY, "charhost")
OWNER = ("me",)


def archive(engine: Engine, signature: Signature = SIGNATURE) -> TalkArchive:
    """Return the archive of one node."""
    return TalkArchive(engine, signature, 300, Offload())


def saved(items: Sequence[Item], session: str = "sess_1") -> SavedSession:
    """Return a conversation as its node has it."""
    return SavedSession(session, "Ada", OWNER[0], "ga", {"instructions": "Be kind."}, "conv_1", tuple(items))


def talk(*words: str) -> list[Item]:
    """Return one message for each word."""
    return [message(word) for word in words]


def words(store: MemoryStore, session: str = "sess_1") -> list[str] | None:
    """Return the words of a conversation as the store has it, or None if there is none."""
    subject = f"talk.{session}"
    return said(fold(SIGNATURE, subject, store.messages(subject)).saved(session))


def said(found: SavedSession | None) -> list[str] | None:
    """Return the words of a conversation."""
    return None if found is None else [item.text for item in found.items if hasattr(item, "text")]
