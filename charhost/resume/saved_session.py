"""Parked: a conversation that its client has lost, or may lose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from charhost.conversation.items import Item


@dataclass(frozen=True, slots=True)
class Parked:
    """One conversation without its character, which is known by name only: nothing of a build is kept alive.

    `id` is the session's. `owner` is the digest of the key that the client showed, `dialect` and `config` are what its
    front door needs.
    """

    id: str
    character: str
    owner: str
    dialect: str | None
    config: Mapping[str, Any] | None = field(repr=False)
    conversation_id: str
    items: tuple[Item, ...] = field(repr=False)
    weight: int = 0
