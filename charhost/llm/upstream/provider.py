"""UpstreamModels: the models of OpenAI-compatible servers."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Literal

from pydantic_core import PydanticSerializationError

from charhost.character.character import Character
from charhost.jsontext import encoded
from charhost.llm.model import Delta, Model, ModelError, ModelRequest
from charhost.llm.offline import OfflineModel
from charhost.llm.upstream.chunk_parser import Completion, UpstreamFault
from charhost.llm.upstream.connections import Connections
from charhost.llm.upstream.endpoint import Endpoint
from charhost.llm.upstream.failures import of_fault
from charhost.llm.upstream.response_stream import Answer
from charhost.settings import Settings, key_from_environment

log = logging.getLogger("charhost.llm")

# How long it stays known whether the server answers, and how long that may take to find out.
_KNOWN_SECONDS = 10
_PROBE_SECONDS = 2
_BUSY_SECONDS = 5
# What these say of the server; the others say nothing.
_SIGNS = {"unreachable": False, "timeout": False, "server_error": False, "unauthorized": False} | {
    "refused": True,
    "rate_limited": True,
}
# Several answers at once would come mixed.
_NOT_PASSED_ON = ("n",)


class UpstreamModels:
    """Knows the model of each character; an instance of this lives as long as the application does.

    Owns the connections, the places for requests, and what is known of the servers.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._server = _server(settings)
        self._connections = Connections(settings.llm_connect_deadline)
        self._places = asyncio.Semaphore(settings.llm_concurrency)
        self._names: dict[Endpoint, str] = {}
        self._naming: defaultdict[Endpoint, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._probing = asyncio.Lock()
        self._up = False
        self._known_until = 0.0

    def of(self, character: Character) -> Model:
        """Find the model that *character* speaks with: the stand-in, if neither it nor the server has an address."""
        if self._server is None and character.llm.url is None:
            return OfflineModel(character)
        return UpstreamModel(self, character)

    async def state(self) -> Literal["offline", "up", "down"]:
        """Say whether the server's model can be reached, as of the last ten seconds."""
        if self._server is None:
            return "offline"
        async with self._probing:  # those who waited find what the first one has found
            if asyncio.get_running_loop().time() >= self._known_until:
                self._learn(await self._probe(self._server))
        return "up" if self._up else "down"

    async def close(self) -> None:
        """Close the connections; answers that are being given break off."""
        await self._connections.close()

    def endpoint(self, character: Character) -> Endpoint:
        """Find where *character* asks, and with which key; raises `ModelError`."""
        choice = character.llm
        if choice.url is None and choice.api_key_env is None and self._server is not None:
            return self._server
        # The server's key is for the server's address, and goes to no other.
        key = key_from_environment(choice.api_key_env) if choice.api_key_env else None
        if choice.api_key_env and not key:
            raise ModelError("unauthorized", f"The variable {choice.api_key_env}, which should hold a key, is not set.")
        return Endpoint(str(choice.url or self._settings.llm_url).rstrip("/"), key)

    @asynccontextmanager
    async def ask(self, character: Character, request: ModelRequest) -> AsyncIterator[Answer]:
        """Wait for a place, and open an answer; raises `ModelError`."""
        endpoint = self.endpoint(character)
        with self._report(character, endpoint):
            async with self._place():
                with await self._open(character, request, endpoint) as answer:
                    yield answer
        self._learn(True, endpoint)

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._settings.llm_wait):
                await self._places.acquire()
        except TimeoutError:
            sentence = (
                f"Too many requests to models; none of them ended within {self._settings.llm_wait:g} s (llm-wait)."
            )
            raise ModelError("busy", sentence, retry_after=_BUSY_SECONDS) from None
        try:
            yield
        finally:
            self._places.release()

    async def _open(self, character: Character, request: ModelRequest, endpoint: Endpoint) -> Answer:
        seconds = self._settings.llm_first_deadline
        until = asyncio.get_running_loop().time() + seconds
        try:
            async with asyncio.timeout_at(until):
                model = character.llm.model or self._settings.llm_model or await self._first_name(endpoint)
                body = _body(character, request, model)
                response = await self._connections.ask(endpoint, body, model, until)
        except TimeoutError:
            sentence = f"The model did not begin to answer within {seconds:g} s (llm-first-deadline)."
            raise ModelError("timeout", sentence) from None
        return Answer(response, until, seconds, self._settings.llm_idle_deadline)

    async def _first_name(self, endpoint: Endpoint) -> str:
        """Find a model to ask for where none is configured; the server is asked once."""
        async with self._naming[endpoint]:
            if endpoint not in self._names:
                self._names[endpoint] = await self._ask_for_name(endpoint)
            return self._names[endpoint]

    async def _ask_for_name(self, endpoint: Endpoint) -> str:
        advice = "Which model to ask for is not known: set --llm-model, or `model` in the character's LLM."
        try:
            names = await self._connections.names(endpoint)
        except ModelError as e:
            raise ModelError(e.error_type, f"{e} {advice}", e.retry_after) from e
        if not names:
            raise ModelError("refused", f"The model's server has no models. {advice}")
        return names[0]

    @contextmanager
    def _report(self, character: Character, endpoint: Endpoint) -> Iterator[None]:
        """Log a failure, and learn from it."""
        try:
            try:
                yield
            except UpstreamFault as e:
                raise of_fault(e.fault, endpoint) from e
        except ModelError as e:
            # Not its repr, which may hold the headers of the request.
            cause = (
                endpoint.scrub_key(f"{type(e.__cause__).__name__}: {e.__cause__}") if e.__cause__ else "no exception"
            )
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

    async def _probe(self, server: Endpoint) -> bool:
        try:
            async with asyncio.timeout(_PROBE_SECONDS):
                return await self._connections.answers(server)
        except TimeoutError:
            return False


class UpstreamModel:
    """The model of one character."""

    def __init__(self, models: UpstreamModels, character: Character) -> None:
        self._models = models
        self._character = character

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta, None]:
        """Answer piece by piece; closing the generator closes the connection. Raises `ModelError`."""
        completion = Completion()
        async with self._models.ask(self._character, request) as answer:
            while not (completion.done or answer.ended):
                for data in await answer.read():
                    if (delta := completion.feed(data)) is not None:
                        yield delta
            for delta in completion.end():
                yield delta
            await answer.finish()


def _server(settings: Settings) -> Endpoint | None:
    if settings.llm_url is None:
        return None
    return Endpoint(settings.llm_url, settings.llm_key.get_secret_value() or None if settings.llm_key else None)


def _body(character: Character, request: ModelRequest, model: str) -> bytes:
    options = character.llm.options
    if "max_completion_tokens" in request.options:
        options.pop("max_tokens", None)  # the same by another name, and servers refuse both
    fields = options | {name: value for name, value in request.options.items() if name not in _NOT_PASSED_ON}
    fields |= {"model": model, "messages": request.messages, "stream": True, "stream_options": {"include_usage": True}}
    if request.tools:
        fields["tools"] = request.tools
        if request.tool_choice is not None:
            fields["tool_choice"] = request.tool_choice
    try:
        return encoded(fields)
    except PydanticSerializationError as e:
        raise ModelError("refused", "What the model should be asked cannot be written as JSON.") from e
