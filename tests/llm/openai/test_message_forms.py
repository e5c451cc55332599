"""The forms of messages for servers whose chat templates take fewer."""

from __future__ import annotations

from typing import Any

import pytest

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


def said(role: str, content: Any, **more: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **more}


TEXT, IMAGE = {"type": "text", "text": "b"}, {"type": "image_url", "image_url": {"url": "data:x"}}
CALLS = [{"id": "1", "type": "function", "function": {"name": "roll", "arguments": "{}"}}]


def test_neighbours_of_one_role_are_joined() -> None:
    """Two messages of the user or of the assistant in a row become one, with a blank line between them."""
    messages = [said("user", "a"), said("user", "b"), said("assistant", "c"), said("assistant", "d")]
    assert alternating(messages) == [said("user", "a\n\nb"), said("assistant", "c\n\nd")]


def test_calls_stay_messages_of_their_own() -> None:
    """A message with calls, and each result, is joined with no other."""
    messages = [
        said("assistant", "a", tool_calls=CALLS),
        said("assistant", "b"),
        said("tool", "1", tool_call_id="1"),
        said("tool", "2", tool_call_id="2"),
    ]
    assert alternating(messages) == messages


@pytest.mark.parametrize("second", ["system", "developer"])
def test_system_messages_become_the_first_one(second: str) -> None:
    """All system and developer messages are one, before all others."""
    messages = [said("system", "a"), said("user", "b"), said(second, "c")]
    assert one_system_message(messages) == [said("system", "a\n\nc"), said("user", "b")]


@pytest.mark.parametrize(
    ("messages", "form"),
    [
        ([said("system", "a"), said("user", "b")], [said("user", "a\n\nb")]),
        ([said("system", "a"), said("assistant", "b")], [said("user", "a"), said("assistant", "b")]),
        ([said("user", "b")], [said("user", "b")]),
    ],
)
def test_system_message_is_said_by_the_user(messages: Messages, form: Messages) -> None:
    """Without a system role its text stands before the first words of the user."""
    assert no_system_role(messages) == form


def test_developer_becomes_system() -> None:
    """Only the role of a developer's message is another."""
    assert no_developer_role(said("developer", "a")) == said("system", "a")
    assert no_developer_role(said("user", "a")) == said("user", "a")


def test_attachments_are_left_out() -> None:
    """Fields that servers add to messages and calls do not go to another server."""
    plain = said("assistant", "a", tool_calls=CALLS)
    attached = plain | {"reasoning_content": "Hm.", "tool_calls": [{**CALLS[0], "extra_content": {}}]}
    assert without_attachments(attached) == plain


@pytest.mark.parametrize(
    ("content", "form"), [([TEXT, TEXT], "b\nb"), ("a", "a"), (None, None), ([TEXT, IMAGE], [TEXT, IMAGE])]
)
def test_parts_of_text_become_a_string(content: Any, form: Any) -> None:
    """A content of texts is a string with line breaks; one with an image stays a list."""
    assert string_content(said("user", content)) == said("user", form)


def test_message_without_content_gets_a_word_or_goes() -> None:
    """An empty message is left out, unless it has calls or is a result."""
    messages = [said("user", ""), said("assistant", None, tool_calls=CALLS), said("tool", "", tool_call_id="1")]
    assert nonempty_content(messages) == [
        said("assistant", "(no words)", tool_calls=CALLS),
        said("tool", "(no words)", tool_call_id="1"),
    ]


def test_joined_texts_and_images_are_parts() -> None:
    """Where one content is a list, the joined one is a list too."""
    assert alternating([said("user", "a"), said("user", [IMAGE])]) == [
        said("user", [{"type": "text", "text": "a"}, IMAGE])
    ]


def test_name_stays_where_all_have_it() -> None:
    """Joined messages keep their name only if they share it."""
    assert alternating([said("user", "a", name="bob"), said("user", "b", name="bob")])[0]["name"] == "bob"
    assert "name" not in alternating([said("user", "a", name="bob"), said("user", "b")])[0]
