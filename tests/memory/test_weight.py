"""The weight of values, compared with what Python allocates for them."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from pydantic_core import from_json

from charhost.conversation.history import History
from charhost.conversation.items import Message, Text
from charhost.memory.weight import weigh
from charhost.web.completions.request import ChatRequest
from charhost.web.protocol.session_config import SessionConfig, settings_of

BRACKETS = b'{"a":[' + b",".join([b"[]"] * 20_000) + b"]}"
OBJECTS = b"[" + b",".join([b'{"a":{}}'] * 10_000) + b"]"
NUMBERS = b"[" + b",".join(str(n / 7).encode() for n in range(20_000)) + b"]"
MESSAGES = b"[" + b",".join([b'{"role":"user","content":"Hello there."}'] * 5_000) + b"]"


def items(count: int) -> list[Message]:
    """Return messages that share nothing."""
    return [Message(role="user", parts=(Text("".join(("Hello", str(n)))),)) for n in range(count)]


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: from_json(BRACKETS), id="brackets"),
        pytest.param(lambda: from_json(OBJECTS), id="objects"),
        pytest.param(lambda: from_json(NUMBERS), id="numbers"),
        pytest.param(lambda: "x" * 1_000_000 + "\N{GRINNING FACE}", id="one emoji among letters"),
        pytest.param(lambda: "é" * 1_000_000, id="letters with accents"),
        pytest.param(lambda: Message(role="user", parts=tuple(Text("") for _ in range(30_000))), id="empty parts"),
        pytest.param(lambda: items(10_000), id="items"),
        pytest.param(lambda: SessionConfig(tools=[_tool(from_json(BRACKETS))]), id="tools"),
        pytest.param(lambda: settings_of("ga", {"tools": [_tool(from_json(OBJECTS[:-1] + b"]"))]}), id="stored tools"),
        pytest.param(lambda: ChatRequest(model="Ada", messages=from_json(MESSAGES)), id="a request"),
    ],
)
def test_weight_is_what_a_value_takes(make: Callable[[], Any]) -> None:
    """A weight is not less than nine tenths of what is allocated, and at most three times as much."""
    make()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        value = make()
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert 0.9 * taken <= weigh(value) <= 3 * taken


def _tool(parameters: Any) -> Any:
    return {
        "type": "function",
        "name": "look",
        "parameters": parameters if isinstance(parameters, dict) else {"a": parameters},
    }


def test_nothing_has_no_weight() -> None:
    """Without a value there is nothing to weigh, and several values weigh what they weigh together."""
    assert weigh() == 0
    assert weigh("a", b"b") == weigh("a") + weigh(b"b")


def test_an_item_is_weighed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its parts are looked at when it is made, and by no history that it is put into."""
    item = Message(role="user", parts=tuple(Text("") for _ in range(20_000)))
    looked_at: list[object] = []
    monkeypatch.setattr("charhost.memory.weight.getsizeof", partial(_noted, looked_at))
    history = History([item])
    history.replace(item)
    weigh([item])
    assert len(looked_at) < 10
    assert history.weight > 20_000


def _noted(looked_at: list[object], value: object) -> int:
    looked_at.append(value)
    return 1
