"""RunningResponse: one response, from its request to its place in the chains."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from charhost.character.character import Character
from charhost.conversation.continued import Client, ContinuedConversations
from charhost.conversation.conversation import Conversations
from charhost.conversation.turn_events import TurnEnded, TurnEvent
from charhost.conversation.turn_input import TurnOptions
from charhost.web.problems import Problem
from charhost.web.responses.chains import Chains, StoredResponse
from charhost.web.responses.output import Output
from charhost.web.responses.request import ResponsesRequest
from charhost.web.responses.response_fields import ResponseFields


class RunningResponse:
    def __init__(
        self,
        chains: Chains,
        running: dict[str, RunningResponse],
        conversations: Conversations,
        continued: ContinuedConversations,
        body: ResponsesRequest,
        options: TurnOptions,
        character: Character,
        client: Client,
        shows_reasoning: bool,
    ) -> None:
        self.owner = client.owner
        self._chains = chains
        self._running = running
        self._is_stored = body.is_stored
        self._previous = _previous(chains, body, self.owner)
        earlier = list(self._previous.items()) if self._previous is not None else []
        self._input = tuple(body.items({item.id: item for item in earlier}))
        items = [*earlier, *self._input]
        self.claim = continued.claim(client, items, lambda: conversations.instance(character))
        if self._previous is None:  # a chain has its hidden items
            items = self.claim.restored(items)
        # A chain goes on with the present version of its character.
        instance = self.claim.instance if self.claim.instance.character is character else None
        self._conversation = conversations.open(character, "responses", items=items, instance=instance)
        self._known = {item.id for item in self._conversation.history}
        self._turn = self._conversation.respond(options)
        self.response = ResponseFields(self._turn.id, client.character, body, Output(shows_reasoning))

    async def events(self) -> AsyncGenerator[TurnEvent, None]:
        """Yield the events of the turn; the response is kept before the last one."""
        self._running[self.response.id] = self
        try:
            async with aclosing(self._turn.events()) as events:
                async for event in events:
                    self.response.output.add(event)
                    if isinstance(event, TurnEnded):
                        self.claim.keep(event)
                        self.claim.release()
                        self._keep(event)
                    yield event
        finally:
            del self._running[self.response.id]

    async def finish(self) -> TurnEnded:
        async with aclosing(self.events()) as events:
            async for _ in events:
                pass
        assert self._turn.ended is not None
        return self._turn.ended

    def cancel(self) -> None:
        self._turn.cancel()

    def _keep(self, ended: TurnEnded) -> None:
        if not self._is_stored or ended.failure is not None:
            return
        output = tuple(item for item in self._conversation.history if item.id not in self._known)
        fields = self.response.ended(ended)
        self._chains.add(StoredResponse(self.response.id, self.owner, self._previous, self._input, output, fields))


def _previous(chains: Chains, body: ResponsesRequest, owner: str) -> StoredResponse | None:
    if body.previous_response_id is None:
        return None
    found = chains.find(body.previous_response_id, owner)
    if found is None:
        detail = f"There is no stored response {body.previous_response_id!r}: send the whole conversation as input."
        raise Problem(400, "previous_response_not_found", detail, param="previous_response_id")
    return found
