"""The tool calls of one response, of which a stream has the pieces."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from charhost.ids import new_id
from charhost.jsontext import encoded
from charhost.llm.model import CallDelta, ModelError

MOST_CALLS = 128

# Other fields of a call are the server's own, and go back to it.
_FIELDS = frozenset(("index", "id", "type", "function"))


@dataclass(frozen=True, slots=True)
class _Call:
    number: int
    id: str


class ToolCalls:
    """Finds the call that a piece continues; a model may not call more than `MOST_CALLS` tools."""

    def __init__(self) -> None:
        self._count = 0
        # The latest call, and the latest with an index, an id or both.
        self._latest: dict[tuple[Any, ...], _Call] = {}

    def __bool__(self) -> bool:
        return self._count > 0

    def deltas(self, pieces: Iterable[dict[str, Any]]) -> Iterator[CallDelta]:
        """Yield the calls' own pieces; raises `ModelError`, and others for pieces that are none."""
        for piece in pieces:
            function = piece.get("function") or {}
            index, call_id, name = piece.get("index"), str(piece.get("id") or ""), str(function.get("name") or "")
            arguments, attached = _arguments(function.get("arguments")), others(piece, _FIELDS)
            call = self._continued(index, call_id, name)
            if call is None:
                call = self._begin(index, call_id)
                yield CallDelta(call.number, call.id, name, arguments, attached)
            elif arguments or attached:
                yield CallDelta(call.number, None, None, arguments, attached)

    def _continued(self, index: Any, call_id: str, name: str) -> _Call | None:
        """Return the call that a piece continues; None if it begins one.

        Some servers leave out the index, or give all calls index 0; then a new id or else a name begins a call.
        """
        if index is not None:
            return self._latest.get(("both", index, call_id) if call_id and name else ("index", index))
        if call_id:
            return self._latest.get(("id", call_id))
        return None if name else self._latest.get(())

    def _begin(self, index: Any, call_id: str) -> _Call:
        if self._count == MOST_CALLS:
            raise ModelError("malformed", f"The model called more than {MOST_CALLS} tools in one response.")
        call = _Call(self._count, call_id or new_id("call"))
        self._count += 1
        self._latest |= dict.fromkeys(((), ("index", index), ("id", call.id), ("both", index, call.id)), call)
        return call


def others(piece: dict[str, Any], known: frozenset[str]) -> Mapping[str, Any] | None:
    """Return the fields of a message or call that are the server's own; None if there are none."""
    if piece.keys() <= known:
        return None
    found = {name: value for name, value in piece.items() if name not in known and value not in (None, "", [], {})}
    return found or None


def _arguments(arguments: Any) -> str:
    if arguments is None or isinstance(arguments, str):
        return arguments or ""
    return encoded(arguments).decode()
