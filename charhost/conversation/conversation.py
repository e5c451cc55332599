"""Conversation: one chat with one character, independent of its transport."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from charhost.character.character import Character
from charhost.character.host_tools import Host
from charhost.character.instance import Persona
from charhost.character.worker_pool import Crew
from charhost.conversation.history import MOST_ITEMS, History
from charhost.conversation.items import Item
from charhost.conversation.toolbox import Toolbox
from charhost.conversation.turn import Turn, TurnContext, TurnOptions
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
    crew: Crew

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
        conversation = Conversation(self, character, front_door, host, conversation_id or new_id("conv"))
        for item in deque(items, MOST_ITEMS):
            conversation.history.append(item)
        return conversation


@dataclass(eq=False)
class Conversation:
    shared: Conversations
    character: Character
    front_door: str
    host: Host | None
    id: str
    history: History = field(default_factory=History)
    _persona: Persona | None = None

    def move_to(self, character: Character) -> None:
        """Use *character* from the next turn on; a running turn ends with the character it began with."""
        if character is not self.character:
            self.character = character
            self._persona = None

    def respond(self, options: TurnOptions | None = None) -> Turn:
        """Begin the response to the items so far; its events have to be read."""
        settings, metrics = self.shared.settings, self.shared.metrics
        if self._persona is None:
            self._persona = Persona(self.character, self.shared.crew, settings.prompt_deadline)
        context = TurnContext(
            persona=self._persona,
            toolbox=Toolbox(self._persona, metrics, settings.tool_deadline, self.host),
            model=self.shared.models.of(self.character),
            history=self.history,
            settings=settings,
            metrics=metrics,
            front_door=self.front_door,
        )
        return Turn(context, options or TurnOptions())
