"""The messages of a request as the items of a conversation."""

from __future__ import annotations

from typing import Any

import pytest

from charhost.conversation.items import FunctionCall, FunctionOutput, Image, Message, Other, Text
from charhost.web.completions.request import ChatRequest
from charhost.web.openai.request import decoded_body, valid_body
from tests.web.completions.helpers import parsed


@pytest.mark.parametrize(
    ("role", "kept"), [("system", "system"), ("developer", "system"), ("user", "user"), ("assistant", "assistant")]
)
def test_every_role_is_known(role: str, kept: str) -> None:
    """Each role becomes that of an item, and a developer is the system."""
    (item,) = parsed([{"role": role, "content": "Hi", "name": "Bob"}]).items()
    assert isinstance(item, Message)
    assert (item.role, item.parts, item.name) == (kept, (Text("Hi"),), "Bob")


@pytest.mark.parametrize("content", [None, "", []])
def test_a_message_may_be_empty(content: Any) -> None:
    """A message without content has no parts."""
    (item,) = parsed([{"role": "user", "content": content}]).items()
    assert isinstance(item, Message)
    assert item.parts == ()


def test_content_may_come_in_parts() -> None:
    """Text and images become parts, and other parts pass through unchanged."""
    sound = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
    parts = [
        {"type": "text", "text": "Look:"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}},
        {"type": "image_url", "image_url": "http://localhost/x.png"},
        sound,
    ]
    (item,) = parsed([{"role": "user", "content": parts}]).items()
    assert isinstance(item, Message)
    pictures = Image("data:image/png;base64,AAAA", "low"), Image("http://localhost/x.png")
    assert item.parts == (Text("Look:"), *pictures, Other(sound))


def test_a_refusal_of_the_assistant_is_text() -> None:
    """A refusal part of the assistant is a text."""
    (item,) = parsed([{"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}]).items()
    assert isinstance(item, Message)
    assert item.text == "No."


@pytest.mark.parametrize(("content", "words"), [(None, []), ("", []), ("Wait.", ["Wait."])])
def test_text_and_calls_of_one_message_are_separate_items(content: str | None, words: list[str]) -> None:
    """A message with text and calls becomes a message, if it has text, and then its calls."""
    call = {"id": "call_1", "type": "function", "function": {"name": "dice", "arguments": '{"sides": 6}'}}
    *earlier, found = parsed([{"role": "assistant", "content": content, "tool_calls": [call]}]).items()
    assert [item.text for item in earlier if isinstance(item, Message)] == words
    assert isinstance(found, FunctionCall)
    assert (found.call_id, found.name, found.arguments) == ("call_1", "dice", '{"sides": 6}')


@pytest.mark.parametrize("content", ["6", [{"type": "text", "text": "6"}]])
def test_a_tool_message_is_the_result_of_its_call(content: Any) -> None:
    """A tool message is the output of the call with its id."""
    (item,) = parsed([{"role": "tool", "tool_call_id": "call_1", "content": content}]).items()
    assert isinstance(item, FunctionOutput)
    assert (item.call_id, item.output) == ("call_1", "6")


def test_half_an_emoji_is_replaced() -> None:
    """A lone surrogate, as JavaScript sends when it cuts a string, is replaced."""
    (item,) = valid_body(
        decoded_body(b'{"model":"Ada","messages":[{"role":"user","content":"a\\ud83d"}]}'), ChatRequest
    ).items()
    assert isinstance(item, Message)
    assert item.text == "a\ufffd"
