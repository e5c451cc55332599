"""Turn: one answer, from the question to its end, as a stream of events."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Any

from charhost.conversation.answer_builder import Draft
from charhost.conversation.chat_messages import as_messages
from charhost.conversation.history import History, fit
from charhost.conversation.items import Message, parted
from charhost.conversation.tally import Stage, Tally, Wish
from charhost.conversation.turn_events import Failure, TurnEnded, TurnEvent
from charhost.errors import PluginFailed
from charhost.ids import new_id
from charhost.llm.model import Delta, ModelError, ModelRequest, Usage
from charhost.text import UNEXPECTED

log = logging.getLogger("charhost.conversation")

# Many servers refuse a request in which the user has said nothing, or not the first word.
_OPENER = {"role": "user", "content": "Hello."}
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
_BUSY = ("busy", "rate_limited")


class Turn:
    """One answer of a conversation; made by `Conversation.respond`.

    `events` is read once, by one task. `cancel` and `fail`, called by others, let it come to an orderly end: what was
    said is kept, the model is stopped.
    """

    def __init__(self, stage: Stage, wish: Wish) -> None:
        self.id = new_id("resp")
        self.ended: TurnEnded | None = None
        self._stage = stage
        self._wish = wish
        # What comes into the conversation from now on is for the next turn.
        self._heard = list(stage.history if wish.items is None else wish.items)
        self._clients_tools = {tool["function"]["name"] for tool in wish.tools}
        self._draft = Draft(stage.history if wish.recorded else History(), self._is_hidden)
        self._tally = Tally(stage)
        self._finish: str | None = None
        self._early_end: TurnEnded | None = None
        self._waiting: asyncio.Task[Any] | None = None

    def cancel(self, reason: str = "client_cancelled") -> None:
        """End it, because nobody wants to hear the rest."""
        self._end_early(TurnEnded("cancelled", (), Usage(), reason))

    def fail(self, code: str, message: str) -> None:
        """End it, because it cannot go on."""
        self._end_early(TurnEnded("failed", (), Usage(), failure=Failure(code, message)))

    async def events(self) -> AsyncGenerator[TurnEvent, None]:
        """Yield what happens; whatever goes wrong, the last event is `TurnEnded`."""
        ending = TurnEnded("cancelled", (), Usage(), "abandoned")
        try:
            try:
                async with aclosing(self._answer()) as answer:
                    while (event := await self._next(answer)) is not None:
                        yield event
                ending = self._early_end or self._ending()
            except Exception as e:
                ending = self._early_end or TurnEnded("failed", (), Usage(), failure=self._failure(e))
            for event in self._draft.close("incomplete"):
                yield event
            self.ended = self._tally.completed(ending, self._draft.shown)
            yield self.ended
        finally:
            for _ in self._draft.close("incomplete"):  # the reader went away in the middle
                pass
            self._tally.record(ending.outcome)

    def _end_early(self, ending: TurnEnded) -> None:
        if self._early_end is None and self.ended is None:
            self._early_end = ending
            if self._waiting is not None:
                self._waiting.cancel()

    async def _next(self, answer: AsyncGenerator[TurnEvent, None]) -> TurnEvent | None:
        """Answer the next event; None at the end, and as soon as somebody ends the turn."""
        if self._early_end is not None:
            return None
        task = self._waiting = asyncio.current_task()
        assert task is not None
        cancelled_before = task.cancelling()
        try:
            event = await anext(answer, None)
        except asyncio.CancelledError:
            # Told apart as asyncio.timeout does it: a reader that is cancelled itself has to end.
            if self._early_end is None or task.uncancel() > cancelled_before:
                raise
            return None
        except Exception:
            self._forget_cancel(task, cancelled_before)
            raise
        finally:
            self._waiting = None
        self._forget_cancel(task, cancelled_before)
        return event

    def _forget_cancel(self, task: asyncio.Task[Any], cancelled_before: int) -> None:
        """Take back what the model swallowed, or made another exception of."""
        if self._early_end is not None and task.cancelling() > cancelled_before:
            task.uncancel()

    async def _answer(self) -> AsyncGenerator[TurnEvent, None]:
        """Ask the model, run the tools that it calls for, and ask again, until there is nothing left to run."""
        if (greeting := self._greeting()) is not None:
            for event in self._take(Delta(greeting)):
                yield event
            for event in self._draft.close():
                yield event
            return
        messages = await self._messages()
        for round_ in range(self._stage.settings.tool_rounds + 1):
            self._draft.begin_round()
            async with aclosing(self._stage.model.stream(self._request(messages, round_))) as deltas:
                async for delta in deltas:
                    for event in self._take(delta):
                        yield event
            for event in self._draft.close("incomplete" if self._finish in _INCOMPLETE else "completed"):
                yield event
            own = [call for call in self._draft.calls if call.hidden]
            if not own or self._finish in _INCOMPLETE or round_ == self._stage.settings.tool_rounds:
                return
            self._draft.answer(await self._stage.toolbox.run_all(own))
            if len(own) < len(self._draft.calls):  # the client has to answer the others first
                return

    def _take(self, delta: Delta) -> Iterator[TurnEvent]:
        self._tally.count(delta)
        self._finish = delta.finish or self._finish
        return self._draft.take(delta)

    def _greeting(self) -> str | None:
        """Choose the words that open the conversation, if the character has some and nobody has spoken yet."""
        greetings = self._stage.persona.character.greetings
        if self._wish.items is not None or not self._wish.recorded:
            return None
        opened = any(not isinstance(item, Message) or item.role != "system" for item in self._heard)
        return random.choice(greetings) if greetings and not opened else None

    async def _messages(self) -> list[dict[str, Any]]:
        prompt = await self._stage.persona.prompt()
        history = self._stage.history
        heard = fit(self._heard, self._stage.settings.history_tokens * history.characters_per_token)
        opening, said = parted(heard)
        # One system message, at the front: the templates of many models know no other.
        system = "\n\n".join(filter(None, (prompt, self._wish.instructions, *(message.text for message in opening))))
        messages = as_messages(said)
        if not messages or messages[0]["role"] != "user":
            messages.insert(0, _OPENER)
        return [{"role": "system", "content": system}, *messages]

    def _request(self, messages: list[dict[str, Any]], round_: int) -> ModelRequest:
        tools = self._stage.toolbox.beside(self._wish.tools)
        choice = self._wish.tool_choice
        if round_ == self._stage.settings.tool_rounds:
            choice = "none"  # enough of tools: now the model has to answer
        elif round_ > 0 and choice not in (None, "none"):
            choice = "auto"  # what was required has been called
        request = ModelRequest(
            messages=messages + as_messages(self._draft.said),
            tools=tools,
            tool_choice=choice if tools else None,
            options=self._wish.options,
        )
        self._tally.ask(request)
        return request

    def _is_hidden(self, tool: str) -> bool:
        return tool in self._stage.toolbox or tool not in self._clients_tools

    def _ending(self) -> TurnEnded:
        reason = _INCOMPLETE.get(self._finish or "")
        return TurnEnded("incomplete" if reason else "completed", (), Usage(), reason)

    def _failure(self, error: Exception) -> Failure:
        name = self._stage.persona.character.name
        if isinstance(error, ModelError):
            self._stage.metrics.upstream_errors.labels(error.error_type).inc()
            code = "rate_limit_exceeded" if error.error_type in _BUSY else "upstream_error"
            return Failure(code, str(error), error.error_type, error.retry_after)
        if isinstance(error, PluginFailed):
            found = error.failure.exception
            return Failure("prompt_failed", f"The character {name!r} could not make its prompt ({found}).")
        log.error("a turn of character %s failed unexpectedly", name, exc_info=error)
        return Failure("internal_error", UNEXPECTED)
