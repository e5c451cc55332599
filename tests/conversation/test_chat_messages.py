"""The messages that a chat model is sent of items."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from charhost.conversation.chat_messages import as_messages
from charhost.conversation.items import Audio, FunctionCall, FunctionOutput, Image, Item, Message, Other, Text
from tests.conversation.random_items import ITEMS
from tests.scripted import message


def called(call_id: str, name: str = "roll", arguments: str = "{}") -> FunctionCall:
    return FunctionCall(call_id=call_id, name=name, arguments=arguments)


def brought(call_id: str, output: str = "4") -> FunctionOutput:
    return FunctionOutput(call_id=call_id, output=output)


def spelled(*items: Item) -> list[Any]:
    """The messages, short: the role and text of one, the ids of calls, the id and text of a result."""
    short: list[Any] = []
    for spoken in as_messages(items):
        if "tool_calls" in spoken:
            short.append((spoken["content"], *(call["id"] for call in spoken["tool_calls"])))
        else:
            short.append((spoken.get("tool_call_id", spoken["role"]), spoken["content"]))
    return short


def test_words_are_one_text() -> None:
    """Parts that are words, or were understood as words, are one text with line breaks."""
    speech = Message(role="user", parts=(Text("one"), Audio("two"), Text("three")))
    assert as_messages([speech]) == [{"role": "user", "content": "one\ntwo\nthree"}]


@pytest.mark.parametrize("transcript", [None, ""])
def test_speech_without_a_transcript_is_sent(transcript: str | None) -> None:
    """Speech without a transcript is sent as a placeholder, not as silence."""
    (spoken,) = as_messages([Message(role="user", parts=(Audio(transcript),))])
    assert "could not be heard" in spoken["content"]


def test_image_is_a_part() -> None:
    """With an image the content is a list, in which each part has its type."""
    (spoken,) = as_messages([Message(role="user", parts=(Text("Look"), Image("data:x"), Image("data:y", "low")))])
    assert spoken["content"] == [
        {"type": "text", "text": "Look"},
        {"type": "image_url", "image_url": {"url": "data:x"}},
        {"type": "image_url", "image_url": {"url": "data:y", "detail": "low"}},
    ]


def test_unknown_part_goes_through() -> None:
    """A part that charhost has no meaning for is sent as it came."""
    part = {"type": "input_audio", "input_audio": {"data": "…", "format": "wav"}}
    assert as_messages([Message(role="user", parts=(Other(part),))])[0]["content"] == [part]


def test_name_of_a_speaker_is_kept() -> None:
    """The name that a chat-completions message may carry is sent."""
    named = Message(role="user", parts=(Text("Hi"),), name="bob")
    assert as_messages([named]) == [{"role": "user", "content": "Hi", "name": "bob"}]


def test_empty_message_of_the_assistant() -> None:
    """An empty message of the assistant is not sent, an empty one of the user is."""
    items: list[Item] = [Message(role="assistant", parts=(), status="in_progress"), Message(role="user", parts=())]
    assert as_messages(items) == [{"role": "user", "content": ""}]


def test_call_and_result() -> None:
    """A call is a message of the assistant without text, and its result a message of the tool."""
    assert as_messages([called("1", "roll", '{"n": 2}'), brought("1", "4")]) == [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "1", "type": "function", "function": {"name": "roll", "arguments": '{"n": 2}'}},
            ],
        },
        {"role": "tool", "tool_call_id": "1", "content": "4"},
    ]


def test_call_without_arguments() -> None:
    """A call without arguments is sent with an empty object, since a model refuses invalid JSON."""
    assert as_messages([called("1", arguments="")])[0]["tool_calls"][0]["function"]["arguments"] == "{}"


@pytest.mark.parametrize("arguments", ['{"n": ', "[1]", "null", "roll two"])
def test_arguments_that_were_cut_are_not_sent(arguments: str) -> None:
    """Incomplete arguments are not sent: vLLM and llama.cpp refuse every later request with them."""
    spelled_call = as_messages([called("1", arguments=arguments)])[0]["tool_calls"][0]
    assert isinstance(json.loads(spelled_call["function"]["arguments"]), dict)


def test_text_before_calls_shares_their_message() -> None:
    """Text and the calls after it are one message, and so are consecutive calls."""
    items: list[Item] = [
        message("Let me see.", "assistant"),
        called("1"),
        called("2"),
        brought("1", "a"),
        brought("2", "b"),
    ]
    assert spelled(*items) == [("Let me see.", "1", "2"), ("1", "a"), ("2", "b")]


def test_calls_after_a_message_of_the_user_stand_alone() -> None:
    """Only the assistant's own text shares the message of a call."""
    assert spelled(message("Roll!"), called("1"), brought("1")) == [("user", "Roll!"), (None, "1"), ("1", "4")]


