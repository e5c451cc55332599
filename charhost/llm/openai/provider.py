import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from charhost.character.character import Character
from charhost.llm.model import Delta, Model, ModelError, ModelRequest, ServerHabits
from charhost.llm.openai.chunk_parser import ChunkParser, UpstreamFault
from charhost.llm.openai.connections import Connections
from charhost.llm.openai.context_lengths import ContextLengths
from charhost.llm.openai.discovery import USUAL, Discovery
from charhost.llm.openai.endpoint import Endpoint
from charhost.llm.openai.failures import of_fault
from charhost.llm.openai.habits import Fields
from charhost.llm.openai.negotiation import Negotiation
from charhost.llm.openai.places import Place, Places
from charhost.llm.openai.response_stream import ResponseStream
from charhost.llm.openai.selection import Selection
from charhost.llm.openai.stop_sequences import StopSequences
from charhost.logs.line_limit import limited
from charhost.memory.budget import MemoryBudget
from charhost.settings import Habit, Settings, key_from_environment

log = logging.getLogger("charhost.llm")

_KNOWN_SECONDS = 10  # how long the result of a probe holds
_PROBE_SECONDS = 2
_LENGTH_SECONDS = 1
# Pieces of one read, which may have a thousand: between them other conversations go on.
_MOST_TOGETHER = 32
_LIMITS = {"max_tokens", "max_completion_tokens"}  # two names for the same: servers refuse both
# Whether an error shows that the server is up; other errors show nothing.
_SIGNS = dict.fromkeys(("unreachable", "timeout", "server_error", "unauthorized"), False)
_SIGNS |= {"refused": True, "rate_limited": True}


@dataclass(frozen=True, slots=True)
class OpenResponse:
    """A response that has begun, and the `stop` of its request if the server does not apply it."""

    stream: ResponseStream
    stop: StopSequences | None


