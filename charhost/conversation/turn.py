import asyncio
import logging
import random
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

from charhost.character.instance import CharacterInstance
from charhost.conversation.chat_messages import as_messages, system_text
from charhost.conversation.excerpt import Budget, Cut, excerpt
from charhost.conversation.history import History
from charhost.conversation.items import Item, parted, size
from charhost.conversation.response_builder import ResponseBuilder
from charhost.conversation.toolbox import Toolbox
from charhost.conversation.turn_events import RequestReady, TurnEnded, TurnEvent, TurnFailure
from charhost.conversation.turn_usage import TurnUsage
from charhost.errors import PluginFailed, ThreadsExhausted
from charhost.ids import new_id
from charhost.llm.model import Delta, Model, ModelError, ModelRequest
from charhost.metrics import Metrics
from charhost.settings import Settings
from charhost.text import UNEXPECTED

log = logging.getLogger("charhost.conversation")

# Many servers refuse a request without a user message, or with another message before it.
_OPENER = {"role": "user", "content": "Hello."}
# Tokens that every model takes, so that its server is not asked.
_SHORT = 1_000
# Of the context length, for a response without a limit.
_ANSWER_SHARE = 1 / 4
# Characters per token differ between texts.
_MARGIN = 0.9
_Choice = str | Mapping[str, Any] | None
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnOptions:
    """The options that a client sets for one turn; `tools` and `options` as in a chat-completions request.

    With `items` the model receives these instead of the conversation; a turn that is not `recorded` adds nothing to it.
    One that `may_greet` is a greeting of the character where only system messages precede it.
    """

    instructions: str = ""
    tools: Sequence[Mapping[str, Any]] = ()
    tool_choice: _Choice = None
    options: Mapping[str, Any] = field(default_factory=dict)
    items: Sequence[Item] | None = None
    recorded: bool = True
    may_greet: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnContext:
    """The character, the model and the conversation of a turn; `front_door` is the label of its metrics."""

    instance: CharacterInstance
    toolbox: Toolbox
    model: Model
    history: History
    settings: Settings
    metrics: Metrics
    front_door: str


