"""Overhead of charhost over a direct request to the model: words per second, and time to the first word.

Words per second are measured with a model that streams as fast as it is read, the time to the first word with one
that pauses 5 ms after each word. Clients, charhost and model share the machine.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp

from scripts.benchmarks.measure import generate, print_table, spread
from scripts.benchmarks.processes import free_port, python

FLAT_OUT, PACED = ("1000", "0"), ("40", "0.005")
_CHARACTER = "Number 00000"
_BODY = {"model": _CHARACTER, "stream": True, "messages": [{"role": "user", "content": "Go on."}]}
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
    "realtime": _Dialect({"model": _CHARACTER, "dialect": "ga"}, *_OPENAI),
    "realtime, beta": _Dialect({"model": _CHARACTER, "dialect": "beta"}, *_OPENAI),
    "unmute": _Dialect(
        {"dialect": "unmute"},
        {"type": "session.update", "session": {"allow_recording": False}},
        {"type": "input_audio_buffer.append", "audio": "T2dnUw=="},  # the first sound
        '"response.text.delta"',
        '"unmute.additional_outputs"',
    ),
}
_INTERFACES = ["directly", "chat completions", *_DIALECTS]


class Response(NamedTuple):
    """One response: seconds until its first and its last word, and the number of words."""

    first: float
    last: float
    words: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--conversations", default="1,10,100", help="concurrent conversations (default: 1,10,100)")


async def measure(arguments: argparse.Namespace) -> None:
    rows = []
    for count in map(int, arguments.conversations.split(",")):
        speeds = await _measured(count, arguments.runs, FLAT_OUT, words_per_second)
        firsts = await _measured(count, arguments.runs, PACED, first_word)
        for interface in _INTERFACES:
            speed, first = speeds[interface], firsts[interface]
            share = f"{min(speed) / max(speeds['directly']):.2f}-{max(speed) / min(speeds['directly']):.2f}"
            added = [milliseconds - direct for milliseconds, direct in zip(first, firsts["directly"], strict=True)]
            rows.append([str(count), interface, spread(speed), share, spread(first), spread(added)])
    print_table(["conversations", "through", "words/s", "of direct", "first word, ms", "added, ms"], rows)


def words_per_second(responses: Sequence[Response]) -> float:
    return sum(response.words for response in responses) / max(response.last for response in responses)


def first_word(responses: Sequence[Response]) -> float:
    """Return the median of the milliseconds to the first word."""
    return sorted(response.first for response in responses)[len(responses) // 2] * 1000


async def _measured(
    count: int, runs: int, pace: tuple[str, str], figure: Callable[[Sequence[Response]], float]
) -> dict[str, list[float]]:
    """Return the figure of *count* concurrent responses through each interface, for each run."""
    figures: dict[str, list[float]] = {interface: [] for interface in _INTERFACES}
    connector = aiohttp.TCPConnector(limit=0)
    async with _servers(pace, count) as (model, charhost), aiohttp.ClientSession(connector=connector) as client:
        for run in range(runs + 1):  # the first is a warm-up
            for interface in _INTERFACES:
                server = model if interface == "directly" else charhost
                responses = await asyncio.gather(*(ask(client, server, interface) for _ in range(count)))
                if run:
                    figures[interface].append(figure(responses))
    return figures


@asynccontextmanager
async def _servers(pace: tuple[str, str], count: int) -> AsyncIterator[tuple[str, str]]:
    """Run a model, and charhost in front of it; yield their URLs."""
    model, port = free_port(), free_port()
    url = f"http://127.0.0.1:{model}/v1"
    with tempfile.TemporaryDirectory() as scratch:
        directory = generate(Path(scratch), 1)
        options = ("--directory", str(directory), "--port", str(port), "--llm-concurrency", str(count))
        async with (
            python("-m", "scripts.benchmarks.streaming", str(model), *pace, port=model),
            python("-m", "charhost", "serve", *options, port=port, CHARHOST_LLM_URL=url, CHARHOST_LLM_MODEL="m"),
        ):
            yield url, f"http://127.0.0.1:{port}/v1"


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
