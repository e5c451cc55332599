"""Items of conversations as JSON texts."""

from dataclasses import fields, replace
from typing import Any, get_args

from charhost import jsontext
from charhost.conversation.items import Attached, Item, Message, Part

_KINDS: dict[str, Any] = {kind.__name__: kind for kind in (*get_args(Item), *get_args(Part))}


def spelled(item: Item) -> str:
    values = _fields(item)
    if isinstance(item, Message):
        values["parts"] = [_fields(part) for part in item.parts]
    if item.attached is not None:
        values["attached"] = {field.name: getattr(item.attached, field.name) for field in fields(item.attached)}
    return jsontext.encoded(values).decode()


def item_of(text: str) -> Item:
    """Return the item of a JSON text; one that was being written when the process ended is incomplete."""
    values = jsontext.bounded(text)
    if "parts" in values:
        values["parts"] = tuple(_KINDS[part.pop("kind")](**part) for part in values["parts"])
    if values.get("attached") is not None:
        values["attached"] = Attached(**values["attached"])
    item: Item = _KINDS[values.pop("kind")](**values)
    return replace(item, status="incomplete") if item.status == "in_progress" else item


def _fields(value: Item | Part) -> dict[str, Any]:
    return {"kind": type(value).__name__} | {field.name: getattr(value, field.name) for field in fields(value)}