class Turn:
    """One response in a conversation, as a stream of events; made by `Conversation.respond`.

    `events` is read once, by one task. `cancel` and `fail`, called from other tasks, stop the model and end the events
    in order; the text so far is kept.
    """

    def __init__(self, context: TurnContext, options: TurnOptions) -> None:
        self.id = new_id("resp")
        self.ended: TurnEnded | None = None
        self._context = context
        self._options = options
        # A copy: items that are added from now on belong to the next turn.
        self._input = list(context.history if options.items is None else options.items)
        names = (tool["function"]["name"] for tool in options.tools)
        self._client_tools = {name for name in names if name not in context.toolbox}
        history = context.history if options.recorded else History()
        self._builder = ResponseBuilder(history, self._is_hidden, context.model.endpoint)
        self._usage = TurnUsage(context.metrics, context.history, context.front_door)
        self._cut = Cut()
        self._finish: str | None = None
        self._early_end: TurnEnded | None = None
        self._waiting: asyncio.Task[Any] | None = None

    def cancel(self, reason: str = "client_cancelled") -> None:
        self._end_early(TurnEnded("cancelled", reason=reason))

    def fail(self, code: str, message: str) -> None:
        self._end_early(TurnEnded("failed", failure=TurnFailure(code, message)))

    async def events(self) -> AsyncGenerator[TurnEvent, None]:
        """Yield the events of the turn; the last one is `TurnEnded`, also after an error."""
        ending = TurnEnded("cancelled", reason="abandoned")
        try:
            try:
                async with aclosing(self._response()) as response:
                    while (event := await self._next(response)) is not None:
                        yield event
                reason = _INCOMPLETE.get(self._finish or "")
                ending = self._early_end or TurnEnded("incomplete" if reason else "completed", reason=reason)
            except Exception as e:
                ending = self._early_end or TurnEnded("failed", failure=self._failure(e))
            for event in self._builder.close("incomplete"):
                yield event
            made = tuple(self._builder.items)
            usage = self._usage.total()
            self.ended = replace(ending, items=self._builder.shown, made=made, usage=usage, cut=self._cut)
            yield self.ended
        finally:
            for _ in self._builder.close("incomplete"):  # the reader stopped early
                pass
            self._usage.record(ending.outcome)

    def _end_early(self, ending: TurnEnded) -> None:
        if self._early_end is None and self.ended is None:
            self._early_end = ending
            if self._waiting is not None:
                self._waiting.cancel()

    async def _next(self, response: AsyncGenerator[TurnEvent, None]) -> TurnEvent | None:
        """Return the next event; None at the end, and as soon as the turn is cancelled or fails."""
        if self._early_end is not None:
            return None
        task = self._waiting = asyncio.current_task()
        assert task is not None
        cancelled_before = task.cancelling()
        try:
            return await anext(response, None)
        except asyncio.CancelledError:
            # As in asyncio.timeout: if the reader itself was cancelled too, the exception must go on.
            if self._early_end is None or task.cancelling() > cancelled_before + 1:
                raise
            return None
        finally:
            self._waiting = None
            # Undo our cancellation, also if the model swallowed it; else it would hit the reader's next await.
            if self._early_end is not None and task.cancelling() > cancelled_before:
                task.uncancel()

    async def _response(self) -> AsyncGenerator[TurnEvent, None]:
        """Request a response, run the tools that it calls, and repeat with their results until it calls none."""
        if (greeting := self._greeting()) is not None:
            for event in chain(self._take(Delta(greeting)), self._builder.close()):
                yield event
            return
        messages = await self._messages()
        yield RequestReady(self._cut)
        for round_ in range(self._context.settings.tool_rounds + 1):
            self._builder.begin_round()
            async with aclosing(self._context.model.stream(self._request(messages, round_))) as deltas:
                async for delta in deltas:
                    for event in self._take(delta):
                        yield event
            for event in self._builder.close("incomplete" if self._finish in _INCOMPLETE else "completed"):
                yield event
            own = [call for call in self._builder.calls if call.hidden]
            if not own or self._finish in _INCOMPLETE or round_ == self._context.settings.tool_rounds:
                return
            self._builder.add_outputs(await self._context.toolbox.run_all(own))
            if len(own) < len(self._builder.calls):  # the client has to send the results of the others first
                return

    def _take(self, delta: Delta) -> Iterator[TurnEvent]:
        self._usage.count(delta)
        self._finish = delta.finish or self._finish
        return self._builder.add(delta)

    def _greeting(self) -> str | None:
        greetings = self._context.instance.character.greetings
        _, dialogue = parted(self._input)
        may_greet = self._options.may_greet and self._options.recorded and self._options.items is None
        return random.choice(greetings) if greetings and may_greet and not dialogue else None

    async def _messages(self) -> list[dict[str, Any]]:
        prompt = await self._context.instance.prompt()
        sent = excerpt(self._input, await self._budget(prompt))
        self._report(sent.cut)
        opening, dialogue = parted(sent.items)
        # One system message, at the front: the templates of many models support no other.
        system = "\n\n".join(filter(None, (prompt, self._options.instructions, *map(system_text, opening))))
        messages = as_messages(dialogue, self._context.model.endpoint)
        if not messages or messages[0]["role"] != "user":
            messages.insert(0, _OPENER)
        return [{"role": "system", "content": system}, *messages] if system else messages

    async def _budget(self, prompt: str) -> Budget:
        settings, per_token = self._context.settings, self._context.history.characters_per_token
        opening, dialogue = settings.system_tokens * per_token, settings.history_tokens * per_token
        tools = self._context.toolbox.beside(self._options.tools)
        others = len(prompt) + len(self._options.instructions) + sum(len(str(tool)) for tool in tools)
        is_long = (others + sum(map(size, self._input))) / per_token > _SHORT
        length = await self._context.model.context_length() if is_long else None
        if length is None:
            return Budget(opening, dialogue)
        room = (length - self._answer_tokens(length)) * per_token * _MARGIN
        return Budget(opening, dialogue, max(0, room - others))

    def _answer_tokens(self, length: int) -> int:
        options = self._context.instance.character.llm.options | dict(self._options.options)
        limit = options.get("max_completion_tokens", options.get("max_tokens"))
        return limit if type(limit) is int and 0 < limit < length else int(length * _ANSWER_SHARE)

    def _report(self, cut: Cut) -> None:
        self._cut = cut
        if cut == Cut():
            return
        metrics, name = self._context.metrics, self._context.instance.character.name
        metrics.history_messages_cut.labels("left_out").inc(cut.left_out)
        metrics.history_messages_cut.labels("shortened").inc(cut.shortened)
        log.info("a long conversation with %s: %d messages left out, %d shortened", name, cut.left_out, cut.shortened)

    def _request(self, messages: list[dict[str, Any]], round_: int) -> ModelRequest:
        tools, choice = self._tools(round_ == self._context.settings.tool_rounds, round_ == 0)
        request = ModelRequest(
            messages=messages + as_messages(self._builder.items, self._context.model.endpoint),
            tools=tools,
            tool_choice=choice if tools else None,
            options=self._options.options,
            needs_tools=any(map(self._is_client_tool, tools)) or choice not in (None, "auto", "none"),
        )
        self._usage.start_round(request)
        return request

    def _tools(self, is_last: bool, is_first: bool) -> tuple[Sequence[Mapping[str, Any]], _Choice]:
        """Return the tools of a round and the choice among them, which the client makes about its own tools only."""
        toolbox, choice = self._context.toolbox, self._options.tool_choice
        own, tools = toolbox.beside(()), toolbox.beside(self._options.tools)
        if choice == "none" and own:
            return own, "none" if is_last else None
        if self._must_call(choice):  # the turn ends with the call
            return ([tool for tool in tools if self._is_client_tool(tool)] if is_last else tools), choice
        if is_last:  # force a text
            return tools, "none"
        return tools, choice if is_first or choice in (None, "none") else "auto"

    def _must_call(self, choice: _Choice) -> bool:
        """Return whether the model has to call one of the client's tools."""
        match choice:
            case {"function": {"name": str(name)}}:
                return name in self._client_tools
        return choice == "required" and bool(self._client_tools)

    def _is_client_tool(self, tool: Mapping[str, Any]) -> bool:
        return tool["function"]["name"] in self._client_tools

    def _is_hidden(self, name: str) -> bool:
        return name not in self._client_tools or self._options.tool_choice == "none"

    def _failure(self, error: Exception) -> TurnFailure:
        name = self._context.instance.character.name
        if isinstance(error, ModelError):
            self._context.metrics.upstream_errors.labels(error.error_type).inc()
            code = "rate_limit_exceeded" if error.error_type in ("busy", "rate_limited") else "upstream_error"
            return TurnFailure(code, str(error), error.error_type, error.retry_after)
        if isinstance(error, PluginFailed):
            failure = error.failure
            found = failure.exception
            if failure.error_type == ThreadsExhausted.__name__:  # an operator can mend it, and a client may know
                found = failure.message
            return TurnFailure("prompt_failed", f"The character {name!r} could not make its prompt ({found}).")
        log.error("a turn of character %s failed unexpectedly", name, exc_info=error)
        return TurnFailure("internal_error", UNEXPECTED)
