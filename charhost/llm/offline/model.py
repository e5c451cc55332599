"""OfflineModel: the stand-in that answers for a character when no language model is connected."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from random import Random
from typing import Any

from pydantic_core import to_json

from charhost.character.character import Character
from charhost.llm.model import CallDelta, Delta, ModelRequest, Usage
from charhost.llm.offline.context import Talk, sentences, text_of, user_name
from charhost.llm.offline.phrases import ENGLISH, GENERAL, URGENT, Phrases
from charhost.llm.offline.pronouns import introduction, swap
from charhost.llm.offline.tool_arguments import ToolCall, command, find_call, names
from charhost.llm.offline.translations import code, phrases_for

_MOST_RESULT = 300
_MOST_TASK = 20_000
_LIST_TASKS = ("tags", "follow_ups", "queries")


class OfflineModel:
    """Answers for one character with prepared phrases; it holds no state, so one can serve all conversations.

    It never poses as a model: its first words in a conversation, and its answer to whoever asks, say that none is
    connected. Of the prompt it tells no more than `introduction` does.
    """

    def __init__(self, character: Character) -> None:
        self._name = character.name
        self._greetings = character.greetings
        self._phrases = phrases_for(character.instructions.get("language"))
        language = code(character.instructions.get("language"))
        self._identity = introduction(character.name, character.instructions, language)

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta, None]:
        """Answer word by word; the same conversation gets the same answer."""
        talk = Talk.of(self._name, request.messages)
        answer = _Answer(self._name, self._identity, self._greetings, self._phrases, talk, request).choose()
        if isinstance(answer, ToolCall):
            number = f"call_{Random(talk.seed).getrandbits(64):016x}"
            yield Delta(calls=(CallDelta(0, number, answer.name, answer.arguments),))
            yield Delta(finish="tool_calls", usage=_usage(request, len(answer.name) + len(answer.arguments)))
            return
        budget, written = _budget(request.options), 0
        for position, word in enumerate(_words(_stopped(answer, request.options.get("stop")))):
            if written + len(word) > budget:
                yield Delta(finish="length", usage=_usage(request, written))
                return
            yield Delta(text=word)
            written += len(word)
            if position % 16 == 15:
                await asyncio.sleep(0)  # others want to speak, too
        yield Delta(finish="stop", usage=_usage(request, written))


class _Answer:
    """Finds the answer to one request."""

    def __init__(
        self, name: str, identity: str, greetings: Sequence[str], phrases: Phrases, talk: Talk, request: ModelRequest
    ) -> None:
        self._name = name
        self._identity = identity
        self._greetings = greetings
        self._phrases = phrases
        self._talk = talk
        self._request = request
        self._random = Random(talk.seed)
        self._user = user_name(talk.heard, phrases)
        self._last = talk.heard[-1] if talk.heard else ""

    def choose(self) -> str | ToolCall:
        """Call a tool, or say something; a task of a chat program is answered in the form that it asks for."""
        if (task := self._task()) is not None:
            return task
        if not self._talk.results:
            asked = self._talk.command or self._last
            if call := find_call(asked, self._request.tools, self._request.tool_choice):
                return call
        return self._with_notice(self._spoken())

    def _with_notice(self, answer: str) -> str:
        mark = self._phrases.mark
        return answer if mark in answer or mark in self._talk.said else f"{self._say('notice')} {answer}"

    def _spoken(self) -> str:
        if self._talk.results:
            return self._report()
        if not self._talk.heard and not self._talk.said:
            return self._random.choice(self._greetings) if self._greetings else self._say("greeting")
        if self._talk.command:
            return self._say(
                "no_tool", tool=command(self._talk.command), tools=self._tools() or f" {self._say('no_tools')}"
            )
        if not any(letter.isalnum() for letter in self._last):
            return self._say("silence")
        if _is_foreign(self._last):
            return self._say("foreign")
        kind, caught = self._understood()
        return self._say("again" if kind == "greeting" and len(self._talk.heard) > 1 else kind, caught)

    def _report(self) -> str:
        result = " ".join(" ".join(self._talk.results).split())
        if len(result) > _MOST_RESULT:
            result = f"{result[:_MOST_RESULT].rstrip()}…"
        return self._say("result" if result else "no_result", tool=self._talk.tool, result=result)

    def _understood(self) -> tuple[str, str]:
        """The kind of thing that was said last, and the words that the answer takes up."""
        said = list(sentences(self._last))
        urgent = (kind for text in said for kind, _ in self._phrases.listen(text) if kind in URGENT)
        if found := min(urgent, key=URGENT.index, default=None):
            return found, ""
        general: str | None = None
        for text in reversed(said):
            if kind := self._about_names(text):
                return kind, ""
            for kind, match in self._phrases.listen(text):
                if kind not in GENERAL:
                    return kind, next(filter(None, match.groups()), "")
                general = general or kind
        return general or "fallback", ""

    def _about_names(self, sentence: str) -> str | None:
        kinds = [kind for kind, _ in self._phrases.listen(sentence)]
        if "lookup_me" in kinds:
            return "known" if self._user else "lookup_me"
        return "named" if kinds[:1] != ["who"] and user_name((sentence,), self._phrases) else None

    def _say(self, kind: str, caught: str = "", **more: Any) -> str:
        """Fill in a phrase of that kind: one that was not said yet, else the one that was said longest ago."""
        phrases = self._phrases.says[kind]
        ages = {phrase: self._talk.said.rfind(_longest_piece(phrase)) for phrase in phrases}
        oldest = [phrase for phrase in phrases if ages[phrase] == min(ages.values())]
        filling = {"me": self._name, "identity": self._identity, "user": self._user, "name": self._vocative(), **more}
        chosen = self._random.choice(oldest)
        if "{tools}" in chosen:
            filling.setdefault("tools", self._tools())
        text = chosen.format(_taken_up(caught, self._phrases), **filling)
        return text[:1].upper() + text[1:] if kind not in ("result", "no_result") else text

    def _vocative(self) -> str:
        """The user's name with a comma, unless it was used a moment ago: people seldom say a name twice in a row."""
        return f", {self._user}" if self._user and self._user not in self._talk.said[-400:] else ""

    def _tools(self) -> str:
        found = names(self._request.tools)
        if not found:
            return ""
        several, one = self._phrases.says["tools"]
        listed = f" {self._phrases.says['and'][0]} ".join(filter(None, [", ".join(found[:-1]), found[-1]]))
        return f" {one if len(found) == 1 else several}".format(list=listed)

    def _task(self) -> str | None:
        """Answer what chat programs ask for behind the user's back: JSON where a title or a list is wanted."""
        prompt = next(
            (text_of(m.get("content")) for m in reversed(self._request.messages) if m.get("role") == "user"), ""
        )
        if not prompt[:50].lstrip().startswith("### Task:"):
            return None
        asked = prompt[:_MOST_TASK]
        if re.search(r'"title"\s*:', asked):
            return to_json({"title": _title(asked) or self._name}).decode()
        key = next((key for key in _LIST_TASKS if re.search(rf'"{key}"\s*:', asked)), None)
        return to_json({key: []}).decode() if key else self._say("task")


