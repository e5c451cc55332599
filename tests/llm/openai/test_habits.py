"""How refusals of servers are recognised, and requests put into the form that a server takes."""

from __future__ import annotations

import time
from typing import Any

import pytest
from pydantic_core import to_json

from charhost.llm.openai.endpoint import Endpoint
from charhost.llm.openai.failures import RefusedRequest, of_response
from charhost.llm.openai.habits import adapted, recognised
from charhost.settings import Habit
from tests.strict_upstream import MODES

LOOK = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
CALL = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
REQUEST: dict[str, Any] = {
    "model": "m",
    "stream_options": {"include_usage": True},
    "max_tokens": 5,
    "temperature": 0.7,
    "stop": ["END"],
    "parallel_tool_calls": False,
    "tools": [LOOK],
    "messages": [
        {"role": "developer", "content": "Be kind."},
        {"role": "user", "content": [{"type": "text", "text": "One."}], "name": "zoe"},
        {"role": "user", "content": "Two."},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "call_1", "content": ""},
        {"role": "system", "content": "It is late."},
        {"role": "assistant", "content": ""},
        {"role": "user", "content": "Three."},
    ],
}


def request_for(mode: str) -> dict[str, Any]:
    """The request, in which `max-tokens` finds the other name of the limit."""
    return adapted(REQUEST, [Habit.MAX_COMPLETION_TOKENS]) if mode == "max-tokens" else REQUEST


def complaint(mode: str) -> str:
    """The text of a real server's refusal."""
    found = of_response(MODES[mode].status, {}, to_json(MODES[mode].body), Endpoint("http://127.0.0.1/v1"), "m")
    assert isinstance(found, RefusedRequest)
    return found.complaint


@pytest.mark.parametrize("mode", MODES)
def test_refusals_of_real_servers(mode: str) -> None:
    """A real server's refusal reports its habit, and the request in the new form is taken."""
    fields = request_for(mode)
    habits = recognised(complaint(mode), fields)
    assert Habit(mode.partition(" ")[0]) in habits
    assert MODES[mode].objects(fields)
    assert not MODES[mode].objects(adapted(fields, habits))


@pytest.mark.parametrize("mode", MODES)
def test_only_what_would_change_the_request(mode: str) -> None:
    """The same refusal of a request that has nothing of the kind reports no habit."""
    plain = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
    assert not recognised(complaint(mode), plain)


@pytest.mark.parametrize(
    "text",
    [
        "Invalid 'temperature': decimal above maximum value. Expected a value <= 2, but got 99 instead.",
        "Invalid 'stop': array too long. Expected an array with maximum length 4, but got 5 items: unsupported.",
        "temperature: Input should be a valid number",
        "Unsupported value: 'loud' is not supported for 'verbosity'.",
        "This model's maximum context length is 4096 tokens, however you requested 9000 (max_tokens).",
        "",
    ],
)
def test_wrong_values_are_no_habits(text: str) -> None:
    """A refusal of a value reports no habit."""
    assert not recognised(text, REQUEST)


def test_repeated_input_is_no_complaint() -> None:
    """The request that some servers repeat in their refusal reports no habit."""
    detail = {"type": "value_error", "loc": ["body"], "msg": "wrong", "input": {"x": "unsupported temperature"}}
    found = of_response(422, {}, to_json({"detail": [detail]}), Endpoint("http://127.0.0.1/v1"), "m")
    assert isinstance(found, RefusedRequest)
    assert "temperature" not in found.complaint


def test_words_are_kept() -> None:
    """No word of the conversation is lost in any form."""
    forms = adapted(REQUEST, set(Habit) - {Habit.MAX_TOKENS})
    text = to_json(forms["messages"]).decode()
    assert all(word in text for word in ("Be kind.", "One.", "Two.", "It is late.", "Three.", "look"))


def test_images_stay() -> None:
    """A content with an image has no string, and stays as it is."""
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    messages = [{"role": "user", "content": [{"type": "text", "text": "Look:"}, image]}]
    assert adapted({"messages": messages}, [Habit.STRING_CONTENT])["messages"] == messages


def test_many_messages_of_one_role_are_joined_at_once() -> None:
    """Thousands of them take no longer than their texts, which are not copied for each message again."""
    messages = [{"role": "user", "content": "x" * 5_000}] * 4_000
    started = time.thread_time()
    (joined,) = adapted({"messages": messages}, [Habit.ALTERNATING_ROLES])["messages"]
    assert len(joined["content"]) == 4_000 * 5_002 - 2
    assert time.thread_time() - started < 1.0
