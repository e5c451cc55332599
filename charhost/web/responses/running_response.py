"""RunningResponse: one response, from its request to its place in the chains."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from charhost.conversation.continued import Claim, Client
from charhost.conversation.conversation import Conversation
from charhost.conversation.dialogue import Dialogue, Heard
from charhost.conversation.history import History
from charhost.conversation.items import Item
from charhost.conversation.turn_events import TurnEnded, TurnEvent
from charhost.conversation.turn_input import TurnOptions
from charhost.jsontext import Json
from charhost.memory.weight import weigh
from charhost.text import quoted
from charhost.web.http.problems import Problem
from charhost.web.responses.chains import Chains, StoredResponse
from charhost.web.responses.output import Output
from charhost.web.responses.request import ResponsesRequest
from charhost.web.responses.response_fields import ResponseFields, repeated


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, the response that it goes on from, and its input, alone and behind that of the whole chain.

    `repeated` are the fields of the response that repeat the request, and `weight` their bytes in memory.
    """

    body: ResponsesRequest
    previous: StoredResponse | None
    input: tuple[Item, ...]
    dialogue: Dialogue
    options: TurnOptions
    repeated: Json
    weight: int

    @classmethod
    def of(cls, body: ResponsesRequest, previous: StoredResponse | None, more: Mapping[str, Any]) -> Asked:
        """Return the request with *more* options for the model."""
        earlier = previous.items() if previous is not None else []
        sent = tuple(body.items({item.id: item for item in earlier}))
        heard = previous.heard if previous is not None else Heard()
        dialogue = Dialogue.of([*earlier, *sent], heard.after(sent))
        fields = repeated(body)
        return cls(body, previous, sent, dialogue, body.turn_options(more), fields, weigh(fields))

    def history(self, claim: Claim) -> History:
        """Return the conversation before the response; a chain has its hidden items."""
        items = self.dialogue.items
        return History(claim.restored(items) if self.previous is None else items)


class RunningResponse:
    """One response; *claim* is the hold of its request on the kept conversation."""

    def __init__(
        self,
        chains: Chains,
        running: dict[str, RunningResponse],
        conversation: Conversation,
        asked: Asked,
        claim: Claim,
        client: Client,
        shows_reasoning: bool,
    ) -> None:
        self.owner = client.owner
        self._chains = chains
        self._running = running
        self._conversation = conversation
        self._asked = asked
        self._claim = claim
        self._known = {item.id for item in conversation.history}
        self._turn = conversation.respond(asked.options)
        self.response = ResponseFields(self._turn.id, client.character, asked.repeated, Output(shows_reasoning))

    async def events(self) -> AsyncGenerator[TurnEvent, None]:
        """Yield the events of the turn; the response is kept before the last one."""
        self._running[self.response.id] = self
        try:
            async with aclosing(self._turn.events()) as events:
                async for event in events:
                    self.response.output.add(event)
                    if isinstance(event, TurnEnded):
                        self._claim.keep(event)
                        self._claim.release()
                        await self._keep(event)
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

    async def _keep(self, ended: TurnEnded) -> None:
        asked = self._asked
        if not asked.body.is_stored or ended.failure is not None:
            return
        output = tuple(item for item in self._conversation.history if item.id not in self._known)
        fields = self.response.ended(ended)
        stored = StoredResponse(
            self.response.id, self.owner, asked.previous, asked.input, output, fields, asked.dialogue.heard
        )
        # Weighed here, since a client that leaves during an await would end it, and the response would be lost.
        own = {name: value for name, value in fields.items() if name not in asked.repeated}
        weight = weigh(stored.id, stored.input, stored.output, own) + asked.weight
        await self._chains.keep(stored, weight)


def previous_response(chains: Chains, body: ResponsesRequest, owner: str) -> StoredResponse | None:
    """Return the response that a request goes on from; raises `Problem` if it is not stored."""
    if body.previous_response_id is None:
        return None
    found = chains.find(body.previous_response_id, owner)
    if found is None:
        detail = (
            f"There is no stored response {quoted(body.previous_response_id)}: send the whole conversation as input."
        )
        raise Problem(400, "previous_response_not_found", detail, param="previous_response_id")
    return found
