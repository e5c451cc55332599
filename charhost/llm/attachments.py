"""The fields that a model's server attaches to its messages and tool calls, joined from the pieces of a stream."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_TEXTS = ("text", "summary", "thinking", "content")


def joined(pieces: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the fields of all pieces: texts and lists in one, of other values the last."""
    found: dict[str, list[Any]] = {}
    for piece in pieces:
        for name, value in piece.items():
            if value is not None:
                found.setdefault(name, []).append(value)
    return {name: _joined(name, values) for name, values in found.items()}


def is_text(name: str, value: Any) -> bool:
    """Return whether a field holds a text that comes in pieces."""
    return isinstance(value, str) and (name in _TEXTS or name.startswith("reasoning"))


def _joined(name: str, values: Sequence[Any]) -> Any:
    if all(is_text(name, value) for value in values):
        return "".join(values)
    if all(isinstance(value, list) for value in values):
        return _blocks(values)
    return joined(values) if all(isinstance(value, dict) for value in values) else values[-1]


def _blocks(lists: Iterable[list[Any]]) -> list[Any]:
    """Join lists of blocks: the first block of a list may continue the last one before it."""
    blocks: list[list[Any]] = []
    numbered: dict[str, list[Any]] = {}  # the latest by index and type
    for parts in lists:
        for position, part in enumerate(parts):
            place = _place(part)
            begun = (
                numbered.get(place) if place else blocks[-1] if blocks and _continues(part, blocks, position) else None
            )
            if begun is not None:
                begun.append(part)
                continue
            blocks.append([part])
            if place:
                numbered[place] = blocks[-1]
    return [joined(block) if len(block) > 1 else block[0] for block in blocks]


def _place(part: Any) -> str | None:
    """Return the index and the type of a block; None if it has no index."""
    if not isinstance(part, dict) or part.get("index") is None:
        return None
    return repr((part["index"], part.get("type")))


def _continues(part: Any, blocks: list[list[Any]], position: int) -> bool:
    """Return whether *part*, which has no index, continues the last block, which must have no signature."""
    last = blocks[-1][-1]
    if not isinstance(part, dict) or position > 0 or not isinstance(last, dict):
        return False
    if "index" in last or last.get("signature") or last.get("type") != part.get("type"):
        return False
    return "signature" in part or any(name in part for name in _TEXTS)
