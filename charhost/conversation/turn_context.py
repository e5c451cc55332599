"""The options and the context of a turn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from charhost.character.instance import CharacterInstance
from charhost.conversation.history import History
from charhost.conversation.items import Item
from charhost.conversation.toolbox import Toolbox
from charhost.llm.model import Model
from charhost.metrics import Metrics
from charhost.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnOptions:
    """The options that a client sets for one turn; `tools` and `options` as in a chat-completions request.

    With `items` the model receives these instead of the conversation; a turn that is not `recorded` adds nothing to it.
    """

    instructions: str = ""
    tools: Sequence[Mapping[str, Any]] = ()
    tool_choice: str | Mapping[str, Any] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    items: Sequence[Item] | None = None
    recorded: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnContext:
    """The character, the model and the conversation of a turn; `front_door` is the label of its metrics."""

    instance: CharacterInstance
    toolbox: Toolbox
    model: Model
    history: History
    settings: Settings
    metrics: Metrics
    front_door: str
