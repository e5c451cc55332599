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
    for parts in lists:
        for position, part in enumerate(parts):
            if (begun := _begun(blocks, part, position == 0)) is not None:
                begun.append(part)
            else:
                blocks.append([part])
    return [joined(block) if len(block) > 1 else block[0] for block in blocks]


def _begun(blocks: list[list[Any]], part: Any, is_first: bool) -> list[Any] | None:
    """Return the block that *part* continues: that of its index, or without one the last if it has no signature."""
    if not isinstance(part, dict):
        return None
    if part.get("index") is not None:
        place = part["index"], part.get("type")
        return next((block for block in reversed(blocks) if _place(block[-1]) == place), None)
    last = blocks[-1][-1] if blocks else None
    if not is_first or not isinstance(last, dict) or "index" in last or last.get("signature"):
        return None
    is_piece = "signature" in part or any(name in part for name in _TEXTS)
    return blocks[-1] if is_piece and last.get("type") == part.get("type") else None


def _place(block: Any) -> Any:
    return (block.get("index"), block.get("type")) if isinstance(block, dict) else None
