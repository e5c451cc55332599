"""Conversation: one chat with one character, independent of its transport."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from charhost.character.character import Character
from charhost.character.host_tools import Host
from charhost.character.instance import CharacterInstance
from charhost.character.worker_pool import WorkerPool
from charhost.conversation.history import MOST_ITEMS, History
from charhost.conversation.items import Item
from charhost.conversation.toolbox import Toolbox
from charhost.conversation.turn import Turn
from charhost.conversation.turn_context import TurnContext, TurnOptions
from charhost.ids import new_id
from charhost.llm.model import Models
from charhost.metrics import Metrics
from charhost.settings import Settings


@dataclass(eq=False)
class Conversations:
    """The objects that all conversations share; lives as long as the application."""

    settings: Settings
    metrics: Metrics
    models: Models
    pool: WorkerPool

    def open(
        self,
        character: Character,
        front_door: str,
        conversation_id: str | None = None,
        items: Iterable[Item] = (),
        host: Host | None = None,
    ) -> Conversation:
        """Begin a conversation, or resume one; *front_door* is its label in the metrics.

        With a *host*, which is for admins only, the model may call the host tools that the character lists.
        """
        conversation = Conversation(self, character, front_door, conversation_id, host)
        for item in deque(items, MOST_ITEMS):
            conversation.history.append(item)
        return conversation


class Conversation:
    def __init__(
        self,
        shared: Conversations,
        character: Character,
        front_door: str,
        conversation_id: str | None = None,
        host: Host | None = None,
    ) -> None:
        self.id = conversation_id or new_id("conv")
        self.history = History()
        self.front_door = front_door
        self._shared = shared
        self._character = character
        self._host = host
        self._instance: CharacterInstance | None = None

    @property
    def character(self) -> Character:
        return self._character

    def move_to(self, character: Character) -> None:
        """Use *character* from the next turn on; a running turn ends with the character it began with."""
        if character is not self._character:
            self._character = character
            self._instance = None

    def respond(self, options: TurnOptions | None = None) -> Turn:
        """Begin the response to the items so far; its events have to be read."""
        return Turn(self._context(), options or TurnOptions())

    def _context(self) -> TurnContext:
        shared, settings = self._shared, self._shared.settings
        if self._instance is None:
            self._instance = CharacterInstance(self._character, shared.pool, settings.prompt_deadline)
        return TurnContext(
            instance=self._instance,
            toolbox=Toolbox(self._instance, shared.metrics, settings.tool_deadline, self._host),
            model=shared.models.of(self._character),
            history=self.history,
            settings=settings,
            metrics=shared.metrics,
            front_door=self.front_door,
        )
