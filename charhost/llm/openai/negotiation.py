"""Negotiation: sends requests to the address, and in the form, that their server takes."""

import aiohttp
from pydantic_core import PydanticSerializationError

from charhost.jsontext import encoded
from charhost.llm.model import Forms, ModelError
from charhost.llm.openai.addresses import Addresses
from charhost.llm.openai.connections import Connections
from charhost.llm.openai.endpoint import Endpoint
from charhost.llm.openai.failures import RefusedRequest
from charhost.llm.openai.habits import Fields, adapted, recognised
from charhost.llm.openai.known_habits import KnownHabits
from charhost.settings import Habit


class Negotiation:
    def __init__(self, connections: Connections) -> None:
        self.addresses = Addresses(connections)
        self.habits = KnownHabits()
        self._connections = connections

    async def send(
        self,
        endpoint: Endpoint,
        fields: Fields,
        compat: frozenset[Habit],
        needs_tools: bool,
        until: float,
        forms: Forms | None = None,
    ) -> tuple[aiohttp.ClientResponse, frozenset[Habit]]:
        """Send the request, and again in another form while refusals report further habits; return the habits too.

        *until* is the loop time that limits the pauses; *forms* are those that were encoded before. Raises
        `ModelError`.
        """
        model, learned = fields["model"], frozenset[Habit]()
        tied = frozenset({Habit.NO_TOOLS}) if needs_tools else frozenset()
        known = (compat | self.habits.of(endpoint, model)) - tied
        while True:
            form = adapted(fields, known | learned)
            try:
                body = _body(form, forms, (model, known | learned))
                response = await self._post(endpoint, body, model, until)
            except RefusedRequest as e:
                new = recognised(e.complaint, form) - known - learned - tied
                if not new:
                    raise
                learned |= new
            else:
                if learned:
                    self.habits.learn(endpoint, model, learned)
                return response, known | learned

    async def _post(self, endpoint: Endpoint, body: bytes, model: str, until: float) -> aiohttp.ClientResponse:
        """Send the request, and again to another address of the server if there is nothing at the first."""
        try:
            return await self._connections.ask(self.addresses.of(endpoint), body, model, until)
        except RefusedRequest as e:
            # An error in words at `…/v1` is a model's server, to which the model is unknown.
            is_final = e.status not in (404, 405) or (endpoint.url.endswith("/v1") and e.complaint)
            if is_final or not await self.addresses.find_other(endpoint):
                raise
            return await self._connections.ask(self.addresses.of(endpoint), body, model, until)


def _body(form: Fields, forms: Forms | None, key: tuple[str, frozenset[Habit]]) -> bytes:
    """Return *form* as JSON, which is kept in *forms*."""
    if forms is not None and key in forms:
        return forms[key]
    try:
        body = encoded(form)
    except PydanticSerializationError as e:
        raise ModelError("refused", "The request to the model cannot be encoded as JSON.") from e
    if forms is not None:
        forms[key] = body
    return body
