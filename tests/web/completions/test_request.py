"""The fields of a chat-completions request."""

from __future__ import annotations

import json
from typing import Any

import pytest

from charhost.web.completions.request import ChatRequest
from charhost.web.http.problems import Problem
from charhost.web.openai.request import decoded_body, valid_body
from tests.web.completions.helpers import HI, parsed


def refused(body: bytes | dict[str, Any]) -> Problem:
    """Return the error of a request that is refused."""
    with pytest.raises(Problem) as caught:
        valid_body(decoded_body(body if isinstance(body, bytes) else json.dumps(body).encode()), ChatRequest)
    assert caught.value.status == 400
    return caught.value


def test_a_whole_number_may_have_a_point() -> None:
    """An integer may be written as 2.0, but not as 2.5."""
    messages = [{"role": "user", "content": "Hi"}]
    found = valid_body({"model": "Ada", "messages": messages, "n": 2.0, "max_tokens": 50.0}, ChatRequest)
    assert (found.n, found.max_tokens, type(found.n)) == (2, 50, int)
    assert refused({"model": "Ada", "messages": messages, "n": 2.5}).param == "n"


def test_deprecated_functions_are_ignored() -> None:
    """The deprecated `functions` and `function_call` are ignored."""
    messages = [{"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}}]
    messages.append({"role": "function", "content": "6"})
    request = parsed([*messages, *HI], functions=[{"name": "f"}], function_call="auto")
    assert len(list(request.items())) == 2
    assert (request.turn_options().tools, request.turn_options().options) == ([], {})


def test_options_are_passed_on_and_the_unknown_left_out() -> None:
    """Options of a model are passed on unchanged; unknown fields and null are left out."""
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
    request = parsed(**options, store=True, metadata={"a": "b"}, presence_penalty=None)
    assert request.turn_options().options == options


def test_one_stop_word_is_a_list_of_one() -> None:
    """A single stop word becomes a list."""
    assert parsed(stop="END").turn_options().options == {"stop": ["END"]}


def test_tools_and_the_choice_among_them_are_passed_on() -> None:
    """Function tools and the tool choice are passed on unchanged, other tools are left out."""
    tool = {"type": "function", "function": {"name": "dice", "parameters": {"type": "object"}, "strict": True}}
    choice = {"type": "function", "function": {"name": "dice"}}
    options = parsed(tools=[tool, {"type": "web_search"}], tool_choice=choice).turn_options()
    assert (options.tools, options.tool_choice) == ([tool], choice)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[]", b"5", b"null"])
def test_a_body_that_is_no_object_is_refused(body: bytes) -> None:
    """A body that is no JSON object is refused."""
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
def test_a_missing_field_is_named(change: dict[str, Any], param: str) -> None:
    """A missing field, or an empty list of messages, is named by its path."""
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
    """A value of a wrong type is named by its path."""
    problem = refused({"model": "Ada", "messages": HI} | change)
    assert (problem.code, problem.param) == ("invalid_type", param)


@pytest.mark.parametrize(
    ("change", "param"),
    [({"n": 0}, "n"), ({"n": 9}, "n"), ({"messages": [{"role": "bot", "content": "Hi"}]}, "messages[0].role")],
)
def test_a_wrong_value_is_named(change: dict[str, Any], param: str) -> None:
    """A value of the right type that is not allowed is named by its path."""
    problem = refused({"model": "Ada", "messages": HI} | change)
    assert (problem.code, problem.param) == ("invalid_value", param)
