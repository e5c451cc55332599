"""The input of a turn, and the options of its client."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from charhost.character.instance import CharacterInstance
from charhost.conversation.chat_messages import as_messages, system_text
from charhost.conversation.excerpt import Budget, Cut, excerpt
from charhost.conversation.history import History
from charhost.conversation.items import Item, is_lost, parted
from charhost.conversation.toolbox import Toolbox
from charhost.conversation.turn_usage import message_letters
from charhost.jsontext import encoded
from charhost.llm.model import Forms, Model
from charhost.llm.token_estimate import letters
from charhost.logs.line_limit import limited
from charhost.memory.offload import Offload
from charhost.metrics import Metrics
from charhost.settings import Settings

log = logging.getLogger("charhost.conversation")

Choice = str | Mapping[str, Any] | None

# Many servers refuse a request without a user message, or with another message before it.
_OPENER = {"role": "user", "content": "Hello."}
# Tokens that every model takes, so that its server is not asked.
_SHORT = 1_000
# Of the context length, for a response without a limit.
_ANSWER_SHARE = 1 / 4
# Characters per token differ between texts.
_MARGIN = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnOptions:
    """The options that a client sets for one turn; `tools` and `options` as in a chat-completions request.

    With `items` the model receives these instead of the conversation; a turn that is not `recorded` adds nothing to it.
    One that `may_greet` is a greeting of the character where only system messages precede it. Several `choices` of one
    request share their input. With `words` the character says these, and no model is asked. `ready` is waited for
    before the items are read, which may change until then. `weight` are the bytes of the tools, or of more, in memory.
    """

    instructions: str = ""
    tools: Sequence[Mapping[str, Any]] = ()
    tool_choice: Choice = None
    options: Mapping[str, Any] = field(default_factory=dict)
    items: History | None = None
    recorded: bool = True
    may_greet: bool = True
    choices: int = 1
    weight: int = 0
    words: str | None = None
    ready: Callable[[], Awaitable[None]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnContext:
    """The character, the model and the conversation of a turn; `front_door` is the label of its metrics."""

    instance: CharacterInstance
    toolbox: Toolbox
    model: Model
    history: History
    settings: Settings
    metrics: Metrics
    offload: Offload
    front_door: str


class TurnInput:
    """The input of a turn, made into the messages and tools of its first request once for all choices.

    `cut` and the numbers of letters, in the messages and in the tools, are known with the messages; `forms` are the
    encoded requests that choices share.
    """

    def __init__(self, context: TurnContext, options: TurnOptions) -> None:
        # A copy: items that are added from now on belong to the next turn.
        history = context.history if options.items is None else options.items
        self.items, self._weight = _shown(history), history.weight + options.weight
        self.tools = context.toolbox.beside(options.tools)
        self.letters = self.letters_of_tools = 0
        self.cut = Cut()
        self.forms: Forms | None = {} if options.choices > 1 else None
        self._context = context
        self._options = options
        self._making = asyncio.Lock()
        self._messages: list[dict[str, Any]] | None = None

    async def messages(self) -> list[dict[str, Any]]:
        """Return the messages that the model is sent; raises the errors of the character's code."""
        if self._messages is not None:
            return self._messages
        async with self._making:
            if self._messages is None:
                self._messages = await self._made()
            return self._messages

    async def _made(self) -> list[dict[str, Any]]:
        if self._options.ready is not None:
            await self._options.ready()
            latest = {item.id: item for item in self._context.history}
            self.items = _shown(latest.get(item.id, item) for item in self.items)
        prompt = await self._context.instance.prompt()
        budget = await self._budget(prompt)
        messages = await self._context.offload.run(self._weight, partial(self._sent, prompt, budget))
        self._report()
        return messages

    def _sent(self, prompt: str, budget: Budget) -> list[dict[str, Any]]:
        sent = excerpt(self.items, budget)
        opening, dialogue = parted(sent.items)
        # One system message, at the front: the templates of many models support no other.
        system = "\n\n".join(filter(None, (prompt, self._options.instructions, *map(system_text, opening))))
        messages = as_messages(dialogue, self._context.model.endpoint)
        if not messages or messages[0]["role"] != "user":
            messages.insert(0, _OPENER)
        if system:
            messages.insert(0, {"role": "system", "content": system})
        self.cut, self.letters = sent.cut, sum(map(message_letters, messages))
        return messages

    async def _budget(self, prompt: str) -> Budget:
        settings, per_token = self._context.settings, self._context.history.letters_per_token
        opening, dialogue = settings.system_tokens * per_token, settings.history_tokens * per_token
        dialogue_letters = await self._context.offload.run(self._weight, self._count)
        others = letters(prompt) + letters(self._options.instructions) + self.letters_of_tools
        is_long = (others + dialogue_letters) / per_token > _SHORT
        length = await self._context.model.context_length() if is_long else None
        if length is None:
            return Budget(opening, dialogue)
        room = (length - self._answer_tokens(length)) * per_token * _MARGIN
        return Budget(opening, dialogue, max(0, room - others))

    def _answer_tokens(self, length: int) -> int:
        options = {**self._context.instance.character.llm.options, **self._options.options}
        limit = options.get("max_completion_tokens", options.get("max_tokens"))
        return limit if type(limit) is int and 0 < limit < length else int(length * _ANSWER_SHARE)

    def _count(self) -> int:
        """Count the letters of the tools, and return those of the items."""
        self.letters_of_tools = letters(encoded(self.tools).decode()) if self.tools else 0
        return sum(item.size for item in self.items)

    def _report(self) -> None:
        metrics, name, cut = self._context.metrics, self._context.instance.character.name, self.cut
        if not cut.counts():
            return
        metrics.history_messages_cut.labels("left_out").inc(cut.left_out)
        metrics.history_messages_cut.labels("shortened").inc(cut.shortened)
        text = "a long conversation with %s: %d messages left out, %d shortened"
        log.info(text, name, cut.left_out, cut.shortened, extra=limited())


def _shown(items: Iterable[Item]) -> list[Item]:
    return [item for item in items if not is_lost(item)]
