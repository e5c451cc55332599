"""Habits: the parts of a chat-completions request that a server does not take, and the form that it takes instead."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from charhost.llm.openai.message_forms import (
    Messages,
    alternating,
    no_developer_role,
    no_system_role,
    nonempty_content,
    one_system_message,
    string_content,
    without_attachments,
)
from charhost.settings import Habit

Fields = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Rule:
    """How a refusal names a part of the request, as a pattern, and the request without it.

    `is_plausible` tells a server that does not know an option from one that refuses the client's value.
    """

    complaint: str
    apply: Callable[[Fields], Fields]
    is_plausible: Callable[[Fields], bool] = lambda fields: True

    def names(self, complaint: str) -> bool:
        """Return whether a refusal is about this part; compiled then, because few servers refuse anything."""
        return re.search(self.complaint, complaint, re.IGNORECASE | re.DOTALL) is not None


def adapted(fields: Mapping[str, Any], habits: Collection[Habit]) -> Fields:
    """Return the request in the form that a server with these habits takes."""
    adapted_fields = dict(fields)
    if not habits:  # as of almost all servers
        return adapted_fields
    for habit in sorted(habits, key=list(Habit).index):
        adapted_fields = _RULES[habit].apply(adapted_fields)
    return adapted_fields


def recognised(complaint: str, fields: Mapping[str, Any]) -> frozenset[Habit]:
    """Return the habits that a refusal of the request reports; none where it objects to a value.

    Only habits count that would change the request: a client cannot put words about other parts into a refusal.
    """
    if re.search(_WRONG_VALUE, complaint, re.IGNORECASE):
        return frozenset()
    request, complaint = dict(fields), _without_echo(complaint, fields)
    return frozenset(
        habit
        for habit, rule in _RULES.items()
        if rule.names(complaint) and rule.apply(request) != request and rule.is_plausible(request)
    )


def _without_echo(complaint: str, fields: Mapping[str, Any]) -> str:
    """Remove the strings of a client's options, which a server may repeat."""
    for name, value in fields.items():
        if name not in ("model", "messages", "tools"):
            for text in sorted(_strings(value), key=len, reverse=True):
                complaint = complaint.replace(text, "")
    return complaint


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str) and value:
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _strings(item)
    elif isinstance(value, dict):
        yield from _strings([*value, *value.values()])


def _is_temperature(fields: Fields) -> bool:
    return isinstance(fields["temperature"], (int, float)) and 0 <= fields["temperature"] <= 2


def _is_stop(fields: Fields) -> bool:
    """Return whether `stop` has OpenAI's form: at most four strings."""
    stop = fields["stop"]
    return isinstance(stop, (list, tuple)) and len(stop) <= 4 and all(isinstance(text, str) for text in stop)


def _without(name: str) -> Callable[[Fields], Fields]:
    return lambda fields: {key: value for key, value in fields.items() if key != name}


def _renamed(old: str, new: str) -> Callable[[Fields], Fields]:
    return lambda fields: {new if key == old else key: value for key, value in fields.items()}


def _with_messages(change: Callable[[Messages], Messages]) -> Callable[[Fields], Fields]:
    return lambda fields: fields | {"messages": change(fields["messages"])}


def _each_message(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[Fields], Fields]:
    return _with_messages(lambda messages: [change(message) for message in messages])


def _without_tools(fields: Fields) -> Fields:
    names = ("tools", "tool_choice", "parallel_tool_calls")
    return {key: value for key, value in fields.items() if key not in names}


_UNSUPPORTED = (
    r"(?:\bun(?:supported|known|recogni[sz]ed|expected)|(?:not|n't|cannot) (?:be )?(?:support|allow|permit|recogni)"
    r"|\bextra (?:input|field|propert)|extra_forbidden|additional propert|no longer supported)"
)
_WRONG_VALUE = (
    r"\b(?:above|below|at (?:most|least)|too (?:many|long|large|small|short)|max(?:imum)? value|out of range"
    r"|(?:less|greater) than|between)\b|expected an? (?:value|number|integer|boolean)"
)


def _matching(*patterns: str) -> str:
    return "|".join(patterns)


