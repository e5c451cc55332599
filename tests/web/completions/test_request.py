"""What a client of chat completions asks, and what that means to a conversation."""

from __future__ import annotations

import json
from typing import Any

import pytest

from charhost.conversation.items import FunctionCall, FunctionOutput, Image, Message, Other, Text
from charhost.web.completions.request import ChatRequest
from charhost.web.problems import Problem
from charhost.web.talk import parsed_body

HI = [{"role": "user", "content": "Hi"}]


def asked(messages: Any = HI, **fields: Any) -> ChatRequest:
    """A request that was read."""
    return parsed_body(json.dumps({"model": "Ada", "messages": messages, **fields}).encode(), ChatRequest)


def refused(body: bytes | dict[str, Any]) -> Problem:
    """How a body is refused."""
    with pytest.raises(Problem) as caught:
        parsed_body(body if isinstance(body, bytes) else json.dumps(body).encode(), ChatRequest)
    assert caught.value.status == 400
    return caught.value


@pytest.mark.parametrize(
    ("role", "kept"), [("system", "system"), ("developer", "system"), ("user", "user"), ("assistant", "assistant")]
)
def test_every_role_is_known(role: str, kept: str) -> None:
    """A developer is the system by a newer name."""
    (item,) = asked([{"role": role, "content": "Hi", "name": "Bob"}]).items()
    assert isinstance(item, Message)
    assert (item.role, item.parts, item.name) == (kept, (Text("Hi"),), "Bob")


def test_a_whole_number_may_have_a_point() -> None:
    """In JSON 2.0 is the integer 2, and some languages write it so; 2.5 is none."""
    messages = [{"role": "user", "content": "Hi"}]
    found = parsed_body(
        json.dumps({"model": "Ada", "messages": messages, "n": 2.0, "max_tokens": 50.0}).encode(), ChatRequest
    )
    assert (found.n, found.max_tokens, type(found.n)) == (2, 50, int)
    assert refused({"model": "Ada", "messages": messages, "n": 2.5}).param == "n"


@pytest.mark.parametrize("content", [None, "", []])
def test_a_message_may_be_empty(content: Any) -> None:
    """Nothing at all is a message without parts."""
    (item,) = asked([{"role": "user", "content": content}]).items()
    assert isinstance(item, Message)
    assert item.parts == ()


def test_content_may_come_in_parts() -> None:
    """Text and pictures are understood, and what else there is passes through as it is."""
    sound = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
    parts = [
        {"type": "text", "text": "Look:"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}},
        {"type": "image_url", "image_url": "http://localhost/x.png"},
        sound,
    ]
    (item,) = asked([{"role": "user", "content": parts}]).items()
    assert isinstance(item, Message)
    pictures = Image("data:image/png;base64,AAAA", "low"), Image("http://localhost/x.png")
    assert item.parts == (Text("Look:"), *pictures, Other(sound))


