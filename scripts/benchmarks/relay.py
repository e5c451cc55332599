"""Overhead of charhost over a direct request to the model: words per second, and time to the first word.

Words per second are measured with a model that streams as fast as it is read, the time to the first word with one
that pauses 5 ms after each word. Clients, charhost and model share the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from scripts.benchmarks.measure import generate, print_table, spread
from scripts.benchmarks.processes import free_port, python, until_listening

_FLAT_OUT, _PACED = ("1000", "0"), ("40", "0.005")
_BODY = {"model": "Number 00000", "stream": True, "messages": [{"role": "user", "content": "Go on."}]}
_WORD = b'"content":" word"'
_DIALECTS = {"realtime": "ga", "realtime, beta": "beta"}


@dataclass
class Response:
    """One response: seconds until its first and its last word, and the number of words."""

    first: float
    last: float
    words: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this benchmark."""
    parser.add_argument("--conversations", default="1,10,100", help="concurrent conversations (default: 1,10,100)")


async def measure(arguments: argparse.Namespace) -> None:
    """Print a row for each interface and number of conversations."""
    interfaces = ["directly", "chat completions", *_DIALECTS, "unmute"]
    rows = []
    for count in map(int, arguments.conversations.split(",")):
        speeds = await _speeds(interfaces, count, arguments.runs)
        firsts = await _firsts(interfaces, count, arguments.runs)
        for interface in interfaces:
            speed, first = speeds[interface], firsts[interface]
            share = f"{min(speed) / max(speeds['directly']):.2f}-{max(speed) / min(speeds['directly']):.2f}"
            added = [milliseconds - direct for milliseconds, direct in zip(first, firsts["directly"], strict=True)]
            rows.append([str(count), interface, spread(speed), share, spread(first), spread(added)])
    print_table(["conversations", "through", "words/s", "of direct", "first word, ms", "added, ms"], rows)


async def _speeds(interfaces: list[str], count: int, runs: int) -> dict[str, list[float]]:
    """Return the words per second of all conversations together, for each run."""

    def speed(responses: list[Response]) -> float:
        return sum(response.words for response in responses) / max(response.last for response in responses)

    return await _measured(interfaces, count, runs, _FLAT_OUT, speed)


async def _firsts(interfaces: list[str], count: int, runs: int) -> dict[str, list[float]]:
    """Return the median of the milliseconds to the first word, for each run."""

    def first(responses: list[Response]) -> float:
        return sorted(response.first for response in responses)[len(responses) // 2] * 1000

    return await _measured(interfaces, count, runs, _PACED, first)


async def _measured(
    interfaces: list[str], count: int, runs: int, pace: tuple[str, str], figure: Callable[[list[Response]], float]
) -> dict[str, list[float]]:
    figures: dict[str, list[float]] = {interface: [] for interface in interfaces}
    async with AsyncExitStack() as stack:
        ask = await _set_up(stack, pace, count)
        for run in range(runs + 1):  # the first is a warm-up
            for interface in interfaces:
                found = figure(await asyncio.gather(*(ask(interface) for _ in range(count))))
                if run:
                    figures[interface].append(found)
    return figures


async def _set_up(stack: AsyncExitStack, pace: tuple[str, str], count: int) -> Callable[[str], Awaitable[Response]]:
    model, port = free_port(), free_port()
    directory = generate(Path(stack.enter_context(tempfile.TemporaryDirectory())), 1)
    await stack.enter_async_context(python("-m", "scripts.benchmarks.streaming", str(model), *pace))
    environment = {"CHARHOST_LLM_URL": f"http://127.0.0.1:{model}/v1", "CHARHOST_LLM_MODEL": "m"}
    options = ("--directory", str(directory), "--port", str(port), "--llm-concurrency", str(count))
    await stack.enter_async_context(python("-m", "charhost", "serve", *options, environment=environment))
    await until_listening(model)
    await until_listening(port)
    client = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))

    async def ask(interface: str) -> Response:
        if interface == "unmute":
            return await _unmute(client, f"ws://127.0.0.1:{port}/v1/realtime")
        if interface in _DIALECTS:
            return await _realtime(client, f"ws://127.0.0.1:{port}/v1/realtime", _DIALECTS[interface])
        return await _completion(
            client, f"http://127.0.0.1:{model if interface == 'directly' else port}/v1/chat/completions"
        )

    return ask


async def _completion(client: aiohttp.ClientSession, url: str) -> Response:
    received, first, started = bytearray(), 0.0, time.perf_counter()
    async with client.post(url, json=_BODY) as response:
        response.raise_for_status()
        async for part in response.content.iter_any():
            received += part
            if not first and _WORD in received:
                first = time.perf_counter() - started
    return Response(first, time.perf_counter() - started, received.count(_WORD))


async def _realtime(client: aiohttp.ClientSession, url: str, dialect: str) -> Response:
    query = {"model": str(_BODY["model"]), "dialect": dialect}
    content = [{"type": "input_text", "text": "Go on."}]
    words, first = 0, 0.0
    async with client.ws_connect(url, params=query) as socket:
        item = {"type": "message", "role": "user", "content": content}
        await socket.send_json({"type": "conversation.item.create", "item": item})
        started = time.perf_counter()
        await socket.send_json({"type": "response.create"})
        async for message in socket:
            if "text.delta" in message.data[:60]:
                words += 1
                first = first or time.perf_counter() - started
            elif '"response.done"' in message.data[:60]:
                break
    return Response(first, time.perf_counter() - started, words)


async def _unmute(client: aiohttp.ClientSession, url: str) -> Response:
    words, first = 0, 0.0
    async with client.ws_connect(url, params={"dialect": "unmute"}) as socket:
        await socket.send_json({"type": "session.update", "session": {"allow_recording": False}})
        started = time.perf_counter()
        await socket.send_json({"type": "input_audio_buffer.append", "audio": "T2dnUw=="})  # the first sound
        async for message in socket:
            if '"response.text.delta"' in message.data[:60]:
                words += 1
                first = first or time.perf_counter() - started
            elif '"unmute.additional_outputs"' in message.data[:60]:
                break
    return Response(first, time.perf_counter() - started, words)