def _unsupported(name: str) -> str:
    """Match a text that calls *name* unsupported, before or after it."""
    word = rf"(?<![\w-]){name}(?![\w-])"
    return _matching(rf"{_UNSUPPORTED}.{{0,80}}?{word}", rf"{word}.{{0,80}}?{_UNSUPPORTED}")


_RULES: Mapping[Habit, _Rule] = {
    Habit.NO_STREAM_OPTIONS: _Rule(_unsupported("stream_options"), _without("stream_options")),
    Habit.MAX_COMPLETION_TOKENS: _Rule(_unsupported("max_tokens"), _renamed("max_tokens", "max_completion_tokens")),
    Habit.MAX_TOKENS: _Rule(_unsupported("max_completion_tokens"), _renamed("max_completion_tokens", "max_tokens")),
    Habit.NO_TEMPERATURE: _Rule(_unsupported("temperature"), _without("temperature"), _is_temperature),
    Habit.NO_STOP: _Rule(_unsupported("stop"), _without("stop"), _is_stop),
    Habit.NO_PARALLEL_TOOL_CALLS: _Rule(_unsupported("parallel_tool_calls"), _without("parallel_tool_calls")),
    Habit.NO_TOOLS: _Rule(
        _matching(
            rf"{_UNSUPPORTED} (?:tool|function)",
            rf"\b(?:tools?|functions?|tool (?:use|choice|call(?:s|ing)?)|function calling)\b.{{0,40}}?{_UNSUPPORTED}",
            r"no endpoints found that support tool use",
            r"--enable-auto-tool-choice",
            r"requires? --jinja",
        ),
        _without_tools,
    ),
    Habit.ALTERNATING_ROLES: _Rule(
        _matching(
            r"roles? (?:must|should) alternate", r"alternat\w+ .{0,40}roles?", r"(?:consecutive|after) .{0,20}\buser\b"
        ),
        _with_messages(alternating),
    ),
    Habit.ONE_SYSTEM_MESSAGE: _Rule(
        _matching(
            r"system (?:message|role|prompt).{0,40}(?:beginning|first|start|only one|once|single)",
            r"(?:only|more than|multiple|one).{0,20}system (?:message|role|prompt)",
        ),
        _with_messages(one_system_message),
    ),
    Habit.NO_SYSTEM_ROLE: _Rule(
        _matching(
            rf"system (?:role|message|prompt|instruction).{{0,30}}?{_UNSUPPORTED}",
            rf"{_UNSUPPORTED}.{{0,20}}?\bsystem\b",
        ),
        _with_messages(no_system_role),
    ),
    Habit.NO_DEVELOPER_ROLE: _Rule(
        _matching(
            r"\bdeveloper\b.{0,80}(?:expected|one of|not|unsupported|invalid)",
            rf"{_UNSUPPORTED}.{{0,40}}?\bdeveloper\b",
        ),
        _each_message(no_developer_role),
    ),
    Habit.NO_ATTACHMENTS: _Rule(
        _matching(
            _unsupported(r"(?:reasoning|thinking|extra_content|provider_specific)\w*"),
            r"messages?\b.{0,120}?(?:extra_forbidden|extra inputs|additional propert)",
            r"messages?\b.{0,120}?property '?(?!name\b)\w+'? is unsupported",
        ),
        _each_message(without_attachments),
    ),
    Habit.NO_NAME: _Rule(
        _matching(
            rf"messages?\b.{{0,120}}?(?<!\w)name\b.{{0,40}}?{_UNSUPPORTED}",
            rf"{_UNSUPPORTED}.{{0,60}}?messages?.{{0,20}}\bname\b",
        ),
        _each_message(_without("name")),
    ),
    Habit.STRING_CONTENT: _Rule(
        _matching(
            r"content.{0,80}(?:must be|expected|should be|valid) an? (?:valid )?string", r"sequence, expected a string"
        ),
        _each_message(string_content),
    ),
    Habit.NONEMPTY_CONTENT: _Rule(
        _matching(
            r"content\b.{0,60}(?:non-?empty|empty|non-whitespace|null|none|required)",
            r"(?:empty|null|missing).{0,20}\bcontent\b",
            r"content.{0,80}(?:must be|expected|should be|valid) an? (?:valid )?string",
        ),
        _with_messages(nonempty_content),
    ),
}
