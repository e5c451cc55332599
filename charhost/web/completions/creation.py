"""Creation: the making of the choices of one chat completion."""

from __future__ import annotations

from charhost.character.character import Character
from charhost.conversation.continued import ContinuedConversations
from charhost.conversation.conversation import Conversations
from charhost.conversation.turn import Turn
from charhost.conversation.turn_events import TurnEnded
from charhost.web.completions.request import ChatRequest
from charhost.web.security.authority import Authority
from charhost.web.server_calls import are_visible


class Creation:
    def __init__(
        self,
        conversations: Conversations,
        continued: ContinuedConversations,
        asked: ChatRequest,
        character: Character,
        authority: Authority,
    ) -> None:
        self.character = character
        self.choices = range(asked.n or 1)
        self.include_usage = asked.include_usage
        self.shows_calls = are_visible(asked.metadata, authority.admin)
        self._conversations = conversations
        self._options = asked.turn_options()
        items = list(asked.items())
        self._claim = continued.claim((authority.owner, character.name), items)
        self._items = list(self._claim.conversation.restored(items))

    def begin(self) -> Turn:
        """Begin one of the choices."""
        conversation = self._conversations.open(self.character, "completions", items=self._items)
        return conversation.respond(self._options)

    def end(self, ended: TurnEnded) -> None:
        """Keep what a choice made, before the client can send the next request."""
        self._claim.end(ended)
