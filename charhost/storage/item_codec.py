"""The items of a conversation as JSON, and back."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from charhost import jsontext
from charhost.conversation.items import Audio, FunctionCall, FunctionOutput, Image, Item, Message, Other, Part, Text

_ITEMS: dict[str, type[Item]] = {kind.__name__: kind for kind in (Message, FunctionCall, FunctionOutput)}
_PARTS: dict[str, type[Part]] = {kind.__name__: kind for kind in (Text, Image, Audio, Other)}


def spelled(item: Item) -> str:
    """Write an item."""
    values = _fields(item)
    if isinstance(item, Message):
        values["parts"] = [_fields(part) for part in item.parts]
    return jsontext.encoded(values).decode()


def item_of(text: str) -> Item:
    """Read an item; one that was being written when the process ended is incomplete."""
    values = jsontext.decoded(text)
    kind = _ITEMS[values.pop("kind")]
    if kind is Message:
        values["parts"] = tuple(_part(part) for part in values["parts"])
    item = kind(**values)
    return replace(item, status="incomplete") if item.status == "in_progress" else item


def _part(values: dict[str, Any]) -> Part:
    return _PARTS[values.pop("kind")](**values)


def _fields(item: Item | Part) -> dict[str, Any]:
    return {"kind": type(item).__name__} | {field.name: getattr(item, field.name) for field in fields(item)}