class UpstreamModels:
    """Provides the models; owns the connections, the places of requests, and the known state of the servers."""

    def __init__(
        self,
        settings: Settings,
        budget: MemoryBudget | None = None,
        discovery: Callable[[Connections], Discovery] = lambda connections: Discovery(connections, USUAL),
    ) -> None:
        self._settings = settings
        self._habits = settings.llm_habits
        self._budget = budget or MemoryBudget()
        self._connections = Connections(settings.llm_connect_deadline)
        self._negotiation = Negotiation(self._connections)
        self.selection = Selection(settings, self._negotiation.addresses, discovery(self._connections))
        self._lengths = ContextLengths(self._connections, self._negotiation.addresses)
        self._places = Places(settings.llm_concurrency, settings.llm_wait)
        self._names: dict[Endpoint, str] = {}
        self._naming: defaultdict[Endpoint, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._probing = asyncio.Lock()
        self._up = False
        self._known_until = 0.0

    def of(self, character: Character) -> Model:
        """Return the model of *character*: the stand-in if neither it nor the server has an address."""
        if not self._has_server(character):
            from charhost.llm.offline.model import OfflineModel

            return OfflineModel(character)
        return UpstreamModel(self, character)

    async def state(self) -> Literal["offline", "up", "down"]:
        if self.selection.server is None:
            return "offline"
        async with self._probing:  # concurrent callers share one probe
            if asyncio.get_running_loop().time() >= self._known_until:
                self._learn(await self._probe(self.selection.server))
        return "up" if self._up else "down"

    async def context_length(self, character: Character) -> int | None:
        """Return the context length in force for *character*; None if it is not found out within a second."""
        try:
            endpoint = self._endpoint(character)
            async with asyncio.timeout(_LENGTH_SECONDS):
                await self.selection.expect_trusted(endpoint)
                return await self._lengths.of(endpoint, await self._model(character, endpoint))
        except (ModelError, TimeoutError):
            return None

    async def context_lengths(self, characters: Sequence[Character]) -> list[int | None]:
        """Return the context length in force for each character; those of one model ask for it together."""
        asking = {_choice(character): character for character in characters if self._has_server(character)}
        lengths = await asyncio.gather(*map(self.context_length, asking.values()))
        known = dict(zip(asking, lengths, strict=True))
        return [known.get(_choice(character)) for character in characters]

    async def find(self) -> None:
        """Ask for the server, so that its address is known and logged before the first turn; or look for one."""
        if self._settings.llm_url is None:
            await self.selection.discover()
        elif self.selection.server is not None and await self.state() == "down":
            log.warning(
                "there is no model's server at %s yet; responses fail until there is", self.selection.server.url
            )

    def habits(self) -> list[ServerHabits]:
        return self._negotiation.habits.listed()

    async def close(self) -> None:
        await self._connections.close()

    def address(self, character: Character) -> Endpoint:
        """Return the endpoint of *character* without its key."""
        if character.llm.url is None and self.selection.server is not None:
            return self.selection.server.keyless
        return Endpoint.of(str(character.llm.url), None)

    @asynccontextmanager
    async def ask(self, character: Character, request: ModelRequest) -> AsyncIterator[OpenResponse]:
        """Wait for a place, and open a response; raises `ModelError`."""
        endpoint = self._endpoint(character)
        with self._report(character, endpoint):
            async with Place(self._places) as place:
                response = await self._open(character, request, endpoint)
                place.stream = response.stream
                try:
                    yield response
                finally:
                    response.stream.close()
        self._negotiation.addresses.prove(endpoint)
        self._learn(True, endpoint)

    def _has_server(self, character: Character) -> bool:
        return self.selection.server is not None or character.llm.url is not None

    def _endpoint(self, character: Character) -> Endpoint:
        choice = character.llm
        if choice.url is None and choice.api_key_env is None and self.selection.server is not None:
            return self.selection.server
        # The server's key is for the server's address, and goes to no other.
        try:
            key = key_from_environment(choice.api_key_env) if choice.api_key_env else None
        except ValueError as e:
            raise ModelError("unauthorized", f"The variable {e}.") from None
        if choice.api_key_env and not key:
            raise ModelError("unauthorized", f"The variable {choice.api_key_env} for the key is not set.")
        return replace(self.address(character), key=key)

    async def _open(self, character: Character, request: ModelRequest, endpoint: Endpoint) -> OpenResponse:
        seconds = self._settings.llm_first_deadline
        until = asyncio.get_running_loop().time() + seconds
        try:
            async with asyncio.timeout_at(until):
                await self.selection.expect_trusted(endpoint)
                model = await self._model(character, endpoint)
                fields = _fields(character, request, model)
                compat = self._compat(character)
                response, habits = await self._negotiation.send(
                    endpoint, fields, compat, request.needs_tools, until, request.forms
                )
        except TimeoutError:
            text = f"The model did not begin its response within {seconds:g} s (--llm-first-deadline)."
            raise ModelError("timeout", text) from None
        stop = StopSequences(fields["stop"]) if Habit.NO_STOP in habits and "stop" in fields else None
        stream = ResponseStream(
            response, until, seconds, self._settings.llm_idle_deadline, self._budget.holding("model_responses")
        )
        return OpenResponse(stream, stop)

    def _compat(self, character: Character) -> frozenset[Habit]:
        """Return the habits that are configured for the server of *character*."""
        return (character.llm.compat or frozenset()) | (self._habits if character.llm.url is None else frozenset())

    async def _model(self, character: Character, endpoint: Endpoint) -> str:
        return character.llm.model or self.selection.model(endpoint) or await self._first_name(endpoint)

    async def _first_name(self, endpoint: Endpoint) -> str:
        """Return the model to use where none is configured; the server is asked once."""
        async with self._naming[endpoint]:
            if endpoint not in self._names:
                try:
                    self._names[endpoint] = await self.selection.first_model(endpoint)
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
            causes = [f"{type(e.__cause__).__name__}: {e.__cause__}"] if e.__cause__ else []
            cause = endpoint.scrub_key("; ".join([*causes, *getattr(e, "__notes__", ())])) or "no exception"
            extra = limited(f"{endpoint.host} {e.error_type}")
            log.warning("%s at %s: %s: %s (%s)", character.name, endpoint.host, e.error_type, e, cause, extra=extra)
            if e.error_type in _SIGNS:
                self._learn(_SIGNS[e.error_type], endpoint)
            if e.error_type == "refused":
                self._names.pop(endpoint, None)  # it may have other models now
            raise

    def _learn(self, up: bool, endpoint: Endpoint | None = None) -> None:
        if endpoint in (None, self.selection.server):
            self._up = up
            self._known_until = asyncio.get_running_loop().time() + _KNOWN_SECONDS

    async def _probe(self, server: Endpoint) -> bool:
        try:
            async with asyncio.timeout(_PROBE_SECONDS):
                return await self._negotiation.addresses.find(server)
        except TimeoutError:
            return False


@dataclass(frozen=True)
class UpstreamModel:
    models: UpstreamModels
    character: Character

    @cached_property
    def endpoint(self) -> str:
        return self.models.address(self.character).digest

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Sequence[Delta], None]:
        """Yield the pieces of each read together; closing the generator closes the connection. Raises `ModelError`."""
        parser = ChunkParser()
        async with self.models.ask(self.character, request) as response:
            stream, stop = response.stream, response.stop
            while not (parser.done or stream.ended):
                chunks = await stream.read()
                for start in range(0, len(chunks), _MOST_TOGETHER):
                    pieces: list[Delta] = []
                    try:
                        pieces.extend(_pieces(parser, stop, chunks[start : start + _MOST_TOGETHER]))
                    except (ModelError, UpstreamFault):
                        yield pieces  # those before the fault
                        raise
                    yield pieces
                    stream.taken += len(pieces)
                    if stop is not None and stop.found:
                        return
            yield [delta if stop is None else stop.cut(delta) for delta in parser.end()]
            await stream.finish()

    async def context_length(self) -> int | None:
        return await self.models.context_length(self.character)


def _choice(character: Character) -> tuple[object, ...]:
    """Return the fields of a character that decide on its model."""
    return character.llm.url, character.llm.api_key_env, character.llm.model


def _pieces(parser: ChunkParser, stop: StopSequences | None, chunks: Iterable[bytes]) -> Iterator[Delta]:
    for data in chunks:
        if (delta := parser.feed(data)) is not None:
            yield delta if stop is None else stop.cut(delta)
            if stop is not None and stop.found:
                return


def _fields(character: Character, request: ModelRequest, model: str) -> Fields:
    options = character.llm.options
    if _LIMITS & request.options.keys():
        options = {name: value for name, value in options.items() if name not in _LIMITS}
    fields: Fields = {**options, **request.options}
    fields.pop("n", None)  # the chunks of several choices would come mixed
    fields |= {"model": model, "messages": request.messages, "stream": True, "stream_options": {"include_usage": True}}
    if request.tools:
        fields["tools"] = request.tools
        if request.tool_choice is not None:
            fields["tool_choice"] = request.tool_choice
    return fields
