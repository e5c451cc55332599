"""The content of messages that both APIs share."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic_core import PydanticCustomError

from charhost.conversation.items import Image, Text
from charhost.web.openai.message_content import RequestRole, item_role, part_list, result_text


@pytest.mark.parametrize(
    ("value", "parts"), [("Hi", [{"type": "text", "text": "Hi"}]), ("", []), ([{"type": "x"}], [{"type": "x"}])]
)
def test_string_is_a_list_of_one_part(value: Any, parts: list[Any]) -> None:
    """A content of parts stays as it is."""
    assert part_list(value) == parts


@pytest.mark.parametrize("value", [5, {"type": "text"}, None])
def test_other_content_is_refused(value: Any) -> None:
    """A content is a string or a list."""
    with pytest.raises(PydanticCustomError, match="expected a string or a list of parts"):
        part_list(value)


def test_result_is_its_text() -> None:
    """Only the texts of a tool's result reach the model."""
    assert result_text([Text("a"), Image("data:x"), Text("b")]) == "a\nb"


@pytest.mark.parametrize(("role", "kept"), [("developer", "system"), ("system", "system"), ("user", "user")])
def test_developer_is_the_system(role: RequestRole, kept: str) -> None:
    """The messages of a developer are those of the system."""
    assert item_role(role) == kept
