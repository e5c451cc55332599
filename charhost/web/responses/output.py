"""Output: the items of a response in their order, with the thinking between them as items of its own."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from charhost.conversation.items import FunctionCall, Message
from charhost.conversation.turn_events import ItemAdded, ReasoningDelta, TextDelta, TurnEnded, TurnEvent
from charhost.ids import new_id
from charhost.jsontext import Json


@dataclass(eq=False, slots=True)
class Thoughts:
    """The thinking between two other items; `index` is its place in the output."""

    index: int
    id: str = field(default_factory=lambda: new_id("rs"))
    text: str = ""


class Output:
    """Collects the events of one turn; without *shows_reasoning* it has no thinking."""

    def __init__(self, shows_reasoning: bool) -> None:
        self.open: Thoughts | None = None
        self._shows_reasoning = shows_reasoning
        self._entries: list[str | Thoughts] = []
        self._places: dict[str, int] = {}
        self._logprobs: dict[str, list[Json]] = {}

    def add(self, event: TurnEvent) -> None:
        match event:
            case ReasoningDelta(text=text) if self._shows_reasoning:
                self._think(text)
            case ItemAdded(item=item):
                self.open = None
                self._places[item.id] = len(self._entries)
                self._entries.append(item.id)
            case TextDelta(item_id=item_id, logprobs=logprobs) if logprobs:
                self._logprobs.setdefault(item_id, []).extend(map(token_fields, logprobs))
            case TurnEnded():
                self.open = None

    def index(self, item_id: str) -> int:
        return self._places[item_id]

    def item(self, item: Message | FunctionCall) -> Json:
        if isinstance(item, FunctionCall):
            called = {"call_id": item.call_id, "name": item.name, "arguments": item.arguments}
            return {"id": item.id, "type": "function_call", "status": item.status, **called}
        content = [output_text(item.text, self.logprobs(item.id))] if item.parts else []
        return {"id": item.id, "type": "message", "status": item.status, "role": "assistant", "content": content}

    def items(self, items: Iterable[Message | FunctionCall]) -> Iterator[Json]:
        """Yield *items* of the turn and the thinking between them."""
        known = {item.id: item for item in items}
        for entry in self._entries:
            yield reasoning_item(entry, "completed") if isinstance(entry, Thoughts) else self.item(known[entry])

    def logprobs(self, item_id: str) -> list[Json]:
        return self._logprobs.get(item_id, [])

    def _think(self, text: str) -> None:
        if self.open is None:
            self.open = Thoughts(len(self._entries))
            self._entries.append(self.open)
        self.open.text += text


def output_text(text: str, logprobs: Iterable[Json] = ()) -> Json:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": list(logprobs)}


def reasoning_item(thoughts: Thoughts, status: str) -> Json:
    """Return thinking as servers of open models send it: as content, since nothing has summed it up."""
    content = [reasoning_text(thoughts.text)] if thoughts.text and status == "completed" else []
    return {"id": thoughts.id, "type": "reasoning", "status": status, "summary": [], "content": content}


def reasoning_text(text: str) -> Json:
    return {"type": "reasoning_text", "text": text}


def token_fields(entry: Mapping[str, Any]) -> Json:
    """Return the log probability of a token as this API has it: always with the bytes and the alternatives."""
    return {**_with_bytes(entry), "top_logprobs": [_with_bytes(other) for other in entry.get("top_logprobs") or ()]}


def _with_bytes(entry: Mapping[str, Any]) -> Json:
    return {**entry, "bytes": entry.get("bytes") or list(str(entry.get("token", "")).encode())}