def test_second_round_is_a_message_of_its_own() -> None:
    """Calls behind a result belong to another message than those before it."""
    items: list[Item] = [called("1"), brought("1", "a"), called("2"), brought("2", "b")]
    assert spelled(*items) == [(None, "1"), ("1", "a"), (None, "2"), ("2", "b")]


def test_dropped_result_parts_rounds_as_well() -> None:
    """A second message of calls never overwrites the calls of the first."""
    items: list[Item] = [message("Hm.", "assistant"), called("1"), brought("9"), called("2")]
    assert [turn[1:] for turn in spelled(*items) if turn[0] in ("Hm.", None)] == [("1",), ("2",)]


def test_result_without_its_call_is_dropped() -> None:
    """A result without its call is dropped, since a chat model refuses it."""
    assert spelled(brought("1"), message("Hi"), brought("2")) == [("user", "Hi")]


def test_call_without_result_gets_one() -> None:
    """A call without a result gets a placeholder, since a chat model refuses it otherwise."""
    assert spelled(called("1"), message("Never mind")) == [
        (None, "1"),
        ("1", "(There was no result.)"),
        ("user", "Never mind"),
    ]


def test_results_in_another_order() -> None:
    """Each result is sent after its call, also if it follows later messages in the history."""
    items: list[Item] = [called("1"), called("2"), brought("2", "b"), message("Well?"), brought("1", "a")]
    assert spelled(*items) == [(None, "1", "2"), ("1", "a"), ("2", "b"), ("user", "Well?")]


def test_one_id_for_two_calls() -> None:
    """Of two calls with one id, as some models send them, the first result belongs to the first call."""
    items: list[Item] = [called("1"), brought("1", "a"), message("Again"), called("1"), brought("1", "b")]
    assert spelled(*items) == [(None, "1"), ("1", "a"), ("user", "Again"), (None, "1"), ("1", "b")]


def test_two_results_for_one_call() -> None:
    """A second result of a call is dropped."""
    assert spelled(called("1"), brought("1", "a"), brought("1", "b")) == [(None, "1"), ("1", "a")]


@given(ITEMS)
def test_strict_upstreams_accept_any_conversation(items: list[Item]) -> None:
    """Whatever clients did to the items, each call has exactly one result right after its message, in order."""
    messages = as_messages(items)
    expected: list[str] = []
    for spoken in messages:
        assert (spoken["role"] == "tool") == bool(expected)
        if expected:
            assert spoken["tool_call_id"] == expected.pop(0)
        expected += [made["id"] for made in spoken.get("tool_calls", ())]
    assert not expected


@given(ITEMS)
def test_no_message_or_call_is_lost(items: list[Item]) -> None:
    """All messages and calls are sent, in their order."""
    messages = as_messages(items)
    made = [made["id"] for spoken in messages for made in spoken.get("tool_calls", ())]
    assert made == [item.call_id for item in items if isinstance(item, FunctionCall)]
    contents = [spoken["content"] for spoken in messages if spoken["role"] != "tool" and spoken["content"] is not None]
    assert contents == [item.text for item in items if isinstance(item, Message)]
