"""Reply: the stand-in's response to one request."""

import re
from itertools import takewhile
from random import Random
from typing import Any

from pydantic_core import to_json

from charhost.character.character import Character
from charhost.llm.model import ModelRequest
from charhost.llm.offline.commands import Command, command_in, tool_call, tool_names
from charhost.llm.offline.languages import GENERAL, URGENT, Language
from charhost.llm.offline.messages import end_of, sentences, text_of, user_name
from charhost.llm.offline.pronouns import swap

# Only the end of a conversation is read, which bounds the time that a reply takes.
_MOST_MESSAGES = 100
_MOST_RESULT = 300
_MOST_TASK = 20_000
_LIST_TASKS = ("tags", "follow_ups", "queries")


class Reply:
    def __init__(self, character: Character, language: Language, introduction: str, request: ModelRequest) -> None:
        recent = [message for message in request.messages[-_MOST_MESSAGES:] if message["role"] != "system"]
        texts = [(message["role"], end_of(message["content"])) for message in recent]
        names = {call["id"]: call["function"]["name"] for message in recent for call in message.get("tool_calls", ())}
        prompts = [message["content"] for message in request.messages if message["role"] == "user"]
        self.random = Random(repr((character.name, texts)))
        self._character = character
        self._language = language
        self._request = request
        self._prompt = text_of(prompts[-1]) if prompts else ""
        self._command = command_in(self._prompt)
        self._user_texts = [text.replace("’", "'") for role, text in texts if role == "user"]
        self._replies = "\n".join(text for role, text in texts if role == "assistant")
        # Several, if tools were called in parallel.
        self._results = [text for _, text in takewhile(lambda text: text[0] == "tool", reversed(texts))][::-1]
        self._tool = names.get(recent[-1]["tool_call_id"], "tool") if self._results else ""
        turn = takewhile(lambda message: message["role"] != "user", reversed(recent))
        self._called = {names.get(message["tool_call_id"], "") for message in turn if message["role"] == "tool"}
        self._user = user_name(self._user_texts, language)
        # People seldom repeat a name at once.
        is_named = not self._user or self._user in self._replies[-400:]
        self._filling = {
            "me": character.name,
            "identity": introduction,
            "user": self._user,
            "name": "" if is_named else f", {self._user}",
            "tools": self._tools(),
        }

    def choose(self) -> str | Command:
        """Return a tool call or a text; the tasks of chat programs get the format that they request."""
        if (task := self._task()) is not None:
            return task
        call = tool_call(self._command, self._request.tools, self._request.tool_choice, self._called)
        if call is not None:
            return call
        text, mark = self._sentence(), self._language.mark
        return text if mark in text or mark in self._replies else f"{self._phrase('notice')} {text}"

    def _sentence(self) -> str:
        if self._results:
            return self._report()
        if not self._user_texts and not self._replies:
            greetings = self._character.greetings
            return self.random.choice(greetings) if greetings else self._phrase("greeting")
        if self._command:
            tools = self._filling["tools"] or f" {self._phrase('no_tools')}"
            return self._phrase("no_tool", tool=self._command.tool, tools=tools)
        last = self._user_texts[-1] if self._user_texts else ""
        if not any(letter.isalnum() for letter in last):
            return self._phrase("silence")
        if _is_foreign(last):
            return self._phrase("foreign")
        kind, caught = self._kind(last)
        return self._phrase("again" if kind == "greeting" and len(self._user_texts) > 1 else kind, caught)

    def _report(self) -> str:
        result = " ".join(" ".join(self._results).split())
        if len(result) > _MOST_RESULT:
            result = f"{result[:_MOST_RESULT].rstrip()}…"
        return self._phrase("result" if result else "no_result", tool=self._tool, result=result)

    def _kind(self, message: str) -> tuple[str, str]:
        """Return the kind of a message, and the words of it that the reply repeats."""
        found = [(sentence, list(self._language.kinds(sentence))) for sentence in sentences(message)]
        urgent = (kind for _, kinds in found for kind, _ in kinds if kind in URGENT)
        if kind := min(urgent, key=URGENT.index, default=None):
            return kind, ""
        general: str | None = None
        for sentence, kinds in reversed(found):
            names = [kind for kind, _ in kinds]
            if "lookup_me" in names:
                return "known" if self._user else "lookup_me", ""
            if names[:1] != ["who"] and user_name([sentence], self._language):
                return "named", ""
            for kind, match in kinds:
                if kind not in GENERAL:
                    return kind, next(filter(None, match.groups()), "")
                general = general or kind
        return general or "fallback", ""

    def _phrase(self, kind: str, caught: str = "", **more: Any) -> str:
        """Return a phrase of that kind, filled in: an unused one, else the one that was used longest ago."""
        phrases = self._language.phrases[kind]
        ages = {phrase: self._replies.rfind(_longest_piece(phrase)) for phrase in phrases}
        oldest = [phrase for phrase in phrases if ages[phrase] == min(ages.values())]
        text = self.random.choice(oldest).format(_repeated(caught, self._language), **(self._filling | more))
        return text[:1].upper() + text[1:] if kind not in ("result", "no_result") else text

    def _tools(self) -> str:
        found = tool_names(self._request.tools)
        if not found:
            return ""
        several, one = self._language.phrases["tools"]
        listed = f" {self._language.phrases['and'][0]} ".join(filter(None, [", ".join(found[:-1]), found[-1]]))
        return f" {one if len(found) == 1 else several}".format(list=listed)

    def _task(self) -> str | None:
        """Return the reply to a task that a chat program sends by itself: JSON for a title or a list; else None."""
        if not self._prompt[:50].lstrip().startswith("### Task:"):
            return None
        prompt = self._prompt[:_MOST_TASK]
        if re.search(r'"title"\s*:', prompt):
            return to_json({"title": _title(prompt) or self._character.name}).decode()
        key = next((key for key in _LIST_TASKS if re.search(rf'"{key}"\s*:', prompt)), None)
        return to_json({key: []}).decode() if key else self._phrase("task")


def _is_foreign(text: str) -> bool:
    letters = [letter for letter in text if letter.isalpha()]
    return bool(letters) and sum(letter > "\u024f" for letter in letters) > len(letters) / 2


def _repeated(caught: str, language: Language) -> str:
    """Return the first thought of a user's words, as the character would repeat it."""
    first = re.split(r",| (?:and|but|because|so that) (?=(?:i|he|she|it|we|they|you|then|my)\b)", caught, maxsplit=1)[0]
    return swap(first.strip()) if language.code == "en" else first.strip()


def _longest_piece(phrase: str) -> str:
    return max(re.split(r"\{\w+\}", phrase), key=len).strip()


def _title(task: str) -> str:
    chat = task.rpartition("<chat_history>")[2]
    line = re.search(r"^\s*USER:\s*(.+)$", chat, re.IGNORECASE | re.MULTILINE)
    return " ".join(line[1][:200].split()[:5]).strip(" .,;:!?")[:60] if line else ""
