import asyncio
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from itertools import accumulate
from typing import Any

from charhost.character.character import Character
from charhost.llm.model import CallDelta, Delta, ModelRequest, Usage
from charhost.llm.offline.commands import Command
from charhost.llm.offline.introduction import introduction
from charhost.llm.offline.languages import language_of, read_languages
from charhost.llm.offline.messages import text_of
from charhost.llm.offline.reply import Reply
from charhost.llm.token_estimate import LETTERS_PER_TOKEN, letters, tokens

_MOST_TOGETHER = 16


class OfflineModel:
    """Replies for one character with prepared phrases; without state, so that all conversations can share it.

    It never poses as a model: its first words in a conversation, and its replies to questions about that, state that
    none is connected. It reveals no more of the prompt than `introduction` does.
    """

    endpoint = "offline"

    def __init__(self, character: Character) -> None:
        self._character = character

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Sequence[Delta], None]:
        """Reply word by word; the same conversation gets the same reply."""
        await read_languages()
        reply = self._reply(request)
        chosen = reply.choose()
        if isinstance(chosen, Command):
            call_id = f"call_{reply.random.getrandbits(64):016x}"
            yield [
                Delta(calls=(CallDelta(0, call_id, chosen.tool, chosen.arguments),)),
                Delta(finish="tool_calls", usage=_usage(request, chosen.tool + chosen.arguments)),
            ]
            return
        words = re.findall(r"\s*\S+", _stopped(chosen, request.options.get("stop")))
        budget = _budget(request.options)
        written = [word for word, end in zip(words, accumulate(map(letters, words)), strict=True) if end <= budget]
        for start in range(0, len(written), _MOST_TOGETHER):
            yield list(map(Delta, written[start : start + _MOST_TOGETHER]))
            await asyncio.sleep(0)  # let other conversations go on
        yield [Delta(finish="stop" if written == words else "length", usage=_usage(request, "".join(written)))]

    async def context_length(self) -> None:
        return None

    def _reply(self, request: ModelRequest) -> Reply:
        name, instructions = self._character.name, self._character.instructions
        language = language_of(instructions.get("language"))
        return Reply(self._character, language, introduction(name, instructions, language), request)


def _stopped(text: str, stop: Any) -> str:
    stops = [stop] if isinstance(stop, str) else stop if isinstance(stop, (list, tuple)) else []
    found = [text.find(end) for end in stops if isinstance(end, str) and end]
    return text[: min((at for at in found if at >= 0), default=len(text))]


def _budget(options: Mapping[str, Any]) -> float:
    """Return how many letters may be written."""
    named = (options.get(name) for name in ("max_tokens", "max_completion_tokens"))
    limits = (limit for limit in named if type(limit) is int and limit > 0)
    return LETTERS_PER_TOKEN * min(limits, default=float("inf"))


def _usage(request: ModelRequest, written: str) -> Usage:
    read = sum(letters(text_of(message.get("content"))) for message in request.messages)
    return Usage(tokens(read), tokens(letters(written)))
