from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from typing import Literal

from pydantic_core import PydanticSerializationError

from charhost.character.character import Character
from charhost.jsontext import encoded
from charhost.llm.model import Delta, Model, ModelError, ModelRequest
from charhost.llm.offline.model import OfflineModel
from charhost.llm.upstream.chunk_parser import ChunkParser, UpstreamFault
from charhost.llm.upstream.connections import Connections
from charhost.llm.upstream.endpoint import Endpoint
from charhost.llm.upstream.failures import of_fault
from charhost.llm.upstream.response_stream import ResponseStream
from charhost.settings import Settings, key_from_environment

log = logging.getLogger("charhost.llm")

_KNOWN_SECONDS = 10  # how long the result of a probe holds
_BUSY_SECONDS = 5
# Whether an error shows that the server is up; other errors show nothing.
_SIGNS = dict.fromkeys(("unreachable", "timeout", "server_error", "unauthorized"), False)
_SIGNS |= {"refused": True, "rate_limited": True}


class UpstreamModels:
    """Provides the models; owns the connections, the slots for requests, and the known state of the servers."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        key = settings.llm_key.get_secret_value() if settings.llm_key else None
        self._server = Endpoint(settings.llm_url, key) if settings.llm_url is not None else None
        self._connections = Connections(settings.llm_connect_deadline)
        self._slots = asyncio.Semaphore(settings.llm_concurrency)
        self._names: dict[Endpoint, str] = {}
        self._naming: defaultdict[Endpoint, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._probing = asyncio.Lock()
        self._up = False
        self._known_until = 0.0

    def of(self, character: Character) -> Model:
        """Return the model of *character*: the stand-in if neither it nor the server has an address."""
        if self._server is None and character.llm.url is None:
            return OfflineModel(character)
        return UpstreamModel(self, character)

    async def state(self) -> Literal["offline", "up", "down"]:
        if self._server is None:
            return "offline"
        async with self._probing:  # concurrent callers share one probe
            if asyncio.get_running_loop().time() >= self._known_until:
                self._learn(await self._connections.is_up(self._server))
        return "up" if self._up else "down"

    async def close(self) -> None:
        await self._connections.close()

    @asynccontextmanager
    async def ask(self, character: Character, request: ModelRequest) -> AsyncIterator[ResponseStream]:
        """Wait for a slot, and open a response; raises `ModelError`."""
        endpoint = self._endpoint(character)
        with self._report(character, endpoint):
            async with self._slot():
                with closing(await self._open(character, request, endpoint)) as response:
                    yield response
        self._learn(True, endpoint)

    def _endpoint(self, character: Character) -> Endpoint:
        choice = character.llm
        if choice.url is None and choice.api_key_env is None and self._server is not None:
            return self._server
        # The server's key is for the server's address, and goes to no other.
        key = key_from_environment(choice.api_key_env) if choice.api_key_env else None
        if choice.api_key_env and not key:
            raise ModelError("unauthorized", f"The variable {choice.api_key_env} for the key is not set.")
        return Endpoint(str(choice.url or self._settings.llm_url).rstrip("/"), key)

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._settings.llm_wait):
                await self._slots.acquire()
        except TimeoutError:
            text = f"The model is busy: no slot became free within {self._settings.llm_wait:g} s (--llm-wait)."
            raise ModelError("busy", text, retry_after=_BUSY_SECONDS) from None
        try:
            yield
        finally:
            self._slots.release()

    async def _open(self, character: Character, request: ModelRequest, endpoint: Endpoint) -> ResponseStream:
        seconds = self._settings.llm_first_deadline
        until = asyncio.get_running_loop().time() + seconds
        try:
            async with asyncio.timeout_at(until):
                model = character.llm.model or self._settings.llm_model or await self._first_name(endpoint)
                body = _body(character, request, model)
                response = await self._connections.ask(endpoint, body, model, until)
        except TimeoutError:
            text = f"The model did not begin its response within {seconds:g} s (--llm-first-deadline)."
            raise ModelError("timeout", text) from None
        return ResponseStream(response, until, seconds, self._settings.llm_idle_deadline)

    async def _first_name(self, endpoint: Endpoint) -> str:
        """Return the model to use where none is configured; the server is asked once."""
        async with self._naming[endpoint]:
            if endpoint not in self._names:
                try:
                    self._names[endpoint] = await self._connections.first_model(endpoint)
                except ModelError as e:
                    text = f"{e} Set --llm-model, or `model` in the character's LLM."
                    raise ModelError(e.error_type, text, e.retry_after) from e
            return self._names[endpoint]

    @contextmanager
    def _report(self, character: Character, endpoint: Endpoint) -> Iterator[None]:
        try:
            try:
                yield
            except UpstreamFault as e:
                raise of_fault(e.fault, endpoint) from e
        except ModelError as e:
            # Not the repr of the cause, which may hold the headers of the request.
            cause = f"{type(e.__cause__).__name__}: {e.__cause__}" if e.__cause__ else "no exception"
            cause = endpoint.scrub_key(cause)
            log.warning("%s at %s: %s: %s (%s)", character.name, endpoint.host, e.error_type, e, cause)
            if e.error_type in _SIGNS:
                self._learn(_SIGNS[e.error_type], endpoint)
            if e.error_type == "refused":
                self._names.pop(endpoint, None)  # it may have other models now
            raise

    def _learn(self, up: bool, endpoint: Endpoint | None = None) -> None:
        if endpoint in (None, self._server):
            self._up = up
            self._known_until = asyncio.get_running_loop().time() + _KNOWN_SECONDS


@dataclass(frozen=True)
class UpstreamModel:
    models: UpstreamModels
    character: Character

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta, None]:
        """Yield the response piece by piece; closing the generator closes the connection. Raises `ModelError`."""
        parser = ChunkParser()
        async with self.models.ask(self.character, request) as response:
            while not (parser.done or response.ended):
                for data in await response.read():
                    if (delta := parser.feed(data)) is not None:
                        yield delta
            for delta in parser.end():
                yield delta
            await response.finish()


def _body(character: Character, request: ModelRequest, model: str) -> bytes:
    options = character.llm.options
    if "max_completion_tokens" in request.options:
        options.pop("max_tokens", None)  # another name for the same: servers refuse both
    fields = options | dict(request.options)
    fields.pop("n", None)  # the chunks of several choices would come mixed
    fields |= {"model": model, "messages": request.messages, "stream": True, "stream_options": {"include_usage": True}}
    if request.tools:
        fields["tools"] = request.tools
        if request.tool_choice is not None:
            fields["tool_choice"] = request.tool_choice
    try:
        return encoded(fields)
    except PydanticSerializationError as e:
        raise ModelError("refused", "The request to the model cannot be encoded as JSON.") from e