def _is_foreign(text: str) -> bool:
    letters = [letter for letter in text if letter.isalpha()]
    return bool(letters) and sum(letter > "\u024f" for letter in letters) > len(letters) / 2


def _taken_up(caught: str, phrases: Phrases) -> str:
    """What the user said, from the other side, up to where another thought begins."""
    first = re.split(r",| (?:and|but|because|so that) (?=(?:i|he|she|it|we|they|you|then|my)\b)", caught, maxsplit=1)[0]
    return swap(first.strip()) if phrases is ENGLISH else first.strip()


def _longest_piece(phrase: str) -> str:
    return max(re.split(r"\{\w+\}", phrase), key=len).strip()


def _title(task: str) -> str:
    """The first words of the user in the chat that a task quotes."""
    chat = task.rpartition("<chat_history>")[2]
    line = re.search(r"^\s*USER:\s*(.+)$", chat, re.IGNORECASE | re.MULTILINE)
    return " ".join(line[1][:200].split()[:5]).strip(" .,;:!?")[:60] if line else ""


def _words(text: str) -> list[str]:
    """Cut a text before each space, as models do."""
    return re.findall(r"\s*\S+", text)


def _stopped(text: str, stop: Any) -> str:
    stops = [stop] if isinstance(stop, str) else stop if isinstance(stop, (list, tuple)) else []
    found = [text.find(end) for end in stops if isinstance(end, str) and end]
    return text[: min((at for at in found if at >= 0), default=len(text))]


def _budget(options: Mapping[str, Any]) -> float:
    """How many characters may be written."""
    limits = [options.get(name) for name in ("max_tokens", "max_completion_tokens")]
    return min((4 * limit for limit in limits if type(limit) is int and limit > 0), default=float("inf"))


def _usage(request: ModelRequest, written: int) -> Usage:
    """Estimate the tokens, four characters each."""
    read = sum(len(text_of(message.get("content"))) for message in request.messages)
    return Usage(-(-read // 4), -(-written // 4))
