"""The clients of relays: one response through each interface."""

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import aiohttp

CHARACTER = "Number 00000"
_BODY = {"model": CHARACTER, "stream": True, "messages": [{"role": "user", "content": "Go on."}]}
_WORD = b'"content":" word"'
_ITEM = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Go on."}]}


class _Dialect(NamedTuple):
    """A client on a WebSocket: its query, its two events, of which the second is timed, and those that it receives."""

    query: dict[str, str]
    first: dict[str, Any]
    timed: dict[str, Any]
    word: str = "text.delta"
    last: str = '"response.done"'


_OPENAI = {"type": "conversation.item.create", "item": _ITEM}, {"type": "response.create"}
_DIALECTS = {
    "realtime": _Dialect({"model": CHARACTER, "dialect": "ga"}, *_OPENAI),
    "realtime, beta": _Dialect({"model": CHARACTER, "dialect": "beta"}, *_OPENAI),
    "unmute": _Dialect(
        {"dialect": "unmute"},
        {"type": "session.update", "session": {"allow_recording": False}},
        {"type": "input_audio_buffer.append", "audio": "T2dnUw=="},  # the first sound
        '"response.text.delta"',
        '"unmute.additional_outputs"',
    ),
}


class Response(NamedTuple):
    """One response: seconds until its first and its last word, and the number of words."""

    first: float
    last: float
    words: int


def words_per_second(responses: Sequence[Response]) -> float:
    return sum(response.words for response in responses) / max(response.last for response in responses)


def first_word(responses: Sequence[Response]) -> float:
    """Return the median of the milliseconds to the first word."""
    return sorted(response.first for response in responses)[len(responses) // 2] * 1000


async def ask(client: aiohttp.ClientSession, server: str, interface: str) -> Response:
    if interface in _DIALECTS:
        return await _realtime(client, f"{server}/realtime", _DIALECTS[interface])
    return await _completion(client, f"{server}/chat/completions")


async def _completion(client: aiohttp.ClientSession, url: str) -> Response:
    received, first, started = bytearray(), 0.0, time.perf_counter()
    async with client.post(url, json=_BODY) as response:
        response.raise_for_status()
        async for part in response.content.iter_any():
            received += part
            if not first and _WORD in received:
                first = time.perf_counter() - started
    return Response(first, time.perf_counter() - started, received.count(_WORD))


async def _realtime(client: aiohttp.ClientSession, url: str, dialect: _Dialect) -> Response:
    words, first = 0, 0.0
    async with client.ws_connect(url, params=dialect.query) as socket:
        await socket.send_json(dialect.first)
        started = time.perf_counter()
        await socket.send_json(dialect.timed)
        async for message in socket:
            if dialect.word in message.data[:60]:
                words += 1
                first = first or time.perf_counter() - started
            elif dialect.last in message.data[:60]:
                break
    return Response(first, time.perf_counter() - started, words)