def test_a_refusal_of_the_assistant_is_text() -> None:
    """What the assistant would not say, in its own kind of part, is heard again as words."""
    (item,) = asked([{"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}]).items()
    assert isinstance(item, Message)
    assert item.text == "No."


@pytest.mark.parametrize(("content", "words"), [(None, []), ("", []), ("Wait.", ["Wait."])])
def test_words_and_calls_of_one_message_are_items_of_their_own(content: str | None, words: list[str]) -> None:
    """First what was said, if anything was, then the calls."""
    call = {"id": "call_1", "type": "function", "function": {"name": "dice", "arguments": '{"sides": 6}'}}
    *said, found = asked([{"role": "assistant", "content": content, "tool_calls": [call]}]).items()
    assert [item.text for item in said if isinstance(item, Message)] == words
    assert isinstance(found, FunctionCall)
    assert (found.call_id, found.name, found.arguments) == ("call_1", "dice", '{"sides": 6}')


@pytest.mark.parametrize("content", ["6", [{"type": "text", "text": "6"}]])
def test_a_tool_message_is_the_result_of_its_call(content: Any) -> None:
    """It belongs to the call whose id it has."""
    (item,) = asked([{"role": "tool", "tool_call_id": "call_1", "content": content}]).items()
    assert isinstance(item, FunctionOutput)
    assert (item.call_id, item.output) == ("call_1", "6")


def test_functions_of_old_are_ignored() -> None:
    """Clients of 2023 are answered without the functions that they offer."""
    messages = [{"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}}]
    messages.append({"role": "function", "content": "6"})
    request = asked([*messages, *HI], functions=[{"name": "f"}], function_call="auto")
    assert len(list(request.items())) == 2
    assert (request.turn_options().tools, request.turn_options().options) == ([], {})


def test_options_are_passed_on_and_the_unknown_left_out() -> None:
    """What a model may know goes to it as it is; what nobody knows is no mistake; null is as good as nothing."""
    options = {
        "temperature": 1,
        "top_p": 0.5,
        "max_tokens": 9,
        "max_completion_tokens": 8,
        "seed": -1,
        "user": "u",
        "stop": ["a", "b"],
        "logit_bias": {"5": -100},
        "response_format": {"type": "json_object"},
    }
    request = asked(**options, store=True, metadata={"a": "b"}, presence_penalty=None)
    assert request.turn_options().options == options


def test_one_stop_word_is_a_list_of_one() -> None:
    """Both ways of writing it mean the same to all models."""
    assert asked(stop="END").turn_options().options == {"stop": ["END"]}


def test_tools_and_the_choice_among_them_are_passed_on() -> None:
    """Tools come as they were sent, without those that are no functions."""
    tool = {"type": "function", "function": {"name": "dice", "parameters": {"type": "object"}, "strict": True}}
    choice = {"type": "function", "function": {"name": "dice"}}
    wish = asked(tools=[tool, {"type": "web_search"}], tool_choice=choice).turn_options()
    assert (wish.tools, wish.tool_choice) == ([tool], choice)


def test_half_an_emoji_is_replaced() -> None:
    """A lone surrogate, as JavaScript sends when it cuts a string, does no harm."""
    (item,) = parsed_body(b'{"model":"Ada","messages":[{"role":"user","content":"a\\ud83d"}]}', ChatRequest).items()
    assert isinstance(item, Message)
    assert item.text == "a\ufffd"


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[]", b"5", b"null"])
def test_a_body_that_is_no_object_is_refused(body: bytes) -> None:
    """Anything but a JSON object is named as that."""
    problem = refused(body)
    assert (problem.code, problem.param) == ("invalid_type", None)
    assert "expected" in problem.detail


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"model": ...}, "model"),
        ({"messages": ...}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": [{"content": "Hi"}]}, "messages[0].role"),
        ({"messages": [*HI, {"role": "tool", "content": "6"}]}, "messages[1].tool_call_id"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
        ({"messages": [{"role": "user", "content": [{"text": "Hi"}]}]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "assistant", "tool_calls": [{"id": "x"}]}]}, "messages[0].tool_calls[0].function"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
    ],
)
def test_what_is_missing_is_named(change: dict[str, Any], param: str) -> None:
    """A missing field, or an empty list of messages, is told by its path."""
    body = {name: value for name, value in ({"model": "Ada", "messages": HI} | change).items() if value is not ...}
    problem = refused(body)
    assert (problem.code, problem.param) == ("missing_required_parameter", param)
    assert f"'{param}'" in problem.detail


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"model": 5}, "model"),
        ({"messages": "Hi"}, "messages"),
        ({"messages": ["Hi"]}, "messages[0]"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": ["Hi"]}]}, "messages[0].content[0]"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": 5}]}]}, "messages[0].content[0].text"),
        ({"temperature": "hot"}, "temperature"),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"stop": [5]}, "stop[0]"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
        ({"tools": {}}, "tools"),
        ({"tool_choice": 5}, "tool_choice"),
    ],
)
def test_a_wrong_type_is_named(change: dict[str, Any], param: str) -> None:
    """A value of another type than expected is told by its path."""
    problem = refused({"model": "Ada", "messages": HI} | change)
    assert (problem.code, problem.param) == ("invalid_type", param)


@pytest.mark.parametrize(
    ("change", "param"),
    [({"n": 0}, "n"), ({"n": 9}, "n"), ({"messages": [{"role": "bot", "content": "Hi"}]}, "messages[0].role")],
)
def test_a_wrong_value_is_named(change: dict[str, Any], param: str) -> None:
    """A value of the right type that cannot be used is told by its path."""
    problem = refused({"model": "Ada", "messages": HI} | change)
    assert (problem.code, problem.param) == ("invalid_value", param)
