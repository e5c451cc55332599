"""Addresses: the paths under which models' servers respond, found by asking."""

import logging
from collections.abc import Iterator
from dataclasses import replace

from charhost.llm.model import ModelError
from charhost.llm.openai.connections import Connections
from charhost.llm.openai.endpoint import Endpoint
from charhost.llm.openai.failures import RefusedRequest

log = logging.getLogger("charhost.llm")


class Addresses:
    """Remembers for each configured endpoint where its server responds."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._found: dict[Endpoint, Endpoint] = {}
        self._proven: set[Endpoint] = set()

    def of(self, endpoint: Endpoint) -> Endpoint:
        return self._found.get(endpoint, endpoint)

    async def find(self, endpoint: Endpoint) -> bool:
        """Return whether a model's server responds at the configured address, or with `/v1` more or less."""
        has_no_list = False
        for candidate in _candidates(self.of(endpoint)):
            try:
                await self._connections.models(candidate)
            except ModelError as e:
                has_no_list = has_no_list or (isinstance(e, RefusedRequest) and e.status in (404, 405))
            else:
                self._remember(endpoint, candidate)
                return True
        return has_no_list and endpoint in self._proven

    def prove(self, endpoint: Endpoint) -> None:
        """Remember that a response came: some model's servers have no list of models."""
        self._proven.add(endpoint)

    async def models(self, endpoint: Endpoint) -> list[str]:
        """Return the models of the server, wherever it responds; raises `ModelError`."""
        try:
            return await self._connections.models(self.of(endpoint))
        except ModelError:
            if not await self.find_other(endpoint):
                raise
            return await self._connections.models(self.of(endpoint))

    async def find_other(self, endpoint: Endpoint) -> bool:
        """Return whether another address was found; for a request to the present one that had status 404."""
        before = self.of(endpoint)
        return await self.find(endpoint) and self.of(endpoint) != before

    def _remember(self, endpoint: Endpoint, address: Endpoint) -> None:
        if self._found.get(endpoint) != address:
            log.info("the model's server responds at %s", address.url)
        self._found[endpoint] = address


def _candidates(endpoint: Endpoint) -> Iterator[Endpoint]:
    yield endpoint
    base = endpoint.url.removesuffix("/v1")
    yield replace(endpoint, url=base if base != endpoint.url else f"{base}/v1")
