"""The selection: the server that characters speak with, and its model."""

import asyncio
import logging
from dataclasses import replace

from charhost.llm.model import ModelError, ModelInUse
from charhost.llm.openai.addresses import Addresses
from charhost.llm.openai.discovery import Discovery, FoundServer, is_trusted
from charhost.llm.openai.endpoint import Endpoint
from charhost.settings import Settings

log = logging.getLogger("charhost.llm")


class Selection:
    """Knows the configured server, or the one that was found; `server` is None for the stand-in."""

    def __init__(self, settings: Settings, addresses: Addresses, discovery: Discovery) -> None:
        key = settings.llm_key.get_secret_value() if settings.llm_key else None
        self.server = Endpoint.of(settings.llm_address, key) if settings.llm_address is not None else None
        self._configured = settings.llm_model
        self._addresses = addresses
        self._discovery = discovery
        self._found: FoundServer | None = None
        self._chosen: str | None = None
        self._first: str | None = None

    @property
    def description(self) -> str | None:
        """The model and its server in words, with the way to choose another; None for the stand-in."""
        if self.server is None:
            return None
        hint = "; choose another with --llm-url, or PUT /v1/model" if self._found else ""
        return f"{self._chosen or self._configured or self._first or 'the first model'} at {self._name}{hint}"

    async def discover(self) -> None:
        """Look for a server of this machine until there is one; from then on it is used until the end."""
        self._found = await self._discovery.wait()
        self.server, self._first = self._found.endpoint, self._found.models[0]
        log.info("found a model's server: characters speak with %s", self.description)

    async def in_use(self) -> ModelInUse | None:
        """Return the model in use, None for the stand-in; a server that does not respond has no models."""
        if self.server is None:
            return None
        try:
            models = await self.models(self.server)
        except ModelError:
            models = []
        name = self._chosen or self._configured or next(iter(models), None)
        return ModelInUse(self._name, self._found is not None, name, models)

    async def choose(self, model: str) -> None:
        """Use another model of the server until the restart; raises `ModelError`, and `KeyError` for an unknown one."""
        if self.server is None or model not in await self.models(self.server):
            raise KeyError(model)
        self._chosen = model
        log.info("characters speak with %s at %s", model, self._name)

    def model(self, endpoint: Endpoint) -> str | None:
        """Return the model that was chosen or is configured; None if the first one of the server is to be used."""
        is_chosen = self._chosen is not None and self._is_server(endpoint)
        return self._chosen if is_chosen else self._configured

    async def models(self, endpoint: Endpoint) -> list[str]:
        """Return the models of a server, of a found one those that can chat; raises `ModelError`."""
        if self._found is not None and self._is_server(endpoint):
            return await self._discovery.models(self._found.kind) or []
        return await self._addresses.models(endpoint)

    async def first_model(self, endpoint: Endpoint) -> str:
        names = await self.models(endpoint)
        if not names:
            raise ModelError("refused", "The model's server has no models.")
        if self._is_server(endpoint):
            self._first = names[0]
        return names[0]

    async def expect_trusted(self, endpoint: Endpoint) -> None:
        """Raise `ModelError` if a server that was found is gone: another account may listen in its place."""
        found = self._found
        if found is None or endpoint.url != found.endpoint.url or await asyncio.to_thread(is_trusted, found.kind.port):
            return
        raise ModelError("unreachable", "The model's server is gone, or another account of its machine listens there.")

    def _is_server(self, endpoint: Endpoint) -> bool:
        """Return whether an endpoint is the server, with whatever key."""
        return self.server is not None and replace(endpoint, key=self.server.key) == self.server

    @property
    def _name(self) -> str:
        assert self.server is not None
        return f"{self._found.kind.name} ({self.server.host})" if self._found else self.server.host
