from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from charhost.conversation.chat_messages import is_object
from charhost.conversation.history import History
from charhost.conversation.items import Attached, FunctionCall, FunctionOutput, Item, Message, Status, Text
from charhost.conversation.turn_events import ArgumentsDelta, ItemAdded, ItemDone, ReasoningDelta, TextDelta, TurnEvent
from charhost.jsontext import encoded
from charhost.llm.attachments import joined
from charhost.llm.model import CallDelta, Delta, ModelError

_GROWTH = 1.1
# Bytes of the pieces of a server's attachments, which are joined at the end.
_MOST_ATTACHED = 4 << 20


class ResponseBuilder:
    """Builds the items of a response from its pieces; calls for which *is_hidden* is true are kept without events."""

    def __init__(self, history: History, is_hidden: Callable[[str], bool], endpoint: str | None = None) -> None:
        self.items: list[Item] = []
        self.calls: list[FunctionCall] = []
        self.shown: tuple[Message | FunctionCall, ...] = ()
        self._history = history
        self._is_hidden = is_hidden
        self._endpoint = endpoint
        self._round = 0
        self._attached_size = 0  # in bytes, of this round
        self._attached: list[Mapping[str, Any]] = []
        self._attached_to_call: list[Mapping[str, Any]] = []
        self._open: Message | FunctionCall | None = None
        self._pieces: list[str] = []
        self._call_index = -1
        self._incomplete = 0  # of the pieces of the open call, as many as are known to be no object
        # By the call that they belong to, or that the text comes after.
        self._waiting: dict[tuple[type, int], list[Delta | CallDelta]] = {}
        self._latest_index = -1

    def begin_round(self) -> None:
        self.calls = []
        self._round = len(self.items)
        self._attached_size = 0

    def add(self, delta: Delta) -> Iterable[TurnEvent]:
        """Add a piece of the response; raises `ModelError` if it belongs to no item."""
        text, calls, _, _, logprobs, attached, reasoning = delta
        if type(self._open) is Message and text and not (calls or attached or reasoning or self._waiting):
            self._pieces.append(text)
            return (TextDelta(self._open.id, self._index, text, logprobs),)
        return self._added(delta)

    def _added(self, delta: Delta) -> Iterator[TurnEvent]:
        if delta.attached is not None:
            self._keep(self._attached, delta.attached)
        if delta.reasoning:
            yield ReasoningDelta(delta.reasoning)
        if delta.text or delta.logprobs:
            is_plain = not self._waiting and not isinstance(self._open, FunctionCall)
            yield from self._add_text(delta) if is_plain else self._place(delta)
        for piece in delta.calls:
            yield from self._place(piece)

    def close(self, status: Status = "completed") -> Iterator[TurnEvent]:
        yield from self._close(status)
        while self._waiting:
            yield from self._place_waiting()
            yield from self._close(status)
        self._attach()

    def add_outputs(self, outputs: Iterable[FunctionOutput]) -> None:
        for output in outputs:
            self.items.append(output)
            self._history.append(output)

    def _keep(self, kept: list[Mapping[str, Any]], fields: Mapping[str, Any]) -> None:
        """Keep *fields* of the server; of too many none, because a part would mislead it."""
        self._attached_size += len(encoded(fields))
        if self._attached_size <= _MOST_ATTACHED:
            kept.append(fields)
        else:
            self._attached, self._attached_to_call = [], []

    def _attach(self) -> None:
        """Keep the server's attachments to the message, which may come last, with the first item of the round."""
        item = self.items[self._round] if self._attached and len(self.items) > self._round else None
        if item is None or isinstance(item, FunctionOutput):
            return
        call = item.attached.call if item.attached is not None else {}
        item = replace(item, attached=Attached.of(self._endpoint, joined(self._attached), call))
        self._attached = []
        self.items[self._round] = item
        self._history.replace(item)
        self.shown = tuple(item if shown.id == item.id else shown for shown in self.shown)

    @property
    def _index(self) -> int:
        return len(self.shown) - 1

    def _place(self, piece: Delta | CallDelta) -> Iterator[TurnEvent]:
        """Add a piece to its item.

        A model may write calls in parallel, but clients receive them one after the other: pieces of a later call wait
        until the arguments of the first are complete.
        """
        if isinstance(piece, CallDelta):
            self._latest_index = max(self._latest_index, piece.index)
        while self._waiting and not self._continues(piece) and self._is_complete():
            yield from self._place_waiting()
        if self._continues(piece) or (not self._waiting and self._is_complete()):
            yield from self._add(piece)
        else:
            place = type(piece), piece.index if isinstance(piece, CallDelta) else self._latest_index
            self._waiting.setdefault(place, []).append(piece)

    def _add(self, piece: Delta | CallDelta) -> Iterator[TurnEvent]:
        yield from self._add_call(piece) if isinstance(piece, CallDelta) else self._add_text(piece)

    def _continues(self, piece: Delta | CallDelta) -> bool:
        """Return whether *piece* belongs to the open call."""
        return isinstance(self._open, FunctionCall) and isinstance(piece, CallDelta) and piece.index == self._call_index

    def _is_complete(self) -> bool:
        """Return whether no call is open whose arguments are not complete yet."""
        if not isinstance(self._open, FunctionCall):
            return True
        # Not for each piece: the arguments of a call may come in a million of them, among those of another.
        if self._incomplete and len(self._pieces) < self._incomplete * _GROWTH:
            return False
        is_complete = is_object("".join(self._pieces))
        self._incomplete = 0 if is_complete else len(self._pieces)
        return is_complete

    def _place_waiting(self) -> Iterator[TurnEvent]:
        for piece in self._waiting.pop(next(iter(self._waiting))):
            yield from self._add(piece)

    def _close(self, status: Status) -> Iterator[TurnEvent]:
        item = self._open
        if item is None:
            return
        if isinstance(item, FunctionCall) and not any(self._pieces):
            self._pieces = ["{}"]
            if not item.hidden:
                yield ArgumentsDelta(item.id, item.call_id, self._index, "{}")
        # Not before that yield: a reader that stops there closes the item once more.
        self._open = None
        text = "".join(self._pieces)
        if isinstance(item, Message):
            item = replace(item, parts=(Text(text),), status=status)
        else:
            attached = Attached.of(self._endpoint, {}, joined(self._attached_to_call))
            item = replace(item, arguments=text, status=status, attached=attached)
            if status == "completed":
                self.calls.append(item)
        if not item.hidden:
            self.items.append(item)
            self.shown = (*self.shown[:-1], item)
            self._history.replace(item)
            yield ItemDone(item, self._index)
        elif status == "completed":  # an incomplete call of the server's own was never run
            self.items.append(item)
            self._history.append(item)

    def _add_text(self, piece: Delta) -> Iterator[TurnEvent]:
        if not isinstance(self._open, Message):
            if not piece.text:  # the tokens of a call
                return
            yield from self._begin(Message(role="assistant", parts=(), status="in_progress"))
            assert self._open is not None
        self._pieces.append(piece.text)
        yield TextDelta(self._open.id, self._index, piece.text, piece.logprobs)

    def _add_call(self, piece: CallDelta) -> Iterator[TurnEvent]:
        if piece.id is not None and piece.name is not None:
            self._call_index = piece.index
            hidden = self._is_hidden(piece.name)
            call = FunctionCall(call_id=piece.id, name=piece.name, arguments="", status="in_progress", hidden=hidden)
            yield from self._begin(call)
        if piece.attached is not None:
            self._keep(self._attached_to_call, piece.attached)
        if not isinstance(self._open, FunctionCall) or piece.index != self._call_index:
            raise ModelError("malformed", "The language model mixed up its tool calls.")
        if piece.arguments:
            self._pieces.append(piece.arguments)
            if not self._open.hidden:
                yield ArgumentsDelta(self._open.id, self._open.call_id, self._index, piece.arguments)

    def _begin(self, item: Message | FunctionCall) -> Iterator[TurnEvent]:
        yield from self._close("completed")
        self._open, self._pieces, self._attached_to_call, self._incomplete = item, [], [], 0
        if not item.hidden:
            self._history.append(item)
            self.shown = (*self.shown, item)
            yield ItemAdded(item, self._index)
