"""The items of a conversation in the GA shape."""

from __future__ import annotations

from typing import Any

import pytest

from charhost.conversation.items import Audio, FunctionCall, FunctionOutput, Image, Item, Message, Other, Part, Text
from charhost.web.protocol.item_format import item_fields


def content_of(part: Part, role: Any) -> Any:
    (content,) = item_fields(Message(role=role, parts=(part,)))["content"]
    return content


@pytest.mark.parametrize(
    ("part", "role", "fields"),
    [
        (Text("a"), "user", {"type": "input_text", "text": "a"}),
        (Text("a"), "assistant", {"type": "output_text", "text": "a"}),
        (Audio(None), "user", {"type": "input_audio", "transcript": None}),
        (Audio(None), "assistant", {"type": "output_audio", "transcript": ""}),
        (Image("data:x"), "user", {"type": "input_image", "image_url": "data:x"}),
        (Image("data:x", "low"), "user", {"type": "input_image", "image_url": "data:x", "detail": "low"}),
        (Other({"type": "x"}), "user", {"type": "x"}),
    ],
)
def test_part_has_its_type(part: Part, role: str, fields: dict[str, Any]) -> None:
    """The type of a part depends on the speaker."""
    assert content_of(part, role) == fields


def test_long_image_is_not_repeated() -> None:
    """The client has it, and many clients take no event of more than 1 MiB."""
    assert content_of(Image("data:image/png;base64," + "x" * 100_000), "user")["image_url"] == "data:image/png;base64,"


@pytest.mark.parametrize(
    ("item", "kind"),
    [
        (FunctionCall(call_id="1", name="roll", arguments="{}"), "function_call"),
        (FunctionOutput(call_id="1", output="4"), "function_call_output"),
    ],
)
def test_call_and_result_have_their_type(item: Item, kind: str) -> None:
    """Calls and results are items of their own, found by the id of the call."""
    fields = item_fields(item)
    assert (fields["type"], fields["call_id"], fields["object"]) == (kind, "1", "realtime.item")
