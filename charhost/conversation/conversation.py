"""Conversation: one chat with one character, independent of its transport."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from charhost.character.character import Character
from charhost.character.host_tools import Host
from charhost.character.instance import CharacterInstance
from charhost.conversation.history import History
from charhost.conversation.prompt_history import PromptHistory
from charhost.ids import new_id
from charhost.llm.model import Models
from charhost.memory.offload import Offload
from charhost.metrics import Metrics
from charhost.settings import Settings
from charhost.threads.worker_pool import WorkerPool

if TYPE_CHECKING:
    from charhost.conversation.turn import Turn
    from charhost.conversation.turn_input import TurnInput, TurnOptions


@dataclass(eq=False)
class Conversations:
    """The objects that all conversations share; lives as long as the application."""

    settings: Settings
    metrics: Metrics
    models: Models
    pool: WorkerPool
    offload: Offload = field(default_factory=Offload)
    prompts: PromptHistory = field(default_factory=PromptHistory)

    def open(
        self,
        character: Character,
        front_door: str,
        conversation_id: str | None = None,
        history: History | None = None,
        host: Host | None = None,
        instance: CharacterInstance | None = None,
    ) -> Conversation:
        """Begin a conversation, or resume one; *front_door* is its label in the metrics, *host* is for admins only.

        With an *instance* of the character it goes on with the state of that.
        """
        identity, kept = conversation_id or new_id("conv"), History() if history is None else history
        return Conversation(self, character, front_door, host, identity, kept, instance)

    def instance(self, character: Character) -> CharacterInstance:
        return CharacterInstance(character, self.pool, self.settings.prompt_deadline, self.prompts.record)


@dataclass(eq=False)
class Conversation:
    shared: Conversations
    character: Character
    front_door: str
    host: Host | None
    id: str
    history: History
    _instance: CharacterInstance | None = None

    def move_to(self, character: Character) -> None:
        """Use *character* from the next turn on; a running turn ends with the character it began with."""
        if character is not self.character:
            self.character = character
            self._instance = None

    def respond(self, options: TurnOptions | None = None, shared: TurnInput | None = None) -> Turn:
        """Begin the response to the items so far; its events have to be read.

        *shared* is the input of another choice for the same request.
        """
        # With all that only a turn needs, so that a server starts without it.
        from charhost.conversation.toolbox import Toolbox
        from charhost.conversation.turn import Turn
        from charhost.conversation.turn_input import TurnContext, TurnOptions

        settings, metrics = self.shared.settings, self.shared.metrics
        if self._instance is None:
            self._instance = self.shared.instance(self.character)
        context = TurnContext(
            instance=self._instance,
            toolbox=Toolbox(self._instance, metrics, settings.tool_deadline, self.host),
            model=self.shared.models.of(self.character),
            history=self.history,
            settings=settings,
            metrics=metrics,
            offload=self.shared.offload,
            front_door=self.front_door,
        )
        return Turn(context, options or TurnOptions(), shared)
