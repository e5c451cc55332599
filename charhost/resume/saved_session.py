"""A session as it is saved."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from charhost.conversation.items import Item
from charhost.report import DEFAULT_SET


@dataclass(frozen=True, slots=True)
class SavedSession:
    """A session without its client and its character, which is known by name only: no build is kept alive.

    `owner` is the digest of the client's key; `dialect` and `config` are the client's settings.
    """

    id: str
    character: str
    owner: str
    dialect: str | None
    config: Mapping[str, Any] | None = field(repr=False)
    conversation_id: str
    items: tuple[Item, ...] = field(repr=False)
    weight: int = 0  # in bytes
    set: str = DEFAULT_SET
