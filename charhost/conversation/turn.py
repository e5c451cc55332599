import asyncio
import logging
import random
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence, Set
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import Any

from charhost.conversation.chat_messages import as_messages
from charhost.conversation.history import History
from charhost.conversation.items import parted
from charhost.conversation.response_builder import ResponseBuilder
from charhost.conversation.turn_events import RequestReady, TurnEnded, TurnEvent, TurnFailure
from charhost.conversation.turn_input import Choice, TurnContext, TurnInput, TurnOptions
from charhost.conversation.turn_usage import TurnUsage, message_letters
from charhost.errors import PluginFailed, ThreadsExhausted
from charhost.ids import new_id
from charhost.llm.model import Delta, ModelError, ModelRequest
from charhost.logs.line_limit import limited
from charhost.speech.failure import SpeechError
from charhost.text import UNEXPECTED

log = logging.getLogger("charhost.conversation")

_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


class Turn:
    """One response in a conversation, as a stream of events; made by `Conversation.respond`.

    `events` is read once, by one task. `cancel` and `fail`, called from other tasks, stop the model and end the events
    in order; the text so far is kept.
    """

    def __init__(self, context: TurnContext, options: TurnOptions, shared: TurnInput | None = None) -> None:
        self.id = new_id("resp")
        self.ended: TurnEnded | None = None
        self._context = context
        self._options = options
        self.input = shared or TurnInput(context, options)
        names = (tool["function"]["name"] for tool in options.tools)
        self._client_tools = {name for name in names if name not in context.toolbox}
        history = context.history if options.recorded else History()
        # No method: the builder would refer to the turn that holds it, and only the collector would free both.
        is_hidden = partial(_is_hidden, frozenset() if options.tool_choice == "none" else self._client_tools)
        self._builder = ResponseBuilder(history, is_hidden, context.model.endpoint)
        self._usage = TurnUsage(context.metrics, context.history, context.front_door)
        self._finish: str | None = None
        self._early_end: TurnEnded | None = None
        self._waiting: asyncio.Task[Any] | None = None

    def cancel(self, reason: str = "client_cancelled") -> None:
        self._end_early(TurnEnded("cancelled", reason=reason))

    def fail(self, code: str, message: str) -> None:
        self._end_early(TurnEnded("failed", failure=TurnFailure(code, message)))

    async def events(self) -> AsyncGenerator[TurnEvent, None]:
        """Yield the events of the turn; the last one is `TurnEnded`, also after an error."""
        async with aclosing(self.batches()) as batches:
            async for events in batches:
                for event in events:
                    yield event

    async def batches(self) -> AsyncGenerator[Sequence[TurnEvent], None]:
        """Yield the events of the turn, each time those that came together: `RequestReady` and `TurnEnded` alone."""
        ending = TurnEnded("cancelled", reason="abandoned")
        try:
            try:
                async with aclosing(self._response()) as response:
                    while (events := await self._next(response)) is not None:
                        yield events
                reason = _INCOMPLETE.get(self._finish or "")
                ending = self._early_end or TurnEnded("incomplete" if reason else "completed", reason=reason)
            except Exception as e:
                ending = self._early_end or TurnEnded("failed", failure=self._failure(e))
            for event in self._builder.close("incomplete"):
                yield [event]
            made = tuple(self._builder.items)
            usage = self._usage.total()
            self.ended = replace(ending, items=self._builder.shown, made=made, usage=usage, cut=self.input.cut)
            yield [self.ended]
        finally:
            for _ in self._builder.close("incomplete"):  # the reader stopped early
                pass
            self._usage.record(ending.outcome)

    def _end_early(self, ending: TurnEnded) -> None:
        if self._early_end is None and self.ended is None:
            self._early_end = ending
            if self._waiting is not None:
                self._waiting.cancel()

    async def _next(self, response: AsyncGenerator[Sequence[TurnEvent], None]) -> Sequence[TurnEvent] | None:
        """Return the next events; None at the end, and as soon as the turn is cancelled or fails."""
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

    async def _response(self) -> AsyncGenerator[Sequence[TurnEvent], None]:
        """Request a response, run the tools that it calls, and repeat with their results until it calls none."""
        if (given := self._given()) is not None:
            yield [*self._taken([Delta(given)]), *self._builder.close()]
            return
        messages = await self.input.messages()
        yield [RequestReady(self.input.cut)]
        for round_ in range(self._context.settings.tool_rounds + 1):
            self._builder.begin_round()
            async with aclosing(self._context.model.stream(self._request(messages, round_))) as pieces:
                async for deltas in pieces:
                    events: list[TurnEvent] = []
                    try:
                        events.extend(self._taken(deltas))
                    except ModelError:
                        yield events  # those before the fault
                        raise
                    yield events
            for event in self._builder.close("incomplete" if self._finish in _INCOMPLETE else "completed"):
                yield [event]
            own = [call for call in self._builder.calls if call.hidden]
            if not own or self._finish in _INCOMPLETE or round_ == self._context.settings.tool_rounds:
                return
            self._builder.add_outputs(await self._context.toolbox.run_all(own))
            if len(own) < len(self._builder.calls):  # the client has to send the results of the others first
                return

    def _taken(self, deltas: Sequence[Delta]) -> Iterator[TurnEvent]:
        """Add pieces of the response, and yield their events."""
        self._usage.count(deltas)
        for delta in deltas:
            if delta.finish is not None:
                self._finish = delta.finish
            yield from self._builder.add(delta)

    def _given(self) -> str | None:
        """Return the words that need no model."""
        if self._options.words is not None:
            return self._options.words
        greetings, options = self._context.instance.character.greetings, self._options
        if not (greetings and options.may_greet and options.recorded and options.items is None):
            return None
        _, dialogue = parted(self.input.items)
        return None if dialogue else random.choice(greetings)

    def _request(self, messages: list[dict[str, Any]], round_: int) -> ModelRequest:
        tools, choice = self._tools(round_ == self._context.settings.tool_rounds, round_ == 0)
        made = as_messages(self._builder.items, self._context.model.endpoint)
        request = ModelRequest(
            messages=messages + made,
            tools=tools,
            tool_choice=choice if tools else None,
            options=self._options.options,
            needs_tools=any(map(self._is_client_tool, tools)) or choice not in (None, "auto", "none"),
            forms=self.input.forms if round_ == 0 else None,
        )
        sent = self.input.letters + sum(map(message_letters, made))
        self._usage.start_round(sent + (self.input.letters_of_tools if tools else 0))
        return request

    def _tools(self, is_last: bool, is_first: bool) -> tuple[Sequence[Mapping[str, Any]], Choice]:
        """Return the tools of a round and the choice among them, which the client makes about its own tools only."""
        toolbox, choice = self._context.toolbox, self._options.tool_choice
        own, tools = toolbox.beside(()), self.input.tools
        if choice == "none" and own:
            return own, "none" if is_last else None
        if self._must_call(choice):  # the turn ends with the call
            return ([tool for tool in tools if self._is_client_tool(tool)] if is_last else tools), choice
        if is_last:  # force a text
            return tools, "none"
        return tools, choice if is_first or choice in (None, "none") else "auto"

    def _must_call(self, choice: Choice) -> bool:
        """Return whether the model has to call one of the client's tools."""
        match choice:
            case {"function": {"name": str(name)}}:
                return name in self._client_tools
        return choice == "required" and bool(self._client_tools)

    def _is_client_tool(self, tool: Mapping[str, Any]) -> bool:
        return tool["function"]["name"] in self._client_tools

    def _failure(self, error: Exception) -> TurnFailure:
        name = self._context.instance.character.name
        if isinstance(error, ModelError):
            self._context.metrics.upstream_errors.labels(error.error_type).inc()
            code = "rate_limit_exceeded" if error.error_type in ("busy", "rate_limited") else "upstream_error"
            return TurnFailure(code, str(error), error.error_type, error.retry_after)
        if isinstance(error, SpeechError):
            return TurnFailure("transcription_failed", str(error), error.error_type)
        if isinstance(error, PluginFailed):
            failure = error.failure
            found = failure.exception
            if failure.error_type == ThreadsExhausted.__name__:  # an operator can mend it, and a client may know
                found = failure.message
            return TurnFailure("prompt_failed", f"The character {name!r} could not make its prompt ({found}).")
        log.error("a turn of character %s failed unexpectedly", name, exc_info=error, extra=limited())
        return TurnFailure("internal_error", UNEXPECTED)


def _is_hidden(client_tools: Set[str], name: str) -> bool:
    return name not in client_tools
